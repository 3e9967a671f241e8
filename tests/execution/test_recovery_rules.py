"""Look-up schedule, verdicts, matching by tag, and what a plan's legs make of its card and trace."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import Product, Side
from execution.domain import CardState, CommandState
from execution.domain import IntentState as S
from execution.recovery_rules import (
    LOOKUP_SCHEDULE_S,
    LegResult,
    MatchKind,
    card_state,
    card_state_of_commands,
    is_exhausted,
    is_settled,
    match_by_tag,
    may_still_send,
    merge_children,
    next_lookup,
    next_poll,
    outcome_of_commands,
    plan_outcome,
)
from sigmatrader.audit.vocabulary import TraceOutcome
from tests.execution.values import NOW, broker_order

TAG = "ST" + "0" * 18


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def test_the_schedule_is_eleven_lookups_over_three_minutes():
    due = [next_lookup(n, unknown_since=NOW) for n in range(12)]
    assert [(at - NOW).total_seconds() for at in due[:11]] == [0.5, 1, 2, 4, 8, 15, 30, 60, 90, 120, 180]
    assert due[11] is None


@pytest.mark.parametrize(("lookups", "after", "over"), [(11, 180, True), (11, 179.9, False), (10, 500, False)])
def test_not_placed_needs_every_miss_and_all_the_time(lookups, after, over):
    assert is_exhausted(lookups, unknown_since=NOW, now=NOW + seconds(after)) is over


@pytest.mark.parametrize(
    ("polls", "age", "delay"), [(0, 0, 0.15), (1, 1, 0.3), (2, 1, 0.5), (3, 2, 1), (40, 31, 2), (400, 301, 5)]
)
def test_polling_slows_down(polls, age, delay):
    now = NOW + seconds(age)
    assert next_poll(polls, working_since=NOW, now=now) - now == seconds(delay)


@pytest.mark.parametrize(("age", "allowed"), [(0, True), (4.99, True), (5, False), (-0.1, False)])
def test_a_send_is_not_begun_late_or_from_the_future(age, allowed):
    assert may_still_send(sending_at=NOW, now=NOW + seconds(age)) is allowed


def match(*orders, quantity=10):
    return match_by_tag(
        TAG, orders, symbol="NSE:INFY", side=Side.BUY, quantity=quantity, product=Product.CNC, since=NOW
    )


def test_no_row_with_the_tag():
    assert match(broker_order(tag="other"), broker_order()).kind is MatchKind.NONE


def test_an_empty_tag_matches_nothing():
    assert (
        match_by_tag(
            "", [broker_order()], symbol="NSE:INFY", side=Side.BUY, quantity=10, product=Product.CNC, since=NOW
        ).kind
        is MatchKind.NONE
    )


def test_one_row_in_tag_or_in_tags():
    for row in (broker_order(tag=TAG), broker_order(tags=("x", TAG))):
        found = match(row)
        assert (found.kind, found.order, found.mismatched) == (MatchKind.ONE, row, False)


@pytest.mark.parametrize(
    "fields",
    [{"symbol": "NSE:TCS"}, {"side": "SELL"}, {"product": "MIS"}, {"quantity": 11}, {"placed_at": NOW - seconds(61)}],
)
def test_a_row_for_something_else_is_adopted_and_reported(fields):
    found = match(broker_order(tag=TAG, **fields))
    assert (found.kind, found.mismatched) == (MatchKind.ONE, True)


def test_a_brokers_clock_behind_ours_is_no_mismatch():
    assert not match(broker_order(tag=TAG, placed_at=NOW - seconds(59))).mismatched


def test_two_unrelated_orders_with_one_tag():
    found = match(broker_order(tag=TAG), broker_order(tag=TAG, broker_order_id="2"))
    assert (found.kind, found.order, len(found.rows)) == (MatchKind.DUPLICATE, None, 2)


def test_slices_of_one_parent_are_one_order():
    rows = [
        broker_order(
            tag=TAG,
            broker_order_id=str(n),
            parent_order_id="P",
            quantity=5,
            filled_quantity=filled,
            status=status,
            average_price=Decimal(price),
        )
        for n, filled, status, price in ((1, 5, "COMPLETE", "1500"), (2, 2, "CANCELLED", "1507"))
    ]
    found = match(*rows)
    assert (found.kind, found.mismatched) == (MatchKind.CHILDREN, False)
    assert found.order is not None
    assert (found.order.broker_order_id, found.order.quantity, found.order.filled_quantity) == ("P", 10, 7)
    assert (found.order.status, found.order.average_price) == ("CANCELLED", Decimal("1502"))


def test_a_parent_that_sums_its_slices_is_not_counted_twice():
    parent = broker_order(tag=TAG, broker_order_id="P", quantity=10)
    slices = [broker_order(tag=TAG, broker_order_id=str(n), parent_order_id="P", quantity=5) for n in (1, 2)]
    merged = merge_children([parent, *slices])
    assert (merged.broker_order_id, merged.quantity, merged.status) == ("P", 10, "OPEN")


def test_merging_nothing_raises():
    with pytest.raises(ValueError, match="no rows"):
        merge_children([])


def legs(*states, filled=0):
    return [LegResult(state, 10, filled) for state in states]


@pytest.mark.parametrize(
    ("rows", "card", "outcome"),
    [
        (legs(S.PREPARED), CardState.APPROVED, None),
        (legs(S.SENDING), CardState.EXECUTING, None),
        (legs(S.AMBIGUOUS, S.FILLED), CardState.EXECUTING, None),
        (legs(S.FILLED, S.PREPARED), CardState.EXECUTING, None),
        (legs(S.FILLED, filled=10), CardState.DONE, TraceOutcome.FILLED),
        (legs(S.FILLED, S.REJECTED), CardState.PARTLY_FILLED, TraceOutcome.PARTLY_FILLED),
        (legs(S.CANCELLED, filled=4), CardState.PARTLY_FILLED, TraceOutcome.PARTLY_FILLED),
        (legs(S.CANCELLED), CardState.FAILED, TraceOutcome.CANCELLED),
        (legs(S.REJECTED), CardState.FAILED, TraceOutcome.REJECTED),
        (legs(S.DENIED), CardState.DENIED, TraceOutcome.DENIED),
        (legs(S.EXPIRED), CardState.EXPIRED, TraceOutcome.EXPIRED),
        (legs(S.NOT_PLACED), CardState.FAILED, TraceOutcome.NOT_PLACED),
        (legs(S.NOT_SENT), CardState.FAILED, TraceOutcome.FAILED),
        (legs(S.NEEDS_REVIEW), CardState.FAILED, TraceOutcome.NEEDS_REVIEW),
    ],
)
def test_card_and_outcome_of_a_plan(rows, card, outcome):
    assert card_state(rows) is card
    assert plan_outcome(rows) is outcome


@given(st.lists(st.sampled_from(list(S)), min_size=1, max_size=4))
def test_a_trace_has_an_outcome_exactly_when_its_card_is_decided(states):
    decided = card_state(legs(*states)) not in (CardState.APPROVED, CardState.EXECUTING)
    assert decided is all(is_settled(state) for state in states)
    assert decided is (plan_outcome(legs(*states)) is not None)


@pytest.mark.parametrize(
    ("states", "card", "cancelled", "changed"),
    [
        ([CommandState.PREPARED], CardState.APPROVED, None, None),
        ([CommandState.UNKNOWN, CommandState.DONE], CardState.EXECUTING, None, None),
        ([CommandState.DONE], CardState.DONE, TraceOutcome.CANCELLED, TraceOutcome.CHANGED),
        ([CommandState.TOO_LATE], CardState.FAILED, TraceOutcome.FAILED, TraceOutcome.FAILED),
        ([CommandState.DENIED], CardState.DENIED, TraceOutcome.DENIED, TraceOutcome.DENIED),
    ],
)
def test_card_and_outcome_of_commands(states, card, cancelled, changed):
    assert card_state_of_commands(states) is card
    assert outcome_of_commands(states, cancel=True) is cancelled
    assert outcome_of_commands(states, cancel=False) is changed


def test_nothing_has_no_card_state():
    with pytest.raises(ValueError, match="legs"):
        card_state([])
    with pytest.raises(ValueError, match="commands"):
        card_state_of_commands([])
    assert plan_outcome([]) is None
    assert len(LOOKUP_SCHEDULE_S) == 11
