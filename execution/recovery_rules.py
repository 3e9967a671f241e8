"""When to look again, when to give up, and which rows of the broker's book are ours: the rules of recovery as values.

The look-up schedule and the verdicts are those of FAULTS 0.6; seconds everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from broker.domain import BrokerOrder, BrokerOrderStatus, Product, Side
from execution.domain import CardState, CommandState, IntentState
from sigmatrader.audit.vocabulary import TraceOutcome

LOOKUP_SCHEDULE_S: tuple[float, ...] = (0.5, 1, 2, 4, 8, 15, 30, 60, 90, 120, 180)
SENDING_MAX_AGE_S = 5.0  # a send not begun within this time of its commit is not begun any more (FAULTS 0.7)
SEND_LEASE_S = 6.0  # a sender silent for that long is looked up, not sent again; its late ack is still a hint
POLL_LEASE_S = 8.0  # a poller that died is replaced within 10 s (FAULTS A20)
# Our clock and the broker's differ, and its times have whole seconds: an order may look that much older than it is.
CLOCK_TOLERANCE_S = 60.0
_FAST_POLLS_S = (0.15, 0.3, 0.5)
_STEADY_POLL_S = 1.0
_SLOW_POLL_S = 2.0
_IDLE_POLL_S = 5.0
_SLOW_AFTER_S = 30.0
_IDLE_AFTER_S = 300.0


def next_lookup(lookups: int, *, unknown_since: datetime) -> datetime | None:
    """When the look-up after ``lookups`` valid ones is due; None once the schedule is through."""
    if lookups >= len(LOOKUP_SCHEDULE_S):
        return None
    return unknown_since + timedelta(seconds=LOOKUP_SCHEDULE_S[lookups])


def is_exhausted(lookups: int, *, unknown_since: datetime, now: datetime) -> bool:
    """True when absence is proven: every look-up missed and the last delay has passed. Only then NOT_PLACED."""
    waited = (now - unknown_since).total_seconds()
    return lookups >= len(LOOKUP_SCHEDULE_S) and waited >= LOOKUP_SCHEDULE_S[-1]


def next_poll(polls: int, *, working_since: datetime, now: datetime) -> datetime:
    """When a working order is read again: at once after the ack, then each second, more rarely as it rests."""
    age = (now - working_since).total_seconds()
    if polls < len(_FAST_POLLS_S):
        delay = _FAST_POLLS_S[polls]
    elif age < _SLOW_AFTER_S:
        delay = _STEADY_POLL_S
    else:
        delay = _SLOW_POLL_S if age < _IDLE_AFTER_S else _IDLE_POLL_S
    return now + timedelta(seconds=delay)


def may_still_send(*, sending_at: datetime, now: datetime) -> bool:
    """False when SENDING was committed too long ago, or in the future: the holder slept, or clocks jumped."""
    age = (now - sending_at).total_seconds()
    return 0 <= age < SENDING_MAX_AGE_S


class MatchKind(StrEnum):
    NONE = "none"
    ONE = "one"
    CHILDREN = "children"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Match:
    """What a whole order book says of one tag. ``order`` is the row to adopt; ``rows`` is all that bear the tag.

    ``mismatched`` tells that a row bears the tag and is for something else: it is adopted, and reported.
    """

    kind: MatchKind
    order: BrokerOrder | None = None
    rows: tuple[BrokerOrder, ...] = ()
    mismatched: bool = False


def match_by_tag(
    tag: str,
    orders: Sequence[BrokerOrder],
    *,
    symbol: str,
    side: Side,
    quantity: int,
    product: Product,
    since: datetime,
) -> Match:
    """Looks for our order in a complete, valid book. Tags are matched in ``tag`` and ``tags`` (FAULTS 0.4).

    Slices and iceberg legs that share a parent, or are each other's parent and child, are one order (A27).
    """
    rows = tuple(order for order in orders if tag and order.bears(tag))
    if not rows:
        return Match(MatchKind.NONE)
    wrong = any(not _is_for(row, symbol=symbol, side=side, product=product, since=since) for row in rows)
    if len(rows) == 1:
        return Match(MatchKind.ONE, rows[0], rows, mismatched=wrong or rows[0].quantity > quantity)
    if wrong or not _are_one_family(rows):
        return Match(MatchKind.DUPLICATE, None, rows, mismatched=wrong)
    merged = merge_children(rows)
    return Match(MatchKind.CHILDREN, merged, rows, mismatched=merged.quantity > quantity)


def _is_for(order: BrokerOrder, *, symbol: str, side: Side, product: Product, since: datetime) -> bool:
    fresh = order.placed_at is None or order.placed_at >= since - timedelta(seconds=CLOCK_TOLERANCE_S)
    return fresh and (order.symbol, order.side, order.product) == (symbol, side.value, product.value)


def _are_one_family(rows: Sequence[BrokerOrder]) -> bool:
    roots = {row.parent_order_id or row.broker_order_id for row in rows}
    return len(roots) == 1


def merge_children(rows: Sequence[BrokerOrder]) -> BrokerOrder:
    """One row for a family: quantities and fills summed, average weighted by fills, final only when all are.

    A parent that only stands for its slices (quantity = their sum) is not counted twice. Raises ValueError for no rows.
    """
    if not rows:
        raise ValueError("there are no rows to merge")
    counted = _without_summary(rows)
    filled = sum(row.filled_quantity for row in counted)
    paid = sum((row.average_price * row.filled_quantity for row in counted), Decimal(0))
    first = min(rows, key=lambda row: (bool(row.parent_order_id), row.broker_order_id))
    return replace(
        first,
        broker_order_id=first.parent_order_id or first.broker_order_id,
        quantity=sum(row.quantity for row in counted),
        filled_quantity=filled,
        pending_quantity=sum(row.pending_quantity for row in counted),
        cancelled_quantity=sum(row.cancelled_quantity for row in counted),
        average_price=paid / filled if filled else Decimal(0),
        status=_merged_status(counted),
        status_message=next((row.status_message for row in counted if row.status_message), ""),
    )


def _without_summary(rows: Sequence[BrokerOrder]) -> Sequence[BrokerOrder]:
    children = [row for row in rows if row.parent_order_id]
    parents = [row for row in rows if not row.parent_order_id]
    if children and len(parents) == 1 and parents[0].quantity == sum(row.quantity for row in children):
        return children
    return rows


def _merged_status(rows: Sequence[BrokerOrder]) -> str:
    """The family's word: open while one is, COMPLETE when all are, else what ended the rest."""
    open_rows = [row for row in rows if not row.is_final]
    if open_rows:
        return open_rows[0].status
    words = {row.status for row in rows}
    if len(words) == 1:
        return words.pop()
    return BrokerOrderStatus.CANCELLED.value


