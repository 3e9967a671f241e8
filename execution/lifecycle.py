"""The placement state machine: one table of allowed moves, and what one row of the broker's book means for an intent.

The broker decides the state, a filled quantity never falls, and a final state never opens again: what contradicts that
is reported as a flag beside the unchanged state (FAULTS A21-A29).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from broker.domain import BrokerOrder, BrokerOrderStatus, PlaceOrder, split_symbol
from execution.domain import IntentState, IntentView


class IntentEvent(StrEnum):
    """What can happen to an intent. REJECTED is the broker's refusal, DENIED ours."""

    CLAIMED = "claimed"
    DENIED = "denied"
    EXPIRED = "expired"
    NOT_SENT = "not_sent"
    ACKED = "acked"
    OUTCOME_UNKNOWN = "outcome_unknown"
    FOUND = "found"
    GAVE_UP = "gave_up"
    UNRESOLVED = "unresolved"
    REVIEWED = "reviewed"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class IllegalTransition(Exception):
    """The event is not allowed in this state."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} is not allowed in {state}")
        self.state = state
        self.event = event


_S, _E = IntentState, IntentEvent
_BROKER_WORDS = {
    _E.WORKING: _S.WORKING,
    _E.FILLED: _S.FILLED,
    _E.CANCELLED: _S.CANCELLED,
    _E.REJECTED: _S.REJECTED,
}
_KNOWN_AT_BROKER = (_S.ACKED, _S.WORKING, _S.NEEDS_REVIEW)
# An order that bears our tag is ours, whatever we had concluded before: the broker's books are the truth.
_ADOPTABLE = (
    _S.PREPARED, _S.SENDING, _S.AMBIGUOUS, _S.NOT_SENT, _S.NOT_PLACED, _S.DENIED, _S.EXPIRED, _S.NEEDS_REVIEW,
)  # fmt: skip
_LATE = frozenset({_S.PREPARED, _S.NOT_SENT, _S.NOT_PLACED, _S.DENIED, _S.EXPIRED, _S.NEEDS_REVIEW})

TRANSITIONS: Mapping[tuple[IntentState, IntentEvent], IntentState] = MappingProxyType(
    {
        (_S.PREPARED, _E.CLAIMED): _S.SENDING,
        (_S.NOT_SENT, _E.CLAIMED): _S.SENDING,
        (_S.PREPARED, _E.DENIED): _S.DENIED,
        (_S.NOT_SENT, _E.DENIED): _S.DENIED,
        (_S.SENDING, _E.DENIED): _S.DENIED,  # the door's last look, before the write
        (_S.PREPARED, _E.EXPIRED): _S.EXPIRED,
        (_S.NOT_SENT, _E.EXPIRED): _S.EXPIRED,
        (_S.SENDING, _E.ACKED): _S.ACKED,
        (_S.SENDING, _E.NOT_SENT): _S.NOT_SENT,
        (_S.SENDING, _E.REJECTED): _S.REJECTED,
        (_S.SENDING, _E.OUTCOME_UNKNOWN): _S.AMBIGUOUS,
        (_S.AMBIGUOUS, _E.GAVE_UP): _S.NOT_PLACED,
        (_S.NEEDS_REVIEW, _E.REVIEWED): _S.NOT_PLACED,
        # More fills than a final word told of: the fill beats the cancel (CONTROLS section 3).
        (_S.CANCELLED, _E.FILLED): _S.FILLED,
        (_S.REJECTED, _E.FILLED): _S.FILLED,
        (_S.REJECTED, _E.CANCELLED): _S.CANCELLED,
    }
    | {(state, _E.FOUND): _S.ACKED for state in _ADOPTABLE}
    | {(state, event): target for state in _KNOWN_AT_BROKER for event, target in _BROKER_WORDS.items()}
    | {
        (state, _E.UNRESOLVED): _S.NEEDS_REVIEW
        for state in (_S.PREPARED, _S.NOT_SENT, _S.SENDING, _S.AMBIGUOUS, _S.ACKED, _S.WORKING)
    }
)


def apply(state: IntentState, event: IntentEvent) -> IntentState:
    """The state after ``event``. Raises IllegalTransition for a pair that is not in the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


