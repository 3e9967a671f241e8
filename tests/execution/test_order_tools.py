"""A broker without order tools, or with changed ones: said on the card, refused at approval and at the door (A36)."""

from __future__ import annotations

import pytest

from broker.models import BrokerConnection
from execution import approval, blocks, door
from execution.models import OrderIntent
from sigmatrader.audit.models import ExceptionNote, ExceptionRecord, TraceEvent
from sigmatrader.pages.card_view import CardView
from tests.execution.api import key, problem, utcnow
from tests.execution.working import sent, sole, words_of

pytestmark = pytest.mark.django_db
ORDER_TOOLS = ["cancel_order", "modify_order", "place_order"]
HOSTED = ["get_orders", "get_profile", "login"]
CHANGED = [{"tool": "place_order", "what": "quantity is a string, not a number"}]
WAYS_OUT = [
    "Run your own Kite MCP server with your own API key and set its address in Settings.",
    "Use a Kite Connect connection instead.",
]


def have(**fields):
    BrokerConnection.objects.update(**fields)


def pressed(api, card):
    body = {"content_hash": card.content_hash}
    return api.post(f"/api/ai/cards/{card.id}/approve", body, format="json", **key())


@pytest.mark.parametrize(
    ("kind", "tools", "faults", "code"),
    [
        ("kite_mcp", HOSTED, [], "EXECUTION_TOOL_MISSING"),
        ("paper", HOSTED, [], "EXECUTION_TOOL_MISSING"),
        ("kite_mcp", [*HOSTED, "place_order", "cancel_order"], [], "EXECUTION_TOOL_MISSING"),
        ("kite_mcp", [], [{"tool": "place_order", "what": "missing"}], "EXECUTION_TOOL_MISSING"),
        ("kite_mcp", HOSTED, [{"tool": "place_order", "what": "missing"}], "EXECUTION_TOOL_MISSING"),
        ("kite_mcp", [*HOSTED, *ORDER_TOOLS], CHANGED, "TOOL_SCHEMA_CHANGED"),
        ("kite_mcp", [], CHANGED, "TOOL_SCHEMA_CHANGED"),
        ("kite_mcp", [*HOSTED, *ORDER_TOOLS], [{"tool": "get_quotes", "what": "changed"}], None),
        ("kite_mcp", [*HOSTED, *ORDER_TOOLS], [], None),
        ("kite_mcp", [], [], None),  # nobody has listed them yet
        ("kite_connect", HOSTED, CHANGED, None),  # an API without tools
    ],
)
def test_what_stands_in_the_way(connection, kind, tools, faults, code):
    connection.kind, connection.tools, connection.tool_faults = kind, tools, faults
    block = blocks.block_of(connection)
    assert (block.code if block else None) == code


def test_a_card_says_so_with_both_ways_out_and_cannot_be_approved(make_card, trader_api, broker):
    card = make_card()
    have(tools=HOSTED)
    shown = trader_api.get(f"/api/ai/cards/{card.id}").json()
    text = "This broker connection cannot execute: its server offers no cancel order, modify order and place order."
    assert shown["blocked"] == {"code": "EXECUTION_TOOL_MISSING", "text": text, "ways_out": WAYS_OUT}
    said = problem(pressed(trader_api, card), 409, "EXECUTION_TOOL_MISSING")
    assert said["ways_out"] == WAYS_OUT
    assert "approval.blocked" in words_of(card)
    card.refresh_from_db()
    assert card.state == "open"
    assert not OrderIntent.objects.exists()
    assert broker.sent == []


def test_the_page_shows_the_reason_inside_the_button(make_card, client, trader, broker):
    card = make_card()
    have(tools=HOSTED)
    client.force_login(trader)
    page = client.get(f"/cards/{card.id}").content.decode()
    assert 'data-testid="card-approve-off"' in page
    assert "Off: the broker connection cannot execute" in page
    for words in WAYS_OUT:
        assert words in page
    assert 'data-testid="card-approve"' not in page


def test_the_door_refuses_too(make_card, approve, broker, monkeypatch):
    card = make_card()
    monkeypatch.setattr(approval, "send", lambda done: done)
    (row,) = approve(card).intents
    monkeypatch.undo()
    have(tools=HOSTED)
    row = door.send_intent(row.id)
    assert (row.state, row.denial_code) == ("DENIED", "EXECUTION_TOOL_MISSING")
    assert broker.sent == []


