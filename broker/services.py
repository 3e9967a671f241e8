"""Every write to connections. No network call inside a transaction."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, ProtectedError

from broker import factory, sessions
from broker.adapters.kite_tools import ORDER_TOOLS, tool_mode
from broker.addresses import AddressGuard, UrlNotAllowed, check_server_url
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerError
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import FieldFault, conflict, unprocessable
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.recording import recording
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, TraceOutcome

WRITABLE = ("name", "server_url", "transport", "is_active")
PAPER_NAME = "Paper exchange"


# --- connections -------------------------------------------------------------------------------------------------
def create_connection(
    user: User,
    *,
    name: str,
    kind: str,
    server_url: str,
    now: datetime,
    transport: str = "auto",
    is_active: bool = False,
    actor: str = "",
    correlation_id: str = "",
) -> BrokerConnection:
    """A new connection, traced. The user's first one is active whatever is asked.

    Raises Problem 409 for a kind this release has not, 422 URL_NOT_ALLOWED.
    """
    require_kind(kind)
    url = allowed_url(server_url, kind=kind)
    with recording(now):
        first = not BrokerConnection.objects.filter(owner=user, is_active=True).exists()
        connection = BrokerConnection(
            owner=user, name=name, kind=kind, server_url=url, transport=transport, created_at=now
        )
        connection.save()
        if is_active or first:
            _activate(connection, now=now, actor=actor or user.get_username())
        _trace(connection, "connection.made", _facts(connection), actor=actor or user.get_username(), now=now,
               correlation_id=correlation_id, explanation=f"Connection {name} was added.")  # fmt: skip
        transaction.on_commit(sessions.tell_changed)
    return connection


def change_connection(
    connection: BrokerConnection,
    changes: Mapping[str, object],
    *,
    now: datetime,
    actor: str,
    expected_version: int | None = None,
    correlation_id: str = "",
) -> BrokerConnection:
    """Applies ``changes`` (of ``WRITABLE``), traced. A new address drops the saved session and the status with it.

    Raises Problem 409 STALE_VERSION, 422 URL_NOT_ALLOWED.
    """
    wanted = {name: value for name, value in changes.items() if getattr(connection, name) != value}
    if "server_url" in wanted:
        wanted["server_url"] = allowed_url(str(wanted["server_url"]), kind=connection.kind)
    with recording(now):
        _claim_version(connection, expected_version)
        before = {name: getattr(connection, name) for name in wanted}
        activate = bool(wanted.pop("is_active", False))
        fresh = _without_session() if "server_url" in wanted else {}
        if before.get("is_active") is True and not activate:
            wanted["is_active"] = False
        _update(connection, {**wanted, **fresh})
        if activate:
            _activate(connection, now=now, actor=actor)
        after = {name: getattr(connection, name) for name in before}
        _trace(connection, "connection.changed", {"before": before, "after": after}, actor=actor, now=now,
               correlation_id=correlation_id, explanation=f"Connection {connection.name} was changed.")  # fmt: skip
        transaction.on_commit(sessions.tell_changed)
    factory.forget(connection.account)
    return connection


def delete_connection(connection: BrokerConnection, *, now: datetime, actor: str, correlation_id: str = "") -> None:
    """Removes a connection nothing refers to, traced. Raises Problem 409 CONNECTION_IN_USE for any other."""
    account, facts = connection.account, _facts(connection)
    try:
        with recording(now):
            _trace(connection, "connection.deleted", facts, actor=actor, now=now, correlation_id=correlation_id,
                   explanation=f"Connection {connection.name} was deleted.")  # fmt: skip
            connection.delete()
    except ProtectedError as exc:
        raise conflict(
            "CONNECTION_IN_USE", "Plans or orders belong to this connection, so it stays. Make another one active."
        ) from exc
    factory.forget(account)


def disconnect(connection: BrokerConnection, *, now: datetime, actor: str, correlation_id: str = "") -> None:
    """Ends the session and forgets a saved one, traced. A log-in opens the next one; of the paper exchange, a read.

    Raises CallFailed if the session's owner does not answer; nothing is noted then.
    """
    if sessions.is_owned(connection):
        sessions.disconnect(connection)
    factory.forget(connection.account)
    with recording(now):
        _update(connection, {**_without_session(), "last_status": "disconnected", "last_checked_at": now})
        _trace(connection, "connection.disconnected", {}, actor=actor, now=now, correlation_id=correlation_id,
               explanation=f"Connection {connection.name} was disconnected.")  # fmt: skip


def ensure_paper_connection(user: User, *, server_url: str, now: datetime) -> BrokerConnection:
    """The user's paper connection at this address: made, moved, or found as it is."""
    found = BrokerConnection.objects.filter(owner=user, kind=BrokerKind.PAPER.value).first()
    if found is None:
        return create_connection(
            user, name=PAPER_NAME, kind=BrokerKind.PAPER.value, server_url=server_url, now=now, actor="up"
        )
    if found.server_url != server_url:
        return change_connection(found, {"server_url": server_url}, now=now, actor="up")
    return found


