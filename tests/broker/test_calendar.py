from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from broker.calendar import IST, default_calendar, next_open, phase_at, previous_trading_day, trading_day
from broker.domain import SessionPhase as Phase


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize("year", [2025, 2026])
def test_trading_days_agree_with_exchange_calendars(year):
    calendars = pytest.importorskip("exchange_calendars")
    theirs = calendars.get_calendar("XBOM", start=f"{year}-01-01", end=f"{year}-12-31")
    ours = default_calendar()
    sessions = {day.date() for day in theirs.sessions}
    days = [date(year, 1, 1) + timedelta(days=step) for step in range(365)]
    differ = [day for day in days if ours.is_trading_day(day) != (day in sessions)]
    # theirs leaves the special weekend sessions for the Union Budget out
    assert differ == [day for day in days if day in ours.special_sessions and day not in sessions]


@pytest.mark.parametrize(
    ("moment", "plain", "with_auction"),
    [
        ("2026-11-23T08:59:59", Phase.CLOSED, Phase.CLOSED),
        ("2026-11-23T09:00:00", Phase.PRE_OPEN, Phase.PRE_OPEN),
        ("2026-11-23T09:15:00", Phase.CONTINUOUS, Phase.CONTINUOUS),
        ("2026-11-23T15:14:59", Phase.CONTINUOUS, Phase.CONTINUOUS),
        ("2026-11-23T15:15:00", Phase.CONTINUOUS, Phase.CLOSING_AUCTION),
        ("2026-11-23T15:30:00", Phase.CLOSED, Phase.CLOSING_AUCTION),
        ("2026-11-23T15:36:00", Phase.CLOSED, Phase.CLOSED),
        ("2026-11-23T15:55:00", Phase.POST_CLOSE, Phase.POST_CLOSE),
        ("2026-11-24T11:00:00", Phase.CLOSED, Phase.CLOSED),  # Guru Nanak Jayanti
        ("2026-11-22T11:00:00", Phase.CLOSED, Phase.CLOSED),  # Sunday
        ("2026-02-01T11:00:00", Phase.CONTINUOUS, Phase.CONTINUOUS),  # Budget Sunday
        ("2026-07-31T15:20:00", Phase.CONTINUOUS, Phase.CONTINUOUS),  # the last day before the closing auction
        ("2026-08-03T15:20:00", Phase.CONTINUOUS, Phase.CLOSING_AUCTION),
    ],
)
def test_phases(moment, plain, with_auction):
    assert phase_at(ist(moment), exchange="NSE", in_closing_auction=False) is plain
    assert phase_at(ist(moment), exchange="BSE", in_closing_auction=True) is with_auction


def test_an_exchange_we_have_no_table_for_is_closed():
    assert phase_at(ist("2026-11-23T11:00:00"), exchange="MCX") is Phase.CLOSED


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-23T09:14:59", "2026-11-23T09:15:00"),
        ("2026-11-23T09:15:00", "2026-11-25T09:15:00"),
        ("2026-11-21T12:00:00", "2026-11-23T09:15:00"),
    ],
)
def test_next_open(moment, opens):
    found = next_open(ist(moment))
    assert found == ist(opens)
    assert found.tzinfo is UTC


def test_practice_day_rolls_at_six_every_day():
    assert trading_day(ist("2026-11-22T05:59:59")) == date(2026, 11, 21)
    assert trading_day(ist("2026-11-22T06:00:00")) == date(2026, 11, 22)


def test_real_books_of_a_weekend_belong_to_friday():
    assert trading_day(ist("2026-11-22T12:00:00"), practice=False) == date(2026, 11, 20)
    assert trading_day(ist("2026-11-24T12:00:00"), practice=False) == date(2026, 11, 23)
    assert previous_trading_day(date(2026, 11, 25)) == date(2026, 11, 23)


def test_the_table_says_where_it_ends():
    assert default_calendar().covers(date(2026, 12, 31))
    assert not default_calendar().covers(date(2027, 1, 1))
