"""The story the demo tells: every step is done through the API of the running product, and checked."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from itertools import accumulate
from typing import IO, Any

from sigmatrader.demo.client import new_key
from sigmatrader.demo.stage import Stage, doomed_web

Facts = dict[str, Any]
SETTLED = {"FILLED", "CANCELLED", "REJECTED", "DENIED", "NOT_PLACED", "EXPIRED", "NEEDS_REVIEW", "NOT_SENT"}
_VETO_QUANTITY = 5_000
_TWINS = 50
_PART_TRIES, _CANDIDATES, _SEARCH_S = 5, 3, 60.0
_PART_SYMBOLS = (
    "NSE:ADANIPORTS,NSE:ASIANPAINT,NSE:AXISBANK,NSE:BHARTIARTL,NSE:BPCL,NSE:CIPLA,NSE:COALINDIA,NSE:DABUR,NSE:DLF,"
    "NSE:EICHERMOT,NSE:GAIL,NSE:GRASIM,NSE:HCLTECH,NSE:HDFCBANK,NSE:HDFCLIFE,NSE:HINDALCO,NSE:HINDUNILVR,NSE:IOC,"
    "NSE:ICICIBANK,NSE:INDUSINDBK,NSE:INFY,NSE:ITC,NSE:JSWSTEEL,NSE:KOTAKBANK,NSE:LT,NSE:MARUTI,NSE:NESTLEIND,NSE:NTPC,"
    "NSE:ONGC,NSE:POWERGRID,NSE:RELIANCE,NSE:SBILIFE,NSE:SBIN,NSE:SUNPHARMA,NSE:TATASTEEL,NSE:TCS,NSE:TECHM,NSE:TITAN,"
    "NSE:TRENT,NSE:TVSMOTOR,NSE:VEDL,NSE:WIPRO"
)


class DemoFailed(Exception):
    """A step did not end as it must; the text says which and how."""


@dataclass(slots=True)
class Teller:
    """Tells each step as it happens and keeps the facts for ``--json``."""

    say: Callable[[str], None]
    steps: list[Facts] = field(default_factory=list)

    def tell(self, name: str, words: str, **facts: object) -> None:
        """One step that went as it must."""
        self.steps.append({"step": name, "said": words, **facts})
        self.say(words)


def play(stage: Stage, teller: Teller, *, symbol: str, log: IO[bytes]) -> None:
    """The whole path once. Raises DemoFailed at the first step that goes wrong."""
    connection = _snapshot(stage, teller)
    _sentence(stage, teller, symbol)
    _in_parts(stage, teller)
    _veto(stage, teller, symbol)
    _twins(stage, teller, symbol)
    _crash(stage, teller, symbol, log)
    _reconcile(stage, teller, connection)
    _verify(stage, teller)


def _snapshot(stage: Stage, teller: Teller) -> str:
    connection = next(row for row in _rows(stage.api.get("/api/broker/connections")) if row["is_active"])
    taken = stage.api.post(f"/api/broker/connections/{connection['id']}/snapshot")
    _require(all(taken["complete"].values()), f"the snapshot is incomplete: {taken['complete']}")
    holdings, margin = len(taken["holdings"]), taken["margins"]["equity"]["net"]
    teller.tell(
        "snapshot",
        f"Read the books: {holdings} holdings, {len(taken['positions']['net'])} positions, ₹{margin} to trade with.",
        holdings=holdings, margin=margin, hash=taken["hash"],
    )  # fmt: skip
    return str(connection["id"])


def _sentence(stage: Stage, teller: Teller, symbol: str) -> None:
    price = _price(stage, symbol)
    text = f"buy 10 {symbol.split(':')[1]} at {price}"
    card = _say(stage, text)
    passed = len([c for c in card["risk"]["controls"] if c["verdict"] != "deny"])
    teller.tell(
        "plan", f'"{text}" became a card: {card["title"]}, value ₹{card["plan"]["estimates"]["order_value"]}, '
        f"{passed} rules passed.", text=text, card=card["id"], correlation_id=card["correlation_id"],
    )  # fmt: skip
    approved = _approve(stage, card)
    order = _settled(stage, approved["intents"][0]["id"])
    _require(order["state"] == "FILLED" and order["filled_quantity"] == 10, f"the order ended as {order['state']}")
    trace = _closed(stage, card["correlation_id"])
    run = trace["reconciliation"]
    _require(run["delta_count"] == 0, f"differences after the trade: {run['deltas']}")
    teller.tell(
        "trade", f"Approved, sent once, filled: 10 at ₹{order['average_price']}. Reconciled: no differences.",
        order=order["broker_order_id"], average_price=order["average_price"], outcome=trace["outcome"],
        events=[event["type"] for event in trace["events"]],
    )  # fmt: skip


def _in_parts(stage: Stage, teller: Teller) -> None:
    """More than the first price level holds, at that level's price: the rest fills as new offers come."""
    for _ in range(_PART_TRIES):
        symbol, quantity, price = _deep_order(stage)
        seen = _fill_in_parts(stage, symbol, quantity, price)
        if len(seen) > 1:
            teller.tell(
                "partial_fills", f"{quantity} {symbol} filled in parts: {' → '.join(map(str, seen))}.",
                symbol=symbol, quantity=quantity, filled=seen,
            )  # fmt: skip
            return
    raise DemoFailed("every order filled in one piece")


