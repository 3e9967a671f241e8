"""The trading vocabulary every app to the right shares: values only, no Django, no clock, no network.

Prices and money are ``Decimal`` in rupees, quantities ``int`` in units, times aware UTC. A part of a snapshot that
could not be read is ``None``: absent is never the same as empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"

    @property
    def has_limit(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.SL)

    @property
    def has_trigger(self) -> bool:
        return self in (OrderType.SL, OrderType.SL_M)


class Product(StrEnum):
    CNC = "CNC"
    MIS = "MIS"
    NRML = "NRML"
    MTF = "MTF"


class Validity(StrEnum):
    DAY = "DAY"
    IOC = "IOC"
    TTL = "TTL"


class Variety(StrEnum):
    REGULAR = "regular"
    AMO = "amo"
    ICEBERG = "iceberg"
    GTT = "gtt"


class CandleInterval(StrEnum):
    """The intervals historical data comes in."""

    MINUTE = "minute"
    MINUTE_3 = "3minute"
    MINUTE_5 = "5minute"
    MINUTE_10 = "10minute"
    MINUTE_15 = "15minute"
    MINUTE_30 = "30minute"
    HOUR = "60minute"
    DAY = "day"


class Exchange(StrEnum):
    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    MCX = "MCX"


class BrokerKind(StrEnum):
    """The kind of a connection; ``paper`` is practice, every other kind is live."""

    PAPER = "paper"
    KITE_MCP = "kite_mcp"
    KITE_CONNECT = "kite_connect"

    @property
    def is_live(self) -> bool:
        return self is not BrokerKind.PAPER


class BrokerOrderStatus(StrEnum):
    """Kite's order statuses (kite.trade/docs/connect/v3/orders). A word not in here counts as in flight."""

    PUT_ORDER_REQ_RECEIVED = "PUT ORDER REQ RECEIVED"
    VALIDATION_PENDING = "VALIDATION PENDING"
    OPEN_PENDING = "OPEN PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    MODIFY_VALIDATION_PENDING = "MODIFY VALIDATION PENDING"
    MODIFY_PENDING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    NOT_MODIFIED = "NOT MODIFIED"
    CANCEL_PENDING = "CANCEL PENDING"
    NOT_CANCELLED = "NOT CANCELLED"
    AMO_REQ_RECEIVED = "AMO REQ RECEIVED"
    UPDATE = "UPDATE"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


FINAL_STATUSES = frozenset({BrokerOrderStatus.COMPLETE, BrokerOrderStatus.CANCELLED, BrokerOrderStatus.REJECTED})


def symbol_of(exchange: str, tradingsymbol: str) -> str:
    """The one-string form used everywhere outside an Intent: ``NSE:INFY``."""
    return f"{exchange}:{tradingsymbol}"


def split_symbol(symbol: str) -> tuple[str, str]:
    """``NSE:INFY`` -> ``("NSE", "INFY")``. Raises ValueError when there is no exchange."""
    exchange, separator, tradingsymbol = symbol.partition(":")
    if not separator or not exchange or not tradingsymbol:
        raise ValueError(f"{symbol!r} is not EXCHANGE:TRADINGSYMBOL")
    return exchange, tradingsymbol


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """One row of the instrument master, as much of it as rules and sizing need."""

    symbol: str
    name: str
    instrument_token: int
    tick_size: Decimal
    lot_size: int
    segment: str
    instrument_type: str = "EQ"
    isin: str = ""
    sector: str = ""
    expiry: str = ""
    strike: Decimal | None = None
    freeze_quantity: int | None = None
    in_closing_auction: bool = False

    @property
    def exchange(self) -> str:
        return split_symbol(self.symbol)[0]

    @property
    def tradingsymbol(self) -> str:
        return split_symbol(self.symbol)[1]

    @property
    def is_equity(self) -> bool:
        return self.instrument_type == "EQ" and self.exchange in (Exchange.NSE, Exchange.BSE)

    @property
    def is_index(self) -> bool:
        return self.segment == "INDICES"


