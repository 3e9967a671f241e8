"""Faults on command, over both transports: what the client sees, and what the exchange did meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from broker.paper.sessions import LoginMode
from tests.broker.paper.wire import Wire, called, drive, error_of, link_in, orders_of, text_of
from tests.broker.test_paper_tools import LIMIT

TOKEN = "canary-token"
CONTROL = {"authorization": f"Bearer {TOKEN}"}


async def command(wire: Wire, *faults: str) -> None:
    body = json.dumps({"faults": faults}).encode()
    assert (await wire.request("POST", "/control/faults", body, CONTROL)).status == 200


async def tags(wire: Wire) -> list[str]:
    return [row["tag"] for row in orders_of(await wire.tool(await wire.initialize(), "get_orders"))]


@pytest.mark.parametrize(("kind", "placed"), [("placed_then_error", ["T1"]), ("error", [])])
def test_an_error_with_or_without_an_order(tmp_path: Path, kind: str, placed: list[str]) -> None:
    async def play(wire: Wire) -> None:
        await command(wire, f"place:{kind}")
        stream = await wire.open()
        assert error_of(await stream.tool("place_order", LIMIT)) == "Failed to place order"
        assert await tags(wire) == placed
        assert "order_id" in text_of(await stream.tool("place_order", {**LIMIT, "tag": "T2"}))

    drive(tmp_path, play, control=TOKEN)


@pytest.mark.parametrize(("kind", "placed"), [("placed_then_cut", ["T1"]), ("cut", [])])
def test_a_cut_with_or_without_an_order(tmp_path: Path, kind: str, placed: list[str]) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        await command(wire, f"place:{kind}")
        assert (await stream.post(called("place_order", LIMIT, 1))).status == 202
        await stream.ended()
        assert (stream.is_cut, await tags(wire)) == (True, placed)
        await command(wire, f"cancel:{kind}")
        got = await wire.mcp(
            called("cancel_order", {"variety": "regular", "order_id": "1"}, 1), await wire.initialize()
        )
        assert (got.is_cut, got.status, got.body) == (True, 0, b"")

    drive(tmp_path, play, control=TOKEN)


@pytest.mark.parametrize(("kind", "placed"), [("never_answered", ["T1"]), ("lost", [])])
def test_silence_with_or_without_an_order(tmp_path: Path, kind: str, placed: list[str]) -> None:
    async def play(wire: Wire) -> None:
        stream, session = await wire.open(), await wire.initialize()
        await command(wire, f"place:{kind}:2")
        assert (await stream.post(called("place_order", LIMIT, 1))).status == 202
        waiting = wire.send("POST", "/mcp", json.dumps(called("place_order", {**LIMIT, "tag": "T2"}, 1)).encode(),
                            {"content-type": "application/json", "mcp-session-id": session})  # fmt: skip
        profile = json.loads(text_of(await stream.tool("get_profile")))  # the stream lives on
        assert profile["user_id"] == "PT0001"
        assert await tags(wire) == [*placed, *(["T2"] if placed else [])]
        assert stream.connection.sent.empty()
        assert not waiting.task.done()
        waiting.leave()
        await waiting.task
        assert (waiting.got.status, waiting.got.body) == (0, b"")

    drive(tmp_path, play, control=TOKEN)


def test_a_placed_order_is_seen_in_its_time_everywhere(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        await command(wire, "place:delayed_visibility:1:45")
        order_id = json.loads(text_of(await wire.tool(session, "place_order", LIMIT)))["order_id"]
        await wire.tool(session, "place_order", {**LIMIT, "tag": "T2"})
        wire.clock.pass_time(seconds=44.9)
        assert await tags(wire) == ["T2"]
        page = json.loads(text_of(await wire.tool(session, "get_orders", {"limit": 5})))["pagination"]
        assert (page["total"], page["returned"]) == (1, 1)
        mine: dict[str, Any] = {"order_id": order_id, "variety": "regular"}
        assert error_of(await wire.tool(session, "get_order_history", mine)) == "Failed to get order history"
        assert error_of(await wire.tool(session, "cancel_order", mine)) == "Failed to cancel order"
        wire.clock.pass_time(seconds=0.1)
        assert sorted(await tags(wire)) == ["T1", "T2"]
        assert len(orders_of(await wire.tool(session, "get_order_history", mine))) > 1

    drive(tmp_path, play, control=TOKEN)


def test_garbage_is_no_json(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await command(wire, "get_profile:garbage:2")
        stream = await wire.open()
        await stream.post(called("get_profile", {}, 1))
        event = (await stream.raw()).removeprefix(b"event: message\ndata: ")
        got = await wire.mcp(called("get_profile", {}, 1), await wire.initialize())
        for body in (event, got.body):
            assert body.startswith(b'{"jsonrpc":"2.0","id":1,"result":')
            with pytest.raises(ValueError, match=r"line 1 column \d+"):
                json.loads(body)

    drive(tmp_path, play, control=TOKEN)


def test_huge_and_doubled_answers(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        await wire.tool(session, "place_order", LIMIT)
        await command(wire, "get_orders:huge", "get_orders:duplicate_rows")
        huge = text_of(await wire.tool(session, "get_orders"))
        assert len(huge) > 5_000_000
        assert [row["tag"] for row in json.loads(huge)] == ["T1"]
        assert await tags(wire) == ["T1", "T1"]
        assert await tags(wire) == ["T1"]

    drive(tmp_path, play, control=TOKEN)


def test_a_slow_answer_comes_and_holds_nobody_up(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await command(wire, "get_orders:slow:1:0.05")
        stream = await wire.open()
        await stream.post(called("get_orders", {}, 1))
        await stream.post(called("get_margins", {}, 2))
        assert [(await stream.message())["id"] for _ in range(2)] == [2, 1]

    drive(tmp_path, play, control=TOKEN)


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [("http_429", 429, "text/plain; charset=utf-8"), ("html", 502, "text/html; charset=utf-8")],
)
def test_a_gateway_answers_instead(tmp_path: Path, kind: str, status: int, content_type: str) -> None:
    async def play(wire: Wire) -> None:
        await command(wire, f"place:{kind}:2")
        stream = await wire.open()
        for got in (
            await stream.post(called("place_order", LIMIT, 1)),
            await wire.mcp(called("place_order", LIMIT, 1), await wire.initialize()),
        ):
            assert (got.status, got.headers["content-type"]) == (status, content_type)
        assert stream.connection.sent.empty()
        assert await tags(wire) == []

    drive(tmp_path, play, control=TOKEN)


def test_tokens_die_at_once_or_with_a_call(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        for fault in ("now:token_death", "get_orders:token_death"):
            await wire.request("POST", link_in(text_of(await wire.tool(session, "login"))))
            assert orders_of(await wire.tool(session, "get_orders")) == []
            await command(wire, fault)
            assert error_of(await wire.tool(session, "get_orders")) == "Failed to execute get_orders"
            assert error_of(await wire.tool(session, "get_profile")) == "Failed to execute get_profile"

    drive(tmp_path, play, control=TOKEN, login=LoginMode.AUTO)


@pytest.mark.parametrize("fault", ["now:restart", "place:restart"])
def test_a_restart_loses_sessions_and_links_and_keeps_orders(tmp_path: Path, fault: str) -> None:
    async def play(wire: Wire) -> None:
        stream, other, session = await wire.open(), await wire.open(), await wire.initialize()
        link = link_in(text_of(await stream.tool("login")))
        await command(wire, fault)
        if fault.startswith("place"):
            await stream.post(called("place_order", LIMIT, 1))
        await asyncio.gather(stream.ended(), other.ended())
        assert (stream.is_cut, other.is_cut) == (True, True)
        assert (await stream.post(called("get_orders", {}, 2))).json["error"]["message"] == "Invalid session ID"
        assert (await wire.mcp(called("get_orders", {}, 2), session)).status == 400
        assert (await wire.request("POST", link)).status == 400
        assert (await wire.request("GET", "/status")).json["orders"] == 0

    drive(tmp_path, play, control=TOKEN, login=LoginMode.AUTO)


def test_now_cut_ends_streams_only(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, session = await wire.open(), await wire.initialize()
        await command(wire, "now:cut")
        await stream.ended()
        assert stream.is_cut
        assert orders_of(await wire.tool(session, "get_orders")) == []

    drive(tmp_path, play, control=TOKEN)


# --- the endpoint itself -----------------------------------------------------------------------------------------
def test_faults_are_listed_and_cleared(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        await command(wire, "place:cut:2", "any:slow:0:0.5")
        await command(wire, "get_orders:html")
        listed = (await wire.request("GET", "/control/faults", headers=CONTROL)).json
        assert listed == {"faults": ["place_order:cut:2:0", "any:slow:0:0.5", "get_orders:html:1:0"]}
        assert (await wire.request("DELETE", "/control/faults", headers=CONTROL)).json == {"faults": []}
        assert (await wire.request("PUT", "/control/faults", headers=CONTROL)).status == 405

    drive(tmp_path, play, control=TOKEN)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", 'expected {"faults": '),
        (b'{"faults": "place:cut"}', "faults must be a list"),
        (b'{"faults": ["place:cut", "place:boom"]}', "'boom' is no kind of fault; there are: placed_then_error"),
        (b'{"faults": ["now:token_death"]}', "token_death needs --login auto or manual"),
    ],
)
def test_what_is_no_fault_changes_nothing(tmp_path: Path, body: bytes, error: str) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.request("POST", "/control/faults", body, CONTROL)
        assert got.status == 400
        assert got.json["error"].startswith(error)
        assert wire.desk.faults.waiting == []

    drive(tmp_path, play, control=TOKEN)


@pytest.mark.parametrize(
    ("control", "client", "headers", "status"),
    [
        ("", "127.0.0.1", CONTROL, 404),
        ("", "127.0.0.1", {"authorization": "Bearer "}, 404),
        (TOKEN, "192.0.2.7", CONTROL, 404),
        (TOKEN, "127.0.0.1", {}, 401),
        (TOKEN, "127.0.0.1", {"authorization": f"Bearer {TOKEN}x"}, 401),
    ],
)
def test_it_is_for_this_machine_and_its_token(
    tmp_path: Path, control: str, client: str, headers: dict[str, str], status: int
) -> None:
    async def play(wire: Wire) -> None:
        wire.client = client
        body = b'{"faults": ["place:cut"]}'
        assert (await wire.request("POST", "/control/faults", body, headers)).status == status
        assert wire.desk.faults.waiting == []

    drive(tmp_path, play, control=control)