def _fill_in_parts(stage: Stage, symbol: str, quantity: int, price: Decimal) -> list[int]:
    """The filled quantities that were seen, rising to ``quantity``; none if the market moved away from the price.

    Raises DemoFailed if the order ends in another way.
    """
    plan = stage.api.post("/api/plans", {"intent": _intent(symbol, quantity, price)})
    approved = _approve(stage, stage.api.get(f"/api/ai/cards/{plan['card_id']}"))
    order = _settled(stage, approved["intents"][0]["id"], within_s=20)
    if order["state"] not in SETTLED:  # the market moved away: take the rest back and try another
        stage.api.post(f"/api/orders/{order['id']}/cancel")
        _settled(stage, order["id"])
        return []
    _require(order["state"] == "FILLED", f"the order ended as {order['state']} with {order['filled_quantity']} filled")
    return list(accumulate(e["detail"]["quantity"] for e in order["events"] if e["event"] == "fill.booked"))


def _veto(stage: Stage, teller: Teller, symbol: str) -> None:
    before = stage.orders_at_exchange()
    card = _say(stage, f"buy {_VETO_QUANTITY} {symbol.split(':')[1]} at {_price(stage, symbol)}")
    _require(card["kind"] == "veto" and card["state"] == "denied", f"it was not vetoed: {card['state']}")
    refused = stage.api.call("POST", f"/api/ai/cards/{card['id']}/approve", {"content_hash": card["content_hash"]})
    after = stage.orders_at_exchange()
    _require(refused.status == 409 and after == before, f"{after - before} orders reached the exchange")
    teller.tell(
        "veto", f"{_VETO_QUANTITY} vetoed ({', '.join(card['risk']['denials'])}): {after - before} orders sent.",
        denials=card["risk"]["denials"], orders_sent=after - before,
    )  # fmt: skip


def _twins(stage: Stage, teller: Teller, symbol: str) -> None:
    before = stage.orders_at_exchange()
    plan = stage.api.post("/api/plans", {"intent": _intent(symbol, 3, _price(stage, symbol))})
    path, body, key = f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]}, new_key()
    with ThreadPoolExecutor(_TWINS) as pool:
        answers = list(pool.map(lambda _: stage.api.call("POST", path, body, key=key), range(_TWINS)))
    sent = stage.orders_at_exchange() - before
    statuses = {status: sum(a.status == status for a in answers) for status in sorted({a.status for a in answers})}
    _require(sent == 1, f"{sent} orders reached the exchange")
    _require(not any(a.status >= 500 for a in answers), f"a twin failed: {statuses}")
    _settled(stage, _orders_of(stage, plan["correlation_id"])[0]["id"])
    replayed = sum(answer.replayed for answer in answers)
    teller.tell(
        "twins", f"{_TWINS} twins of one approval at once: {sent} order. {replayed} were answered from the first.",
        requests=_TWINS, orders_sent=sent, statuses={str(k): v for k, v in statuses.items()}, replayed=replayed,
    )  # fmt: skip


def _crash(stage: Stage, teller: Teller, symbol: str, log: IO[bytes]) -> None:
    before = stage.orders_at_exchange()
    plan = stage.api.post("/api/plans", {"intent": _intent(symbol, 2, _price(stage, symbol))})
    path, body = f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]}
    with doomed_web(stage, fault_point="answered", log=log) as doomed, suppress(OSError, http.client.HTTPException):
        doomed.call("POST", path, body)
    began = time.monotonic()
    order = _settled(stage, _orders_of(stage, plan["correlation_id"])[0]["id"], within_s=60)
    took = time.monotonic() - began
    sent = stage.orders_at_exchange() - before
    words = [event["event"] for event in order["events"]]
    _require(order["state"] == "FILLED" and sent == 1, f"it ended as {order['state']} with {sent} orders")
    _require("lookup.hit" in words, f"it was not settled by its tag: {words}")
    teller.tell(
        "crash", f"The process died between the send and the answer. {took:.0f} s later the order was found by its tag:"
        f" {order['state']}, {sent} order.", orders_sent=sent, events=words, seconds=round(took, 1),
    )  # fmt: skip


