"""The acceptance examples, through the HTTP API and over the wire to a real paper exchange, a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from broker.adapters.kite_mcp import KiteMcpAdapter
from broker.adapters.paper import PaperAdapter
from execution import approval, door
from execution.models import Authorization, OrderIntent
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import DecisionTrace
from tests.e2e.desk import SETTLED, Desk, calls_into, elsewhere, open_desk, spend
from tests.execution.api import execute, key, plan, problem
from tests.support.paper import PaperProcess, start_paper

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("products"), pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parents[2]
LIQUID = ("INFY", "ITC", "WIPRO", "NTPC", "ONGC", "GAIL", "IOC", "BPCL", "COALINDIA", "POWERGRID", "VEDL", "TATASTEEL")


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    started = start_paper(tmp_path_factory.mktemp("paper"))
    yield started
    started.kill()


@pytest.fixture
def desk(trader: Any, trader_api: APIClient, paper: PaperProcess) -> Desk:
    return open_desk(trader, trader_api, paper)


def test_idempotency(desk: Desk, trader: Any, api_for: Callable[[Any], APIClient]) -> None:
    """One key, many calls: one broker order, one DecisionTrace with stable correlation ids."""
    made, header = plan(desk.api, price=desk.marketable(), quantity=3), key()
    before = desk.at_exchange()
    clients = [api_for(trader) for _ in range(20)]

    def press(client: APIClient) -> Any:
        try:
            return execute(client, made, headers=header)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(press, clients))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"IN_PROGRESS"}
    again = execute(desk.api, made, headers=header)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert desk.at_exchange() == before + 1
    (order,) = again.json()["intents"]
    desk.settled(order["id"])
    trace = desk.trace(made["correlation_id"])
    assert [row["id"] for row in trace["orders"]] == [order["id"]]
    assert DecisionTrace.objects.filter(kind="order").count() == 1
    ids = {made["correlation_id"], again.json()["correlation_id"], order["correlation_id"], trace["correlation_id"]}
    assert ids == {made["correlation_id"]}
    assert Authorization.objects.count() == 1


def test_policy_veto(desk: Desk) -> None:
    """Zero broker orders, a trace with the deny reasons, a card with the explanation."""
    before = desk.at_exchange()
    made = plan(desk.api, price=desk.marketable(), quantity=5_000)
    assert made["risk"]["outcome"] == "deny"
    card = desk.api.get(f"/api/ai/cards/{made['card_id']}").json()
    assert (card["kind"], card["state"]) == ("veto", "denied")
    denied = [row for row in card["risk"]["controls"] if row["verdict"] == "deny"]
    assert {row["code"] for row in denied} == set(made["risk"]["denials"]) >= {"ORDER_VALUE_MAX"}
    assert all(row["message"] for row in denied)
    problem(execute(desk.api, made), 409, "ALREADY_DECIDED")
    trace = desk.trace(made["correlation_id"])
    assert (trace["outcome"], trace["orders"]) == ("denied", [])
    assert "ORDER_VALUE_MAX" in trace["explanation"]
    assert "ORDER_VALUE_MAX" in next(e for e in trace["events"] if e["type"] == "risk.decided")["data"]["denials"]
    assert desk.at_exchange() == before


def test_reconciliation(desk: Desk) -> None:
    """After a successful trade OK; after one made elsewhere a bounded set of differences, each with its actions."""
    made = plan(desk.api, price=desk.marketable("ITC"), symbol="ITC", quantity=4)
    desk.settled(execute(desk.api, made).json()["intents"][0]["id"])
    run = desk.trace(made["correlation_id"])["reconciliation"]
    assert (run["status"], run["delta_count"]) == ("ok", 0)
    elsewhere(desk, "NSE:ITC", 7, desk.marketable("ITC"))
    found = desk.api.post("/api/reconcile", {}, format="json").json()
    assert found["status"] == "deltas"
    assert 1 <= found["delta_count"] == len(found["deltas"]) <= 50
    assert all(delta["remedies"] for delta in found["deltas"])
    assert {delta["code"] for delta in found["deltas"]} <= {"EXTERNAL_ORDER", "FILL_MISSING", "POSITION_DIFFERS"}
    (external,) = desk.api.get("/api/exceptions?status=open").json()["results"][:1]
    desk.until(lambda: _accept_all(desk) == 0)
    assert external["remedies"]
    assert desk.api.post("/api/reconcile", {}, format="json").json()["status"] == "ok"


def _accept_all(desk: Desk) -> int:
    """Takes the first useful remedy of each open exception; how many differences are left."""
    for row in desk.api.get("/api/exceptions?status=open").json()["results"]:
        wanted = {"accept_external", "book_fill", "accept_difference"} & {r["action"] for r in row["remedies"]}
        if wanted:
            path = f"/api/exceptions/{row['id']}/remediate"
            desk.api.post(path, {"action": sorted(wanted)[0]}, format="json")
    return int(desk.api.post("/api/reconcile", {}, format="json").json()["delta_count"])


def test_smoke(desk: Desk) -> None:
    """message -> plan -> execution -> trace -> reconciliation."""
    set_flag(Flag.AI_ASSISTANT_ENABLED, enabled=True, actor="t", now=timezone.now())
    set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="t", now=timezone.now())
    thread = desk.api.post("/api/ai/threads", {}, format="json").json()
    text = f"buy 10 INFY at {desk.marketable()}"
    said = desk.api.post(f"/api/ai/threads/{thread['id']}/messages", {"text": text}, format="json")
    assert said.status_code == 200, said.content
    (card,) = said.json()["cards"]
    assert (card["state"], card["source"]["words"]) == ("open", text)
    before = desk.at_exchange()
    body = {"content_hash": card["content_hash"]}
    approved = desk.api.post(f"/api/ai/cards/{card['id']}/approve", body, format="json", **key())
    assert approved.status_code == 202, approved.content
    order = desk.settled(approved.json()["intents"][0]["id"])
    assert (order["state"], order["filled_quantity"], order["origin"]) == ("FILLED", 10, "assistant")
    assert desk.at_exchange() == before + 1
    trace = desk.trace(card["correlation_id"])
    assert trace["outcome"] == "filled"
    assert trace["message"] == text
    assert (trace["reconciliation"]["status"], trace["reconciliation"]["delta_count"]) == ("ok", 0)
    assert trace["chain"]["ok"] is True
    words = [event["type"] for event in trace["events"]]
    path = ["trace.opened", "plan.made", "risk.decided", "card.open", "authorization.given", "send.started",
            "order.acked", "fill.booked", "reconcile.ok", "trace.closed"]  # fmt: skip
    assert [words.index(word) for word in path] == sorted(words.index(word) for word in path)
    assert desk.api.get(f"/api/ai/cards/{card['id']}").json()["state"] == "done"


def test_partial_fills_rejections_and_delays(
    trader: Any, trader_api: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange with its own delays, an order bigger than the first offer, and one the exchange refuses later."""
    exchange = start_paper(tmp_path, delay=1.0)
    try:
        desk = open_desk(trader, trader_api, exchange)
        _delays(desk)
        _partial_fills(desk)
        _rejection(desk, monkeypatch)
    finally:
        exchange.kill()


