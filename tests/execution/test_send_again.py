"""Sending again what provably never left: a person's press, a fresh verdict, one attempt more (FAULTS A7)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.models import BrokerConnection
from execution import door, resending
from execution.models import OrderIntent
from risk.domain import TradingStateName
from risk.models import RiskDecision
from risk.services import set_trading_state
from sigmatrader.audit.api.problems import Problem
from tests.execution.api import key, problem, utcnow
from tests.execution.working import ending_of, sole, words_of
from tests.support.fake_broker import Outcome

pytestmark = pytest.mark.django_db


@pytest.fixture
def unsent(make_card, approve, broker):
    """An order whose send provably never left."""
    broker.script(Outcome.UNAVAILABLE)
    card = make_card()
    (row,) = approve(card).intents
    assert (row.state, row.attempts, broker.sent) == ("NOT_SENT", 1, [])
    return card


@pytest.fixture
def press(trader_api):
    return lambda order_id, **headers: trader_api.post(
        f"/api/orders/{order_id}/send-again", {}, format="json", **(headers or key())
    )


def test_one_press_is_one_attempt_more_on_a_new_decision(unsent, press, broker, follow, clock):
    clock.shift(1)
    answer = press(sole(unsent).id)
    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert (body["state"], body["can_send_again"]) == ("ACKED", False)
    follow()
    row = sole(unsent)
    assert (row.state, row.attempts, len(broker.placed)) == ("FILLED", 2, 1)
    assert list(ending_of(unsent)) == ["failed", "filled"]
    assert RiskDecision.objects.filter(plan_id=str(unsent.plan_id), content_hash=unsent.content_hash).count() == 3
    assert words_of(unsent).count("send.started") == 2
    unsent.refresh_from_db()
    assert unsent.state == "done"


def test_the_same_key_replays_and_sends_once(unsent, press, broker, clock):
    clock.shift(1)
    headers = key()
    first, second = press(sole(unsent).id, **headers), press(sole(unsent).id, **headers)
    assert (first.status_code, second.status_code, len(broker.placed)) == (202, 202, 1)


def test_a_second_press_is_refused(unsent, press, broker, clock):
    clock.shift(1)
    press(sole(unsent).id)
    problem(press(sole(unsent).id), 409, "NOT_RESENDABLE")
    assert len(broker.placed) == 1


def test_the_list_says_what_can_be_sent_again(unsent, trader_api, clock):
    assert [row["can_send_again"] for row in trader_api.get("/api/orders").json()["results"]] == [True]
    clock.shift(301)
    assert [row["can_send_again"] for row in trader_api.get("/api/orders").json()["results"]] == [False]


def test_after_the_approvals_time_it_does_not_go(unsent, press, broker, clock):
    clock.shift(301)
    problem(press(sole(unsent).id), 409, "CARD_EXPIRED")
    assert (sole(unsent).state, broker.sent) == ("NOT_SENT", [])


def test_a_price_that_moved_away_refuses(unsent, press, broker, clock):
    clock.shift(1)
    broker.prices["NSE:INFY"] = Decimal("1530")
    said = problem(press(sole(unsent).id), 409, "CARD_STALE")
    assert said["moved"] == {"NSE:INFY": {"then": "1499.5", "now": "1530"}}
    assert (sole(unsent).state, broker.sent) == ("NOT_SENT", [])


def test_a_denial_refuses_and_is_kept(unsent, press, broker, clock):
    clock.shift(1)
    broker.cash = Decimal(100)
    said = problem(press(sole(unsent).id), 409, "RISK_DENIED")
    assert "MARGIN_INSUFFICIENT" in said["denials"]
    assert RiskDecision.objects.filter(plan_id=str(unsent.plan_id), outcome="deny").count() == 1
    assert (sole(unsent).state, sole(unsent).attempts, broker.sent) == ("NOT_SENT", 1, [])


def test_the_kill_switch_refuses(unsent, press, broker, connection):
    set_trading_state(
        scope=connection.account, state=TradingStateName.HALTED, actor="t", now=utcnow(), reason="stop",
        correlation_id=unsent.correlation_id,
    )  # fmt: skip
    problem(press(sole(unsent).id), 409, "TRADING_HALTED")
    assert broker.sent == []


def test_a_login_that_is_due_refuses(unsent, press, broker):
    BrokerConnection.objects.update(authorized=False)
    problem(press(sole(unsent).id), 409, "AUTH_REQUIRED")
    assert broker.sent == []


def test_missing_order_tools_refuse(unsent, press, broker):
    BrokerConnection.objects.update(tools=["get_orders", "login"])
    problem(press(sole(unsent).id), 409, "EXECUTION_TOOL_MISSING")
    assert broker.sent == []


def test_another_persons_order_is_not_found(unsent, api_for, other_trader, broker):
    stranger = api_for(other_trader)
    answer = stranger.post(f"/api/orders/{sole(unsent).id}/send-again", {}, format="json", **key())
    problem(answer, 404, "NOT_FOUND")
    assert broker.sent == []


def test_nothing_goes_again_by_itself(unsent, broker, sweep):
    sweep(5)
    assert door.send_intent(sole(unsent).id).state == "NOT_SENT"
    assert broker.sent == []


def test_the_verdict_of_the_approval_is_not_enough(unsent, broker):
    """The door knows the attempt before it: a verdict older than that is none."""
    row = sole(unsent)
    assert door.send_intent(row.id, decision=row.authorization.decision).state == "NOT_SENT"
    assert broker.sent == []


def test_an_unknown_outcome_is_never_sent_again(make_card, approve, trader, broker):
    broker.script(Outcome.UNKNOWN_ACCEPTED)
    (row,) = approve(make_card()).intents
    with pytest.raises(Problem) as refused:
        resending.send_again(row.id, trader, utcnow())
    assert (refused.value.status_code, refused.value.code) == (409, "NOT_RESENDABLE")
    assert (OrderIntent.objects.get().state, len(broker.placed)) == ("AMBIGUOUS", 1)