def test_connection(connection: BrokerConnection, *, now: datetime) -> dict[str, object]:
    """Reads profile and tools, and notes on the connection what came of it; never raises a broker's error.

    Raises Problem 409 when the kind or its flag does not allow a connection.
    """
    reader, started = factory.reader_for(connection), time.monotonic()
    found: dict[str, object] = {"last_checked_at": now}
    tools: list[Mapping[str, object]] = []
    try:
        tools = reader.tools()
        profile = reader.profile()
        found |= {
            "last_status": "connected",
            "authorized": True,
            "user_name": profile.user_name[:150],
            "last_error": "",
        }
        found["last_connected_at"] = now
    except BrokerAuthExpired as exc:
        found |= {"last_status": "connected", "authorized": False, "last_error": exc.text or "login needed"}
    except BrokerError as exc:
        found |= {"last_status": "error", "authorized": None, "last_error": exc.text or type(exc).__name__}
    names = sorted(str(tool.get("name", "")) for tool in tools)
    if tools:
        found["tools"] = names
    _refresh_facts(connection)
    _update(connection, found)
    return {
        "status": connection.last_status,
        "authorized": connection.authorized,
        "tools": [{"name": name, "mode": tool_mode(name)} for name in names],
        "order_tools": set(names) >= ORDER_TOOLS,
        "latency_ms": round((time.monotonic() - started) * 1000),
        "checked_ts": now,
        "error": {"code": "UNREACHABLE" if connection.authorized is None else "AUTH_REQUIRED",
                  "message": connection.last_error} if connection.last_error else None,
    }  # fmt: skip


test_connection.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def guard_of(*, is_paper: bool) -> AddressGuard:
    """The rules for connecting to an address that a person typed; our own exchange is on a port of our own."""
    own = own_ports() - ({int(settings.PAPER_PORT)} if is_paper else set())
    return AddressGuard(loopback_ports=None if is_paper else _loopback_ports(), own_ports=own)


def note_test(connection: BrokerConnection, *, error: str) -> None:
    """Keeps what a test found out about a failed connection, in words a person can act on."""
    _update(connection, {"last_error": error})


def note_tools(connection: BrokerConnection, names: Sequence[str]) -> None:
    """Keeps which tools the server listed."""
    found = sorted(names)
    if found != sorted(str(name) for name in connection.tools):
        _update(connection, {"tools": found})


def note_session(connection: BrokerConnection, state: sessions.SessionState, *, now: datetime) -> None:
    """Puts what the session's owner says on ``connection`` for whoever shows it; the owner writes the row itself."""
    connection.last_status = "connected" if state.connected else "error" if state.error else "disconnected"
    connection.authorized, connection.session_expires_at = state.authorized, state.expires_at
    connection.last_error, connection.user_name = state.error[:500], state.user[:150]
    connection.last_checked_at = now


def require_kind(kind: str) -> None:
    """Raises Problem 409 CONNECTION_KIND_UNAVAILABLE for a kind that has no adapter. A flag may still be off."""
    factory.require_known(kind)