def _delays(desk: Desk) -> None:
    """Acked is not accepted: the statuses come one after the other, and the card waits for them."""
    order = execute(desk.api, plan(desk.api, price=desk.marketable(), quantity=2)).json()["intents"][0]
    assert order["state"] == "ACKED"
    assert desk.settled(order["id"])["state"] == "FILLED"
    seen = [(event["from"], event["to"]) for event in desk.order(order["id"])["events"] if event["to"]]
    assert seen[0] == ("PREPARED", "SENDING")
    assert seen[1] == ("SENDING", "ACKED")
    assert seen[-1][1] == "FILLED"
    assert desk.trace(order["correlation_id"])["outcome"] == "filled"


def _partial_fills(desk: Desk) -> None:
    for _ in range(10):
        symbol, quantity, price = _thin_offer(desk)
        made = plan(desk.api, symbol=symbol, quantity=quantity, price=price)
        if made["risk"]["outcome"] != "allow":
            continue
        order = execute(desk.api, made).json()["intents"][0]
        partly = _partly_filled(desk, order["id"])
        if partly is not None:
            break
        _take_back(desk, order["id"])
    else:
        raise AssertionError("every order filled in one piece")
    assert 0 < partly["filled_quantity"] < quantity
    desk.api.post(f"/api/orders/{order['id']}/cancel", {}, format="json", **key())
    ended = desk.settled(order["id"])
    assert ended["state"] in ("CANCELLED", "FILLED")
    assert ended["filled_quantity"] >= partly["filled_quantity"]
    trace = desk.trace(order["correlation_id"])
    assert trace["outcome"] == ("filled" if ended["state"] == "FILLED" else "partly_filled")
    assert (trace["reconciliation"]["status"], trace["reconciliation"]["delta_count"]) == ("ok", 0)


def _partly_filled(desk: Desk, order_id: str) -> dict[str, Any] | None:
    """The order with a part of it filled; None when it filled whole, or the market moved away before it filled."""
    for _ in range(60):
        order = desk.order(order_id)
        if order["filled_quantity"] > 0 or order["state"] in SETTLED:
            return None if order["state"] in SETTLED else order
        desk.pass_time()
    return None


