"""When NSE and BSE trade: holidays and session phases from a dated file, as functions of the time given.

Times in are aware; everything is decided in Indian time. The file covers a range of days; outside it every weekday is
taken as a trading day and ``covers`` says that this is a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from broker.domain import SessionPhase

CALENDAR_FILE = Path(__file__).parent / "data" / "nse_calendar.json"
IST = ZoneInfo("Asia/Kolkata")
PRACTICE_ROLL = time(6, 0)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """From ``start`` (included) to ``end`` (not included), Indian time."""

    start: time
    end: time
    phase: SessionPhase


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """The dated table of one exchange: what is closed, what is open though it is a weekend, and the day's phases."""

    source: str
    as_of: str
    first_day: date
    last_day: date
    holidays: Mapping[date, str]
    special_sessions: Mapping[date, str]
    regular: tuple[PhaseSpan, ...]
    with_closing_auction: tuple[PhaseSpan, ...]
    closing_auction_from: date

    def covers(self, day: date) -> bool:
        """False where the table has no word on ``day`` and weekdays are merely assumed open."""
        return self.first_day <= day <= self.last_day

    def is_trading_day(self, day: date) -> bool:
        if day in self.special_sessions:
            return True
        return day.weekday() < SATURDAY and day not in self.holidays

    def spans(self, day: date, *, in_closing_auction: bool) -> tuple[PhaseSpan, ...]:
        """The phases of ``day``, in order; none when it is closed."""
        if not self.is_trading_day(day):
            return ()
        return self.with_closing_auction if in_closing_auction and day >= self.closing_auction_from else self.regular


def parse_calendar(text: str) -> TradingCalendar:
    """Reads the table from its JSON text. Raises KeyError or ValueError when it is not the table."""
    data = json.loads(text)
    phases = {name: _spans(rows) for name, rows in data["phases"].items()}
    return TradingCalendar(
        source=data["source"],
        as_of=data["as_of"],
        first_day=date.fromisoformat(data["first_day"]),
        last_day=date.fromisoformat(data["last_day"]),
        holidays={date.fromisoformat(day): name for day, name in data["holidays"].items()},
        special_sessions={date.fromisoformat(day): row["name"] for day, row in data["special_sessions"].items()},
        regular=phases["regular"],
        with_closing_auction=phases["with_closing_auction"],
        closing_auction_from=date.fromisoformat(data["closing_auction_from"]),
    )


@lru_cache(maxsize=1)
def default_calendar() -> TradingCalendar:
    """The table that ships with the product."""
    return parse_calendar(CALENDAR_FILE.read_text(encoding="utf-8"))


def phase_at(
    now: datetime, *, exchange: str = "NSE", in_closing_auction: bool = False, calendar: TradingCalendar | None = None
) -> SessionPhase:
    """The phase of a stock at ``now``. NSE and BSE share the table; any other exchange is CLOSED: we do not know it."""
    if exchange not in ("NSE", "BSE"):
        return SessionPhase.CLOSED
    local = now.astimezone(IST)
    for span in (calendar or default_calendar()).spans(local.date(), in_closing_auction=in_closing_auction):
        if span.start <= local.time() < span.end:
            return span.phase
    return SessionPhase.CLOSED


def next_open(now: datetime, *, calendar: TradingCalendar | None = None) -> datetime:
    """The next start of continuous trading strictly after ``now``, as aware UTC."""
    table = calendar or default_calendar()
    local = now.astimezone(IST)
    day = local.date()
    while True:
        opens = next((s.start for s in table.spans(day, in_closing_auction=False) if _is_continuous(s)), None)
        if opens is not None and at_ist(day, opens) > now:
            return at_ist(day, opens)
        day += timedelta(days=1)


def continuous_span(
    day: date, *, in_closing_auction: bool, calendar: TradingCalendar | None = None
) -> tuple[datetime, datetime] | None:
    """Start and end of continuous trading on ``day`` as aware UTC; None when it is closed."""
    table = calendar or default_calendar()
    for span in table.spans(day, in_closing_auction=in_closing_auction):
        if _is_continuous(span):
            return at_ist(day, span.start), at_ist(day, span.end)
    return None


def previous_trading_day(day: date, *, calendar: TradingCalendar | None = None) -> date:
    """The last trading day before ``day``."""
    table = calendar or default_calendar()
    day -= timedelta(days=1)
    while not table.is_trading_day(day):
        day -= timedelta(days=1)
    return day


def trading_day(now: datetime, *, practice: bool = True, calendar: TradingCalendar | None = None) -> date:
    """The day the books of ``now`` belong to: it rolls at 06:00 IST, on the practice session every day of the year,
    else on trading days alone (a Sunday belongs to Friday's books)."""
    local = now.astimezone(IST)
    day = local.date() if local.time() >= PRACTICE_ROLL else local.date() - timedelta(days=1)
    if practice:
        return day
    table = calendar or default_calendar()
    return day if table.is_trading_day(day) else previous_trading_day(day, calendar=table)


def day_start(day: date) -> datetime:
    """06:00 IST of ``day`` as aware UTC: where the books of that day begin."""
    return at_ist(day, PRACTICE_ROLL)


def at_ist(day: date, clock: time) -> datetime:
    """A wall time in India as aware UTC."""
    return datetime.combine(day, clock, IST).astimezone(UTC)


def _is_continuous(span: PhaseSpan) -> bool:
    return span.phase is SessionPhase.CONTINUOUS


def _spans(rows: list[list[str]]) -> tuple[PhaseSpan, ...]:
    return tuple(
        PhaseSpan(time.fromisoformat(start), time.fromisoformat(end), SessionPhase(phase)) for start, end, phase in rows
    )
