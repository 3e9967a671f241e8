"""Any broker's adapter with its reads inside the rate budget that all processes share, and quotes asked for together.

Writes pass through untouched: the one door takes their token before it commits SENDING, so that nobody waits there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from broker.adapters.quote_desk import QuoteDesk
from broker.budget import Kind, Taken, take
from broker.domain import (
    Books,
    BrokerOrder,
    Candle,
    Holding,
    MarginSegment,
    MarketState,
    ModifyOrder,
    PlaceOrder,
    Position,
    Profile,
    Quote,
    Trade,
)
from broker.ports import BrokerAdapter, BrokerUnavailable
from broker.reading import read_books

T = TypeVar("T")
Take = Callable[[Kind, datetime], Taken]
MAX_WAIT_S = 5.0
QUOTE_TOOLS = frozenset({"get_quotes", "get_ltp", "get_ohlc"})
HISTORY_TOOL = "get_historical_data"


def utc_now() -> datetime:
    return datetime.now(UTC)


class BudgetedAdapter:
    """Implements BrokerAdapter around another. A read waits its turn for up to five seconds, then BrokerUnavailable."""

    def __init__(
        self,
        inner: BrokerAdapter,
        connection_id: UUID,
        *,
        taken: Take | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._take = taken or (lambda kind, now: take(connection_id, kind, now=now))
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._desk = QuoteDesk(inner.quotes, lambda: self._wait(Kind.QUOTES), monotonic)

    def __getattr__(self, name: str) -> Any:
        """What a broker has beyond the port (a list of instruments, margins of a basket): a read like any other."""
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found
        return lambda *args, **kwargs: self._after(Kind.READS, lambda: found(*args, **kwargs))

    # --- reads -------------------------------------------------------------------------------------------------
    def profile(self) -> Profile:
        return self._after(Kind.READS, self._inner.profile)

    def holdings(self) -> tuple[Holding, ...]:
        return self._after(Kind.READS, self._inner.holdings)

    def positions(self) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
        return self._after(Kind.READS, self._inner.positions)

    def orders(self) -> tuple[BrokerOrder, ...]:
        return self._after(Kind.READS, self._inner.orders)

    def order_history(self, broker_order_id: str) -> tuple[BrokerOrder, ...]:
        return self._after(Kind.READS, lambda: self._inner.order_history(broker_order_id))

    def trades(self) -> tuple[Trade, ...]:
        return self._after(Kind.READS, self._inner.trades)

    def margins(self) -> Mapping[str, MarginSegment]:
        return self._after(Kind.READS, self._inner.margins)

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Answered from memory where no quote is older than a second; all who ask meanwhile share one request."""
        return self._desk.read(symbols)

    def candles(self, instrument_token: int, interval: str, start: datetime, end: datetime) -> tuple[Candle, ...]:
        return self._after(Kind.HISTORY, lambda: self._inner.candles(instrument_token, interval, start, end))

    def instruments(self, query: str) -> list[Mapping[str, object]]:
        return self._after(Kind.READS, lambda: self._inner.instruments(query))

    def market_state(self) -> MarketState:
        """Exchange hours by the calendar: nothing is asked."""
        return self._inner.market_state()

    def tools(self) -> list[Mapping[str, object]]:
        return self._after(Kind.READS, self._inner.tools)

    def call_read_tool(self, name: str, arguments: Mapping[str, object]) -> object:
        kind = Kind.QUOTES if name in QUOTE_TOOLS else Kind.HISTORY if name == HISTORY_TOOL else Kind.READS
        return self._after(kind, lambda: self._inner.call_read_tool(name, arguments))

    def books(self, symbols: Sequence[str] = ()) -> Books:
        return read_books(self, symbols, as_of=self._clock())

    # --- writes ------------------------------------------------------------------------------------------------
    def place_order(self, order: PlaceOrder) -> str:
        return self._inner.place_order(order)

    def modify_order(self, order: ModifyOrder) -> str:
        return self._inner.modify_order(order)

    def cancel_order(self, broker_order_id: str, variety: str) -> str:
        return self._inner.cancel_order(broker_order_id, variety)

    def close(self) -> None:
        self._inner.close()

    # --- inside ------------------------------------------------------------------------------------------------
    def _after(self, kind: Kind, read: Callable[[], T]) -> T:
        self._wait(kind)
        return read()

    def _wait(self, kind: Kind) -> None:
        deadline = self._monotonic() + MAX_WAIT_S
        while not (found := self._take(kind, self._clock())).ok:
            if self._monotonic() + found.wait_s > deadline:
                raise BrokerUnavailable(f"the rate budget of {kind.value} is spent")
            self._sleep(found.wait_s)
