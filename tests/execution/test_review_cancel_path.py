"""A cancel waits for nothing but its authorisation: no policy, flag, books or active connection holds it back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.ports import BrokerUnavailable
from execution import planning
from execution.domain import IntentKind, Origin, TradeIntent
from execution.models import ActionCard, Authorization, ReconciliationRun
from risk.domain import TradingStateName
from risk.models import RiskPolicy
from risk.services import set_trading_state
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.ids import new_correlation_id
from tests.execution.api import INTENT, key, problem, utcnow
from tests.execution.working import sent

pytestmark = pytest.mark.django_db
PARTS = ("holdings", "positions", "orders", "trades", "margins", "quotes")


@pytest.fixture
def cancel_card(trader, connection):
    """The card of a cancel that the assistant proposed."""

    def make(order) -> ActionCard:
        return planning.make_plan(
            user=trader, connection=connection, origin=Origin.ASSISTANT, correlation_id=new_correlation_id(),
            intent=TradeIntent(kind=IntentKind.CANCEL, order_ids=(order["id"],), text="cancel it"), now=utcnow(),
        )  # fmt: skip

    return make


def spoil_policy():
    RiskPolicy.objects.update(hash="0" * 64)


class TestWithoutAPolicy:
    def test_the_press_cancels(self, working, cancel, broker):
        order = working()
        spoil_policy()
        assert cancel(order["id"]).status_code == 202
        assert len(sent(broker, "cancel")) == 1

    def test_cancel_all_cancels(self, working, broker, trader_api):
        working()
        spoil_policy()
        body = {"state": "HALTED", "cancel_open": True}
        answer = trader_api.post("/api/kill-switch", body, format="json").json()
        assert [row["result"] for row in answer["cancelled"]] == ["ACKED"]
        assert len(sent(broker, "cancel")) == 1

    def test_a_new_order_is_refused(self, trader_api, broker):
        spoil_policy()
        problem(trader_api.post("/api/plans", {"intent": INTENT}, format="json"), 503, "POLICY_ERROR")
        assert broker.sent == []


class TestCardOfTheAssistant:
    def flag_off(self, broker, connection):
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor="t", now=utcnow())

    def books_unreadable(self, broker, connection):
        ReconciliationRun.objects.all().delete()
        for part in PARTS:
            broker.fail_read(part, BrokerUnavailable("down"), times=20)

    def connection_inactive(self, broker, connection):
        connection.is_active = False
        connection.save()

    def halted(self, broker, connection):
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow())

    def policy_spoilt(self, broker, connection):
        spoil_policy()

    @pytest.mark.parametrize(
        "reason", ["flag_off", "books_unreadable", "connection_inactive", "halted", "policy_spoilt"]
    )
    def test_is_approved_and_sent(self, working, cancel_card, approve, broker, connection, reason):
        order = working()
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="t", now=utcnow())
        card = cancel_card(order)
        getattr(self, reason)(broker, connection)
        approve(card)
        assert len(sent(broker, "cancel")) == 1
        assert Authorization.objects.filter(plan=card.plan).count() == 1

    def test_an_order_still_needs_the_flag(self, make_card, trader_api, broker):
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor="t", now=utcnow())
        card = make_card(origin=Origin.ASSISTANT)
        path, body = f"/api/ai/cards/{card.id}/approve", {"content_hash": card.content_hash}
        problem(trader_api.post(path, body, format="json", **key()), 409, "FEATURE_DISABLED")
        assert broker.sent == []


class TestReleaseOfTheKillSwitch:
    """Whatever lets trading begin sooner is a release, however it is worded."""

    def post(self, api, **body):
        return api.post("/api/kill-switch", body, format="json")

    def soon(self):
        return (utcnow() + timedelta(seconds=1)).isoformat()

    @pytest.mark.parametrize("pulled", ["HALTED", "REDUCING"])
    def test_a_shorter_time_needs_a_proof(self, trader_api, broker, pulled):
        assert self.post(trader_api, state=pulled).status_code == 200
        problem(self.post(trader_api, state="HALTED", until=self.soon(), reason="x"), 403, "REAUTH_REQUIRED")
        assert self.post(trader_api, state=pulled).json()["until"] is None

    def test_with_the_proof_it_is_allowed(self, trader_api, broker, reauthenticated):
        self.post(trader_api, state="HALTED")
        answer = self.post(reauthenticated(trader_api), state="HALTED", until=self.soon(), reason="for a second")
        assert (answer.status_code, answer.json()["trading_state"]) == (200, "HALTED")

    def test_pulled_while_the_release_was_on_its_way(self, trader_api, broker, monkeypatch):
        """The state is judged under its lock: one that was ACTIVE a moment ago is released by nobody unproven."""
        from risk import services

        real = services.TradingState.objects.get_or_create

        def pulled_first(**values):
            monkeypatch.setattr(services.TradingState.objects, "get_or_create", real)
            set_trading_state(scope="global", state=TradingStateName.HALTED, actor="other", now=utcnow())
            return real(**values)

        monkeypatch.setattr(services.TradingState.objects, "get_or_create", pulled_first)
        problem(self.post(trader_api, state="ACTIVE", reason="go on"), 403, "REAUTH_REQUIRED")
