"""What the session process reads and writes in the database: in a thread of its own, never while it waits for a broker.

A connection's row is written only where something changed, and only by the holder of its lease under its fencing
number, so that an owner that was fenced off writes nothing more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from cryptography.fernet import InvalidToken
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import QuerySet
from django.utils import timezone

from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.session import lease
from sigmatrader.accounts.selectors import flag_enabled
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.recording import recording
from sigmatrader.audit.redaction import redact_text
from sigmatrader.audit.services import close_fingerprint, raise_exception, record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, ExceptionCode, Severity

T = TypeVar("T")
KINDS = (BrokerKind.PAPER.value, BrokerKind.KITE_MCP.value)
_TEXTS = {"user_name": 150, "last_error": 500, "http_version": 10, "protocol_version": 20}


class RecordsDown(Exception):
    """The database could not be asked."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a session is made of."""

    account: str
    kind: str
    url: str
    transport: str

    @property
    def is_paper(self) -> bool:
        return self.kind == BrokerKind.PAPER.value


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier owner left on the row."""

    epoch: int
    saved: str
    authorized: bool | None
    expires_at: datetime | None


class Records(Protocol):
    """Every method raises RecordsDown."""

    async def active(self) -> list[Facts]: ...

    async def find(self, account: str) -> Facts | None: ...

    async def take(self, account: str) -> int | None: ...

    async def renew(self, account: str, fence: int) -> bool: ...

    async def release(self, account: str, fence: int) -> None: ...

    async def past(self, account: str) -> Past | None: ...

    async def note(self, account: str, fence: int, changes: Mapping[str, object]) -> bool: ...

    async def lost(self, account: str, fence: int, reason: str) -> None: ...


class DatabaseRecords:
    """One thread, one connection to the database."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")

    async def active(self) -> list[Facts]:
        return await self._run(active_connections)

    async def find(self, account: str) -> Facts | None:
        return await self._run(lambda: one_connection(account))

    async def take(self, account: str) -> int | None:
        return await self._run(lambda: lease.take(uuid.UUID(account), self.holder))

    async def renew(self, account: str, fence: int) -> bool:
        return await self._run(lambda: lease.renew(uuid.UUID(account), self.holder, fence))

    async def release(self, account: str, fence: int) -> None:
        await self._run(lambda: lease.release(uuid.UUID(account), self.holder, fence))

    async def past(self, account: str) -> Past | None:
        return await self._run(lambda: _past(account))

    async def note(self, account: str, fence: int, changes: Mapping[str, object]) -> bool:
        return await self._run(lambda: note(account, self.holder, fence, changes, now=timezone.now()))

    async def lost(self, account: str, fence: int, reason: str) -> None:
        await self._run(lambda: note_loss(account, self.holder, fence, reason, now=timezone.now()))

    def close(self) -> None:
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _fresh, work)
        except DatabaseError as exc:
            raise RecordsDown(type(exc).__name__) from exc
        except InvalidToken as exc:  # no session rather than one without its secrets
            raise RecordsDown("SECRET_UNREADABLE") from exc


def _fresh(work: Callable[[], T]) -> T:
    close_old_connections()
    return work()


# --- reads -------------------------------------------------------------------------------------------------------
def active_connections() -> list[Facts]:
    """The connections that want a session; those to Kite only while their flag is on."""
    return _facts(BrokerConnection.objects.filter(is_active=True))


def one_connection(account: str) -> Facts | None:
    """Any connection that could have a session, active or not."""
    try:
        pk = uuid.UUID(account)
    except ValueError:
        return None
    return next(iter(_facts(BrokerConnection.objects.filter(pk=pk))), None)


def _facts(rows: QuerySet[BrokerConnection]) -> list[Facts]:
    values = rows.filter(kind__in=KINDS).values_list("id", "kind", "server_url", "transport")
    live = flag_enabled(Flag.KITE_MCP_ENABLED)
    return [
        Facts(str(pk), kind, url, transport)
        for pk, kind, url, transport in values
        if live or kind == BrokerKind.PAPER.value
    ]


