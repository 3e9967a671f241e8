"""What the seeded market looks like at a time: quotes, depth, candles, bands; and when it trades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from broker.calendar import (
    IST,
    TradingCalendar,
    continuous_span,
    day_start,
    phase_at,
    previous_trading_day,
    trading_day,
)
from broker.domain import SessionPhase
from broker.paper.config import ClockMode, EntryRefused
from broker.paper.instruments import InstrumentBook, PaperInstrument
from broker.paper.prices import PricePath

INTERVALS = {
    "minute": 60, "3minute": 180, "5minute": 300, "10minute": 600, "15minute": 900, "30minute": 1800,
    "60minute": 3600, "day": 86_400,
}  # fmt: skip
MAX_DAYS = {
    "minute": 60, "3minute": 100, "5minute": 100, "10minute": 100, "15minute": 200, "30minute": 200,
    "60minute": 400, "day": 2000,
}  # fmt: skip
AUCTION_PRINT = timedelta(minutes=15)  # closing auction trades are printed this long after continuous trading ends
AUCTION_END = timedelta(minutes=20)
MARK = 300  # seconds between looks for the high and low of the day
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Day:
    """The seconds a trading day's prices run through; ``close`` is the last one of the day before."""

    open: int
    last: int
    close: int


@dataclass(frozen=True, slots=True)
class Ohlc:
    open: int
    high: int
    low: int
    close: int


