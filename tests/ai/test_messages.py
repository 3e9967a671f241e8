"""A message over the API: to a card, an answer, a question or a refusal, with trace and events; never an order."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ai.models import ChatMessage, ChatThread, StreamEvent
from broker.ports import BrokerUnavailable
from execution import approval
from execution.models import ActionCard, OrderIntent, TradePlan
from execution.translation import NotTranslatable
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import DecisionTrace, TraceClosing, TraceEvent
from tests.support.fake_broker import FakeBroker, stays_open

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("assistant_on")]


@pytest.fixture
def thread(trader_api: APIClient) -> str:
    response = trader_api.post("/api/ai/threads", {}, format="json")
    assert response.status_code == 201
    return str(response.json()["id"])


@pytest.fixture
def say(trader_api: APIClient, thread: str) -> Any:
    def send(text: str, **more: Any) -> dict[str, Any]:
        response = trader_api.post(f"/api/ai/threads/{thread}/messages", {"text": text, **more}, format="json")
        assert response.status_code == 200, response.content
        return dict(response.json())

    return send


def closing(message: dict[str, Any]) -> str:
    return str(TraceClosing.objects.get(trace_id=message["correlation_id"]).outcome)


def event_types(message: dict[str, Any]) -> list[str]:
    rows = TraceEvent.objects.filter(correlation_id=message["correlation_id"]).order_by("seq")
    return list(rows.values_list("type", flat=True))


def test_an_order_becomes_a_card_and_nothing_is_sent(say: Any, broker: FakeBroker) -> None:
    said = say("buy 10 INFY at 1499.50")
    card = said["cards"][0]
    leg = card["plan"]["legs"][0]
    assert (card["kind"], card["state"]) == ("trade", "open")
    assert (leg["symbol"], leg["side"], leg["quantity"], leg["limit_price"]) == ("NSE:INFY", "BUY", 10, "1499.5")
    assert card["source"]["words"] == "buy 10 INFY at 1499.50"
    assert card["correlation_id"] == said["correlation_id"]
    assert ActionCard.objects.get().message_id == said["question"]["id"]
    assert OrderIntent.objects.count() == 0
    assert broker.sent == []


def test_the_trace_holds_the_words_the_reading_and_the_card(say: Any, broker: FakeBroker) -> None:
    said = say("buy 10 INFY at 1499.50")
    trace = DecisionTrace.objects.get(pk=said["correlation_id"])
    assert (trace.message, trace.origin, trace.kind) == ("buy 10 INFY at 1499.50", "assistant", "message")
    types = event_types(said)
    wanted = ["trace.opened", "message.received", "intent.read", "plan.made", "risk.decided", "card.open"]
    assert [name for name in types if name in wanted] == wanted
    assert not TraceClosing.objects.filter(trace=trace).exists()


def test_events_are_stored_in_order_and_end_in_an_interrupt(say: Any, broker: FakeBroker) -> None:
    said = say("buy 10 INFY at 1499.50")
    events = list(StreamEvent.objects.order_by("pk"))
    types = [event.type for event in events]
    assert (types[0], types[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert types.index("TEXT_MESSAGE_END") < types.index("ACTIVITY_SNAPSHOT")
    interrupt = events[-1].data["outcome"]["interrupts"][0]
    assert events[-1].data["outcome"]["type"] == "interrupt"
    assert interrupt["id"] == said["cards"][0]["id"]
    assert interrupt["responseSchema"]["properties"]["content_hash"]["const"] == said["cards"][0]["content_hash"]


def test_tool_rows_have_name_arguments_time_and_outcome(say: Any, broker: FakeBroker) -> None:
    tools = say("buy 10 INFY at 1499.50")["tools"]
    assert [tool["name"] for tool in tools] == ["take_snapshot", "get_quotes", "read_message", "make_plan"]
    assert all(tool["ok"] and tool["ms"] >= 0 for tool in tools)
    assert tools[1]["arguments"] == {"symbols": ["NSE:INFY", "BSE:INFY"]}


def test_a_fresh_snapshot_is_not_taken_twice(say: Any, broker: FakeBroker) -> None:
    say("what do I hold")
    assert [tool["name"] for tool in say("what do I hold")["tools"]] == ["read_message"]


def test_a_vetoed_order_is_a_veto_card_with_its_reasons(say: Any, broker: FakeBroker) -> None:
    said = say("buy 500 INFY at 1499.50")
    card = said["cards"][0]
    assert (card["kind"], card["state"]) == ("veto", "denied")
    assert "ORDER_VALUE_MAX" in card["risk"]["denials"]
    assert "ORDER_VALUE_MAX" in said["text"]
    assert closing(said) == "denied"
    assert broker.sent == []


def test_what_do_i_hold_cites_every_figure(say: Any, broker: FakeBroker) -> None:
    said = say("what do I hold")
    assert said["text"].startswith("You hold 2 different shares, worth ₹83,920.00.")
    assert "Books read at" in said["text"]
    value = next(fact for fact in said["facts"] if fact["text"] == "Holdings value")
    assert (value["value"], value["unit"], value["verified"]) == ("83920.00", "INR", True)
    assert value["source"].startswith("snapshot:")
    assert closing(said) == "answered"


def test_what_did_i_make_today(say: Any, broker: FakeBroker) -> None:
    said = say("what did I make today")
    assert said["text"].startswith("Today's P&L: +₹400.00")
    assert closing(said) == "answered"


def test_a_quote_is_read_now(say: Any, broker: FakeBroker) -> None:
    said = say("price of infy")
    assert said["text"].startswith("Infosys (NSE:INFY) last traded at ₹1,499.50")
    assert said["facts"][0]["source"] == "quote:NSE:INFY"


@pytest.mark.parametrize("mode", ["analyze", "explain"])
def test_in_a_reading_mode_an_order_offers_execute(say: Any, broker: FakeBroker, mode: str) -> None:
    said = say("buy 10 INFY at 1499.50", mode=mode)
    assert said["cards"] == []
    assert said["details"]["offer_mode"] == "execute"
    assert TradePlan.objects.count() == 0
    assert closing(said) == "clarified"


def test_a_question_back_carries_its_choices(say: Any, broker: FakeBroker) -> None:
    said = say("buy 10 hdfc")
    assert said["details"]["choices"] == ["Hdfc Bank (HDFCBANK)", "Hdfc Life Insurance (HDFCLIFE)"]
    assert closing(said) == "clarified"


def test_a_refusal_links_to_the_place(say: Any, broker: FakeBroker) -> None:
    said = say("approve it")
    assert (said["details"]["code"], said["details"]["link"]) == ("CARD_APPROVAL", "/orders")
    assert closing(said) == "refused"


def test_what_cannot_be_planned_is_said_in_words(say: Any, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**kwargs: Any) -> ActionCard:
        raise NotTranslatable("LOT_SIZE", "INFY is traded in lots of 7.", "orders.0.quantity")

    monkeypatch.setattr("ai.replying.make_plan", refuse)
    said = say("buy 10 INFY at 1499.50")
    assert (said["cards"], said["text"]) == ([], "INFY is traded in lots of 7.")
    assert said["details"]["missing"] == ["quantity"]
    assert closing(said) == "clarified"


def test_a_broker_that_does_not_answer_fails_the_run_and_says_so(say: Any, broker: FakeBroker) -> None:
    for part in ("holdings", "positions", "orders", "trades", "margins", "quotes", "books", "market_state"):
        broker.fail_read(part, BrokerUnavailable("down"), times=9)
    said = say("buy 10 INFY at 1499.50")
    assert said["cards"] == [] or said["cards"][0]["state"] == "denied"
    assert broker.sent == []


def test_with_the_flag_off_nothing_runs(trader_api: APIClient, thread: str, broker: FakeBroker) -> None:
    set_flag(Flag.AI_ASSISTANT_ENABLED, enabled=False, actor="test", now=timezone.now())
    before = (DecisionTrace.objects.count(), dict(broker.reads))
    response = trader_api.post(f"/api/ai/threads/{thread}/messages", {"text": "buy 10 INFY at 1500"}, format="json")
    assert (response.status_code, response.json()["code"]) == (409, "FEATURE_DISABLED")
    assert ChatMessage.objects.count() == 0
    assert (DecisionTrace.objects.count(), dict(broker.reads)) == before


def test_without_a_connection_the_message_is_refused(trader_api: APIClient, thread: str) -> None:
    response = trader_api.post(f"/api/ai/threads/{thread}/messages", {"text": "what do I hold"}, format="json")
    assert (response.status_code, response.json()["code"]) == (409, "NO_CONNECTION")
    assert ChatMessage.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "VALIDATION"),
        ({"text": ""}, "VALIDATION"),
        ({"text": "x" * 4001}, "VALIDATION"),
        ({"text": 5}, "BAD_TYPE"),
        ({"text": "hi", "mode": "yolo"}, "VALIDATION"),
        ({"text": "hi", "approved": True}, "UNKNOWN_FIELD"),
    ],
)
def test_bad_messages_are_named(
    trader_api: APIClient, thread: str, broker: FakeBroker, body: dict[str, Any], code: str
) -> None:
    response = trader_api.post(f"/api/ai/threads/{thread}/messages", body, format="json")
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["errors"]
    assert ChatMessage.objects.count() == 0


def test_another_persons_conversation_is_not_there(other_trader: Any, api_for: Any, thread: str) -> None:
    api = api_for(other_trader)
    for method, path in (("get", ""), ("delete", ""), ("post", "/messages"), ("get", "/events"), ("post", "/stop")):
        response = getattr(api, method)(
            f"/api/ai/threads/{thread}{path}", {"text": "hi"} if path == "/messages" else None, format="json"
        )
        assert response.status_code == 404, path


def test_a_viewer_reads_but_does_not_speak(viewer_api: APIClient) -> None:
    assert viewer_api.get("/api/ai/threads").status_code == 200
    assert viewer_api.post("/api/ai/threads", {}, format="json").status_code == 403


def test_anonymous_gets_nothing(anonymous_api: APIClient) -> None:
    assert anonymous_api.get("/api/ai/threads").status_code in (401, 403)


def test_a_conversation_is_listed_read_and_deleted(
    trader_api: APIClient, thread: str, say: Any, broker: FakeBroker
) -> None:
    say("what do I hold")
    listed = trader_api.get("/api/ai/threads").json()
    assert [row["title"] for row in listed["results"]] == ["what do I hold"]
    whole = trader_api.get(f"/api/ai/threads/{thread}/").json()
    assert [row["role"] for row in whole["messages"]] == ["user", "assistant"]
    assert whole["last_event_id"] == StreamEvent.objects.latest("pk").pk
    assert trader_api.delete(f"/api/ai/threads/{thread}").status_code == 204
    assert trader_api.get(f"/api/ai/threads/{thread}").status_code == 404
    assert ChatThread.objects.count() == 1


def test_events_go_on_where_the_reader_stopped(
    trader_api: APIClient, thread: str, say: Any, broker: FakeBroker
) -> None:
    say("what do I hold")
    every = trader_api.get(f"/api/ai/threads/{thread}/events").json()
    middle = every["events"][4]["id"]
    rest = trader_api.get(f"/api/ai/threads/{thread}/events?after={middle}").json()
    resumed = trader_api.get(f"/api/ai/threads/{thread}/events", headers={"Last-Event-ID": str(middle)}).json()
    assert rest["events"] == every["events"][5:] == resumed["events"]
    assert (every["running"], rest["last_event_id"]) == (False, every["events"][-1]["id"])


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30])
def test_a_bad_place_in_the_stream_is_named(trader_api: APIClient, thread: str, after: str) -> None:
    response = trader_api.get(f"/api/ai/threads/{thread}/events?after={after}")
    assert (response.status_code, response.json()["code"]) == (422, "BAD_RANGE")


def test_the_same_key_gives_the_same_answer_and_one_card(
    trader_api: APIClient, thread: str, broker: FakeBroker
) -> None:
    def send(text: str) -> Any:
        return trader_api.post(
            f"/api/ai/threads/{thread}/messages", {"text": text}, format="json",
            headers={"Idempotency-Key": "one-message-one-card"},
        )  # fmt: skip

    first, again, other = send("buy 10 INFY at 1499.50"), send("buy 10 INFY at 1499.50"), send("buy 11 INFY at 1499.50")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 422)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert ActionCard.objects.count() == 1


def test_too_many_messages_a_minute_are_held_back(
    trader_api: APIClient, thread: str, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai.api.views.MESSAGES_A_MINUTE", 1)
    codes = [
        trader_api.post(f"/api/ai/threads/{thread}/messages", {"text": "hello"}, format="json").status_code
        for _ in range(3)
    ]
    assert 429 in codes[1:]


def test_cancel_by_name_makes_a_card_for_that_order(say: Any, broker: FakeBroker, trader: Any) -> None:
    set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="test", now=timezone.now())
    broker.script(statuses=stays_open())
    card = ActionCard.objects.get(pk=say("buy 10 INFY at 1490")["cards"][0]["id"])
    approval.approve_card(card.pk, user=trader, content_hash=card.content_hash, now=timezone.now())
    broker.run_to_end()
    sent = len(broker.sent)
    said = say("cancel my INFY order")
    assert said["cards"], said["text"]
    assert said["cards"][0]["plan"]["legs"][0]["action"] == "cancel"
    assert len(broker.sent) == sent
