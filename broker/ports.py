"""The port every broker is reached through, and the four ways a call can fail that callers act upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

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


class BrokerError(Exception):
    """Base of what a broker call may raise. ``text`` is the broker's own, bounded, untrusted."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text[:500]


class BrokerUnavailable(BrokerError):
    """A read failed, or a write provably never left: nothing happened at the broker (FAULTS 0.5)."""


class BrokerRejected(BrokerError):
    """The broker or exchange definitely refused this order. Final."""


class BrokerOutcomeUnknown(BrokerError):
    """A write may or may not have happened: settle it by reading, never by sending again."""


class BrokerAuthExpired(BrokerError):
    """A person has to log in before anything else can work. Raised only where nothing was sent."""


class BrokerSchemaError(BrokerError):
    """A read answered something that is not the agreed shape; it counts as not read."""


class BrokerReader(Protocol):
    """The reads. Safe to repeat; each raises BrokerUnavailable, BrokerAuthExpired or BrokerSchemaError."""

    def profile(self) -> Profile: ...

    def holdings(self) -> tuple[Holding, ...]: ...

    def positions(self) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
        """(net rows, day rows)."""
        ...

    def orders(self) -> tuple[BrokerOrder, ...]:
        """The whole order book of the day, all pages; a cut or invalid read raises, it never shortens."""
        ...

    def order_history(self, broker_order_id: str) -> tuple[BrokerOrder, ...]: ...

    def trades(self) -> tuple[Trade, ...]: ...

    def margins(self) -> Mapping[str, MarginSegment]: ...

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Quotes by symbol; one that has no quote is absent."""
        ...

    def candles(self, instrument_token: int, interval: str, start: datetime, end: datetime) -> tuple[Candle, ...]: ...

    def instruments(self, query: str) -> list[Mapping[str, object]]: ...

    def market_state(self) -> MarketState:
        """Time and session phase as this connection's market has it."""
        ...

    def tools(self) -> list[Mapping[str, object]]:
        """The broker's tools as it lists them: name, inputSchema; empty for a broker without tools."""
        ...

    def call_read_tool(self, name: str, arguments: Mapping[str, object]) -> object:
        """One read tool's parsed result, for the console. Raises ValueError for a tool that is not a read."""
        ...

    def books(self, symbols: Sequence[str] = ()) -> Books:
        """Every part, each read on its own; a part that fails is absent with its reason in ``faults``."""
        ...

    def close(self) -> None: ...


class BrokerAdapter(BrokerReader, Protocol):
    """Reads and writes. Only ``execution``'s one door may call a write; a test walks the imports and calls."""

    def place_order(self, order: PlaceOrder) -> str:
        """Sends once, never retries. Returns the broker's order id (a string of up to 19 digits).

        Raises BrokerUnavailable or BrokerAuthExpired only if provably not sent, BrokerRejected if definitely refused,
        BrokerOutcomeUnknown in every other failure.
        """
        ...

    def modify_order(self, order: ModifyOrder) -> str: ...

    def cancel_order(self, broker_order_id: str, variety: str) -> str: ...
