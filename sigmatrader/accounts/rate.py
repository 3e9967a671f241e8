"""Rate limits counted in the database by one atomic statement: counters in a cache race and forget (FAULTS D9)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django.db import connection

from sigmatrader.accounts.models import RateCounter
from sigmatrader.audit.api.problems import Problem

_UPSERT = (
    "INSERT INTO accounts_ratecounter (scope, window_start, count) VALUES (%s, %s, 1) "
    "ON CONFLICT (scope, window_start) DO UPDATE SET count = accounts_ratecounter.count + 1 RETURNING count"
)


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
