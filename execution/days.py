"""The trading day, which rolls at 06:00 IST: order books, tags watched and counters belong to one."""

from __future__ import annotations

from datetime import datetime, timedelta

from broker import calendar


def day_start(now: datetime) -> datetime:
    """When the trading day that ``now`` lies in began."""
    return calendar.day_start(calendar.trading_day(now))


def day_end(now: datetime) -> datetime:
    """When it ends: the broker's books roll then."""
    return day_start(now) + timedelta(days=1)