def can(state: IntentState, event: IntentEvent) -> bool:
    """True if ``event`` is allowed in ``state``."""
    return (state, event) in TRANSITIONS


def sources_of(event: IntentEvent) -> tuple[IntentState, ...]:
    """The states ``event`` is allowed in, for the WHERE of a conditional update."""
    return tuple(state for state, known in TRANSITIONS if known is event)


def is_late(state: IntentState) -> bool:
    """True if finding an order of ours at the broker in ``state`` contradicts a verdict (FAULTS A8, A41)."""
    return state in _LATE


def is_adoptable(state: IntentState) -> bool:
    """True if the order was not known at the broker yet and can be adopted by its tag."""
    return state in _ADOPTABLE


_B = BrokerOrderStatus
_STATUS_EVENTS: Mapping[str, IntentEvent | None] = MappingProxyType(
    {
        # Taken by the broker's system, not yet by the exchange: still only acknowledged (FACTS c2).
        _B.PUT_ORDER_REQ_RECEIVED.value: None,
        _B.VALIDATION_PENDING.value: None,
        _B.OPEN_PENDING.value: None,
        _B.OPEN.value: _E.WORKING,
        _B.TRIGGER_PENDING.value: _E.WORKING,
        _B.MODIFY_VALIDATION_PENDING.value: _E.WORKING,
        _B.MODIFY_PENDING.value: _E.WORKING,
        _B.MODIFIED.value: _E.WORKING,
        _B.NOT_MODIFIED.value: _E.WORKING,
        _B.CANCEL_PENDING.value: _E.WORKING,
        _B.NOT_CANCELLED.value: _E.WORKING,
        _B.AMO_REQ_RECEIVED.value: _E.WORKING,
        _B.UPDATE.value: _E.WORKING,
        _B.COMPLETE.value: _E.FILLED,
        _B.CANCELLED.value: _E.CANCELLED,
        _B.REJECTED.value: _E.REJECTED,
    }
)


def is_known_status(status: str) -> bool:
    """False for a word Kite has not documented: it counts as in flight and is reported (FAULTS A22)."""
    return status in _STATUS_EVENTS


def event_of_status(status: str, *, filled: int) -> IntentEvent | None:
    """What the broker's word says happened; None while it is only in flight. Fills always mean it is working."""
    event = _STATUS_EVENTS.get(status)
    return IntentEvent.WORKING if event is None and filled > 0 else event


@dataclass(frozen=True, slots=True)
class Observation:
    """What one broker row makes of an intent; the service stores it as it is.

    ``events`` are to be applied in order and lead to ``state``. ``fill_delta`` is how many units are newly filled.
    """

    state: IntentState
    events: tuple[IntentEvent, ...]
    filled_quantity: int
    fill_delta: int
    average_price: Decimal | None
    broker_status: str
    broker_order_id: str
    late: bool = False  # found after a verdict that it was not there: LATE_ARRIVAL
    ignored: bool = False  # an older or repeated word; nothing changes: status.ignored
    regression: bool = False  # the broker opened or took back what it had called final: STATUS_REGRESSION
    corrected: bool = False  # one final word replaced by another that brought more fills
    fill_fell: bool = False  # the row tells of fewer fills than we have booked
    overfill: bool = False  # more filled than the order was ever for: ORDER_MISMATCH
    quantity_changed: bool = False  # the row's quantity is not ours: changed elsewhere (EXTERNAL)
    unknown_status: bool = False  # BROKER_SCHEMA
    inconsistent: bool = False  # COMPLETE with less than its quantity filled, or REJECTED with fills

    @property
    def changed(self) -> bool:
        """True if there is anything to store beside the time of the read."""
        return bool(self.events) or self.fill_delta > 0


