"""``POST /api/settings/ai/kite/test``: does this connection work, and if not, which link fails and why.

The saved address is tried through the session everybody uses; another one by a session that is thrown away.
"""

from __future__ import annotations

from datetime import datetime

from broker import services, sessions
from broker.adapters.kite_tools import ORDER_TOOLS, tool_mode
from broker.chain import ChainLink, Link, LinkState, chain_of, failed_link
from broker.domain import BrokerKind
from broker.factory import require_available
from broker.kite_settings import is_paper_address, links_shape, shown_connection, standing_of
from broker.models import BrokerConnection
from broker.probe import INITIALISING, ProbeCode, ProbeResult
from sigmatrader.accounts.models import User
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

Shape = dict[str, object]


def is_saved(connection: BrokerConnection | None, server_url: str | None, transport: str | None) -> bool:
    """Whether the test is of the connection as it is stored."""
    if connection is None:
        return False
    same_url = server_url is None or server_url.strip() == connection.server_url
    return same_url and transport in (None, connection.transport)


def try_connection(
    user: User,
    *,
    server_url: str | None,
    transport: str | None,
    fetch_capabilities: bool,
    now: datetime,
    correlation_id: str = "",
) -> Shape:
    """The answer of the test, noted as a SystemEvent. Raises Problem 422 URL_NOT_ALLOWED, 409 FEATURE_DISABLED."""
    connection = shown_connection(user)
    if connection is not None and is_saved(connection, server_url, transport):
        services.allowed_url(connection.server_url, kind=connection.kind)
        found = _try_saved(connection, now=now)
    else:
        url = server_url if server_url is not None else connection.server_url if connection else ""
        found = _try_address(url, transport or "auto", list_tools=fetch_capabilities, now=now)
    if not fetch_capabilities:
        found |= {"capabilities": {}, "tools": []}
    _note(user, connection, found, now=now, correlation_id=correlation_id)
    return found


def _try_saved(connection: BrokerConnection, *, now: datetime) -> Shape:
    found = services.test_connection(connection, now=now)
    error = found["error"]
    if found["status"] == "error":
        error = _explained(connection)
    links = chain_of(standing_of(connection))
    return {
        "status": found["status"], "http_version": connection.http_version or None,
        "protocol_version": connection.protocol_version or None, "server_info": connection.server_info or None,
        "capabilities": {"tools": {}} if connection.tools else {}, "tools": found["tools"],
        "order_tools": found["order_tools"], "latency_ms": found["latency_ms"], "checked_ts": now, "error": error,
        "authorized": connection.authorized, "links": links_shape(links), "saved": True,
    }  # fmt: skip


def _explained(connection: BrokerConnection) -> Shape:
    """Why the stored connection fails: a look of our own at its address says more than that nobody answers."""
    is_paper = connection.kind == BrokerKind.PAPER.value
    looked = sessions.probe(
        connection.server_url, connection.transport or "auto", guard=services.guard_of(is_paper=is_paper),
        is_paper=is_paper, list_tools=False,
    )  # fmt: skip
    if looked.code is None:
        message = f"The server answers, but our session with it does not work: {connection.last_error}"
        return {"code": "SESSION", "message": message[:300]}
    services.note_test(connection, error=looked.message)
    return {"code": looked.code.value, "message": looked.message}


def _try_address(url: str, transport: str, *, list_tools: bool, now: datetime) -> Shape:
    is_paper = is_paper_address(url)
    kind = BrokerKind.PAPER.value if is_paper else BrokerKind.KITE_MCP.value
    allowed = services.allowed_url(url, kind=kind)
    require_available(kind)
    looked = sessions.probe(
        allowed, transport, guard=services.guard_of(is_paper=is_paper), is_paper=is_paper, list_tools=list_tools
    )
    names = list(looked.tools)
    return {
        "status": "connected" if looked.opened else "error", "http_version": looked.http_version or None,
        "protocol_version": looked.protocol_version or None, "server_info": dict(looked.server_info) or None,
        "capabilities": dict(looked.capabilities), "tools": [{"name": n, "mode": tool_mode(n)} for n in names],
        "order_tools": set(names) >= ORDER_TOOLS, "latency_ms": looked.latency_ms, "checked_ts": now,
        "error": {"code": looked.code.value, "message": looked.message} if looked.code else None,
        "authorized": None, "links": links_shape(probed_links(looked)), "saved": False,
    }  # fmt: skip


def probed_links(looked: ProbeResult) -> tuple[ChainLink, ...]:
    """The chain as a throw-away session sees it: it has no login, so that link stays open."""
    broken = None
    if looked.code is ProbeCode.NOT_ALLOWED:
        broken = Link.URL
    elif looked.code is not None:
        broken = Link.INITIALISED if looked.code in INITIALISING else Link.REACHABLE
    order = list(Link)
    upto = order.index(broken) if broken else order.index(Link.AUTHORISED)
    states = [LinkState.OK] * upto + [LinkState.WAITING] * (len(order) - upto)
    links = [ChainLink(link, state) for link, state in zip(order, states, strict=True)]
    if broken:
        links[upto] = ChainLink(broken, LinkState.FAILED, looked.message)
    if looked.tools:
        links[order.index(Link.TOOLS)] = ChainLink(Link.TOOLS, LinkState.OK)
    return tuple(links)


def _note(user: User, connection: BrokerConnection | None, found: Shape, *, now: datetime, correlation_id: str) -> None:
    good, error = found["status"] == "connected", found["error"]
    code = str(error["code"]) if isinstance(error, dict) else ""
    message = "The connection test passed." if good and not code else f"The connection test stopped: {code}."
    record_system_event(
        category=EventCategory.KITE_MCP, event_type="CONNECTION_TESTED", message=message, now=now,
        level=EventLevel.INFO if good and not code else EventLevel.WARNING,
        details={"saved": found["saved"], "code": code, "latency_ms": found["latency_ms"],
                 "http_version": found["http_version"]},
        actor=user.get_username(), owner=str(user.pk), account=connection.account if connection else "",
        correlation_id=correlation_id,
    )  # fmt: skip


__all__ = ["failed_link", "is_saved", "probed_links", "try_connection"]
