"""The rate budget: windows that are never exceeded, a reserve for exits, a day that rolls in India."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import budget
from broker.budget import Kind, Taken
from broker.models import BrokerConnection, RateBudget

DAY = date(2026, 11, 23)
SMALL = {"second": 3, "minute": 5, "day": 8}


def ms(now: datetime) -> int:
    return int(now.timestamp() * 1000)


@pytest.fixture
def limits(settings: Any) -> dict[str, dict[str, int]]:
    settings.RATE_LIMITS = {
        "orders": dict(SMALL), "quotes": {"second": 1}, "history": {"second": 3}, "reads": {"second": 10},
    }  # fmt: skip
    settings.RATE_RESERVE = {"second": 1, "minute": 1, "day": 2}
    return settings.RATE_LIMITS  # type: ignore[no-any-return]


def judged(sent: tuple[int, ...], now_ms: int, **limits: int) -> Taken:
    return budget.judge(budget._Row(sent, DAY, 0), limits, now_ms=now_ms, today=DAY)[0]


@pytest.mark.parametrize(
    ("sent", "now_ms", "ok", "wait_s"),
    [
        ((), 1_000, True, 0.0),
        ((1_000,), 1_001, True, 0.0),
        ((1_000, 1_500), 1_900, False, 0.101),
        ((1_000, 1_500), 2_000, False, 0.001),  # a window's two ends both belong to it
        ((1_000, 1_500), 2_001, True, 0.0),
        ((1_000, 1_500, 1_500), 2_000, False, 0.501),
    ],
)
def test_a_sliding_window(sent: tuple[int, ...], now_ms: int, ok: bool, wait_s: float) -> None:
    found = judged(sent, now_ms, second=2)
    assert (found.ok, found.wait_s) == (ok, wait_s)


def test_a_late_claim_counts_from_when_it_was_made() -> None:
    assert judged((5_000,), 4_200, second=2) == Taken(True, 0.0, 5_000)


def test_a_clock_set_back_blocks_for_one_window_at_most() -> None:
    ahead = (3_600_000, 3_600_001)
    found = judged(ahead, 1_000, second=2)
    assert (found.ok, found.wait_s) == (False, 1.001)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=120),
    st.integers(1, 4),
    st.integers(2, 9),
)
def test_no_window_is_ever_exceeded(steps: list[tuple[int, bool]], per_second: int, per_minute: int) -> None:
    row, now_ms, granted = budget._Row((), None, 0), 0, list[int]()
    for step, back in steps:
        now_ms = max(0, now_ms - step) if back else now_ms + step * 7
        found, row = budget.judge(row, {"second": per_second, "minute": per_minute}, now_ms=now_ms, today=DAY)
        if found.ok:
            row = budget._Row((*row.sent, found.at), DAY, 0)
            granted.append(found.at)
    for window_ms, limit in ((1_000, per_second), (60_000, per_minute)):
        assert all(sum(at - window_ms <= other <= at for other in granted) <= limit for at in granted)


# --- stored --------------------------------------------------------------------------------------------------------
def take(connection: BrokerConnection, now: datetime, kind: Kind = Kind.ORDERS, **options: bool) -> Taken:
    return budget.take(connection.pk, kind, now=now, **options)


def test_the_reserve_is_for_exits(connection: BrokerConnection, now: datetime, limits: Any) -> None:
    assert [take(connection, now).ok for _ in range(3)] == [True, True, False]
    assert take(connection, now, exit=True).ok
    assert take(connection, now, exit=True) == Taken(False, 1.001, ms(now))


def test_a_refusal_writes_nothing(
    connection: BrokerConnection, now: datetime, limits: Any, django_assert_num_queries: Any
) -> None:
    take(connection, now, Kind.QUOTES)
    before = RateBudget.objects.values().get()
    with django_assert_num_queries(3):  # savepoint, read, release
        assert not take(connection, now, Kind.QUOTES).ok
    assert RateBudget.objects.values().get() == before


def test_changes_share_the_windows_but_not_the_day(connection: BrokerConnection, now: datetime, limits: Any) -> None:
    limits["orders"] |= {"second": 100, "minute": 1000}
    for minute in range(8):
        assert take(connection, now + timedelta(minutes=2 * minute), exit=True).ok
    later = now + timedelta(minutes=20)
    refused = take(connection, later, exit=True)
    midnight = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
    assert (refused.ok, refused.wait_s) == (False, (midnight - later).total_seconds())
    assert take(connection, later, Kind.CHANGES).ok
    assert take(connection, midnight, exit=True).ok
    assert RateBudget.objects.get().day_count == 1


def test_the_day_keeps_its_reserve(connection: BrokerConnection, now: datetime, limits: Any) -> None:
    taken = [take(connection, now + timedelta(minutes=2 * n)).ok for n in range(7)]
    assert taken == [True] * 6 + [False]
    assert take(connection, now + timedelta(minutes=14), exit=True).ok


def test_kinds_and_connections_have_their_own(
    connection: BrokerConnection, other_trader: Any, make_connection: Any, now: datetime, limits: Any
) -> None:
    other = make_connection(other_trader)
    assert [take(connection, now, Kind.QUOTES).ok, take(connection, now, Kind.HISTORY).ok] == [True, True]
    assert take(other, now, Kind.QUOTES).ok
    assert set(RateBudget.objects.values_list("connection_id", "kind")) == {
        (connection.pk, "quotes"), (connection.pk, "history"), (other.pk, "quotes"),
    }  # fmt: skip


def test_stamps_that_no_window_needs_are_dropped(connection: BrokerConnection, now: datetime, limits: Any) -> None:
    take(connection, now)
    take(connection, now + timedelta(minutes=5))
    assert RateBudget.objects.get().sent == [ms(now + timedelta(minutes=5))]


def test_the_defaults_are_the_brokers(settings: Any) -> None:
    assert budget.usable(Kind.ORDERS, exit=True) == {"second": 10, "minute": 400, "day": 5_000}
    assert budget.usable(Kind.ORDERS, exit=False) == {"second": 8, "minute": 380, "day": 4_800}
    assert budget.usable(Kind.QUOTES, exit=False) == {"second": 1}
