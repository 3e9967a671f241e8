"""Cancelling an order that was sliced cancels its living slices too, each once (FAULTS A27)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from execution import follower, poller
from execution.domain import IntentKind, TradeIntent
from execution.models import Order, OrderCommand, OrderIntent
from tests.execution.api import key, utcnow
from tests.execution.working import outcome, sent
from tests.support.fake_broker import Outcome, stays_open

pytestmark = pytest.mark.django_db


@pytest.fixture
def sliced(working, broker, connection, monkeypatch):
    """A working order of ours with three slices at the broker: one filled, two open."""
    order = working(quantity=30)
    parent = broker._row(next(iter(broker._orders.values())))
    rows = [
        replace(parent, broker_order_id=f"9{n}", parent_order_id=parent.broker_order_id, quantity=10, tag="", tags=(),
                filled_quantity=filled, pending_quantity=10 - filled, status=status)
        for n, filled, status in ((1, 10, "COMPLETE"), (2, 0, "OPEN"), (3, 4, "OPEN"))
    ]  # fmt: skip
    for n, row in enumerate(rows, 2):
        broker._orders[row.broker_order_id] = replace_live(broker, parent, row, n)
    poller.poll_connection(connection.id, now=utcnow())
    assert Order.objects.filter(parent_order_id=parent.broker_order_id).count() == 3
    return order, parent.broker_order_id


def replace_live(broker, parent, row, n):
    """A stand-in order of the fake with this row as its present state."""
    live = broker._orders[parent.broker_order_id]
    twin = replace(live, order_id=row.broker_order_id)
    twin.steps, twin.history = type(live.steps)(), []
    twin.current = type(live.current)(row.status, row.filled_quantity)
    twin.request = replace(live.request, quantity=10, tag="")
    original = broker._row

    def as_row(asked):
        found = original(asked)
        child = asked.order_id in ("91", "92", "93")
        return replace(found, parent_order_id=parent.broker_order_id) if child else found

    broker._row = as_row if n == 2 else broker._row
    return twin


def test_a_cancel_goes_to_every_living_row_once(sliced, cancel, broker, follow):
    order, parent = sliced
    answer = cancel(order["id"])
    assert answer.status_code == 202, answer.content
    assert sorted(row.order for row in sent(broker, "cancel")) == sorted([parent, "92", "93"])
    commands = OrderCommand.objects.order_by("leg_n")
    assert [command.leg_n for command in commands] == [1, 2, 3]
    assert {command.order.broker_order_id for command in commands} == {parent, "92", "93"}
    assert len({command.authorization_id for command in commands}) == 1
    follow(8)
    assert {command.state for command in OrderCommand.objects.all()} == {"DONE"}
    assert outcome(commands[0]) == "cancelled"
    assert len(sent(broker, "cancel")) == 3


def test_cancel_all_names_each_row_once(sliced, trader_api, broker):
    _order, parent = sliced
    body = {"state": "REDUCING", "reason": "enough", "cancel_open": True}
    answer = trader_api.post("/api/kill-switch", body, format="json", **key())
    assert answer.status_code == 200, answer.content
    assert sorted(row.order for row in sent(broker, "cancel")) == sorted([parent, "92", "93"])


def test_an_order_alone_is_cancelled_alone(working, cancel, broker):
    order = working()
    cancel(order["id"])
    assert len(sent(broker, "cancel")) == 1
    assert OrderCommand.objects.count() == 1


def test_a_card_shows_every_row_it_would_cancel(sliced, make_card):
    order, parent = sliced
    card = make_card(TradeIntent(kind=IntentKind.CANCEL, order_ids=(order["id"],), text="cancel it"))
    assert card.plan is not None
    assert [leg in card.plan.document for leg in (f'"{parent}"', '"92"', '"93"', '"91"')] == [True, True, True, False]


def test_a_hint_makes_open_orders_due_at_once(make_card, approve, connection, broker, clock, sweep):
    broker.script(Outcome.ACK, statuses=stays_open())
    (row,) = approve(make_card()).intents
    sweep(6)
    OrderIntent.objects.update(next_check_at=utcnow() + (utcnow() - utcnow().replace(hour=0)))
    follower.look_now(connection.id)
    assert OrderIntent.objects.get(pk=row.pk).next_check_at == utcnow()


def test_a_hint_leaves_an_unknown_outcome_its_schedule(make_card, approve, connection, broker):
    broker.script(Outcome.UNKNOWN_ACCEPTED)
    (row,) = approve(make_card()).intents
    follower.look_now(connection.id)
    assert OrderIntent.objects.get(pk=row.pk).next_check_at == row.next_check_at


def test_execution_is_told_of_hints():
    from broker import hints

    assert follower.look_now in hints._told
