"""The placement state machine: legal moves only, fills never fall, what is final stays final."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import FINAL_STATUSES, BrokerOrderStatus, OrderType
from execution.domain import IntentState as S
from execution.lifecycle import (
    TRANSITIONS,
    FieldDifference,
    IllegalTransition,
    apply,
    can,
    compare_sent,
    event_of_status,
    is_known_status,
    is_late,
    observe,
    sources_of,
)
from execution.lifecycle import IntentEvent as E
from tests.execution.values import broker_order, place, view

PATHS = [
    (S.PREPARED, E.CLAIMED, S.SENDING),
    (S.NOT_SENT, E.CLAIMED, S.SENDING),
    (S.PREPARED, E.DENIED, S.DENIED),
    (S.SENDING, E.DENIED, S.DENIED),
    (S.PREPARED, E.EXPIRED, S.EXPIRED),
    (S.SENDING, E.ACKED, S.ACKED),
    (S.SENDING, E.NOT_SENT, S.NOT_SENT),
    (S.SENDING, E.REJECTED, S.REJECTED),
    (S.SENDING, E.OUTCOME_UNKNOWN, S.AMBIGUOUS),
    (S.AMBIGUOUS, E.FOUND, S.ACKED),
    (S.NOT_PLACED, E.FOUND, S.ACKED),
    (S.AMBIGUOUS, E.GAVE_UP, S.NOT_PLACED),
    (S.AMBIGUOUS, E.UNRESOLVED, S.NEEDS_REVIEW),
    (S.ACKED, E.WORKING, S.WORKING),
    (S.WORKING, E.FILLED, S.FILLED),
    (S.WORKING, E.CANCELLED, S.CANCELLED),
    (S.WORKING, E.REJECTED, S.REJECTED),
    (S.CANCELLED, E.FILLED, S.FILLED),
    (S.NEEDS_REVIEW, E.REVIEWED, S.NOT_PLACED),
]


@pytest.mark.parametrize(("state", "event", "target"), PATHS)
def test_allowed_moves(state, event, target):
    assert apply(state, event) is target


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (S.AMBIGUOUS, E.CLAIMED),  # never sent again
        (S.AMBIGUOUS, E.NOT_SENT),
        (S.NOT_PLACED, E.CLAIMED),
        (S.SENDING, E.CLAIMED),
        (S.SENDING, E.EXPIRED),
        (S.SENDING, E.GAVE_UP),
        (S.ACKED, E.DENIED),
        (S.WORKING, E.NOT_SENT),
        (S.FILLED, E.WORKING),
        (S.FILLED, E.CANCELLED),
        (S.CANCELLED, E.WORKING),
        (S.DENIED, E.CLAIMED),
        (S.EXPIRED, E.CLAIMED),
    ],
)
def test_what_is_not_in_the_table_raises_and_names_both(state, event):
    with pytest.raises(IllegalTransition) as raised:
        apply(state, event)
    assert (raised.value.state, raised.value.event) == (state, event)
    assert not can(state, event)


def test_a_send_starts_only_from_prepared_or_proven_not_sent():
    assert set(sources_of(E.CLAIMED)) == {S.PREPARED, S.NOT_SENT}


def test_filled_has_no_way_out():
    assert [pair for pair in TRANSITIONS if pair[0] is S.FILLED] == []


def test_every_state_can_be_reached_and_left_or_is_terminal():
    assert set(TRANSITIONS.values()) | {S.PREPARED} == set(S)
    assert {state for state in S if not state.is_terminal} <= {state for state, _ in TRANSITIONS}


@pytest.mark.parametrize(
    ("status", "filled", "event"),
    [
        ("PUT ORDER REQ RECEIVED", 0, None),
        ("VALIDATION PENDING", 0, None),
        ("OPEN PENDING", 0, None),
        ("OPEN PENDING", 3, E.WORKING),
        ("OPEN", 0, E.WORKING),
        ("TRIGGER PENDING", 0, E.WORKING),
        ("MODIFY PENDING", 0, E.WORKING),
        ("CANCEL PENDING", 0, E.WORKING),
        ("NOT CANCELLED", 0, E.WORKING),
        ("AMO REQ RECEIVED", 0, E.WORKING),
        ("COMPLETE", 10, E.FILLED),
        ("CANCELLED", 4, E.CANCELLED),
        ("REJECTED", 0, E.REJECTED),
        ("SOME NEW WORD", 0, None),
        ("SOME NEW WORD", 1, E.WORKING),
        ("", 0, None),
    ],
)
def test_the_brokers_words(status, filled, event):
    assert event_of_status(status, filled=filled) is event


def test_every_documented_word_is_known_and_others_are_not():
    assert all(is_known_status(word.value) for word in BrokerOrderStatus)
    assert not is_known_status("complete")


def test_partial_fill_then_cancel_keeps_the_fill():
    partial = observe(view(), broker_order(filled_quantity=4, average_price=Decimal("1499.5")))
    assert (partial.state, partial.filled_quantity, partial.fill_delta) == (S.WORKING, 4, 4)
    after = view(state=partial.state, filled_quantity=4, average_price=partial.average_price)
    done = observe(after, broker_order(status="CANCELLED", filled_quantity=4, average_price=Decimal("1499.5")))
    assert (done.state, done.filled_quantity, done.fill_delta) == (S.CANCELLED, 4, 0)
    assert done.average_price == Decimal("1499.5")


def test_a_repeated_word_is_ignored():
    seen = observe(view(state=S.WORKING), broker_order())
    assert (seen.events, seen.ignored, seen.changed) == ((), True, False)


def test_an_old_row_after_the_end_is_ignored_and_no_regression():
    seen = observe(view(state=S.FILLED, filled_quantity=10), broker_order(filled_quantity=3))
    assert (seen.state, seen.filled_quantity, seen.ignored) == (S.FILLED, 10, True)
    assert (seen.regression, seen.fill_fell) == (False, True)


@pytest.mark.parametrize("status", ["OPEN", "CANCELLED", "REJECTED"])
def test_a_broker_that_takes_back_complete_is_reported_and_nothing_changes(status):
    seen = observe(view(state=S.FILLED, filled_quantity=10), broker_order(status=status, filled_quantity=10))
    assert (seen.state, seen.regression, seen.events) == (S.FILLED, True, ())


def test_a_cancelled_order_that_opens_again_is_a_regression():
    seen = observe(view(state=S.CANCELLED), broker_order(status="OPEN"))
    assert (seen.state, seen.regression) == (S.CANCELLED, True)


def test_a_fill_that_arrives_after_cancelled_beats_the_cancel():
    seen = observe(view(state=S.CANCELLED, filled_quantity=3), broker_order(status="COMPLETE", filled_quantity=10))
    assert (seen.state, seen.fill_delta, seen.corrected, seen.regression) == (S.FILLED, 7, True, False)


def test_an_ambiguous_intent_is_adopted_and_moved_on_in_one_look():
    seen = observe(view(state=S.AMBIGUOUS), broker_order(status="COMPLETE", filled_quantity=10))
    assert seen.events == (E.FOUND, E.FILLED)
    assert (seen.state, seen.late) == (S.FILLED, False)


@pytest.mark.parametrize("state", [S.NOT_PLACED, S.NOT_SENT, S.EXPIRED, S.DENIED, S.PREPARED])
def test_an_order_found_after_our_verdict_is_adopted_as_late(state):
    seen = observe(view(state=state), broker_order(status="OPEN"))
    assert (seen.state, seen.late) == (S.WORKING, True)
    assert is_late(state)


def test_unknown_word_goes_on_and_is_flagged():
    seen = observe(view(), broker_order(status="HALF OPEN"))
    assert (seen.state, seen.unknown_status, seen.ignored) == (S.ACKED, True, True)


def test_overfill_and_a_quantity_changed_elsewhere_are_told_apart():
    over = observe(view(), broker_order(status="COMPLETE", filled_quantity=12))
    assert (over.overfill, over.filled_quantity) == (True, 12)
    changed = observe(view(), broker_order(status="COMPLETE", quantity=12, filled_quantity=12))
    assert (changed.overfill, changed.quantity_changed) == (False, True)


def test_complete_with_less_than_its_quantity_is_inconsistent():
    assert observe(view(), broker_order(status="COMPLETE", filled_quantity=9)).inconsistent
    assert not observe(view(), broker_order(status="COMPLETE", filled_quantity=10)).inconsistent


STATUSES = st.sampled_from([*(word.value for word in BrokerOrderStatus), "NEW WORD", ""])
ROWS = st.builds(
    lambda status, filled, quantity: broker_order(
        status=status, filled_quantity=filled, quantity=quantity, average_price=Decimal("1500")
    ),
    STATUSES,
    st.integers(0, 12),
    st.sampled_from([10, 10, 12]),
)


@given(st.sampled_from(list(S)), st.lists(ROWS, max_size=12))
def test_any_sequence_of_rows_makes_legal_moves_only(state, rows):
    intent = view(state=state)
    for row in rows:
        seen = observe(intent, row)
        reached = intent.state
        for event in seen.events:
            reached = TRANSITIONS[reached, event]
        assert reached is seen.state
        assert seen.filled_quantity >= intent.filled_quantity
        assert seen.fill_delta == seen.filled_quantity - intent.filled_quantity
        if intent.state.is_terminal and not seen.late:
            assert seen.state.is_terminal
            assert (seen.state is intent.state) != seen.corrected
        if intent.state is S.FILLED:
            assert seen.state is S.FILLED
        intent = view(state=seen.state, filled_quantity=seen.filled_quantity, average_price=seen.average_price)


@given(st.lists(ROWS, max_size=8), st.sampled_from(sorted(FINAL_STATUSES)))
def test_an_honest_last_word_settles_the_order_whatever_came_before(rows, word):
    intent = view()
    for row in rows:
        if not row.is_final:
            seen = observe(intent, row)
            intent = view(state=seen.state, filled_quantity=seen.filled_quantity)
    last = observe(intent, broker_order(status=word, filled_quantity=intent.filled_quantity))
    assert last.state.value == {"COMPLETE": "FILLED"}.get(word, word)
    assert observe(
        view(state=last.state, filled_quantity=last.filled_quantity),
        broker_order(status=word, filled_quantity=intent.filled_quantity),
    ).ignored


def test_read_back_equal_is_no_difference():
    assert compare_sent(place(), broker_order(tags=("ST0",))) == ()


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"symbol": "BSE:INFY"}, ("exchange", "NSE", "BSE")),
        ({"symbol": "NSE:TCS"}, ("symbol", "INFY", "TCS")),
        ({"side": "SELL"}, ("side", "BUY", "SELL")),
        ({"quantity": 1}, ("quantity", "10", "1")),
        ({"product": "MIS"}, ("product", "CNC", "MIS")),
        ({"order_type": "MARKET"}, ("order_type", "LIMIT", "MARKET")),
        ({"price": Decimal("1501")}, ("limit_price", "1500", "1501")),
        ({"tag": "OTHER"}, ("tag", "ST0", "OTHER")),
    ],
)
def test_read_back_names_what_differs(fields, difference):
    row = broker_order(**{"tag": "ST0"} | fields)
    assert compare_sent(place(), row) == (FieldDifference(*difference),)


def test_read_back_compares_the_trigger_of_a_stop_only():
    stop = place(order_type=OrderType.SL, trigger_price=Decimal("1490"))
    row = broker_order(tag="ST0", order_type="SL", trigger_price=Decimal("1491"))
    assert compare_sent(stop, row) == (FieldDifference("trigger_price", "1490", "1491"),)
    assert compare_sent(place(), broker_order(tag="ST0", trigger_price=Decimal("7"))) == ()
