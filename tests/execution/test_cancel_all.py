"""Cancel-all beside the kill switch: each order, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from execution import approval, reconciler, recovery
from execution.models import Order, OrderCommand, OrderIntent
from risk.models import TradingState
from tests.execution.api import placed, utcnow
from tests.execution.working import sent
from tests.support.fake_broker import Outcome

pytestmark = pytest.mark.django_db


class TestCancelAll:
    def pull(self, api, **more):
        response = api.post("/api/kill-switch", {"state": "HALTED", "cancel_open": True, **more}, format="json")
        assert response.status_code == 200
        return response.json()["cancelled"]

    def test_each_working_order_and_what_became_of_it(self, trader_api, working, broker, follow):
        first, second = working(), working(symbol="TCS", quantity=2, price="3420")
        broker.script(Outcome.ACK, kind="cancel")
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED, kind="cancel", text="Failed to cancel order")
        results = {row["order_id"]: row for row in self.pull(trader_api)}
        assert {order: row["result"] for order, row in results.items()} in (
            {first["id"]: "ACKED", second["id"]: "UNKNOWN"},
            {first["id"]: "UNKNOWN", second["id"]: "ACKED"},
        )
        assert all(set(row) == {"order_id", "symbol", "result", "detail"} for row in results.values())
        assert len(sent(broker, "cancel")) == 2
        assert TradingState.objects.get(scope="global").state == "HALTED"
        assert OrderCommand.objects.values("correlation_id").distinct().count() == 2

    def test_orders_made_elsewhere_are_cancelled_too(self, trader_api, working, broker, follow):
        working()
        row = broker.orders()[0]
        broker.foreign_orders = [replace(row, broker_order_id="900", tag="", tags=(), status="OPEN")]
        follow(1)
        results = self.pull(trader_api)
        assert {row["symbol"] for row in results} == {"NSE:INFY"}
        assert len(results) == 2
        external = Order.objects.get(broker_order_id="900")
        assert str(external.id) in {row["order_id"] for row in results}
        assert "900" in {row.order for row in sent(broker, "cancel")}

    def test_taken_over_orders_are_left_alone(self, trader_api, connection, broker):
        now = utcnow

        source = _foreign(broker)
        broker.foreign_orders = [source]
        reconciler.reconcile(connection, trigger="test", correlation_id="", now=now())
        assert self.pull(trader_api) == []
        assert broker.sent == []

    def test_unsent_and_unsettled_orders_are_named(self, trader_api, broker, monkeypatch, clock):
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
        prepared = placed(trader_api)
        monkeypatch.undo()
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        unsettled = placed(trader_api, quantity=3)
        results = {row["order_id"]: row["result"] for row in self.pull(trader_api)}
        assert results == {prepared["id"]: "WITHDRAWN", unsettled["id"]: "ORDER_UNSETTLED"}
        clock.shift(timedelta(seconds=5))
        recovery.sweep(now=utcnow())
        assert len(broker.placed) == 1

    def test_one_that_ended_meanwhile_does_not_stop_the_others(self, trader_api, working, broker):
        first, second = working(), working(symbol="TCS", quantity=2, price="3420")
        OrderIntent.objects.filter(pk=first["id"]).update(state="FILLED")
        results = {row["order_id"]: row["result"] for row in self.pull(trader_api)}
        assert results == {first["id"]: "ORDER_FINAL", second["id"]: "ACKED"}


def _foreign(broker):
    from broker.domain import BrokerOrder

    return BrokerOrder(
        broker_order_id="42", symbol="NSE:ITC", side="BUY", quantity=5, filled_quantity=0, pending_quantity=5,
        cancelled_quantity=0, order_type="LIMIT", product="CNC", validity="DAY", variety="regular", status="OPEN",
        price=Decimal(400), trigger_price=Decimal(0), average_price=Decimal(0), tag="", tags=(), status_message="",
        placed_at=broker.now, updated_at=broker.now,
    )  # fmt: skip
