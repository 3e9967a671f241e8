"""A modify or cancel: one send, then the order's rows decide."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import ModifyOrder, OrderType, Validity, Variety
from execution.commands import COMMAND_TRANSITIONS, Wanted, apply_command, is_settled, settle, wanted_of
from execution.commands import CommandEvent as E
from execution.domain import CommandState as S
from execution.lifecycle import IllegalTransition
from risk.domain import RequestKind
from tests.execution.values import broker_order

CANCEL = Wanted(RequestKind.CANCEL)
MODIFY = wanted_of(ModifyOrder("1", Variety.REGULAR, OrderType.LIMIT, 20, Validity.DAY, limit_price=Decimal("1490")))


@pytest.mark.parametrize(
    ("state", "event", "target"),
    [
        (S.PREPARED, E.CLAIMED, S.SENDING),
        (S.SENDING, E.ACKED, S.ACKED),
        (S.SENDING, E.REFUSED, S.FAILED),
        (S.SENDING, E.OUTCOME_UNKNOWN, S.UNKNOWN),
        (S.ACKED, E.TOO_LATE, S.TOO_LATE),
        (S.UNKNOWN, E.DONE, S.DONE),
        (S.FAILED, E.TOO_LATE, S.TOO_LATE),
    ],
)
def test_allowed_moves(state, event, target):
    assert apply_command(state, event) is target


@pytest.mark.parametrize(("state", "event"), [(S.UNKNOWN, E.CLAIMED), (S.DONE, E.FAILED), (S.ACKED, E.CLAIMED)])
def test_a_command_is_never_repeated_and_a_done_one_stays(state, event):
    with pytest.raises(IllegalTransition):
        apply_command(state, event)


@pytest.mark.parametrize(
    ("statuses", "event"),
    [
        ([], None),
        (["OPEN"], None),
        (["OPEN", "CANCEL PENDING"], None),
        (["CANCEL PENDING", "CANCELLED"], E.DONE),
        (["CANCEL PENDING", "COMPLETE"], E.TOO_LATE),
        (["NOT CANCELLED", "COMPLETE"], E.TOO_LATE),
        (["REJECTED"], E.TOO_LATE),
        (["CANCEL PENDING", "NOT CANCELLED", "OPEN"], E.FAILED),
    ],
)
def test_a_cancel_is_settled_by_the_rows(statuses, event):
    assert settle(CANCEL, [broker_order(status=status) for status in statuses]) is event


NEW = {"quantity": 20, "price": Decimal("1490")}


@pytest.mark.parametrize(
    ("rows", "event"),
    [
        ([broker_order()], None),
        ([broker_order(status="MODIFY PENDING", **NEW)], None),
        ([broker_order(**NEW)], E.DONE),
        ([broker_order(status="COMPLETE", **NEW)], E.DONE),
        ([broker_order(status="COMPLETE")], E.TOO_LATE),
        ([broker_order(status="NOT MODIFIED"), broker_order()], E.FAILED),
        ([broker_order(quantity=20)], None),
    ],
)
def test_a_modify_is_settled_by_the_values_the_order_has(rows, event):
    assert settle(MODIFY, rows) is event


@given(st.sampled_from(list(S)), st.lists(st.sampled_from(list(E)), max_size=8))
def test_a_command_is_sent_once_unless_proven_not_sent(state, events):
    sends = 0
    for event in events:
        if (state, event) not in COMMAND_TRANSITIONS:
            continue
        before, state = state, apply_command(state, event)
        sends += event is E.CLAIMED
        if before is not S.NOT_SENT and event is E.CLAIMED:
            assert sends == 1
        if is_settled(before):
            assert is_settled(state)
