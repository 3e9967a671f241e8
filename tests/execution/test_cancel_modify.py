"""Cancels: one press, one send, the outcome read from the order itself (FAULTS A25, A26)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.ports import BrokerUnavailable
from execution import approval, recovery
from execution.models import ActionCard, OrderCommand, OrderIntent
from risk.domain import TradingStateName
from risk.services import set_trading_state
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import TraceClosing
from tests.execution.api import key, placed, problem, utcnow
from tests.execution.working import outcome, sent, words
from tests.support.fake_broker import ARRIVAL, Outcome, Step

pytestmark = pytest.mark.django_db


class TestCancel:
    def test_one_press_is_202_and_one_send(self, working, cancel, broker, follow):
        order = working()
        response = cancel(order["id"])
        body = response.json()
        assert response.status_code == 202
        assert (body["command"]["kind"], body["command"]["state"]) == ("cancel", "ACKED")
        follow(4)
        assert OrderIntent.objects.get(pk=order["id"]).state == "CANCELLED"
        command = OrderCommand.objects.get()
        assert (command.state, outcome(command)) == ("DONE", "cancelled")
        assert command.authorization.kind == "request"
        assert len(sent(broker, "cancel")) == 1
        assert [word for word in words(command) if word.startswith(("authorization", "cancel", "send"))] == [
            "authorization.given",
            "cancel.prepared",
            "send.started",
            "cancel.acked",
            "cancel.done",
        ]

    def test_same_key_replays(self, working, cancel, broker):
        order, header = working(), key()
        first = cancel(order["id"], **header)
        again = cancel(order["id"], **header)
        assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", first.json())
        assert len(sent(broker, "cancel")) == 1

    def test_a_filled_order_is_final(self, trader_api, cancel, broker, follow):
        order = placed(trader_api)
        follow(8)
        found = problem(cancel(order["id"]), 409, "ORDER_FINAL")
        assert found["state"] == "FILLED"
        assert sent(broker, "cancel") == []

    def test_filled_at_the_broker_before_we_know_is_too_late(self, working, cancel, broker, follow):
        order = working(statuses=(*ARRIVAL, *[Step("OPEN")] * 3, Step("COMPLETE", 10)))
        broker.run_to_end()
        response = cancel(order["id"])
        assert response.json()["command"]["state"] == "UNKNOWN"  # a refusal says nothing by itself
        follow(3)
        command = OrderCommand.objects.get()
        assert command.state == "TOO_LATE"
        assert "cancel.too_late" in words(command)
        assert OrderIntent.objects.get(pk=order["id"]).state == "FILLED"
        assert (len(sent(broker, "cancel")), len(broker.placed)) == (1, 1)

    def test_fill_during_the_cancel_wins(self, working, cancel, broker, follow):
        order = working()
        broker.script(Outcome.ACK, kind="cancel", statuses=(Step("COMPLETE", 10),))
        cancel(order["id"])
        follow(4)
        assert OrderIntent.objects.get(pk=order["id"]).filled_quantity == 10
        command = OrderCommand.objects.get()
        assert command.state == "TOO_LATE"
        assert "cancel.too_late" in words(command)
        assert len(broker.placed) == 1

    @pytest.mark.parametrize(
        ("answer", "state", "ended"),
        [(Outcome.UNKNOWN_ACCEPTED, "DONE", "CANCELLED"), (Outcome.UNKNOWN_NOT_ACCEPTED, "FAILED", "WORKING")],
    )
    def test_unknown_outcome_is_read_and_never_repeated(
        self, working, cancel, broker, follow, answer, state, ended, clock
    ):
        order = working()
        broker.script(answer, kind="cancel")
        assert cancel(order["id"]).json()["command"]["state"] == "UNKNOWN"
        follow(4)
        clock.shift(timedelta(seconds=181))
        follow(1)
        command = OrderCommand.objects.get()
        assert (command.state, OrderIntent.objects.get(pk=order["id"]).state) == (state, ended)
        assert "cancel.unknown" in words(command)
        assert len(sent(broker, "cancel")) == 1

    def test_partial_fill_is_kept(self, working, cancel, broker, follow):
        order = working(statuses=(*ARRIVAL, Step("OPEN", 4)))
        follow(2)
        cancel(order["id"])
        follow(4)
        intent = OrderIntent.objects.get(pk=order["id"])
        assert (intent.state, intent.filled_quantity) == ("CANCELLED", 4)

    def test_lost_sender_is_settled_by_reading(self, working, cancel, broker, follow, clock):
        from tests.support.fake_broker import ProcessKilled

        order = working()
        broker.script(Outcome.CRASH_AFTER, kind="cancel")
        with pytest.raises(ProcessKilled):
            cancel(order["id"])
        assert OrderCommand.objects.get().state == "SENDING"
        clock.shift(timedelta(seconds=9))
        recovery.sweep(now=utcnow(), settle_now=True)
        follow(3)
        assert OrderCommand.objects.get().state == "DONE"
        assert OrderIntent.objects.get(pk=order["id"]).state == "CANCELLED"
        assert len(sent(broker, "cancel")) == 1


class TestCancelIsNeverHeldBack:
    @pytest.fixture
    def resting(self, working):
        return working()

    def check(self, cancel, broker, follow, order):
        assert cancel(order["id"]).status_code == 202
        follow(4)
        assert OrderIntent.objects.get(pk=order["id"]).state == "CANCELLED"
        assert len(sent(broker, "cancel")) == 1

    @pytest.mark.parametrize("state", [TradingStateName.HALTED, TradingStateName.REDUCING])
    def test_by_the_trading_state(self, resting, cancel, broker, follow, state):
        set_trading_state(scope="global", state=state, actor="t", now=utcnow(), reason="x")
        self.check(cancel, broker, follow, resting)

    def test_by_flags(self, resting, cancel, broker, follow):
        for flag in Flag:
            set_flag(flag, enabled=False, actor="t", now=utcnow())
        self.check(cancel, broker, follow, resting)

    def test_by_stale_books(self, resting, cancel, broker, follow, clock):
        clock.shift(timedelta(hours=2))
        broker.now += timedelta(hours=2)
        reads = dict(broker.reads)
        assert cancel(resting["id"]).status_code == 202
        assert {name: broker.reads[name] for name in ("holdings", "positions")} == {
            name: reads[name] for name in ("holdings", "positions")
        }
        follow(4)
        assert OrderIntent.objects.get(pk=resting["id"]).state == "CANCELLED"

    def test_by_reads_that_fail(self, resting, cancel, broker, follow):
        for part in ("quotes", "market_state", "holdings", "positions", "margins"):
            broker.fail_read(part, BrokerUnavailable("down"), times=20)
        self.check(cancel, broker, follow, resting)

    def test_by_an_approval_time_or_a_new_policy(self, resting, cancel, broker, follow, clock):
        from risk.policy import default_policy, policy_document
        from risk.services import publish_policy

        document = policy_document(default_policy())
        document["limits"]["order_value_max"] = "100000"
        publish_policy(document, note="nothing", actor="t", now=utcnow())
        self.check(cancel, broker, follow, resting)


class TestUnsent:
    @pytest.fixture
    def prepared(self, trader_api, broker, monkeypatch):
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
        order = placed(trader_api)
        monkeypatch.undo()
        assert order["state"] == "PREPARED"
        return order

    def test_prepared_order_is_withdrawn(self, prepared, cancel, broker, clock):
        body = cancel(prepared["id"]).json()
        assert (body["state"], body["command"]) == ("EXPIRED", None)
        clock.shift(timedelta(seconds=5))
        recovery.sweep(now=utcnow())
        assert broker.sent == []
        assert TraceClosing.objects.get(trace_id=prepared["correlation_id"]).outcome == "cancelled"
        assert ActionCard.objects.get(correlation_id=prepared["correlation_id"]).state == "expired"

    def test_ambiguous_order_cannot_be_cancelled_yet(self, trader_api, cancel, broker):
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        order = placed(trader_api)
        problem(cancel(order["id"]), 409, "ORDER_UNSETTLED")
        assert sent(broker, "cancel") == []

    def test_neither_can_it_be_modified(self, trader_api, broker):
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        order = placed(trader_api)
        response = trader_api.post(f"/api/orders/{order['id']}/modify", {"price": "1490"}, format="json", **key())
        problem(response, 409, "ORDER_NOT_CONFIRMED")
        assert sent(broker, "modify") == []