def _take_back(desk: Desk, order_id: str) -> None:
    if desk.order(order_id)["state"] not in SETTLED:
        desk.api.post(f"/api/orders/{order_id}/cancel", {}, format="json", **key())
        desk.settled(order_id)


def _thin_offer(desk: Desk) -> tuple[str, int, str]:
    """Twice what the first offer of the cheapest holds, at its price."""
    names = ",".join(f"NSE:{name}" for name in LIQUID)
    quotes = desk.api.get(f"/api/quotes?symbols={names}").json()["quotes"]
    offers = [
        (symbol.split(":")[1], int(quote["asks"][0]["quantity"]) * 2, str(quote["asks"][0]["price"]))
        for symbol, quote in quotes.items()
        if quote["asks"] and int(quote["asks"][0]["quantity"]) > 1
    ]
    return min(offers, key=lambda row: row[1] * Decimal(row[2]))


def _rejection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The money is spent in another app between our approval and our send: the exchange refuses, after its ack."""
    made = plan(desk.api, price=desk.marketable(), quantity=100)
    assert made["risk"]["outcome"] == "allow", made["risk"]["denials"]
    with monkeypatch.context() as held:
        held.setattr(approval.door, "send_intent", lambda intent_id: OrderIntent.objects.get(pk=intent_id))
        order = execute(desk.api, made).json()["intents"][0]
    assert order["state"] == "PREPARED"
    price = Decimal(desk.marketable("TCS"))
    margin = Decimal(desk.api.get("/api/portfolio").json()["totals"]["margin_available"])
    spend(desk, "NSE:TCS", int((margin - 50_000) / price), str(price))
    before = desk.at_exchange()
    sent = door.send_intent(OrderIntent.objects.get(pk=order["id"]).pk)
    assert sent.state == "ACKED"
    refused = desk.settled(order["id"])
    assert (refused["state"], refused["filled_quantity"]) == ("REJECTED", 0)
    assert refused["status_message"]
    assert desk.trace(order["correlation_id"])["outcome"] == "rejected"
    assert desk.at_exchange() == before + 1
    codes = [row["code"] for row in desk.api.get("/api/exceptions?status=open").json()["results"]]
    assert codes.count("ORDER_REJECTED") == 1


def test_with_all_flags_off_the_ticket_works(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It places, cancels and reconciles, and not one line of assistant, monitor or MCP-to-Kite code runs."""
    for flag in Flag:
        set_flag(flag, enabled=False, actor="t", now=timezone.now())
    desk.api.get("/api/orders")  # loads the routes

    def no_kite(self: KiteMcpAdapter, url: str, **options: Any) -> None:
        assert isinstance(self, PaperAdapter), "a Kite MCP server was to be reached"
        made_by(self, url, **options)

    made_by = KiteMcpAdapter.__init__
    monkeypatch.setattr(KiteMcpAdapter, "__init__", no_kite)
    with calls_into(ROOT / "ai", ROOT / "monitoring") as seen:
        filled = execute(desk.api, plan(desk.api, price=desk.marketable(), quantity=6)).json()["intents"][0]
        assert desk.settled(filled["id"])["state"] == "FILLED"
        low = str((Decimal(desk.quote()["last_price"]) * Decimal("0.97")).quantize(Decimal(1)))
        resting = execute(desk.api, plan(desk.api, price=low, quantity=1)).json()["intents"][0]
        desk.until(lambda: desk.order(resting["id"])["state"] == "WORKING")
        assert desk.api.post(f"/api/orders/{resting['id']}/cancel", {}, format="json", **key()).status_code == 202
        assert desk.settled(resting["id"])["state"] == "CANCELLED"
        assert desk.api.post("/api/reconcile", {}, format="json").json()["status"] == "ok"
        assert desk.api.get("/api/ai/cards").status_code == 200
    assert seen == set()
    assert desk.trace(filled["correlation_id"])["outcome"] == "filled"
    thread = desk.api.post("/api/ai/threads", {}, format="json").json()
    said = desk.api.post(f"/api/ai/threads/{thread['id']}/messages", {"text": "buy 1 INFY"}, format="json")
    assert problem(said, 409, "FEATURE_DISABLED")["flag"] == "ai_assistant_enabled"


def test_the_watch_on_calls_does_see_them() -> None:
    """What the test above rests on."""
    from ai.language.text import MAX_LENGTH  # noqa: F401
    from ai.orchestrator import run_message

    with calls_into(ROOT / "ai") as seen:
        next(iter(run_message.__code__.co_varnames))
        from ai.api.events import CONTENT_TYPE  # noqa: F401
        from ai.shapes import message_shapes

        message_shapes([], None)  # type: ignore[arg-type]
    assert any(name.endswith(":message_shapes") for name in seen)
