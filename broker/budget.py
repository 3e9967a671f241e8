"""The rate budget of a connection: how many requests of a kind may leave, over sliding windows, for all processes.

One row per connection and kind, read and written in one short transaction under its lock, so that no window is ever
exceeded however many processes ask. A claim that is refused writes nothing.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

IST = ZoneInfo("Asia/Kolkata")
CLOCK_JUMP_MS = 5_000
WINDOWS_MS: Mapping[str, int] = MappingProxyType({"second": 1_000, "minute": 60_000})
DAY = "day"


class Kind(StrEnum):
    """What a request counts as. A change of an order shares the windows of orders, but is no placement of the day."""

    ORDERS = "orders"
    CHANGES = "changes"
    QUOTES = "quotes"
    HISTORY = "history"
    READS = "reads"


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether the request may leave, and if not, in how many seconds it is worth asking again; ``at`` (milliseconds
    since 1970) is when it counts as sent."""

    ok: bool
    wait_s: float = 0.0
    at: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    sent: tuple[int, ...]
    day: date | None
    day_count: int


def take(connection_id: UUID, kind: Kind, *, now: datetime, exit: bool = False) -> Taken:  # the trade's word
    """Takes one token of ``kind``, or none at all. An ``exit`` may use the reserve as well; everything else leaves it.

    ``now`` is the caller's clock (aware). Call it outside a transaction: a token stays taken whatever becomes of it.
    """
    row_kind = Kind.ORDERS if kind is Kind.CHANGES else kind
    limits = usable(row_kind, exit=exit)
    if kind is Kind.CHANGES:
        limits.pop(DAY, None)
    with transaction.atomic():
        row = _locked(connection_id, row_kind)
        today = now.astimezone(IST).date()
        found, row = judge(row, limits, now_ms=_milliseconds(now), today=today)
        if found.ok:
            placed = row.day_count + (kind is Kind.ORDERS)
            _store(connection_id, row_kind, _Row((*row.sent, found.at), today, placed))
    return found


def usable(kind: Kind, *, exit: bool) -> dict[str, int]:
    """The limits by window name for this kind of request, less the reserve for what is no exit; at least one."""
    limits = dict(settings.RATE_LIMITS[kind.value])
    if kind is Kind.ORDERS and not exit:
        limits = {name: max(1, limit - settings.RATE_RESERVE.get(name, 0)) for name, limit in limits.items()}
    return limits


def judge(row: _Row, limits: Mapping[str, int], *, now_ms: int, today: date) -> tuple[Taken, _Row]:
    """Whether one more fits, and the row without what is too old to count. Pure.

    A claim counts from when it was made under the lock: never before the last one, however long it waited. Stamps of
    more than a jump of the clock ahead are taken as made now, so that a clock set back cannot block for long.
    """
    moment, sent = _in_order(row.sent, now_ms)
    longest = max((WINDOWS_MS[name] for name in limits if name in WINDOWS_MS), default=0)
    sent = sent[bisect_right(sent, moment - longest - 1) :]
    waits = [_window_wait(sent, WINDOWS_MS[n], limit, moment) for n, limit in limits.items() if n in WINDOWS_MS]
    placed = row.day_count if row.day == today else 0
    if DAY in limits and placed >= limits[DAY]:
        waits.append(_until_tomorrow(moment))
    kept = _Row(tuple(sent), today, placed)
    wait = max(waits, default=0)
    return (Taken(False, wait / 1000, moment) if wait else Taken(True, 0.0, moment)), kept


def _in_order(sent: Sequence[int], now_ms: int) -> tuple[int, Sequence[int]]:
    last = sent[-1] if sent else now_ms
    if last - now_ms > CLOCK_JUMP_MS:
        return now_ms, [min(stamp, now_ms) for stamp in sent]
    return max(now_ms, last), sent


def _window_wait(sent: Sequence[int], window_ms: int, limit: int, moment: int) -> int:
    """Milliseconds until one more fits into the window that ends then; both its ends belong to it."""
    inside = len(sent) - bisect_right(sent, moment - window_ms - 1)
    if inside < limit:
        return 0
    return sent[-limit] + window_ms + 1 - moment


def _until_tomorrow(moment: int) -> int:
    local = datetime.fromtimestamp(moment / 1000, IST)
    passed = (local.hour * 60 + local.minute) * 60 + local.second + local.microsecond / 1e6
    return max(1, math.ceil((86_400 - passed) * 1000))


def _milliseconds(now: datetime) -> int:
    return int(now.astimezone(UTC).timestamp() * 1000)


# --- the row: plain SQL, since an order waits for it ---------------------------------------------------------------
def _locked(connection_id: UUID, kind: Kind) -> _Row:
    """The row, locked to the end of the transaction; made if there is none."""
    key = [_key(connection_id), kind.value]
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT + lock, key)
        found = cursor.fetchone()
        if found is None:
            cursor.execute(_INSERT, key)
            cursor.execute(_SELECT + lock, key)
            found = cursor.fetchone()
    return _Row(tuple(json.loads(found[0])), _date(found[1]), int(found[2]))


def _store(connection_id: UUID, kind: Kind, row: _Row) -> None:
    sent = json.dumps(row.sent, separators=(",", ":"))
    day = connection.ops.adapt_datefield_value(row.day)
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, [sent, day, row.day_count, _key(connection_id), kind.value])


def _key(connection_id: UUID) -> Any:
    return connection_id if connection.features.has_native_uuid_field else connection_id.hex


def _date(value: object) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value if isinstance(value, date) else None


_SELECT = "SELECT sent, day, day_count FROM broker_ratebudget WHERE connection_id = %s AND kind = %s"
_INSERT = (
    "INSERT INTO broker_ratebudget (connection_id, kind, sent, day_count) VALUES (%s, %s, '[]', 0) "
    "ON CONFLICT (connection_id, kind) DO NOTHING"
)
_UPDATE = "UPDATE broker_ratebudget SET sent = %s, day = %s, day_count = %s WHERE connection_id = %s AND kind = %s"
