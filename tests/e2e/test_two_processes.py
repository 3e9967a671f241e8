"""Two real web processes on one database and a real exchange: one key pressed a thousand times, and kill -9."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from sigmatrader.demo.client import Api, new_key
from tests.support.processes import Product, product

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("products")]
PRESSES = 1_000
SETTLED = {"FILLED", "CANCELLED", "REJECTED", "DENIED", "NOT_PLACED", "EXPIRED", "NEEDS_REVIEW", "NOT_SENT"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("product")) as started:
        yield started


@pytest.fixture(scope="module")
def webs(running: Product) -> tuple[Api, Api]:
    return running.web(), running.web()


def made(api: Api, quantity: int = 1) -> dict[str, Any]:
    """A plan whose limit is marketable in the seeded market."""
    row = api.get("/api/quotes?symbols=NSE:INFY")["quotes"]["NSE:INFY"]
    price = int(float(row["last_price"]) * 1.01)
    intent = {
        "kind": "order", "side": "BUY", "symbol": "INFY", "exchange": "NSE", "quantity": quantity,
        "order_type": "LIMIT", "price": str(price), "product": "CNC", "validity": "DAY", "variety": "regular",
    }  # fmt: skip
    plan = api.post("/api/plans", {"intent": intent})
    assert plan["risk"]["outcome"] == "allow", plan["risk"]["denials"]
    return dict(plan)


async def press_at_once(webs: tuple[Api, Api], path: str, body: dict[str, Any], key: str) -> Counter[tuple[int, str]]:
    """All requests open, then all sent: by status and problem code."""
    text = json.dumps(body).encode()
    go = asyncio.Event()
    ready = asyncio.Semaphore(0)

    async def one(n: int) -> tuple[int, str]:
        api = webs[n % 2]
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nAuthorization: Token {api.token}\r\n"
            f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            "Connection: close\r\n\r\n"
        )
        ready.release()
        await go.wait()
        writer.write(head.encode() + text)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        status = int(top.split()[1])
        return status, "" if status < 400 else str(json.loads(rest)["code"])

    tasks = [asyncio.create_task(one(n)) for n in range(PRESSES)]
    for _ in range(PRESSES):
        await ready.acquire()
    go.set()
    return Counter(await asyncio.gather(*tasks))


def test_a_thousand_presses_with_one_key_make_one_order(running: Product, webs: tuple[Api, Api]) -> None:
    plan = made(webs[0])
    before, began = running.orders_at_exchange(), time.monotonic()
    answers = asyncio.run(
        press_at_once(webs, f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]}, new_key())
    )
    risk = webs[1].get(f"/api/ai/cards/{plan['card_id']}")["risk"]
    why = [row for row in risk["controls"] if row["verdict"] == "deny"]
    assert running.orders_at_exchange() == before + 1, (answers, why)
    assert set(answers) <= {(202, ""), (409, "IN_PROGRESS")}, answers
    assert sum(answers.values()) == PRESSES
    assert answers[202, ""] >= 1
    trace = webs[1].get(f"/api/traces/{plan['correlation_id']}")
    assert len(trace["orders"]) == 1
    assert [event["type"] for event in trace["events"]].count("send.started") == 1
    assert time.monotonic() - began < 60


def settle(running: Product, api: Api, order_id: str, *, within_s: float) -> dict[str, Any]:
    """Recovery by another process, as the worker does it, until the order has settled."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        running.manage("recover")
        order = api.get(f"/api/orders/{order_id}")
        if order["state"] in SETTLED:
            return dict(order)
    raise AssertionError(f"still {order['state']} after {within_s} s")


@pytest.mark.parametrize(
    ("point", "state", "quantity"),
    [
        ("before_commit", None, 2),  # A1: nothing happened
        ("committed", "FILLED", 3),  # A2: resumed
        ("answered", "FILLED", 4),  # A4, A9: adopted by its tag
        ("acked", "FILLED", 5),  # A10: polled
    ],
)
def test_kill_9_at(running: Product, webs: tuple[Api, Api], point: str, state: str | None, quantity: int) -> None:
    api = webs[0]
    plan, key = made(api, quantity), new_key()
    before = running.orders_at_exchange()
    doomed = running.web(SIGMATRADER_FAULT_POINT=point)
    path, body = f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]}
    with pytest.raises((OSError, http.client.HTTPException)):
        doomed.call("POST", path, body, key=key)
    assert running.webs.pop().wait(timeout=5) == -9
    trace = api.get(f"/api/traces/{plan['correlation_id']}")
    if state is None:
        assert trace["orders"] == []
        assert running.orders_at_exchange() == before
        return
    (order,) = trace["orders"]
    settled = settle(running, api, order["id"], within_s=40)
    assert (settled["state"], settled["filled_quantity"]) == (state, quantity)
    assert running.orders_at_exchange() == before + 1
    words = [event["type"] for event in api.get(f"/api/traces/{plan['correlation_id']}")["events"]]
    assert words.count("send.started") == 1
    assert words[-1] == "trace.closed"
    if point == "answered":
        assert {"recovery.lookup", "send.unknown", "lookup.hit"} <= set(words)
    if point == "committed":
        assert "recovery.resumed" in words


def test_kill_9_between_sending_and_the_bytes(running: Product, webs: tuple[Api, Api]) -> None:
    """A3: it is looked up and never sent again; the full eleven look-ups take three minutes and are shown elsewhere."""
    api = webs[0]
    plan, key = made(api, 6), new_key()
    before = running.orders_at_exchange()
    doomed = running.web(SIGMATRADER_FAULT_POINT="sending")
    with pytest.raises((OSError, http.client.HTTPException)):
        doomed.call("POST", f"/api/plans/{plan['id']}/execute", {"content_hash": plan["content_hash"]}, key=key)
    running.webs.pop().wait(timeout=5)
    (order,) = api.get(f"/api/traces/{plan['correlation_id']}")["orders"]
    assert order["state"] == "SENDING"
    deadline = time.monotonic() + 30
    while order["look_ups"] < 1 and time.monotonic() < deadline:
        running.manage("recover")
        order = api.get(f"/api/orders/{order['id']}")
    assert (order["state"], order["look_ups"] >= 1) == ("AMBIGUOUS", True)
    assert running.orders_at_exchange() == before
    words = [event["type"] for event in api.get(f"/api/traces/{plan['correlation_id']}")["events"]]
    assert words.count("send.started") == 1
    assert "lookup.miss" in words
