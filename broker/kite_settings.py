"""Settings → AI → Kite MCP: a view of one connection, and the changes a person makes to it there.

It shows the active connection where that is one to an MCP server, else the user's Kite MCP connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings

from broker import services
from broker.adapters.kite_tools import ORDER_TOOLS
from broker.addresses import UrlNotAllowed, check_server_url
from broker.chain import ChainLink, Standing, chain_of, failed_link
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.selectors import connections_of, latest_snapshot
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import FieldFault, Problem, conflict
from sigmatrader.audit.ids import new_correlation_id

KITE_URL = "https://mcp.kite.trade/sse"
KITE_NAME = "Kite MCP"
MCP_KINDS = (BrokerKind.PAPER.value, BrokerKind.KITE_MCP.value)
TRANSPORTS = ("auto", "sse", "streamable_http")
Shape = dict[str, object]


def shown_connection(user: User) -> BrokerConnection | None:
    """The connection the section is about, or None where the user has none to an MCP server."""
    rows = list(connections_of(user).filter(kind__in=MCP_KINDS))
    rows.sort(key=lambda row: (not row.is_active, row.kind != BrokerKind.KITE_MCP.value, row.created_at))
    return rows[0] if rows else None


def active_kind(user: User) -> str | None:
    """The adapter in use: the kind of the active connection."""
    return connections_of(user).filter(is_active=True).values_list("kind", flat=True).first()


def paper_url() -> str:
    """Where our own exchange is reached."""
    return f"http://{settings.PAPER_HOST}:{settings.PAPER_PORT}/sse"


def standing_of(connection: BrokerConnection) -> Standing:
    """What is known of it, read from our own tables."""
    return Standing(
        url_fault=url_fault(connection), status=connection.last_status, error=connection.last_error,
        authorized=connection.authorized, tools=len(connection.tools),
        has_snapshot=latest_snapshot(connection) is not None,
    )  # fmt: skip


def url_fault(connection: BrokerConnection) -> str:
    """The rule that the stored address breaks today, or empty: the operator's rules may have changed since."""
    try:
        services.allowed_url(connection.server_url, kind=connection.kind)
    except Problem as exc:
        return exc.text
    return ""


def links_of(connection: BrokerConnection) -> tuple[ChainLink, ...]:
    """The connection's chain."""
    return chain_of(standing_of(connection))


def links_shape(links: tuple[ChainLink, ...]) -> list[Shape]:
    """The chain as the API shows it."""
    return [
        {"link": link.link.value, "label": link.label, "state": link.state.value, "reason": link.reason or None}
        for link in links
    ]


def kite_document(user: User) -> Shape:
    """The ``kite_mcp`` part of the settings (CONTRACTS section 2). Without a connection it says so with nulls."""
    row, kind = shown_connection(user), active_kind(user)
    if row is None:
        return {**_EMPTY, "broker_adapter": kind}
    names = {str(tool.get("name", "")) if isinstance(tool, dict) else str(tool) for tool in row.tools}
    links = links_of(row)
    broken = failed_link(links)
    return {
        "connection_id": row.account, "server_url": row.server_url, "transport": row.transport,
        "scopes": {"read_only": not names >= ORDER_TOOLS, "trade": names >= ORDER_TOOLS},
        "broker_adapter": kind, "last_status": row.last_status, "authorized": row.authorized,
        "last_checked_ts": row.last_checked_at, "last_connected_ts": row.last_connected_at,
        "tools_available_count": len(row.tools), "capabilities_cache": capabilities_of(row),
        "last_error": row.last_error or None, "links": links_shape(links),
        "failed_link": broken.link.value if broken else None, "version": row.version,
    }  # fmt: skip


def capabilities_of(row: BrokerConnection) -> Shape:
    """What the server said of itself when a session was last opened."""
    return {
        "http_version": row.http_version or None, "protocol_version": row.protocol_version or None,
        "server_info": row.server_info or {}, "tools": sorted(str(name) for name in row.tools),
        "tool_faults": list(row.tool_faults),
    }  # fmt: skip


def change_kite_settings(
    user: User, values: Mapping[str, object], *, now: datetime, correlation_id: str = ""
) -> BrokerConnection:
    """Applies ``server_url``, ``transport`` and ``broker_adapter``; a kind chosen first gets its connection.

    ``version`` is that of the connection shown. Raises Problem 409 STALE_VERSION or NO_CONNECTION, 422 URL_NOT_ALLOWED.
    """
    shown, actor = shown_connection(user), user.get_username()
    version = values.get("version")
    if isinstance(version, int) and version != (shown.version if shown else 0):
        raise conflict("STALE_VERSION", "The Kite MCP settings changed since you read them. Read them again.")
    kind = str(values.get("broker_adapter") or (shown.kind if shown else BrokerKind.KITE_MCP.value))
    target = shown if shown is not None and shown.kind == kind else connections_of(user).filter(kind=kind).first()
    try:
        if target is None:
            return _made(user, kind, values, now=now, correlation_id=correlation_id)
        return services.change_connection(
            target, _changes(kind, values), now=now, actor=actor,
            expected_version=version if isinstance(version, int) and target is shown else None,
            correlation_id=correlation_id or new_correlation_id(),
        )  # fmt: skip
    except Problem as exc:
        raise _under_kite(exc) from exc


def is_paper_address(url: str) -> bool:
    """Whether it is our own exchange's address on this machine, and allowed as such."""
    try:
        check_server_url(url, loopback_only=True, loopback_ports=[int(settings.PAPER_PORT)], own_ports=())
    except UrlNotAllowed:
        return False
    return True


# --- inside ------------------------------------------------------------------------------------------------------
_EMPTY: Shape = {
    "connection_id": None, "server_url": None, "transport": "auto", "scopes": {"read_only": True, "trade": False},
    "last_status": "unknown", "authorized": None, "last_checked_ts": None, "last_connected_ts": None,
    "tools_available_count": 0, "capabilities_cache": None, "last_error": None, "links": [], "failed_link": None,
    "version": 0,
}  # fmt: skip


def _made(
    user: User, kind: str, values: Mapping[str, object], *, now: datetime, correlation_id: str
) -> BrokerConnection:
    if kind not in MCP_KINDS:
        raise conflict("NO_CONNECTION", f"There is no {kind} connection yet. Add one with its key and secret first.")
    url = str(values.get("server_url") or _default_url(kind))
    name = services.PAPER_NAME if kind == BrokerKind.PAPER.value else KITE_NAME
    return services.create_connection(
        user, name=name, kind=kind, server_url=url, transport=str(values.get("transport") or "auto"), now=now,
        is_active="broker_adapter" in values, correlation_id=correlation_id or new_correlation_id(),
    )  # fmt: skip


def _changes(kind: str, values: Mapping[str, object]) -> dict[str, object]:
    changes: dict[str, object] = {"is_active": True} if "broker_adapter" in values else {}
    if "server_url" in values:
        changes["server_url"] = str(values["server_url"] or _default_url(kind)).strip()
    if values.get("transport"):
        changes["transport"] = values["transport"]
    return changes


def _default_url(kind: str) -> str:
    return paper_url() if kind == BrokerKind.PAPER.value else KITE_URL


def _under_kite(exc: Problem) -> Problem:
    """The same refusal with its fields named as this document names them."""
    errors = [FieldFault(f"kite_mcp.{fault.field}", fault.code, fault.message) for fault in exc.errors]
    return Problem(exc.code, exc.text, status=exc.status_code, errors=errors, headers=exc.headers, extra=exc.extra)