def allowed_url(url: str, *, kind: str) -> str:
    """The address as it may be used. Raises Problem 422 URL_NOT_ALLOWED with the rule that was broken."""
    paper = kind == BrokerKind.PAPER.value
    try:
        return check_server_url(
            url,
            loopback_only=paper,
            loopback_ports=None if paper else _loopback_ports(),
            own_ports=own_ports() - ({int(settings.PAPER_PORT)} if paper else set()),
        )
    except UrlNotAllowed as exc:
        raise unprocessable(
            "URL_NOT_ALLOWED", str(exc), [FieldFault("server_url", "URL_NOT_ALLOWED", str(exc))]
        ) from exc


def own_ports() -> set[int]:
    """Ports of this machine that are ours: web, database, queue, paper exchange."""
    urls = (settings.REDIS_URL, settings.CELERY_BROKER_URL)
    ports = {urlsplit(url).port for url in urls if "@" in url or url.startswith("redis")}
    database = settings.DATABASES["default"].get("PORT") or 5432
    ports |= {int(os.environ.get("PORT") or 8000), int(database), 6379, int(settings.PAPER_PORT)}
    return {port for port in ports if port}


# --- inside ------------------------------------------------------------------------------------------------------
def _claim_version(connection: BrokerConnection, expected: int | None) -> None:
    rows = BrokerConnection.objects.filter(pk=connection.pk)
    if expected is not None:
        rows = rows.filter(version=expected)
    if rows.update(version=F("version") + 1) != 1:
        raise conflict("STALE_VERSION", "The connection was changed meanwhile. Read it again and repeat the change.")
    connection.refresh_from_db()


def _activate(connection: BrokerConnection, *, now: datetime, actor: str) -> None:
    """Makes it the one active connection; going live always turns the execution of the assistant's cards off."""
    BrokerConnection.objects.filter(owner_id=connection.owner_id, is_active=True).exclude(pk=connection.pk).update(
        is_active=False
    )
    _update(connection, {"is_active": True})
    if connection.is_live:
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor=actor, now=now)


def _update(connection: BrokerConnection, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(connection, name, value[:500] if name == "last_error" and isinstance(value, str) else value)
    if values:
        connection.save(update_fields=list(values))


def _refresh_facts(connection: BrokerConnection) -> None:
    """What the session's owner has written meanwhile, beside what the test itself finds."""
    connection.refresh_from_db(
        fields=["session_expires_at", "http_version", "protocol_version", "server_info", "tool_faults", "epoch"]
    )


def _without_session() -> dict[str, object]:
    return {
        "mcp_session": "", "last_status": "unknown", "authorized": None, "user_name": "", "session_expires_at": None,
        "last_error": "", "tools": [], "tool_faults": [], "http_version": "", "protocol_version": "", "server_info": {},
    }  # fmt: skip


def _facts(connection: BrokerConnection) -> dict[str, object]:
    names = ("name", "kind", "server_url", "transport", "is_active")
    return {name: getattr(connection, name) for name in names}


def _trace(
    connection: BrokerConnection,
    event: str,
    facts: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
    correlation_id: str,
    explanation: str,
) -> None:
    trace_id, owner = correlation_id or new_correlation_id(), str(connection.owner_id)
    with recording(now) as record:
        record.open(
            trace_id, kind="connection", actor=actor, origin="settings", account=connection.account, owner=owner
        )
        record.event(trace_id, event, {"connection": connection.account, **facts})
        record.close(trace_id, TraceOutcome.CHANGED, explanation)
        record_system_event(
            category=EventCategory.KITE_MCP, event_type=event.upper().replace(".", "_"), message=explanation, now=now,
            details=facts, actor=actor, owner=owner, account=connection.account, correlation_id=trace_id,
        )  # fmt: skip


def _loopback_ports() -> list[int] | None:
    """Which ports of this machine a set address may reach; None is any but our own."""
    listed: list[int] | None = getattr(settings, "OUTBOUND_LOOPBACK_PORTS", None)
    return [] if listed is None and settings.PRODUCTION else listed