@dataclass(frozen=True, slots=True)
class LegResult:
    """How far one leg of a plan has come."""

    state: IntentState
    quantity: int
    filled_quantity: int = 0


def is_settled(state: IntentState) -> bool:
    """True when nothing will move by itself any more: final, proven not sent, or waiting for a person."""
    return state.is_terminal or state in (IntentState.NOT_SENT, IntentState.NEEDS_REVIEW)


def card_state(legs: Sequence[LegResult]) -> CardState:
    """The card of an approved plan, from its legs. Raises ValueError for none."""
    if not legs:
        raise ValueError("a plan that places has legs")
    states = {leg.state for leg in legs}
    if states == {IntentState.PREPARED}:
        return CardState.APPROVED
    if not all(is_settled(state) for state in states):
        return CardState.EXECUTING
    if states == {IntentState.FILLED}:
        return CardState.DONE
    if any(leg.filled_quantity > 0 or leg.state is IntentState.FILLED for leg in legs):
        return CardState.PARTLY_FILLED
    if states == {IntentState.DENIED}:
        return CardState.DENIED
    return CardState.EXPIRED if states == {IntentState.EXPIRED} else CardState.FAILED


# What a plan without a fill came to, worst news first: the first state found among its legs names the outcome.
_OUTCOME_ORDER: tuple[tuple[IntentState, TraceOutcome], ...] = (
    (IntentState.REJECTED, TraceOutcome.REJECTED),
    (IntentState.DENIED, TraceOutcome.DENIED),
    (IntentState.NOT_PLACED, TraceOutcome.NOT_PLACED),
    (IntentState.NOT_SENT, TraceOutcome.FAILED),
    (IntentState.CANCELLED, TraceOutcome.CANCELLED),
    (IntentState.EXPIRED, TraceOutcome.EXPIRED),
)


def plan_outcome(legs: Sequence[LegResult]) -> TraceOutcome | None:
    """The trace's outcome once every leg has settled, else None. A leg a person must review comes before all else."""
    if not legs or not all(is_settled(leg.state) for leg in legs):
        return None
    states = {leg.state for leg in legs}
    if IntentState.NEEDS_REVIEW in states:
        return TraceOutcome.NEEDS_REVIEW
    if states == {IntentState.FILLED}:
        return TraceOutcome.FILLED
    if any(leg.filled_quantity > 0 or leg.state is IntentState.FILLED for leg in legs):
        return TraceOutcome.PARTLY_FILLED
    return next(outcome for state, outcome in _OUTCOME_ORDER if state in states)


_COMMANDS_UNDER_WAY = frozenset({CommandState.PREPARED, CommandState.SENDING, CommandState.ACKED, CommandState.UNKNOWN})


def card_state_of_commands(states: Sequence[CommandState]) -> CardState:
    """The card of an approved modify or cancel, from its commands. Raises ValueError for none."""
    if not states:
        raise ValueError("a plan that commands has commands")
    found = set(states)
    if found == {CommandState.PREPARED}:
        return CardState.APPROVED
    if found & _COMMANDS_UNDER_WAY:
        return CardState.EXECUTING
    if found == {CommandState.DONE}:
        return CardState.DONE
    return CardState.DENIED if found == {CommandState.DENIED} else CardState.FAILED


def outcome_of_commands(states: Sequence[CommandState], *, cancel: bool) -> TraceOutcome | None:
    """The trace's outcome once every command has settled, else None: cancelled, changed, denied or failed."""
    found = set(states)
    if not found or found & _COMMANDS_UNDER_WAY:
        return None
    if found == {CommandState.DONE}:
        return TraceOutcome.CANCELLED if cancel else TraceOutcome.CHANGED
    return TraceOutcome.DENIED if found == {CommandState.DENIED} else TraceOutcome.FAILED