@dataclass(frozen=True, slots=True)
class DepthLevel:
    price: Decimal
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote as the broker gave it; ``as_of`` is the exchange's time, ``read_at`` ours. A zero circuit is None."""

    symbol: str
    last_price: Decimal
    read_at: datetime
    as_of: datetime | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    volume: int | None = None
    lower_circuit: Decimal | None = None
    upper_circuit: Decimal | None = None
    bids: tuple[DepthLevel, ...] = ()
    asks: tuple[DepthLevel, ...] = ()

    def age_s(self, now: datetime) -> float:
        """Seconds since we read it."""
        return (now - self.read_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Candle:
    ts: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Delivery stock. Owned = quantity + t1_quantity; used_quantity was sold today out of it."""

    symbol: str
    isin: str
    quantity: int
    t1_quantity: int
    used_quantity: int
    average_price: Decimal
    last_price: Decimal
    close_price: Decimal
    collateral_quantity: int = 0
    product: str = "CNC"
    discrepancy: bool = False
    pnl: Decimal = Decimal(0)

    @property
    def owned(self) -> int:
        return self.quantity + self.t1_quantity


@dataclass(frozen=True, slots=True)
class Position:
    """One row per (symbol, product). Net rows are exposure; day rows are today's trades only."""

    symbol: str
    product: str
    quantity: int
    overnight_quantity: int
    multiplier: Decimal
    average_price: Decimal
    last_price: Decimal
    close_price: Decimal
    buy_quantity: int
    buy_value: Decimal
    sell_quantity: int
    sell_value: Decimal
    day_buy_quantity: int
    day_buy_value: Decimal
    day_sell_quantity: int
    day_sell_value: Decimal
    pnl: Decimal
    m2m: Decimal


@dataclass(frozen=True, slots=True)
class MarginSegment:
    """One purse. ``net`` (= live balance) is buying power; ``cash`` is not."""

    enabled: bool
    net: Decimal
    cash: Decimal
    opening_balance: Decimal
    live_balance: Decimal
    collateral: Decimal
    debits: Decimal
    raw: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One row of the broker's order book, as read. ``status`` is their word, not our state."""

    broker_order_id: str
    symbol: str
    side: str
    quantity: int
    filled_quantity: int
    pending_quantity: int
    cancelled_quantity: int
    order_type: str
    product: str
    validity: str
    variety: str
    status: str
    price: Decimal
    trigger_price: Decimal
    average_price: Decimal
    tag: str
    tags: tuple[str, ...]
    status_message: str
    placed_at: datetime | None
    updated_at: datetime | None
    exchange_order_id: str = ""
    parent_order_id: str = ""
    placed_by: str = ""
    raw: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES

    def bears(self, tag: str) -> bool:
        """True if ``tag`` is this order's tag or among its tags."""
        return tag == self.tag or tag in self.tags


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill as the broker books it."""

    trade_id: str
    broker_order_id: str
    symbol: str
    side: str
    product: str
    quantity: int
    average_price: Decimal
    filled_at: datetime | None
    exchange_order_id: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    user_id: str
    user_name: str
    broker: str = "ZERODHA"


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Everything the broker is told of a new order; the adapter makes its own arguments of it, every field present."""

    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    product: Product
    validity: Validity
    variety: Variety
    tag: str
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """A complete modify: every field as it shall be afterwards, since the server defaults what is missing."""

    broker_order_id: str
    variety: Variety
    order_type: OrderType
    quantity: int
    validity: Validity
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """What one read of the account gave. A part that could not be read is None; ``faults`` says why, part by part."""

    as_of: datetime
    holdings: tuple[Holding, ...] | None
    positions_net: tuple[Position, ...] | None
    positions_day: tuple[Position, ...] | None
    orders: tuple[BrokerOrder, ...] | None
    trades: tuple[Trade, ...] | None
    margins: Mapping[str, MarginSegment] | None
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> dict[str, bool]:
        """Completeness per part, with the names of the API."""
        return {
            "holdings": self.holdings is not None,
            "positions": self.positions_net is not None and self.positions_day is not None,
            "orders": self.orders is not None,
            "trades": self.trades is not None,
            "margins": self.margins is not None,
        }

    @property
    def is_complete(self) -> bool:
        return all(self.complete.values())


class SessionPhase(StrEnum):
    """Where the market is in its day, as the active connection's clock says."""

    CLOSED = "CLOSED"
    PRE_OPEN = "PRE_OPEN"
    CONTINUOUS = "CONTINUOUS"
    CLOSING_AUCTION = "CLOSING_AUCTION"
    POST_CLOSE = "POST_CLOSE"


@dataclass(frozen=True, slots=True)
class MarketState:
    """The one market clock: the time for trading, and its phase. ``practice`` is the always-open session."""

    now: datetime
    phase: SessionPhase
    practice: bool
    note: str = ""

    @property
    def is_open(self) -> bool:
        return self.phase is SessionPhase.CONTINUOUS
