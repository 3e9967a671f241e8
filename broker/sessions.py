"""What settings and pages ask of a broker session: its login, its state, its end, and a test of an address.

The process that owns the sessions answers; this module is the one way to it from above the adapters.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from broker import factory
from broker.adapters.failures import CallFailed, Fault
from broker.addresses import AddressGuard
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.probe import ProbeResult
from broker.probe import probe as probe_address
from broker.session import client
from broker.session.messages import LoginOffer, SessionState

KINDS = frozenset({BrokerKind.PAPER.value, BrokerKind.KITE_MCP.value})
NOT_RUNNING, NOT_SENT = client.NOT_RUNNING, Fault.NOT_SENT
__all__ = ["LoginOffer", "ProbeResult", "SessionState"]


def is_owned(connection: BrokerConnection) -> bool:
    """Whether the session process holds this connection's session, and not whoever asks."""
    return settings.BROKER_SESSION and connection.kind in KINDS and not factory.is_substituted(connection.account)


def login(connection: BrokerConnection) -> LoginOffer:
    """Where a person logs in, or that nobody needs to. Raises CallFailed. Not a way to see whether a session works."""
    return _client(connection).login()


def state(connection: BrokerConnection, *, refresh: bool = False) -> SessionState:
    """As the owner knows it, with ``refresh`` after a look at the profile. Raises CallFailed."""
    return _client(connection).state(refresh=refresh)


def reconnect(connection: BrokerConnection) -> None:
    """A new session instead of the one there is. Raises CallFailed."""
    _client(connection).reconnect()


def disconnect(connection: BrokerConnection) -> None:
    """Ends the session and its login; says nothing when there is no owner to hold one."""
    try:
        _client(connection).disconnect()
    except CallFailed as exc:
        if exc.text != client.NOT_RUNNING:
            raise


def tell_changed() -> None:
    """Tells the owner that connections changed, if it runs; it would see it by itself a little later."""
    if settings.BROKER_SESSION:
        client.tell_changed(_socket())


def probe(url: str, transport: str, *, guard: AddressGuard, is_paper: bool, list_tools: bool = True) -> ProbeResult:
    """A throw-away session with an address that was judged before. Never raises for the server."""
    return probe_address(url, transport, guard=guard, is_paper=is_paper, list_tools=list_tools)


def _client(connection: BrokerConnection) -> client.SessionClient:
    return client.SessionClient(connection.account, _socket())


def _socket() -> Path:
    return Path(settings.BROKER_SOCKET)