def _reconcile(stage: Stage, teller: Teller, connection: str) -> None:
    run = stage.api.post("/api/reconcile", {"connection": connection})
    _require(run["delta_count"] == 0, f"differences: {run['deltas']}")
    checked = run["checked"]
    teller.tell(
        "reconcile", f"Reconciled {checked['holdings']} holdings, {checked['positions']} positions and "
        f"{checked['orders']} orders: no differences.", status=run["status"], delta_count=0, checked=checked,
    )  # fmt: skip


def _verify(stage: Stage, teller: Teller) -> None:
    verdict = json.loads(stage.manage("audit_verify", "--json"))
    _require(verdict["ok"], f"the audit chain is broken: {verdict['first_bad']}")
    teller.tell(
        "verify", f"The audit chain holds: {verdict['events']} events in {verdict['duration_ms']} ms.",
        events=verdict["events"], ok=True,
    )  # fmt: skip


# --- what the steps are made of ------------------------------------------------------------------------------------
def _say(stage: Stage, text: str) -> Facts:
    thread = stage.api.post("/api/ai/threads")
    message = stage.api.post(f"/api/ai/threads/{thread['id']}/messages", {"text": text})
    _require(len(message["cards"]) == 1, f'"{text}" made {len(message["cards"])} cards: {message["text"]}')
    card: Facts = message["cards"][0]
    return card


def _approve(stage: Stage, card: Facts) -> Facts:
    body = {"content_hash": card["content_hash"]}
    approved: Facts = stage.api.post(f"/api/ai/cards/{card['id']}/approve", body)
    return approved


def _settled(stage: Stage, order_id: str, *, within_s: float = 20) -> Facts:
    deadline = time.monotonic() + within_s
    while True:
        order: Facts = stage.api.get(f"/api/orders/{order_id}")
        if order["state"] in SETTLED or time.monotonic() > deadline:
            return order
        time.sleep(0.1)


def _closed(stage: Stage, correlation_id: str) -> Facts:
    deadline = time.monotonic() + 20
    while True:
        trace: Facts = stage.api.get(f"/api/traces/{correlation_id}")
        if trace["status"] == "closed":
            return trace
        if time.monotonic() > deadline:
            raise DemoFailed(f"the trace {correlation_id} did not close")
        time.sleep(0.1)


def _orders_of(stage: Stage, correlation_id: str) -> list[Facts]:
    rows = _rows(stage.api.get("/api/orders"))
    return [row for row in rows if row["correlation_id"] == correlation_id]


def _quote(stage: Stage, symbol: str) -> Facts:
    quotes = stage.api.get(f"/api/quotes?symbols={symbol}")
    rows = quotes.get("quotes", quotes) if isinstance(quotes, dict) else quotes
    found: Facts = rows[symbol] if isinstance(rows, dict) else next(row for row in rows if row["symbol"] == symbol)
    return found


def _price(stage: Stage, symbol: str) -> Decimal:
    """A limit that fills at once: a little above the last price, on a whole ten paise."""
    last = Decimal(str(_quote(stage, symbol)["last_price"]))
    return (last * Decimal("1.002")).quantize(Decimal(1), ROUND_FLOOR) + 1


def _deep_order(stage: Stage) -> tuple[str, int, Decimal]:
    """A quantity that the first offer does not hold, at its price, that RiskGate lets through."""
    deadline = time.monotonic() + _SEARCH_S
    while time.monotonic() < deadline:
        for symbol, quantity, price in _thin_offers(stage)[:_CANDIDATES]:
            verdict = stage.api.post("/api/risk/evaluate", {"intent": _intent(symbol, quantity, price)})
            if verdict["outcome"] == "allow":
                return symbol, quantity, price
        time.sleep(0.5)
    raise DemoFailed("no offer is small enough to fill an order in parts inside the limits")


def _thin_offers(stage: Stage) -> list[tuple[str, int, Decimal]]:
    """Offers that a quarter more than they hold would empty, the cheapest first."""
    found = []
    for symbol, quote in stage.api.get(f"/api/quotes?symbols={_PART_SYMBOLS}")["quotes"].items():
        offer = next(iter(quote["asks"]), None)
        if offer and offer["quantity"] > 1:
            found.append((symbol, int(offer["quantity"]) * 5 // 4 + 1, Decimal(str(offer["price"]))))
    return sorted(found, key=lambda row: row[1] * row[2])


def _intent(symbol: str, quantity: int, price: Decimal) -> Facts:
    exchange, name = symbol.split(":")
    return {
        "kind": "order", "side": "BUY", "symbol": name, "exchange": exchange, "quantity": quantity,
        "order_type": "LIMIT", "price": str(price), "product": "CNC", "validity": "DAY", "variety": "regular",
    }  # fmt: skip


def _rows(body: Any) -> list[Facts]:
    rows: list[Facts] = body["results"] if isinstance(body, dict) else body
    return rows


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DemoFailed(otherwise)
