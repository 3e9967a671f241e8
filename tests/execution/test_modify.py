"""Modifies: a card, an approval, one complete command, its outcome read from the order (FAULTS A26)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from broker.domain import ModifyOrder
from execution.models import ActionCard, OrderCommand, OrderIntent
from risk.domain import TradingStateName
from risk.models import TradingState
from risk.services import set_trading_state
from sigmatrader.audit.models import ExceptionRecord
from tests.execution.api import problem, utcnow
from tests.execution.working import outcome, sent, words
from tests.support.fake_broker import ARRIVAL, Outcome, Step

pytestmark = pytest.mark.django_db


class TestModify:
    def test_one_complete_modify_after_approval(self, working, modify, approve_card, broker, follow):
        order = working()
        card = modify(order["id"], price="1490", quantity=12)
        assert sent(broker, "modify") == []
        response = approve_card(card)
        assert [row["state"] for row in response.json()["commands"]] == ["ACKED"]
        (only,) = sent(broker, "modify")
        assert isinstance(only.order, ModifyOrder)
        assert (only.order.quantity, only.order.limit_price) == (12, Decimal(1490))
        assert (only.order.order_type.value, only.order.validity.value) == ("LIMIT", "DAY")
        follow(5)
        command = OrderCommand.objects.get()
        assert (command.state, outcome(command)) == ("DONE", "changed")
        intent = OrderIntent.objects.get(pk=order["id"])
        assert (intent.quantity, intent.limit_price, intent.state) == (12, Decimal(1490), "WORKING")
        assert ActionCard.objects.get(pk=card["id"]).state == "done"
        assert not ExceptionRecord.objects.exists()  # our own change is no mismatch
        assert not TradingState.objects.exclude(state="ACTIVE").exists()

    def test_not_modified_is_failed(self, working, modify, approve_card, broker, follow, monkeypatch):
        order = working()

        def refuse(live, request):
            broker._set(live, Step("NOT MODIFIED"))

        monkeypatch.setattr(broker, "_apply_modify", refuse)
        approve_card(modify(order["id"], price="1490"))
        follow(2)
        command = OrderCommand.objects.get()
        assert (command.state, outcome(command)) == ("FAILED", "failed")
        assert OrderIntent.objects.get(pk=order["id"]).limit_price == Decimal(1500)
        assert len(sent(broker, "modify")) == 1

    @pytest.mark.parametrize(
        ("answer", "state", "price"),
        [(Outcome.UNKNOWN_ACCEPTED, "DONE", 1490), (Outcome.UNKNOWN_NOT_ACCEPTED, "FAILED", 1500)],
    )
    def test_unknown_outcome_is_read_and_never_repeated(
        self, working, modify, approve_card, broker, follow, clock, answer, state, price
    ):
        order = working()
        card = modify(order["id"], price="1490")
        broker.script(answer, kind="modify")
        assert approve_card(card).json()["commands"][0]["state"] == "UNKNOWN"
        follow(4)
        clock.shift(timedelta(seconds=181))
        follow(1)
        command = OrderCommand.objects.get()
        assert command.state == state
        assert "modify.unknown" in words(command)
        assert OrderIntent.objects.get(pk=order["id"]).limit_price == Decimal(price)
        assert len(sent(broker, "modify")) == 1

    def test_filled_meanwhile_is_too_late(self, working, modify, approve_card, broker, follow):
        order = working(statuses=(*ARRIVAL, *[Step("OPEN")] * 3, Step("COMPLETE", 10)))
        card = modify(order["id"], price="1490")
        broker.run_to_end()
        approve_card(card)
        follow(3)
        assert OrderCommand.objects.get().state == "TOO_LATE"
        assert OrderIntent.objects.get(pk=order["id"]).state == "FILLED"

    def test_halted_modify_is_refused(self, working, modify, approve_card, broker):
        card = modify(working()["id"], price="1490")
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow())
        problem(approve_card(card), 409, "TRADING_HALTED")
        assert sent(broker, "modify") == []

    def test_a_change_made_in_another_app_is_no_mismatch(self, working, broker, follow):
        working()
        live = next(iter(broker._orders.values()))
        live.request = replace(live.request, quantity=20)
        broker._set(live, Step("MODIFIED"))
        follow(2)
        assert not ExceptionRecord.objects.filter(code="ORDER_MISMATCH").exists()
        assert not TradingState.objects.exclude(state="ACTIVE").exists()
