"""``/api/ai/cards``: the shapes, the two decisions, and who may take them."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from execution.domain import Origin
from execution.models import ActionCard, Authorization
from risk.domain import TradingStateName
from risk.services import set_trading_state
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import TraceClosing, TraceEvent
from tests.execution.api import CARD_FIELDS, DECISION_FIELDS, ORDER_FIELDS, PLAN_FIELDS, key, problem, utcnow
from tests.execution.conftest import buy

pytestmark = pytest.mark.django_db


def approve(api, card, *, content_hash=None, headers=None):
    body = {"content_hash": card.content_hash if content_hash is None else content_hash}
    return api.post(f"/api/ai/cards/{card.id}/approve", body, format="json", **(headers or key()))


def decline(api, card, body=None):
    return api.post(f"/api/ai/cards/{card.id}/decline", body or {}, format="json")


class TestRead:
    def test_card_has_every_named_field(self, trader_api, make_card):
        card = make_card()
        body = trader_api.get(f"/api/ai/cards/{card.id}").json()
        assert set(body) >= CARD_FIELDS
        assert set(body["plan"]) >= PLAN_FIELDS
        assert set(body["risk"]) >= DECISION_FIELDS
        assert (body["kind"], body["state"], body["version"]) == ("trade", "open", 1)
        assert body["title"] == "BUY 10 INFY at 1500"
        assert body["source"]["words"] == "buy 10 INFY"
        assert body["content_hash"] == body["plan"]["content_hash"]

    def test_list_is_newest_first_filtered_and_paged(self, trader_api, make_card, clock):
        cards = []
        for quantity in (1, 2, 3):
            cards.append(make_card(buy(quantity)))
            clock.shift(timedelta(seconds=1))
        assert decline(trader_api, cards[1]).status_code == 200
        page = trader_api.get("/api/ai/cards").json()
        assert set(page) == {"next", "previous", "results"}
        assert [row["id"] for row in page["results"]] == [str(card.id) for card in reversed(cards)]
        still = trader_api.get("/api/ai/cards?state=open").json()["results"]
        assert [row["id"] for row in still] == [str(cards[2].id), str(cards[0].id)]
        first = trader_api.get("/api/ai/cards?limit=2").json()
        rest = trader_api.get(first["next"]).json()
        assert [row["id"] for row in rest["results"]] == [str(cards[0].id)]

    @pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1000000000", "cursor=nonsense"])
    def test_bad_page(self, trader_api, broker, query):
        problem(trader_api.get(f"/api/ai/cards?{query}"), 422, "BAD_PAGE")

    def test_unknown_state_word_is_422(self, trader_api, broker):
        assert trader_api.get("/api/ai/cards?state=maybe").status_code == 422

    def test_another_users_card_is_404(self, api_for, other_trader, make_card):
        card, other = make_card(), api_for(other_trader)
        problem(other.get(f"/api/ai/cards/{card.id}"), 404, "NOT_FOUND")
        assert other.get("/api/ai/cards").json()["results"] == []

    def test_query_count_does_not_grow_with_the_orders_of_other_cards(
        self, trader_api, make_card, django_assert_max_num_queries
    ):
        for _ in range(4):
            make_card()
        with django_assert_max_num_queries(40):
            trader_api.get("/api/ai/cards")


class TestApprove:
    def test_approve_is_202_with_intents_and_card(self, trader_api, make_card, broker):
        response = approve(trader_api, make_card())
        body = response.json()
        assert response.status_code == 202
        assert set(body["intents"][0]) >= ORDER_FIELDS
        assert body["commands"] == []
        assert body["card"]["state"] == "executing"
        assert set(body["card"]) >= CARD_FIELDS
        assert len(broker.sent) == 1

    def test_second_key_is_already_decided_with_the_card_in_it(self, trader_api, make_card, broker):
        card = make_card()
        approve(trader_api, card)
        found = problem(approve(trader_api, card), 409, "ALREADY_DECIDED")
        assert set(found["card"]) >= CARD_FIELDS
        assert found["card"]["id"] == str(card.id)
        assert found["card"]["state"] == "executing"
        assert [order["state"] for order in found["card"]["orders"]] == ["ACKED"]
        assert Authorization.objects.count() == 1
        assert len(broker.sent) == 1
        words = TraceEvent.objects.filter(correlation_id=card.correlation_id).values_list("type", flat=True)
        assert "approval.duplicate" in words

    def test_veto_cannot_be_approved(self, trader_api, make_card, broker):
        problem(approve(trader_api, make_card(buy(200))), 409, "ALREADY_DECIDED")
        assert broker.sent == []

    def test_refusals_send_nothing(self, trader_api, make_card, broker, clock):
        card = make_card()
        problem(approve(trader_api, card, content_hash=""), 409, "NOT_APPROVED")
        problem(approve(trader_api, card, content_hash="f" * 64), 409, "CARD_STALE")
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow())
        problem(approve(trader_api, card), 409, "TRADING_HALTED")
        set_trading_state(scope="global", state=TradingStateName.ACTIVE, actor="t", now=utcnow(), reason="on")
        clock.shift(timedelta(seconds=301))
        problem(approve(trader_api, card), 409, "CARD_EXPIRED")
        assert broker.sent == []
        assert not Authorization.objects.exists()

    def test_flag_is_named_when_it_is_off(self, trader_api, make_card, broker):
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor="t", now=utcnow())
        found = problem(approve(trader_api, make_card(origin=Origin.ASSISTANT)), 409, "FEATURE_DISABLED")
        assert found["flag"] == "ai_execution_enabled"
        assert broker.sent == []

    def test_denied_at_approval_names_the_denials(self, trader_api, make_card, broker, clock):
        from decimal import Decimal

        card = make_card()
        broker.cash = Decimal("100")
        clock.shift(timedelta(seconds=31))
        broker.now += timedelta(seconds=31)
        found = problem(approve(trader_api, card), 409, "RISK_DENIED")
        assert "MARGIN_INSUFFICIENT" in found["denials"]
        assert ActionCard.objects.get(pk=card.pk).state == "denied"
        assert broker.sent == []

    def test_key_is_required(self, trader_api, make_card, broker):
        card = make_card()
        body = {"content_hash": card.content_hash}
        response = trader_api.post(f"/api/ai/cards/{card.id}/approve", body, format="json")
        problem(response, 400, "IDEMPOTENCY_KEY_REQUIRED")
        assert broker.sent == []

    def test_others_may_not(self, api_for, other_trader, viewer, anonymous_api, make_card, broker):
        card = make_card()
        problem(approve(api_for(other_trader), card), 404, "NOT_FOUND")
        problem(approve(api_for(viewer), card), 403, "FORBIDDEN")
        assert approve(anonymous_api, card).status_code == 401
        assert broker.sent == []

    def test_request_that_died_after_its_commit_is_answered_from_the_state(
        self, trader_api, make_card, broker, monkeypatch
    ):
        from execution import approval
        from tests.support.fake_broker import ProcessKilled

        card, header = make_card(), key()

        def die(intent_id):
            raise ProcessKilled

        monkeypatch.setattr(approval.door, "send_intent", die)
        with pytest.raises(ProcessKilled):
            approve(trader_api, card, headers=header)
        monkeypatch.undo()
        again = approve(trader_api, card, headers=header)
        assert again.status_code == 202
        assert [row["state"] for row in again.json()["intents"]] == ["PREPARED"]
        assert Authorization.objects.count() == 1
        assert broker.sent == []


class TestDecline:
    def test_decline_ends_the_story(self, trader_api, make_card, broker):
        card = make_card()
        response = decline(trader_api, card, {"reason": "too dear"})
        assert response.status_code == 200
        body = response.json()
        assert (body["state"], body["note"], body["version"]) == ("declined", "too dear", 2)
        assert TraceClosing.objects.get(trace_id=card.correlation_id).outcome == "declined"
        problem(approve(trader_api, card), 409, "ALREADY_DECIDED")
        problem(decline(trader_api, card), 409, "ALREADY_DECIDED")
        assert broker.sent == []

    def test_unknown_field_and_wrong_type(self, trader_api, make_card):
        card = make_card()
        problem(decline(trader_api, card, {"why": "x"}), 422, "UNKNOWN_FIELD")
        problem(decline(trader_api, card, {"reason": 4}), 422, "BAD_TYPE")
        assert ActionCard.objects.get(pk=card.pk).state == "open"

    def test_others_may_not(self, api_for, other_trader, viewer, anonymous_api, make_card):
        card = make_card()
        problem(decline(api_for(other_trader), card), 404, "NOT_FOUND")
        problem(decline(api_for(viewer), card), 403, "FORBIDDEN")
        assert decline(anonymous_api, card).status_code == 401
        assert ActionCard.objects.get(pk=card.pk).state == "open"


def test_no_such_card(trader_api, broker):
    problem(trader_api.get(f"/api/ai/cards/{uuid.uuid4()}"), 404, "NOT_FOUND")
