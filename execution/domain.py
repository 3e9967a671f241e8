"""What an instruction is made into: intent, plan, legs, states. Values only; the rules are in pure modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from broker.domain import OrderType, Product, Side, Validity, Variety, symbol_of
from risk.domain import RequestKind


class IntentKind(StrEnum):
    """The intents that can become a plan; the others (analyze, explain, ...) never leave the assistant."""

    ORDER = "order"
    ORDERS = "orders"
    MODIFY = "modify"
    CANCEL = "cancel"


class RuleType(StrEnum):
    NOTIONAL = "notional"
    PERCENT_OF_HOLDING = "percent_of_holding"
    PERCENT_OF_POSITION = "percent_of_position"
    REDUCE_TO = "reduce_to"


@dataclass(frozen=True, slots=True)
class QuantityRule:
    """How a quantity was said when it was not said in shares: rupees, percent 0-100, or the quantity to keep."""

    type: RuleType
    amount: Decimal | None = None
    percent: Decimal | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class Exits:
    """Stop and target said with an entry; shown as the two-leg GTT that would follow the fill."""

    stop_loss: Decimal | None = None
    target: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderInstruction:
    """One order as the trader asked for it, before sizing."""

    side: Side
    exchange: str
    tradingsymbol: str
    order_type: OrderType
    product: Product
    quantity: int | None = None
    quantity_rule: QuantityRule | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    validity: Validity = Validity.DAY
    validity_ttl: int | None = None
    variety: Variety = Variety.REGULAR
    exits: Exits | None = None

    @property
    def symbol(self) -> str:
        return symbol_of(self.exchange, self.tradingsymbol)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a modify asks for; None keeps what the order has."""

    price: Decimal | None = None
    trigger_price: Decimal | None = None
    quantity: int | None = None
    order_type: OrderType | None = None


@dataclass(frozen=True, slots=True)
class TradeIntent:
    """What the trader asked. Exactly the part that ``kind`` names is filled; ``assumed`` tells what was not said."""

    kind: IntentKind
    orders: tuple[OrderInstruction, ...] = ()
    order_ids: tuple[str, ...] = ()
    changes: Changes | None = None
    text: str = ""
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """One complete order command. ``target`` is the order a modify or cancel is about (our id), else empty."""

    n: int
    action: RequestKind
    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    trigger_price: Decimal | None
    product: Product
    validity: Validity
    variety: Variety
    depends_on: int | None = None
    target: str = ""
    broker_order_id: str = ""
    converted_from_market: bool = False


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as it stands, for a modify or cancel of it. Its words are the broker's own, perhaps none of ours.

    ``id`` is ours; ``broker_order_id`` is empty while the broker has not confirmed it.
    """

    id: str
    broker_order_id: str
    symbol: str
    side: str
    quantity: int
    filled_quantity: int
    order_type: str
    limit_price: Decimal | None
    trigger_price: Decimal | None
    product: str
    validity: str
    variety: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class SizingStep:
    """One line of the arithmetic behind a quantity or price, shown to the trader."""

    step: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class ChargeEstimate:
    """Rupees, to the paisa; ``dp`` is charged by the depository on delivery sells and stands apart from ``total``."""

    brokerage: Decimal
    stt: Decimal
    exchange: Decimal
    sebi: Decimal
    stamp: Decimal
    gst: Decimal
    total: Decimal
    dp: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """``order_value`` is quantity times the worst price the legs allow; margin figures in rupees, None if not read."""

    order_value: Decimal
    charges: ChargeEstimate
    margin_required: Decimal
    margin_available: Decimal | None


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Figures before and after the plan has filled whole; None where the books did not tell."""

    quantity: tuple[int | None, int | None]
    average_price: tuple[Decimal | None, Decimal | None]
    cash: tuple[Decimal | None, Decimal | None]
    weight_percent: tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """The content an approval binds to: everything that decides what would be sent. Its hash is the content hash."""

    intent: TradeIntent
    legs: tuple[Leg, ...]
    sizing: tuple[SizingStep, ...]
    estimates: Estimates
    before_after: BeforeAfter
    reference_prices: Mapping[str, Decimal]  # last price per symbol when the plan was priced
    margin_by_leg: Mapping[int, Decimal]
    connection: str
    connection_kind: str
    valid_until: datetime
    schema_version: int = 1


class IntentState(StrEnum):
    """The placement state machine (DESIGN section 4, FAULTS). REJECTED is the broker's word, DENIED ours."""

    PREPARED = "PREPARED"
    SENDING = "SENDING"
    ACKED = "ACKED"
    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"
    NOT_SENT = "NOT_SENT"
    AMBIGUOUS = "AMBIGUOUS"
    NOT_PLACED = "NOT_PLACED"
    EXPIRED = "EXPIRED"
    NEEDS_REVIEW = "NEEDS_REVIEW"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def is_in_flight(self) -> bool:
        """It may be live at the broker, or become so."""
        return self in _IN_FLIGHT


_TERMINAL = frozenset(
    {
        IntentState.FILLED, IntentState.CANCELLED, IntentState.REJECTED, IntentState.DENIED,
        IntentState.NOT_PLACED, IntentState.EXPIRED,
    }
)  # fmt: skip
_IN_FLIGHT = frozenset({IntentState.SENDING, IntentState.ACKED, IntentState.WORKING, IntentState.AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class IntentView:
    """One leg on its way, as the pure rules see it. ``quantity`` is what is wanted now, our own modifies included."""

    id: str
    symbol: str
    side: Side
    product: Product
    quantity: int
    state: IntentState
    tag: str = ""
    broker_order_id: str = ""
    filled_quantity: int = 0
    average_price: Decimal | None = None
    updated_at: datetime | None = None


class CommandState(StrEnum):
    """The life of a modify or cancel command sent for an order: one send, then find out (FAULTS A25-A26)."""

    PREPARED = "PREPARED"
    SENDING = "SENDING"
    ACKED = "ACKED"
    DONE = "DONE"
    FAILED = "FAILED"
    TOO_LATE = "TOO_LATE"
    UNKNOWN = "UNKNOWN"
    NOT_SENT = "NOT_SENT"
    DENIED = "DENIED"


class CardKind(StrEnum):
    TRADE = "trade"
    VETO = "veto"
    MONITOR = "monitor"
    REMEDIATION = "remediation"
    CLARIFY = "clarify"
    INSIGHT = "insight"


class CardState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    EXECUTING = "executing"
    DONE = "done"
    PARTLY_FILLED = "partly_filled"
    FAILED = "failed"
    DENIED = "denied"
    DECLINED = "declined"
    EXPIRED = "expired"
    STALE = "stale"
    SUPERSEDED = "superseded"


class AuthorizationKind(StrEnum):
    """How an instruction was authorised; a ``request`` is the owner's own press for a cancel."""

    APPROVE = "approve"
    DELEGATE = "delegate"
    MANDATE = "mandate"
    REQUEST = "request"


class Origin(StrEnum):
    TICKET = "ticket"
    ASSISTANT = "assistant"
    MONITOR = "monitor"
    EXTERNAL = "external"
