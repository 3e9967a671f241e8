"""Which adapter a connection gets. One per process and connection: its session stays warm.

``adapter_for`` can write; only ``execution.door`` may import it, and a test enforces that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from django.conf import settings

from broker.adapters.budgeted import BudgetedAdapter
from broker.adapters.tool_client import ToolClient
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.ports import BrokerAdapter, BrokerReader
from broker.session.client import SessionClient, tell_changed
from sigmatrader.accounts.services import require_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import conflict

Make = Callable[[BrokerConnection], BrokerAdapter]


# Without a session process the MCP SDK is imported, which costs a second and 45 MB, so only a process that talks to a
# broker pays, when it first does.
def _paper(connection: BrokerConnection) -> BrokerAdapter:
    from broker.adapters.paper import PaperAdapter  # noqa: PLC0415

    return PaperAdapter(connection.server_url, client=_client(connection))


def _kite_mcp(connection: BrokerConnection) -> BrokerAdapter:
    from broker.adapters.kite_mcp import KiteMcpAdapter  # noqa: PLC0415

    return KiteMcpAdapter(connection.server_url, client=_client(connection))


def _client(connection: BrokerConnection) -> ToolClient | None:
    """The way through the session process, or None where each process has sessions of its own."""
    return SessionClient(connection.account, settings.BROKER_SOCKET) if settings.BROKER_SESSION else None


def warm() -> None:
    """Imports now, in the background of a server, so that nobody's first order waits for it."""
    import broker.adapters.paper  # noqa: PLC0415

    if not settings.BROKER_SESSION:
        import broker.adapters.mcp_client  # noqa: F401, PLC0415


_MAKERS: Mapping[str, Make] = MappingProxyType(
    {
        BrokerKind.PAPER.value: _paper,
        BrokerKind.KITE_MCP.value: _kite_mcp,
    }
)
_lock = threading.Lock()
_adapters: dict[str, tuple[str, BrokerAdapter]] = {}
_substitutes: dict[str, BrokerAdapter] = {}


def reader_for(connection: BrokerConnection) -> BrokerReader:
    """The reads of this connection. Raises Problem 409: the flag is off, or the kind is not available."""
    return adapter_for(connection)


def adapter_for(connection: BrokerConnection) -> BrokerAdapter:
    """Reads and writes. Raises Problem as ``reader_for`` does, before anything is connected."""
    require_available(connection.kind)
    account = connection.account
    if account in _substitutes:
        return _substitutes[account]
    key = f"{connection.kind} {connection.server_url}"
    with _lock:
        known = _adapters.get(account)
        if known is not None and known[0] == key:
            return known[1]
        made = _MAKERS[connection.kind](connection)
        if connection.is_live:
            made = BudgetedAdapter(made, connection.pk)
        _adapters[account] = (key, made)
    if known is not None:
        known[1].close()
    return made


def require_available(kind: str) -> None:
    """Raises Problem 409 CONNECTION_KIND_UNAVAILABLE or FEATURE_DISABLED. The paper exchange needs no flag."""
    require_known(kind)
    if kind == BrokerKind.KITE_MCP.value:
        require_flag(Flag.KITE_MCP_ENABLED)


def require_known(kind: str) -> None:
    """Raises Problem 409 CONNECTION_KIND_UNAVAILABLE for a kind this release has no adapter for."""
    if kind not in _MAKERS:
        raise conflict(
            "CONNECTION_KIND_UNAVAILABLE",
            f"Connections of kind {kind} are not available in this release. Use paper or kite_mcp.",
        )


def forget(account: str) -> None:
    """Closes the adapter of an account, if this process has one: its address changed or it is gone. The session process
    is told, so that it sees the change at once."""
    with _lock:
        known = _adapters.pop(account, None)
    if known is not None:
        known[1].close()
    if settings.BROKER_SESSION:
        tell_changed(settings.BROKER_SOCKET)


def is_substituted(account: str) -> bool:
    """Whether a test's stand-in answers for this account: it has a clock of its own, which is asked every time."""
    return account in _substitutes


@contextmanager
def substituted(account: str, adapter: BrokerAdapter) -> Iterator[None]:
    """For tests: ``adapter`` stands in for this account's, in this process, for the length of the block."""
    _substitutes[account] = adapter
    try:
        yield
    finally:
        del _substitutes[account]
