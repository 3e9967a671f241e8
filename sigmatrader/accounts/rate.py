"""Rate limits counted in the database by one atomic statement: counters in a cache race and forget (FAULTS D9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from sigmatrader.accounts.models import RateCounter
from sigmatrader.audit.api.problems import Problem

_UPSERT = (
    "INSERT INTO accounts_ratecounter (scope, window_start, count) VALUES (%s, %s, 1) "
    "ON CONFLICT (scope, window_start) DO UPDATE SET count = accounts_ratecounter.count + 1 RETURNING count"
)
_UPSERT_ALL = (
    "INSERT INTO accounts_ratecounter (scope, window_start, count) VALUES {values} "
    "ON CONFLICT (scope, window_start) DO UPDATE SET count = accounts_ratecounter.count + 1 RETURNING scope, count"
)


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``limit`` uses in each window of ``seconds``."""

    limit: int
    seconds: int


def hit_all(scope: str, windows: Sequence[Window], *, now: datetime) -> bool:
    """Counts one use in every window by one statement; False if a limit is passed. Not in a transaction, as ``hit``."""
    rows = [
        (f"{scope}:{window.seconds}"[:120], window_start(now, window_s=window.seconds), window.limit)
        for window in windows
    ]
    values = ", ".join(["(%s, %s, 1)"] * len(rows))
    adapt = connection.ops.adapt_datetimefield_value
    parameters = [item for name, start, _limit in rows for item in (name, adapt(start))]
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT_ALL.format(values=values), parameters)
        counts = dict(cursor.fetchall())
    return all(counts[name] <= limit for name, _start, limit in rows)


def hit(scope: str, *, limit: int, window_s: int, now: datetime) -> None:
    """Counts one use of ``scope`` in the window of ``window_s`` seconds that holds ``now``.

    Raises ``Problem`` 429 RATE_LIMITED with Retry-After once ``limit`` is passed. Call it outside a transaction: a use
    stays counted whatever becomes of it.
    """
    start = window_start(now, window_s=window_s)
    if _count(scope[:120], start) <= limit:
        return
    wait = max(1, math.ceil((start + timedelta(seconds=window_s) - now).total_seconds()))
    raise Problem(
        "RATE_LIMITED",
        f"Too many tries. Wait {wait} seconds and try again.",
        status=429,
        headers={"Retry-After": str(wait)},
    )


def window_start(now: datetime, *, window_s: int) -> datetime:
    """When the fixed window that holds ``now`` began."""
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - seconds % window_s, tz=UTC)


def prune(*, now: datetime) -> int:
    """Forgets windows more than a day old; returns how many."""
    return RateCounter.objects.filter(window_start__lt=now - timedelta(days=1)).delete()[0]


def _count(scope: str, start: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [scope, connection.ops.adapt_datetimefield_value(start)])
        row = cursor.fetchone()
    return int(row[0])