class Market:
    """Prices and session of every instrument. Holds memos only: every answer is a function of the time given."""

    def __init__(self, *, instruments: InstrumentBook, seed: int, mode: ClockMode, calendar: TradingCalendar) -> None:
        self.instruments = instruments
        self.mode = mode
        self.calendar = calendar
        self._seed = seed
        self._paths: dict[str, PricePath] = {}
        self._marks: dict[tuple[str, int], tuple[int, int, int]] = {}

    @property
    def is_practice(self) -> bool:
        return self.mode is ClockMode.PRACTICE

    def path(self, instrument: PaperInstrument) -> PricePath:
        if instrument.symbol not in self._paths:
            self._paths[instrument.symbol] = PricePath(instrument, self._seed)
        return self._paths[instrument.symbol]

    def phase(self, instrument: PaperInstrument, now: datetime) -> SessionPhase:
        if self.is_practice:
            return SessionPhase.CONTINUOUS
        info = instrument.info
        return phase_at(now, exchange=info.exchange, in_closing_auction=info.in_closing_auction, calendar=self.calendar)

    def session_phase(self, now: datetime) -> SessionPhase:
        """The phase of the market as a whole: of the stocks without a closing auction."""
        return SessionPhase.CONTINUOUS if self.is_practice else phase_at(now, calendar=self.calendar)

    def trading_day(self, now: datetime) -> date:
        return trading_day(now, practice=self.is_practice, calendar=self.calendar)

    def window(self, instrument: PaperInstrument, now: datetime) -> tuple[int, int] | None:
        """Seconds of continuous trading of the day ``now`` falls on; None when there is none. Practice never ends."""
        if self.is_practice:
            return 0, 1 << 40
        day = now.astimezone(IST).date()
        span = continuous_span(day, in_closing_auction=instrument.info.in_closing_auction, calendar=self.calendar)
        return None if span is None else (_second(span[0]), _second(span[1]) - 1)

    def second(self, instrument: PaperInstrument, now: datetime) -> int:
        """The second whose price stands at ``now``: frozen while the exchange does not trade continuously."""
        if self.is_practice:
            return _second(now)
        return self._day(instrument, self._price_day(instrument, now), now).last

    def last_price(self, instrument: PaperInstrument, now: datetime) -> Decimal:
        return self.price(instrument, self.path(instrument).last(self.second(instrument, now)))

    def close_price(self, instrument: PaperInstrument, now: datetime) -> Decimal:
        """The close of the trading day before."""
        return self.price(instrument, self.path(instrument).last(self.day(instrument, now).close))

    def price(self, instrument: PaperInstrument, ticks: int) -> Decimal:
        """Ticks as rupees, two decimals."""
        return Decimal(ticks * instrument.tick_paise).scaleb(-2)

    def ticks(self, instrument: PaperInstrument, price: Decimal) -> int:
        """Rupees on the tick grid as ticks (a price off the grid is cut down to it)."""
        return int(price * 100) // instrument.tick_paise

    def day(self, instrument: PaperInstrument, now: datetime) -> Day:
        if self.is_practice:
            start = _second(day_start(trading_day(now)))
            return Day(open=start, last=_second(now), close=start - 1)
        return self._day(instrument, self._price_day(instrument, now), now)

    def band(self, instrument: PaperInstrument, now: datetime) -> tuple[Decimal, Decimal]:
        """Lower and upper circuit limit, on the tick grid inside the band; zeros where there is none."""
        if instrument.band_pct == 0:
            return Decimal(0), Decimal(0)
        close, tick = self.close_price(instrument, now), instrument.info.tick_size
        low = (close * (HUNDRED - instrument.band_pct) / HUNDRED / tick).to_integral_value(ROUND_CEILING) * tick
        high = (close * (HUNDRED + instrument.band_pct) / HUNDRED / tick).to_integral_value(ROUND_FLOOR) * tick
        return low, high

    def ohlc(self, instrument: PaperInstrument, now: datetime) -> Ohlc:
        """Open, high and low of the day so far, in ticks, seen every five minutes and now; the close before."""
        day, path = self.day(instrument, now), self.path(instrument)
        first = path.last(day.open)
        minute, high, low = self._marks.get((instrument.symbol, day.open), (day.open, first, first))
        if minute > day.last:
            minute, high, low = day.open, first, first
        while minute + MARK <= day.last:
            minute += MARK
            high, low = max(high, path.last(minute)), min(low, path.last(minute))
        self._marks[instrument.symbol, day.open] = (minute, high, low)
        last = path.last(day.last)
        return Ohlc(first, max(high, last), min(low, last), path.last(day.close))

    def volume(self, instrument: PaperInstrument, now: datetime) -> int:
        """Shares traded since the day's open, at an even pace."""
        day = self.day(instrument, now)
        a_day = 400_000_000_000 // max(1, int(instrument.reference_price * 100))
        return a_day * (day.last - day.open) // 86_400

    def candles(
        self, instrument: PaperInstrument, *, start: datetime, end: datetime, interval: str, now: datetime
    ) -> list[dict[str, object]]:
        """Kite's candle rows, oldest first, none later than ``now``. Raises EntryRefused for a bad or long range."""
        if interval not in INTERVALS:
            raise EntryRefused("invalid interval")
        if end - start > timedelta(days=MAX_DAYS[interval]):
            raise EntryRefused(f"interval exceeds max limit: {MAX_DAYS[interval]} days")
        rows: list[dict[str, object]] = []
        for first, last in self._sessions(instrument, start, min(end, now)):
            rows += self._session_candles(instrument, first, last, interval, start, min(end, now))
        return rows

    def _sessions(self, instrument: PaperInstrument, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        day, found = start.astimezone(IST).date() - timedelta(days=1), []
        while day <= end.astimezone(IST).date():
            if self.is_practice:
                found.append((day_start(day), day_start(day + timedelta(days=1))))
            else:
                span = continuous_span(
                    day, in_closing_auction=instrument.info.in_closing_auction, calendar=self.calendar
                )
                found += [span] if span else []
            day += timedelta(days=1)
        return found

    def _session_candles(
        self,
        instrument: PaperInstrument,
        first: datetime,
        last: datetime,
        interval: str,
        start: datetime,
        end: datetime,
    ) -> list[dict[str, object]]:
        size, opens, closes = INTERVALS[interval], _second(first), _second(last)
        if interval == "day":
            midnight = datetime.combine(first.astimezone(IST).date(), datetime.min.time(), IST)
            wanted = start <= midnight <= end and opens <= _second(end)
            return [self._candle(instrument, midnight, opens, min(closes, _second(end) + 1), 60)] if wanted else []
        rows, skipped = [], max(0, -((opens - _second(start)) // size)) if start > first else 0
        for begin in range(opens + skipped * size, min(closes, _second(end) + 1), size):
            stamp = datetime.fromtimestamp(begin, UTC).astimezone(IST)
            if stamp >= start:
                until = min(begin + size, closes, _second(end) + 1)
                rows.append(self._candle(instrument, stamp, begin, until, 5 if size <= 900 else 60))
        return rows

    def _candle(
        self, instrument: PaperInstrument, stamp: datetime, begin: int, until: int, step: int
    ) -> dict[str, object]:
        path = self.path(instrument)
        seen = [path.last(second) for second in range(begin, until, step)] + [path.last(until - 1)]
        a_day = 400_000_000_000 // max(1, int(instrument.reference_price * 100))
        return {
            "date": stamp.isoformat(),
            "open": self.price(instrument, seen[0]),
            "high": self.price(instrument, max(seen)),
            "low": self.price(instrument, min(seen)),
            "close": self.price(instrument, seen[-1]),
            "volume": a_day * (until - begin) // 86_400,
            "oi": 0,
        }

    def _price_day(self, instrument: PaperInstrument, now: datetime) -> date:
        """The last day that has traded by ``now``."""
        day = now.astimezone(IST).date()
        span = continuous_span(day, in_closing_auction=instrument.info.in_closing_auction, calendar=self.calendar)
        if span is not None and now >= span[0]:
            return day
        return previous_trading_day(day, calendar=self.calendar)

    def _day(self, instrument: PaperInstrument, day: date, now: datetime) -> Day:
        before = previous_trading_day(day, calendar=self.calendar)
        start, end = self._span(instrument, day)
        close = self._final(instrument, before)
        if now < end:
            return Day(_second(start), _second(now), close)
        if instrument.info.in_closing_auction and now < end + AUCTION_END and self._has_auction(day):
            return Day(_second(start), _second(end), close)
        return Day(_second(start), self._final(instrument, day), close)

    def _final(self, instrument: PaperInstrument, day: date) -> int:
        end = self._span(instrument, day)[1]
        if instrument.info.in_closing_auction and self._has_auction(day):
            return _second(end + AUCTION_PRINT)
        return _second(end) - 1

    def _has_auction(self, day: date) -> bool:
        return day >= self.calendar.closing_auction_from

    def _span(self, instrument: PaperInstrument, day: date) -> tuple[datetime, datetime]:
        span = continuous_span(day, in_closing_auction=instrument.info.in_closing_auction, calendar=self.calendar)
        if span is None:
            raise ValueError(f"{day} is not a trading day")
        return span


def _second(moment: datetime) -> int:
    return int(moment.timestamp())