def observe(intent: IntentView, order: BrokerOrder) -> Observation:
    """Reads one broker row about ``intent``. Pure, and total: any row gives an Observation, never an exception."""
    filled = max(intent.filled_quantity, order.filled_quantity)
    events = tuple(_events(intent, order))
    state = intent.state
    for event in events:
        state = apply(state, event)
    regression = _is_regression(intent, order, state)
    fell = order.filled_quantity < intent.filled_quantity
    return Observation(
        state=state,
        events=events,
        filled_quantity=filled,
        fill_delta=filled - intent.filled_quantity,
        average_price=_average(intent, order),
        broker_status=order.status,
        broker_order_id=order.broker_order_id,
        late=IntentEvent.FOUND in events and is_late(intent.state),
        ignored=not events and filled == intent.filled_quantity,
        regression=regression,
        corrected=intent.state.is_terminal and state.is_terminal and state is not intent.state and not _found(events),
        fill_fell=fell,
        overfill=filled > max(intent.quantity, order.quantity),
        quantity_changed=order.quantity != intent.quantity,
        unknown_status=not is_known_status(order.status),
        inconsistent=_is_inconsistent(order),
    )


def _events(intent: IntentView, order: BrokerOrder) -> Iterator[IntentEvent]:
    state = intent.state
    if is_adoptable(state):
        yield IntentEvent.FOUND
        state = apply(state, IntentEvent.FOUND)
    event = event_of_status(order.status, filled=order.filled_quantity)
    if event is None or not can(state, event):
        return
    if apply(state, event) is state or not _brings_news(intent, order, state):
        return
    yield event


def _brings_news(intent: IntentView, order: BrokerOrder, state: IntentState) -> bool:
    """A final word is replaced only by one with more fills; a row with fewer fills than ours is an old one."""
    if state.is_terminal:
        return order.filled_quantity > intent.filled_quantity
    return order.filled_quantity >= intent.filled_quantity or order.is_final


def _is_regression(intent: IntentView, order: BrokerOrder, state: IntentState) -> bool:
    """Only what contradicts a broker's final word; a row with fewer fills and an open status is merely old."""
    if intent.state not in (_S.FILLED, _S.CANCELLED, _S.REJECTED) or state is not intent.state:
        return False
    event = event_of_status(order.status, filled=order.filled_quantity)
    says = _BROKER_WORDS.get(event) if event is not None else None
    if says is intent.state:
        return False
    return order.is_final or order.filled_quantity >= intent.filled_quantity


def _average(intent: IntentView, order: BrokerOrder) -> Decimal | None:
    if order.filled_quantity > 0 and order.filled_quantity >= intent.filled_quantity and order.average_price > 0:
        return order.average_price
    return intent.average_price


def _is_inconsistent(order: BrokerOrder) -> bool:
    if order.status == BrokerOrderStatus.COMPLETE:
        return order.filled_quantity < order.quantity
    return order.status == BrokerOrderStatus.REJECTED and order.filled_quantity > 0


def _found(events: tuple[IntentEvent, ...]) -> bool:
    return IntentEvent.FOUND in events


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field of the read-back that is not what was sent."""

    field: str
    sent: str
    found: str


def compare_sent(sent: PlaceOrder, order: BrokerOrder) -> tuple[FieldDifference, ...]:
    """What differs between what we sent and what the broker holds; empty is a match (FAULTS 0.8).

    Only for the first read-back after our own send: a later change made elsewhere is not a mismatch (A29).
    """
    exchange, tradingsymbol = split_symbol(sent.symbol)
    found_exchange, _, found_symbol = order.symbol.partition(":")
    pairs: tuple[tuple[str, str | int, str | int], ...] = (
        ("exchange", exchange, found_exchange),
        ("symbol", tradingsymbol, found_symbol),
        ("side", sent.side.value, order.side),
        ("quantity", sent.quantity, order.quantity),
        ("product", sent.product.value, order.product),
        ("order_type", sent.order_type.value, order.order_type),
    )
    different = [FieldDifference(name, str(ours), str(theirs)) for name, ours, theirs in pairs if ours != theirs]
    different += _price_differences(sent, order)
    if not order.bears(sent.tag):
        different.append(FieldDifference("tag", sent.tag, order.tag or ",".join(order.tags)))
    return tuple(different)


def _price_differences(sent: PlaceOrder, order: BrokerOrder) -> Iterator[FieldDifference]:
    if sent.order_type.has_limit and sent.limit_price != order.price:
        yield FieldDifference("limit_price", str(sent.limit_price), str(order.price))
    if sent.order_type.has_trigger and sent.trigger_price != order.trigger_price:
        yield FieldDifference("trigger_price", str(sent.trigger_price), str(order.trigger_price))
