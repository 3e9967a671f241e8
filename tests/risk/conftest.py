"""The trader with a paper connection and a scriptable broker, as the tests of execution have them."""

from __future__ import annotations

from tests.execution.conftest import approve, broker, clock, connection, make_card

__all__ = ["approve", "broker", "clock", "connection", "make_card"]