def _past(account: str) -> Past | None:
    row = BrokerConnection.objects.filter(pk=account).first()
    return Past(row.epoch, str(row.mcp_session), row.authorized, row.session_expires_at) if row is not None else None


# --- writes ------------------------------------------------------------------------------------------------------
def note(account: str, holder: str, fence: int, changes: Mapping[str, object], *, now: datetime) -> bool:
    """Writes what differs, and what follows from it: one AUTH_REQUIRED event and one open TOKEN_EXPIRED exception when
    the login is gone, both settled when it is back. False when the lease is no longer ours.
    """
    wanted = {name: _fitting(name, value) for name, value in changes.items()}
    mine = BrokerConnection.objects.filter(pk=account, session_lease__holder=holder, session_lease__fence=fence)
    row = mine.first()
    if row is None:
        return False
    if not _differing(row, wanted):
        return True
    with recording(now):
        locked = mine.select_for_update(of=("self",), no_key=True).first()
        if locked is None:
            return False
        differing = _differing(locked, wanted)
        before = locked.authorized
        for name in differing:
            setattr(locked, name, wanted[name])
        if differing:
            locked.last_checked_at = now
            locked.save(update_fields=[*differing, "last_checked_at"])
        if "authorized" in differing:
            _authority_changed(locked, before, now=now)
        if "last_status" in differing and locked.last_status == "connected":
            close_fingerprint(fingerprint=_stream(account), note="It is connected again.", now=now)
    return True


def note_loss(account: str, holder: str, fence: int, reason: str, *, now: datetime) -> None:
    """One MCP_SESSION_LOST per lost stream; the exception is settled when the next session stands."""
    mine = BrokerConnection.objects.filter(pk=account, session_lease__holder=holder, session_lease__fence=fence)
    row = mine.first()
    if row is None:
        return
    text = redact_text(reason)[:200]
    with recording(now):
        _event(row, "MCP_SESSION_LOST", f"The broker session of {row.name} was lost: {text}.", now=now, warn=True)
        raise_exception(
            code=ExceptionCode.MCP_SESSION_LOST, type_="session", severity=Severity.MEDIUM, now=now,
            summary="The broker session was lost; a new one is being opened.",
            fingerprint=_stream(account), account=account, owner=str(row.owner_id),
            expected="an open session", actual=text,
        )  # fmt: skip


def _authority_changed(row: BrokerConnection, before: bool | None, *, now: datetime) -> None:
    token = ("token", str(row.pk))
    if row.authorized is False:
        _event(row, "AUTH_REQUIRED", f"The broker session of {row.name} needs a log-in.", now=now, warn=True)
        raise_exception(
            code=ExceptionCode.TOKEN_EXPIRED, type_="session", severity=Severity.HIGH, now=now,
            summary="The broker session needs a log-in; sends are paused until then.", fingerprint=token,
            account=str(row.pk), owner=str(row.owner_id), expected="an authorised session", actual="log-in required",
        )  # fmt: skip
    elif row.authorized is True:
        if before is False:
            _event(row, "AUTHORIZED", f"The broker session of {row.name} is authorised.", now=now, warn=False)
        close_fingerprint(fingerprint=token, note="The session is authorised again.", now=now)


def _event(row: BrokerConnection, kind: str, message: str, *, now: datetime, warn: bool) -> None:
    record_system_event(
        category=EventCategory.KITE_MCP, event_type=kind, message=message, now=now, actor="broker session",
        level=EventLevel.WARNING if warn else EventLevel.INFO, details={"epoch": row.epoch},
        owner=str(row.owner_id), account=str(row.pk),
    )  # fmt: skip


def _differing(row: BrokerConnection, wanted: Mapping[str, object]) -> Sequence[str]:
    return [name for name, value in wanted.items() if getattr(row, name) != value]


def _fitting(name: str, value: object) -> object:
    if name == "last_error" and isinstance(value, str):
        value = redact_text(value)
    return value[: _TEXTS[name]] if name in _TEXTS and isinstance(value, str) else value


def _stream(account: str) -> tuple[str, str]:
    return ("stream", account)
