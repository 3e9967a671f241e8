"""``/api/plans`` and ``/api/risk/evaluate``: shapes, and that no refusal sends anything."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest

from execution.models import ActionCard, Authorization, OrderIntent, TradePlan
from risk.domain import TradingStateName
from risk.models import RiskDecision
from risk.services import set_trading_state
from sigmatrader.audit.models import DecisionTrace
from tests.execution.api import (
    DECISION_FIELDS,
    INTENT,
    LEG_FIELDS,
    ORDER_FIELDS,
    PLAN_FIELDS,
    execute,
    key,
    plan,
    problem,
    utcnow,
)

pytestmark = pytest.mark.django_db


class TestMake:
    def test_plan_has_every_named_field(self, trader_api, broker):
        made = plan(trader_api)
        assert set(made) >= PLAN_FIELDS | {"card_id"}
        (leg,) = made["legs"]
        assert set(leg) >= LEG_FIELDS
        assert (leg["n"], leg["symbol"], leg["side"], leg["quantity"]) == (1, "NSE:INFY", "BUY", 10)
        assert (leg["order_type"], leg["limit_price"], leg["trigger_price"], leg["depends_on"]) == (
            "LIMIT", "1500", None, None,
        )  # fmt: skip
        charges = {"brokerage", "stt", "exchange", "sebi", "stamp", "gst", "total", "source"}
        assert set(made["estimates"]["charges"]) >= charges
        assert made["estimates"]["order_value"] == "15000"
        assert {"margin_required", "margin_available"} <= set(made["estimates"])
        assert set(made["risk"]) >= DECISION_FIELDS
        assert made["risk"]["outcome"] == "allow"
        for control in made["risk"]["controls"]:
            assert {"code", "verdict", "limit", "actual", "unit", "message"} <= set(control)
        assert made["intent"]["quantity"] == 10
        assert broker.sent == []

    def test_plan_is_read_back_as_it_was_made(self, trader_api, broker):
        made = plan(trader_api)
        read = trader_api.get(f"/api/plans/{made['id']}/")
        assert read.status_code == 200
        assert read.json() == made

    def test_correlation_id_of_the_client_is_the_traces(self, trader_api, broker):
        mine = str(uuid.uuid4())
        response = trader_api.post("/api/plans", {"intent": INTENT}, format="json", HTTP_X_CORRELATION_ID=mine)
        assert response.headers["X-Correlation-ID"] == mine
        assert response.json()["correlation_id"] == mine
        assert DecisionTrace.objects.filter(correlation_id=mine).count() == 1

    def test_denied_plan_is_made_with_a_veto_card(self, trader_api, broker):
        made = plan(trader_api, quantity=200)
        assert made["risk"]["outcome"] == "deny"
        assert "ORDER_VALUE_MAX" in made["risk"]["denials"]
        card = ActionCard.objects.get(pk=made["card_id"])
        assert (card.kind, card.state) == ("veto", "denied")
        assert broker.sent == []

    def test_new_plan_supersedes_the_card_it_names(self, trader_api, broker):
        first = plan(trader_api)
        body = {"intent": {**INTENT, "price": "1499"}, "supersedes": first["card_id"]}
        second = trader_api.post("/api/plans", body, format="json").json()
        assert ActionCard.objects.get(pk=first["card_id"]).state == "superseded"
        problem(execute(trader_api, first), 409, "ALREADY_DECIDED")
        assert str(ActionCard.objects.get(pk=second["card_id"]).supersedes_id) == first["card_id"]
        assert broker.sent == []

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ({"intent": INTENT, "user_id": 1}, "UNKNOWN_FIELD", "user_id"),
            ({"intent": INTENT, "state": "approved"}, "UNKNOWN_FIELD", "state"),
            ({"intent": INTENT, "connection": 7}, "BAD_TYPE", "connection"),
            ({}, "VALIDATION", "intent"),
            ({"intent": {**INTENT, "quantity": "10"}}, "INTENT_INVALID", "intent.quantity"),
            ({"intent": {**INTENT, "quantity": 0}}, "INTENT_INVALID", "intent.quantity"),
            ({"intent": {**INTENT, "side": "buy"}}, "INTENT_INVALID", "intent.side"),
            ({"intent": {**INTENT, "approved_by": "me"}}, "INTENT_INVALID", "intent.approved_by"),
            ({"intent": {**INTENT, "symbol": "NOSUCH"}}, "UNKNOWN_SYMBOL", "intent.symbol"),
        ],
    )
    def test_meaningless_input_is_422_naming_the_field(self, trader_api, broker, body, code, field):
        found = problem(trader_api.post("/api/plans", body, format="json"), 422, code)
        assert field in [fault["field"] for fault in found["errors"]]
        assert not TradePlan.objects.exists()
        assert not DecisionTrace.objects.filter(kind="order").exists()
        assert broker.sent == []

    @pytest.mark.parametrize(
        "text",
        [b"{", b'{"intent": {}, "intent": {}}', b'{"intent": NaN}', b'{"intent": "\\u0000"}', b"[" * 30 + b"]" * 30,
         b'{"intent": "\\ud800"}', b"\xff"],
    )  # fmt: skip
    def test_unreadable_body_is_bad_json(self, trader_api, broker, text):
        problem(trader_api.post("/api/plans", text, content_type="application/json"), 400, "BAD_JSON")
        assert broker.sent == []

    def test_other_media_types_are_415(self, trader_api, broker):
        response = trader_api.post("/api/plans", b"a=1", content_type="application/x-www-form-urlencoded")
        assert response.status_code == 415
        assert broker.sent == []

    def test_unknown_connection_is_404(self, trader_api, broker):
        body = {"intent": INTENT, "connection": str(uuid.uuid4())}
        problem(trader_api.post("/api/plans", body, format="json"), 404, "NOT_FOUND")


class TestEvaluate:
    def test_dry_run_stores_and_reserves_nothing(self, trader_api, broker):
        response = trader_api.post("/api/risk/evaluate", {"intent": INTENT}, format="json")
        assert response.status_code == 200
        body = response.json()
        assert set(body) >= DECISION_FIELDS
        assert (body["id"], body["outcome"]) == (None, "allow")
        assert body["plan"]["id"] is None
        assert body["plan"]["content_hash"] is None
        assert not DecisionTrace.objects.filter(kind="order").exists()
        for model in (RiskDecision, TradePlan, ActionCard):
            assert not model.objects.exists()
        assert broker.sent == []

    def test_denial_names_limit_and_actual(self, trader_api, broker):
        body = trader_api.post("/api/risk/evaluate", {"intent": {**INTENT, "quantity": 200}}, format="json").json()
        control = next(row for row in body["controls"] if row["code"] == "ORDER_VALUE_MAX")
        assert (control["verdict"], Decimal(control["limit"]), Decimal(control["actual"])) == ("deny", 200_000, 300_000)
        assert all(found["passes"] is True for found in body["alternatives"])


class TestExecute:
    def test_execute_sends_once_and_answers_202(self, trader_api, broker):
        made = plan(trader_api)
        response = execute(trader_api, made)
        body = response.json()
        assert response.status_code == 202
        assert body["correlation_id"] == made["correlation_id"]
        (order,) = body["intents"]
        assert set(order) >= ORDER_FIELDS
        assert (order["state"], order["quantity"], order["origin"]) == ("ACKED", 10, "ticket")
        assert [sent.tag for sent in broker.placed] == [order["tag"]]

    def test_same_key_replays_the_stored_answer(self, trader_api, broker):
        made, header = plan(trader_api), key()
        first = execute(trader_api, made, headers=header)
        again = execute(trader_api, made, headers=header)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (again.status_code, again.json()) == (202, first.json())
        assert len(broker.sent) == 1

    def test_same_key_on_another_request_is_a_mismatch(self, trader_api, broker):
        header, first, second = key(), plan(trader_api), plan(trader_api, quantity=5)
        execute(trader_api, first, headers=header)
        problem(execute(trader_api, second, headers=header), 422, "IDEMPOTENCY_MISMATCH")
        other = {"content_hash": "0" * 64}
        response = trader_api.post(f"/api/plans/{first['id']}/execute", other, format="json", **header)
        problem(response, 422, "IDEMPOTENCY_MISMATCH")
        assert len(broker.sent) == 1

    @pytest.mark.parametrize(
        ("value", "code"),
        [(None, "REQUIRED"), ("", "REQUIRED"), ("x" * 15, "INVALID"), ("x" * 256, "INVALID"), ("é" * 20, "INVALID")],
    )
    def test_key_is_required_and_checked(self, trader_api, broker, value, code):
        header = {} if value is None else {"HTTP_IDEMPOTENCY_KEY": value}
        response = execute(trader_api, plan(trader_api), headers=header)
        problem(response, 400, f"IDEMPOTENCY_KEY_{code}")
        assert broker.sent == []

    def test_no_hash_is_not_approved(self, trader_api, broker):
        made = plan(trader_api)
        for body in ({}, {"content_hash": ""}):
            response = trader_api.post(f"/api/plans/{made['id']}/execute", body, format="json", **key())
            problem(response, 409, "NOT_APPROVED")
        assert broker.sent == []

    def test_another_hash_is_stale(self, trader_api, broker):
        made = plan(trader_api)
        found = problem(execute(trader_api, {**made, "content_hash": "0" * 64}), 409, "CARD_STALE")
        assert found["content_hash"] == made["content_hash"]
        assert broker.sent == []

    def test_expired_plan(self, trader_api, broker, clock):
        made = plan(trader_api)
        clock.shift(timedelta(seconds=301))
        problem(execute(trader_api, made), 409, "CARD_EXPIRED")
        assert broker.sent == []

    def test_halted(self, trader_api, broker):
        made = plan(trader_api)
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow(), reason="stop")
        found = problem(execute(trader_api, made), 409, "TRADING_HALTED")
        assert "stop" in found["detail"]
        assert broker.sent == []

    def test_another_users_plan_is_404(self, trader_api, other_trader, api_for, broker):
        made = plan(trader_api)
        other = api_for(other_trader)
        problem(execute(other, made), 404, "NOT_FOUND")
        problem(other.get(f"/api/plans/{made['id']}"), 404, "NOT_FOUND")
        problem(execute(trader_api, {**made, "id": str(uuid.uuid4())}), 404, "NOT_FOUND")
        assert broker.sent == []

    def test_unknown_field(self, trader_api, broker):
        made = plan(trader_api)
        body = {"content_hash": made["content_hash"], "approved_by": "me"}
        problem(trader_api.post(f"/api/plans/{made['id']}/execute", body, format="json", **key()), 422, "UNKNOWN_FIELD")
        assert broker.sent == []

    def test_execute_and_approve_are_one_act(self, trader_api, broker):
        made = plan(trader_api)
        execute(trader_api, made)
        body = {"content_hash": made["content_hash"]}
        again = trader_api.post(f"/api/ai/cards/{made['card_id']}/approve", body, format="json", **key())
        problem(again, 409, "ALREADY_DECIDED")
        assert (Authorization.objects.count(), OrderIntent.objects.count(), len(broker.sent)) == (1, 1, 1)

    def test_books_that_cannot_be_read_are_503_and_nothing_is_sent(self, trader_api, broker):
        from broker.ports import BrokerUnavailable

        made = plan(trader_api)
        broker.fail_read("positions", BrokerUnavailable("down"), times=5)
        problem(execute(trader_api, made), 503, "NOT_RECONCILED")
        assert broker.sent == []


def test_viewer_reads_and_does_not_act(viewer_api, broker):
    problem(viewer_api.post("/api/plans", {"intent": INTENT}, format="json"), 403, "FORBIDDEN")
    problem(viewer_api.post("/api/risk/evaluate", {"intent": INTENT}, format="json"), 403, "FORBIDDEN")
    response = viewer_api.post(f"/api/plans/{uuid.uuid4()}/execute", {}, format="json", **key())
    problem(response, 403, "FORBIDDEN")
    assert broker.sent == []


def test_anonymous_is_401(anonymous_api, broker):
    for path in ("/api/plans", "/api/risk/evaluate", f"/api/plans/{uuid.uuid4()}/execute"):
        assert anonymous_api.post(path, {}, format="json").status_code == 401
    assert broker.sent == []
