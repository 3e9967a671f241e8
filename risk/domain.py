"""What RiskGate takes and gives: values only. The gate is a function of its arguments and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from broker.domain import (
    BrokerOrder,
    Holding,
    InstrumentInfo,
    MarginSegment,
    MarketState,
    OrderType,
    Position,
    Product,
    Quote,
    Side,
    Validity,
    Variety,
)


class TradingStateName(StrEnum):
    """ACTIVE: all; REDUCING: cancels and exits; HALTED: cancels only."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    DENY = "deny"


class Outcome(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class RequestKind(StrEnum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"


class Actor(StrEnum):
    """Whose wish it is; the policy may be narrower for some."""

    TRADER = "trader"
    ASSISTANT = "assistant"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One leg as the gate judges it. ``leg`` is its number in the plan; for a modify the values are those after it."""

    leg: int
    kind: RequestKind
    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    product: Product
    validity: Validity
    variety: Variety
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    replaces: str = ""  # broker_order_id of the order a modify or cancel is about
    reduce_only: bool = False
    client_order_id: str = ""  # our own id of the order, where it has one already
    converted_from_market: bool = False  # the trader said MARKET; this marketable LIMIT is what would be sent


@dataclass(frozen=True, slots=True)
class Counters:
    """What has already been done, counted in the database (attempts as well as successes)."""

    orders_last_second: int = 0
    orders_last_minute: int = 0
    orders_today: int = 0
    value_today: Decimal = Decimal(0)
    rejects_recent: int = 0
    unconfirmed: int = 0
    same_order_recent: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the account stands, counted in the database. A part that was not gathered is None and never passes."""

    connected: bool | None = None
    connection_note: str = ""
    reconciled: bool | None = None
    peak_value: Decimal | None = None  # rupees, the highest of the drawdown window; 0 while none is on record
    losses_in_a_row: int | None = None
    last_loss_at: datetime | None = None
    typical_orders: int | None = None  # how many orders of one's own the typical value is made of
    typical_value: Decimal | None = None  # rupees, their median
    first_prices: Mapping[str, Decimal] | None = None  # by symbol: the first price of one's own in the drift window
    automated: Mapping[str, int] | None = None  # by "SYMBOL SIDE": orders nobody pressed a button for
    modifications: Mapping[str, int] | None = None  # by broker_order_id
    used_order_ids: tuple[str, ...] | None = None
    reserved_margin: Mapping[str, Decimal] | None = None  # by purse: of orders committed that the books cannot show
    sectors: Mapping[str, str] | None = None  # by symbol; one without a sector is absent


UNTOUCHED = Standing(
    connected=True, reconciled=True, peak_value=Decimal(0), losses_in_a_row=0, typical_orders=0,
    typical_value=Decimal(0), first_prices={}, automated={}, modifications={}, used_order_ids=(), reserved_margin={},
    sectors={},
)  # fmt: skip
"""Connected and reconciled, and nothing has happened yet."""


@dataclass(frozen=True, slots=True)
class Book:
    """Everything the gate may look at, already read and dated. A part that was not read is None and never passes."""

    account: str
    is_live: bool
    actor: Actor
    market: MarketState
    trading_state: TradingStateName
    trading_state_reason: str
    instruments: Mapping[str, InstrumentInfo]
    quotes: Mapping[str, Quote]
    holdings: tuple[Holding, ...] | None
    positions: tuple[Position, ...] | None
    open_orders: tuple[BrokerOrder, ...] | None
    margins: Mapping[str, MarginSegment] | None
    books_as_of: datetime | None
    margin_required: Mapping[int, Decimal]  # by leg: rupees the leg blocks, charges included
    counters: Counters = field(default_factory=Counters)
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One control's row: what it allows, what it found, and a sentence for a person. ``leg`` None is the whole plan."""

    code: str
    verdict: Verdict
    limit: str | None
    actual: str | None
    unit: str
    message: str
    leg: int | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A change that the gate itself has evaluated and found to pass."""

    change: str
    code: str
    quantity: int | None = None
    limit_price: Decimal | None = None
    passes: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Allow or deny, with every control that ran. Hashes are SHA-256 of canonical documents."""

    outcome: Outcome
    controls: tuple[ControlResult, ...]
    policy_version: int
    policy_hash: str
    input_hash: str
    engine_version: str
    evaluated_at: datetime
    alternatives: tuple[Alternative, ...] = ()
    metrics_before: Mapping[str, str] = field(default_factory=dict)
    metrics_after: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW

    @property
    def denials(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.code for c in self.controls if c.verdict is Verdict.DENY))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.code for c in self.controls if c.verdict is Verdict.WARN))
