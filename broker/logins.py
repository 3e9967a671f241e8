"""Logging in to a broker as a person does: where to go, and how it stands while the person is away.

The address is a credential. It goes to whoever asked and nowhere else: no row, trace, event or log has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

from broker import connect, services, sessions
from broker.adapters.failures import CallFailed, Fault
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@contextmanager
def session_problems() -> Iterator[None]:
    """Turns what the owner of a session answers into 502 LOGIN_REFUSED or 503 BROKER_UNAVAILABLE."""
    try:
        yield
    except CallFailed as exc:
        raise session_problem_of(exc) from exc


def session_problem_of(exc: CallFailed) -> Problem:
    """Its text is our own process's, never the broker's."""
    if exc.fault is Fault.UNREADABLE:
        return Problem("LOGIN_REFUSED", f"{exc.text[:200]} Nothing was opened.", status=502)
    detail = f"The broker session cannot be used now ({exc.text[:200]}). It is being opened again; try in a moment."
    return Problem("BROKER_UNAVAILABLE", detail, status=503, headers={"Retry-After": "2"}, extra={"part": "broker"})


def offer_of(connection: BrokerConnection, *, user: User, now: datetime) -> sessions.LoginOffer:
    """Where the person logs in, or that nobody needs to.

    Raises Problem 502 LOGIN_REFUSED for an address we send nobody to, 503 BROKER_UNAVAILABLE, 409 as the kind needs.
    """
    if connection.kind == BrokerKind.KITE_CONNECT.value:
        return connect.login_url(connection, user=user, now=now)
    if not sessions.is_owned(connection):
        return _without_owner(connection, now=now)
    with session_problems():
        offer = sessions.login(connection)
    if not offer.already and not _is_safe(offer.url, is_paper=connection.kind == BrokerKind.PAPER.value):
        raise Problem("LOGIN_REFUSED", "The broker's login address is not one we open. Nothing was opened.", status=502)
    return offer


def note_offer(
    connection: BrokerConnection, offer: sessions.LoginOffer, *, actor: str, now: datetime, correlation_id: str
) -> None:
    """That a login was started, or needed none; without its address."""
    started = "needs no log-in now" if offer.already else "was sent to log in"
    record_system_event(
        category=EventCategory.KITE_MCP, event_type="LOGIN_OFFERED", message=f"{connection.name}: {actor} {started}.",
        now=now, details={"already": offer.already, "expires_at": offer.expires_at}, actor=actor,
        owner=str(connection.owner_id), account=connection.account, correlation_id=correlation_id,
    )  # fmt: skip


def look(connection: BrokerConnection, *, now: datetime) -> None:
    """Brings ``connection`` up to what its session's owner knows, which asks for the profile while a login is open.

    One without an owner is asked by ourselves. Never calls the login.
    """
    if connection.kind == BrokerKind.KITE_CONNECT.value:
        return
    if not sessions.is_owned(connection):
        services.test_connection(connection, now=now)
        return
    with session_problems():
        services.note_session(connection, sessions.state(connection), now=now)


def reconnect(connection: BrokerConnection, *, now: datetime) -> None:
    """A new session. Raises Problem 503 BROKER_UNAVAILABLE."""
    if not sessions.is_owned(connection):
        raise _no_owner()
    with session_problems():
        sessions.reconnect(connection)
        services.note_session(connection, sessions.state(connection), now=now)


def end(connection: BrokerConnection, *, now: datetime, actor: str, correlation_id: str = "") -> None:
    """Ends the session and its login, traced. Raises Problem 503 BROKER_UNAVAILABLE."""
    if connection.kind == BrokerKind.KITE_CONNECT.value:
        connect.forget_login(connection, now=now, actor=actor, correlation_id=correlation_id)
        return
    with session_problems():
        services.disconnect(connection, now=now, actor=actor, correlation_id=correlation_id)


def _without_owner(connection: BrokerConnection, *, now: datetime) -> sessions.LoginOffer:
    if connection.kind != BrokerKind.PAPER.value:
        raise _no_owner()
    if services.test_connection(connection, now=now)["authorized"] is not True:
        raise Problem("BROKER_UNAVAILABLE", "The paper exchange does not answer. Start it, then try again.", status=503)
    return sessions.LoginOffer("", None, already=True, user=connection.user_name)


def _no_owner() -> Problem:
    return session_problem_of(CallFailed(sessions.NOT_SENT, sessions.NOT_RUNNING))


def _is_safe(url: str, *, is_paper: bool) -> bool:
    """https anywhere the owner allowed; http to this machine only, and only for our own exchange."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or not parts.hostname:
        return False
    return parts.scheme == "https" or (is_paper and parts.scheme == "http" and parts.hostname in LOOPBACK)
