"""Hints that a broker's books moved. Whoever polls them registers here and looks at once; a hint is never a fact.

``broker`` cannot know who polls, so the right fills this in: ``register`` in ``AppConfig.ready()``.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

Hint = Callable[[UUID], None]
_told: list[Hint] = []


def register(hint: Hint) -> Hint:
    """``hint`` is called with a connection's id, from any thread of the web process, as often as a broker says so: it
    must be quick, safe to repeat, and leave its word where every process finds it. Registering twice counts once."""
    if hint not in _told:
        _told.append(hint)
    return hint


def forget(hint: Hint) -> None:
    """Takes a registration back."""
    if hint in _told:
        _told.remove(hint)


def tell(connection_id: UUID) -> None:
    """Something happened to an order of this connection: all who registered are told."""
    for hint in tuple(_told):
        hint(connection_id)
