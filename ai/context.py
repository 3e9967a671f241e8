"""What the reader may look at while it reads: values only, made by ``ai.selectors`` or from a folder of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ai.language.names import Catalog
from broker.domain import BrokerOrder, Holding, InstrumentInfo, MarginSegment, Position, Quote, split_symbol


@dataclass(frozen=True, slots=True)
class GttRow:
    """An active good-till-triggered order at the broker, as far as naming it goes."""

    gtt_id: str
    symbol: str
    side: str = ""


@dataclass(frozen=True, slots=True)
class MonitorRow:
    """A monitor of the trader, as far as naming it goes."""

    monitor_id: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """The books as the trader sees them. A part that was not read is None; absent is never the same as empty."""

    now: datetime
    catalog: Catalog
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    holdings: tuple[Holding, ...] | None = ()
    positions: tuple[Position, ...] | None = ()
    orders: tuple[BrokerOrder, ...] | None = ()
    margins: Mapping[str, MarginSegment] | None = None
    gtts: tuple[GttRow, ...] = ()
    monitors: tuple[MonitorRow, ...] = ()

    def last_price(self, symbol: str) -> Decimal | None:
        """The last price of ``EXCHANGE:TRADINGSYMBOL``: the quote's, else what holdings or positions carry."""
        if quote := self.quotes.get(symbol):
            return quote.last_price
        rows: Sequence[Holding | Position] = [*(self.holdings or ()), *(self.positions or ())]
        return next((row.last_price for row in rows if row.symbol == symbol and row.last_price > 0), None)

    def held(self, tradingsymbol: str) -> int | None:
        """Shares that a delivery sell may take: owned, and bought or sold today for delivery. None: not read.

        After a sale of today both readings of the broker's row are met by taking the smaller one.
        """
        if self.holdings is None or self.positions is None:
            return None
        owned = sum(row.owned for row in self.holdings if split_symbol(row.symbol)[1] == tradingsymbol)
        today = sum(row.quantity for row in self.positions_of(tradingsymbol) if row.product == "CNC")
        return max(0, owned + today)

    def positions_of(self, tradingsymbol: str) -> tuple[Position, ...]:
        """Net positions of the share that are not flat, on either exchange."""
        rows = self.positions or ()
        return tuple(row for row in rows if row.quantity and split_symbol(row.symbol)[1] == tradingsymbol)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders of the book that still work, oldest first."""
        return tuple(order for order in self.orders or () if not order.is_final)


def make_context(*, now: datetime, instruments: Sequence[InstrumentInfo]) -> Context:
    """A context with a market and nothing in the books."""
    return Context(now=now, catalog=Catalog(instruments))
