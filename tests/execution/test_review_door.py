"""Who is let out when: resumed work, modifies, and two approvals of one account at the same moment."""

from __future__ import annotations

import pytest

from broker.ports import BrokerUnavailable
from execution import approval, door, gathering, recovery
from execution.models import OrderCommand, OrderIntent, ReconciliationRun
from sigmatrader.audit.api.problems import Problem
from tests.execution.api import utcnow
from tests.execution.conftest import buy
from tests.execution.working import sent

pytestmark = pytest.mark.django_db
BOOKS = ("holdings", "positions", "orders", "trades", "margins")


@pytest.fixture
def unsent(make_card, approve, monkeypatch):
    """An approval whose process died right after its commit."""

    def make():
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
        card = make_card()
        approve(card)
        monkeypatch.undo()
        return OrderIntent.objects.get(plan=card.plan)

    return make


class TestResuming:
    def test_waits_for_a_reconciliation(self, unsent, broker, sweep):
        intent = unsent()
        ReconciliationRun.objects.all().delete()
        for part in BOOKS:
            broker.fail_read(part, BrokerUnavailable("starting"), times=1)
        assert sweep().resumed == 0
        assert broker.placed == []
        assert sweep().resumed == 1
        assert [order.tag for order in broker.placed] == [intent.tag]

    def test_what_ran_out_meanwhile_is_told_so(self, unsent, broker, sweep):
        intent = unsent()
        ReconciliationRun.objects.all().delete()
        for part in BOOKS:
            broker.fail_read(part, BrokerUnavailable("down"), times=9)
        sweep(step_s=301)
        intent.refresh_from_db()
        assert intent.state == "EXPIRED"
        assert broker.placed == []

    def test_a_cancel_does_not_wait(self, working, cancel, broker, sweep, monkeypatch):
        order = working()
        monkeypatch.setattr("execution.cancelling.door.send_command", lambda pk: OrderCommand.objects.get(pk=pk))
        cancel(order["id"])
        monkeypatch.undo()
        ReconciliationRun.objects.all().delete()
        for part in BOOKS:
            broker.fail_read(part, BrokerUnavailable("down"), times=9)
        sweep()
        assert len(sent(broker, "cancel")) == 1


def test_a_modify_carries_the_orders_value_along(working, modify, approve_card, broker, follow):
    """The day's limit counts what was ordered, as it stands."""
    order = working()
    assert approve_card(modify(order["id"], quantity=100)).status_code == 202
    follow(6)
    intent = OrderIntent.objects.get()
    assert (intent.quantity, intent.order_value) == (100, 150_000)


@pytest.mark.parametrize(("change", "state"), [({"is_active": False}, "DENIED"), ({"authorized": False}, "PREPARED")])
def test_a_modify_needs_a_connection_in_use(working, modify, trader, connection, broker, monkeypatch, change, state):
    card = modify(working()["id"], price="1499")
    monkeypatch.setattr(approval.door, "send_command", lambda pk: None)
    approval.approve_card(card["id"], user=trader, content_hash=card["content_hash"], now=utcnow())
    monkeypatch.undo()
    type(connection).objects.filter(pk=connection.pk).update(**change)
    assert door.send_command(OrderCommand.objects.get().id).state == state
    assert sent(broker, "modify") == []


class TestTwoApprovalsAtOnce:
    """Each passes alone; together they are above the limit on one symbol."""

    def test_the_second_to_commit_counts_the_first(self, make_card, trader, broker, monkeypatch):
        late, first = make_card(buy(90)), make_card(buy(91))
        look = gathering.look

        def overtaken(*args, **values):
            view = look(*args, **values)
            monkeypatch.setattr(gathering, "look", look)
            self.press(first, trader)
            return view

        monkeypatch.setattr(gathering, "look", overtaken)
        with pytest.raises(Problem) as refused:
            self.press(late, trader)
        assert (refused.value.code, refused.value.extra["denials"]) == ("RISK_DENIED", ["POSITION_MAX"])
        assert [order.quantity for order in broker.placed] == [91]

    def test_an_order_that_has_not_left_yet_counts(self, unsent, make_card, broker):
        unsent()
        OrderIntent.objects.update(quantity=180)
        assert make_card(buy(90)).plan.decision.denials == ["POSITION_MAX"]
        assert broker.sent == []

    def press(self, card, trader):
        return approval.approve_card(card.id, user=trader, content_hash=card.content_hash, now=utcnow())


def test_the_sweep_reads_before_it_sends(unsent, broker, sweep, monkeypatch):
    """What may be live is looked up first, so that a resumed order is judged beside it."""
    unsent()
    order = []
    poll, send = recovery.poller.poll_connection, recovery.door.send_intent
    monkeypatch.setattr(recovery, "_poll", lambda *args, **values: order.append("read"))
    monkeypatch.setattr(recovery.door, "send_intent", lambda pk: order.append("send") or send(pk))
    sweep()
    assert order == ["read", "send"]
    assert poll is recovery.poller.poll_connection
