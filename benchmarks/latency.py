"""How long a trader waits: message to card, and approval to the broker's ack, on the real processes over loopback.

Prints one JSON line. ``approve_to_ack_ms`` runs from the client's request to the moment the ack was on record, network
and exchange included; ``exchange_ms`` is what the exchange takes for the two calls on that path, a quote and an order,
asked over the same wire in the same run, and ``overhead_ms`` is the difference of each percentile.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")

import django  # noqa: E402

django.setup()

from broker.adapters.paper import PaperAdapter  # noqa: E402
from broker.domain import OrderType, PlaceOrder, Product, Side, Validity, Variety  # noqa: E402
from broker.session.client import SessionClient  # noqa: E402
from sigmatrader.demo.stage import Stage, set_stage  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "60"))
MOST_RUPEES = 3_000


def main() -> None:
    with tempfile.TemporaryFile() as log, set_stage(account="", log=log) as stage:
        symbols = _symbols(stage)
        _warm(stage, symbols[0])
        cards = [_message(stage, symbol) for symbol in symbols]
        acks, answers = zip(*(_approve(stage, s) for s in symbols), strict=True)
        exchange = _exchange(stage, symbols[0])
    print(json.dumps({
        "rounds": len(symbols), "cores": os.cpu_count(),
        "message_to_card_ms": _spread(cards), "approve_to_ack_ms": _spread(acks), "approve_answer_ms": _spread(answers),
        "exchange_ms": _spread(exchange),
        "overhead_ms": {k: round(_spread(acks)[k] - _spread(exchange)[k], 1) for k in ("p50", "p95")},
    }))  # fmt: skip


def _symbols(stage: Stage) -> list[tuple[str, Decimal]]:
    """Cheap shares with a limit that fills at once, one each, so that no limit of the policy is met."""
    with (ROOT / "broker" / "data" / "instruments.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["exchange"] == "NSE" and row["instrument_type"] == "EQ"]
    names = [f"NSE:{row['tradingsymbol']}" for row in rows if row["segment"] != "INDICES"]
    quotes = stage.api.get(f"/api/quotes?symbols={','.join(names[:120])}")["quotes"]
    found = []
    for symbol, quote in quotes.items():
        last = Decimal(str(quote["last_price"]))
        if last < MOST_RUPEES:
            found.append((symbol, (last * Decimal("1.004")).quantize(Decimal(1), ROUND_FLOOR) + 1))
    return found[:ROUNDS]


def _warm(stage: Stage, symbol: tuple[str, Decimal]) -> None:
    for _ in range(3):
        _message(stage, symbol)
    _approve(stage, (symbol[0], symbol[1] + 1), quantity=2)


def _message(stage: Stage, symbol: tuple[str, Decimal]) -> float:
    thread = stage.api.post("/api/ai/threads")
    began = time.perf_counter()
    name = symbol[0].split(":")[1]
    answer = stage.api.post(f"/api/ai/threads/{thread['id']}/messages", {"text": f"buy 1 {name} at {symbol[1]}"})
    took = (time.perf_counter() - began) * 1000
    if not answer["cards"]:
        raise SystemExit(f"no card for {symbol}: {answer['text']}")
    return took


def _approve(stage: Stage, symbol: tuple[str, Decimal], quantity: int = 1) -> tuple[float, float]:
    exchange, name = symbol[0].split(":")
    intent = {
        "kind": "order", "side": "BUY", "symbol": name, "exchange": exchange, "quantity": quantity,
        "order_type": "LIMIT", "price": str(symbol[1]), "product": "CNC",
    }  # fmt: skip
    plan = stage.api.post("/api/plans", {"intent": intent})
    asked, began = datetime.now(UTC), time.perf_counter()
    answer = stage.api.call("POST", f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]})
    took = (time.perf_counter() - began) * 1000
    if answer.status != 202:
        raise SystemExit(f"{symbol}: {answer.status} {answer.body}")
    order = stage.api.get(f"/api/orders/{answer.body['intents'][0]['id']}")
    acked = next(event["ts"] for event in order["events"] if event["event"] == "order.acked")
    _wait_closed(stage, answer.body["correlation_id"])
    return (datetime.fromisoformat(acked) - asked).total_seconds() * 1000, took


def _wait_closed(stage: Stage, correlation_id: str) -> None:
    """One order at a time, as a person trades: the next one is asked for when this one's story has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if stage.api.get(f"/api/traces/{correlation_id}")["status"] == "closed":
            return
        time.sleep(0.1)
    raise SystemExit(f"{correlation_id} did not close")


def _exchange(stage: Stage, symbol: tuple[str, Decimal]) -> list[float]:
    """A quote and a placement over the same session: orders that rest far below the market and never fill."""
    price = (symbol[1] * Decimal("0.9")).quantize(Decimal(1), ROUND_FLOOR)
    (connection,) = stage.api.get("/api/broker/connections")["results"]
    client = SessionClient(connection["id"], stage.folder / "run" / "broker.sock")
    adapter = PaperAdapter(connection["server_url"], client=client)
    try:
        times = []
        for n in range(ROUNDS + 5):
            order = PlaceOrder(symbol[0], Side.BUY, 1, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR,
                               f"BENCH{n:04}", price)  # fmt: skip
            began = time.perf_counter()
            adapter.quotes([symbol[0]])
            adapter.place_order(order)
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.1)  # as in the path, where seconds pass between two orders
        return times[5:]
    finally:
        adapter.close()


def _spread(times: Any) -> dict[str, float]:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return {"p50": round(statistics.median(ordered), 1), "p95": round(p95, 1), "max": round(ordered[-1], 1)}


if __name__ == "__main__":
    main()