def test_a_cancel_is_tried_all_the_same(working, cancel, broker):
    order = working()
    have(tools=HOSTED)
    assert cancel(order["id"]).json()["command"]["state"] == "ACKED"
    assert len(sent(broker, "cancel")) == 1


def test_a_changed_tool_is_one_open_exception_until_it_is_gone(connection, make_card, trader_api, broker, sweep):
    card = make_card()
    have(tools=[*HOSTED, *ORDER_TOOLS], tool_faults=CHANGED)
    sweep(3)
    row = ExceptionRecord.objects.get(code="TOOL_SCHEMA_CHANGED")
    assert (row.status, row.severity, row.count) == ("open", "high", 1)
    assert row.actual == "place_order: quantity is a string, not a number"
    problem(pressed(trader_api, card), 409, "TOOL_SCHEMA_CHANGED")
    have(tool_faults=[])
    sweep(1)
    row.refresh_from_db()
    assert row.status == "resolved"
    have(tool_faults=CHANGED)
    sweep(1)
    assert list(ExceptionRecord.objects.order_by("first_seen").values_list("status", flat=True)) == ["resolved", "open"]
    problem(pressed(trader_api, card), 409, "TOOL_SCHEMA_CHANGED")
    assert broker.sent == []


def accept(api, row):
    body = {"action": "accept_tools", "note": "looked at it"}
    return api.post(f"/api/exceptions/{row.id}/remediate", body, format="json", **key())


def test_an_administrator_accepts_exactly_this_change(make_card, trader, api_for, broker, sweep):
    card = make_card()
    have(tools=[*HOSTED, *ORDER_TOOLS], tool_faults=CHANGED)
    sweep(1)
    row = ExceptionRecord.objects.get(code="TOOL_SCHEMA_CHANGED")
    problem(accept(api_for(trader), row), 403, "FORBIDDEN")
    assert not ExceptionNote.objects.filter(action="accept_tools").exists()
    trader.is_staff = True
    trader.save()
    api = api_for(trader)
    answer = accept(api, row)
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert row.status == "resolved"
    story = TraceEvent.objects.filter(type="remedy.applied").get()
    assert "accept_tools" in story.data
    sweep(2)
    assert ExceptionRecord.objects.filter(code="TOOL_SCHEMA_CHANGED").count() == 1
    have(tool_faults=[{"tool": "place_order", "what": "price is required"}])
    problem(pressed(api, card), 409, "TOOL_SCHEMA_CHANGED")
    sweep(1)
    assert ExceptionRecord.objects.filter(code="TOOL_SCHEMA_CHANGED", status="open").count() == 1
    have(tool_faults=CHANGED)
    sweep(1)
    broker.now = utcnow()
    assert pressed(api, card).status_code == 202
    assert len(broker.placed) == 1
    assert sole(card).attempts == 1


def test_a_change_that_is_gone_cannot_be_accepted(connection, trader, api_for, sweep, broker):
    have(tools=[*HOSTED, *ORDER_TOOLS], tool_faults=CHANGED)
    sweep(1)
    row = ExceptionRecord.objects.get(code="TOOL_SCHEMA_CHANGED")
    have(tool_faults=[])
    trader.is_staff = True
    trader.save()
    problem(accept(api_for(trader), row), 409, "DIFFERENCE_GONE")
    assert not ExceptionNote.objects.filter(action="accept_tools").exists()


@pytest.mark.parametrize(
    ("order_type", "kind", "words"),
    [
        ("LIMIT", "MARKET", "sent as LIMIT ₹1,514.45; what does not fill up to it stays open"),
        ("SL", "SL-M", "sent as SL ₹1,514.45; what does not fill up to it stays open"),
    ],
)
def test_a_card_says_what_a_protected_order_is_sent_as(order_type, kind, words):
    view = CardView.__new__(CardView)
    view.leg = {"converted_from_market": True, "order_type": order_type, "limit_price": "1514.45"}
    assert (view.type_text, view.protection) == (kind, words)
