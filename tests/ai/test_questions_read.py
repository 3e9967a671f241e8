"""Questions, cancels and changes, and the exact intent each becomes."""

from __future__ import annotations

from typing import Any

import pytest

from ai.interpreter import interpret
from tests.ai.books import CONTEXT, INFY_BUY, RELIANCE_STOP, TCS_REJECTED


def analyze(topic: str, symbol: str = "") -> dict[str, Any]:
    return {"kind": "analyze", "topic": topic, **({"symbol": symbol} if symbol else {})}


def explain(topic: str, *ids: str, symbol: str = "") -> dict[str, Any]:
    about: dict[str, Any] = {"symbol": symbol} if symbol else {}
    return {"kind": "explain", "topic": topic, **about, **({"order_ids": list(ids)} if ids else {})}


def cancel(*ids: str) -> dict[str, Any]:
    return {"kind": "cancel", "order_ids": list(ids)}


def modify(order_id: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "modify", "order_ids": [order_id], "changes": changes}


SENTENCES: list[tuple[str, dict[str, Any]]] = [
    ("what do I hold", analyze("holdings")),
    ("what do i hold?", analyze("holdings")),
    ("show holdings", analyze("holdings")),
    ("kya hai mere portfolio mein", analyze("holdings")),
    ("how many infy do I have", analyze("holdings", "INFY")),
    ("what did I make today", analyze("pnl_day")),
    ("aaj kitna kamaya", analyze("pnl_day")),
    ("today's pnl", analyze("pnl_day")),
    ("pnl", analyze("pnl_day")),
    ("am i in profit or loss today", analyze("pnl_day")),
    ("total pnl", analyze("pnl_total")),
    ("how much am I up on infy", analyze("pnl_symbol", "INFY")),
    ("show my positions", analyze("positions")),
    ("open orders", analyze("orders")),
    ("show my orders", analyze("orders")),
    ("orders", analyze("orders")),
    ("margin available", analyze("margin")),
    ("kitna margin hai", analyze("margin")),
    ("how much cash do I have", analyze("margin")),
    ("price of infy", analyze("quote", "INFY")),
    ("infy price?", analyze("quote", "INFY")),
    ("infy kitne ka hai", analyze("quote", "INFY")),
    ("reliance ka bhav kya hai", analyze("quote", "RELIANCE")),
    ("what's the ltp of reliance", analyze("quote", "RELIANCE")),
    ("how is my portfolio", analyze("portfolio_summary")),
    ("which is my biggest holding", analyze("concentration")),
    ("sector allocation", analyze("allocation")),
    ("what are my charges today", analyze("charges")),
    ("what is my exposure", analyze("exposure")),
    ("what if I sell half of TCS", analyze("what_if", "TCS")),
    ("why was my order rejected", explain("order_rejected", TCS_REJECTED)),
    ("why was my last order rejected?", explain("order_rejected", TCS_REJECTED)),
    ("why did my tcs order get rejected?", explain("order_rejected", TCS_REJECTED, symbol="TCS")),
    ("tcs order reject kyu hua", explain("order_rejected", TCS_REJECTED, symbol="TCS")),
    ("what happened to my infy order", explain("order_status", INFY_BUY, symbol="INFY")),
    (f"status of order {INFY_BUY}", explain("order_status", INFY_BUY)),
    ("was my infy order filled?", explain("order_status", INFY_BUY, symbol="INFY")),
    ("why was it denied", explain("risk_denied")),
    ("why did I buy infy", explain("trade_reason", INFY_BUY, symbol="INFY")),
    ("cancel my INFY order", cancel(INFY_BUY)),
    ("infy ka order cancel karo", cancel(INFY_BUY)),
    ("cancle my infy order", cancel(INFY_BUY)),
    ("cancel all open orders", cancel(INFY_BUY, RELIANCE_STOP)),
    ("cancel all", cancel(INFY_BUY, RELIANCE_STOP)),
    ("cancel buy orders", cancel(INFY_BUY)),
    ("cancel all sell orders", cancel(RELIANCE_STOP)),
    (f"cancel order {RELIANCE_STOP}", cancel(RELIANCE_STOP)),
    ("cancel last order", cancel(RELIANCE_STOP)),
    ("cancel my infy gtt", {"kind": "cancel", "gtt_ids": ["77"]}),
    ("change INFY to 1485", modify(INFY_BUY, price="1485")),
    ("make my infy order 1480", modify(INFY_BUY, price="1480")),
    ("change my infy order quantity to 20", modify(INFY_BUY, quantity=20)),
    ("modify infy order price to 1480 and quantity to 5", modify(INFY_BUY, price="1480", quantity=5)),
    ("move reliance stop to 1370", modify(RELIANCE_STOP, trigger_price="1370")),
    ("make infy order market", modify(INFY_BUY, order_type="MARKET")),
]


@pytest.mark.parametrize(("text", "intent"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_is_read(text: str, intent: dict[str, Any]) -> None:
    assert interpret(text, context=CONTEXT) == intent
