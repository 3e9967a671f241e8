"""A broker's failures as problems a person can act on. The broker's own text is shown as its words, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broker.ports import BrokerAuthExpired, BrokerError, BrokerSchemaError
from sigmatrader.audit.api.problems import Problem, conflict


@contextmanager
def broker_problems() -> Iterator[None]:
    """Turns a broker error of the block into 503 BROKER_UNAVAILABLE, 409 AUTH_REQUIRED or 502 BROKER_SCHEMA."""
    try:
        yield
    except BrokerError as exc:
        raise problem_of(exc) from exc


def problem_of(exc: BrokerError) -> Problem:
    if isinstance(exc, BrokerAuthExpired):
        return conflict("AUTH_REQUIRED", "The broker asks for a login. Open the connection and authorize it again.")
    if isinstance(exc, BrokerSchemaError):
        return Problem(
            "BROKER_SCHEMA", "The broker answered something that is not of the agreed shape; nothing of it was used.",
            status=502,
        )  # fmt: skip
    detail = f"The broker cannot be read now ({exc.text[:200]}). Check that it is running, then try again."
    return Problem("BROKER_UNAVAILABLE", detail, status=503, headers={"Retry-After": "2"}, extra={"part": "broker"})
