"""MCP over /sse and /message: framing, statuses and texts as the real server's, and what happens to a stream."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from broker.paper import streams
from tests.broker.paper.wire import OpenStream, Wire, called, drive, orders_of, text_of
from tests.broker.test_paper_tools import LIMIT

PING = {"jsonrpc": "2.0", "id": 9, "method": "ping"}


def test_the_first_event_names_where_to_post(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = OpenStream(wire, wire.send("GET", "/sse"))
        first = (await stream.raw()).decode()
        assert first.startswith("event: endpoint\ndata: /message?sessionId=")
        assert first.endswith("\r\n\r\n")
        assert str(uuid.UUID(first.strip()[-36:])) == first.strip()[-36:]
        got = stream.connection.got
        assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
        assert (got.headers["cache-control"], got.headers["connection"]) == ("no-cache", "keep-alive")

    drive(tmp_path, play)


def test_over_http_2_there_is_no_connection_header(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        wire.http_version = "2"
        stream = await wire.open()
        assert "connection" not in stream.connection.got.headers

    drive(tmp_path, play)


def test_a_post_is_accepted_empty_and_answered_on_the_stream(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        got = await stream.post(PING)
        assert (got.status, got.body, got.headers) == (202, b"", {"content-length": "0"})
        assert await stream.raw() == b'event: message\ndata: {"jsonrpc":"2.0","id":9,"result":{}}\n\n'
        for quiet in (
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 1, "result": {}},
        ):
            assert (await stream.post(quiet)).status == 202
        await stream.post(PING)
        assert (await stream.message())["id"] == 9  # the two before got none
        assert stream.connection.sent.empty()

    drive(tmp_path, play)


@pytest.mark.parametrize(
    ("method", "target", "body", "code", "text"),
    [
        ("POST", "/message", b"{}", -32602, "Missing sessionId"),
        ("POST", "/message?sessionId=", b"{}", -32602, "Missing sessionId"),
        ("POST", "/message?sessionId=nosuch", b"{}", -32602, "Invalid session ID"),
        ("POST", "{open}", b'{"jsonrpc":', -32700, "Parse error"),
        ("POST", "{open}", b'{"jsonrpc":"2.0","id":NaN}', -32700, "Parse error"),
        ("POST", "{open}", b"[" * 100_000, -32700, "Parse error"),
        ("GET", "/message?sessionId=x", b"", -32600, "Method not allowed"),
    ],
)
def test_refusals_of_a_post(tmp_path: Path, method: str, target: str, body: bytes, code: int, text: str) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        got = await wire.request(method, target.replace("{open}", stream.endpoint), body)
        assert (got.status, got.headers["content-type"]) == (400, "application/json")
        assert got.json == {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
        assert got.body.endswith(b"}\n")

    drive(tmp_path, play)


def test_a_post_on_the_stream_is_405(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.request("POST", "/sse", b"{}")
        assert (got.status, got.body) == (405, b"Method not allowed\n")

    drive(tmp_path, play)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ([], -32700, "Failed to parse message"),
        ({"jsonrpc": "1.0", "id": 3, "method": "ping"}, -32600, "Invalid JSON-RPC version"),
        ({"jsonrpc": "2.0", "id": 3, "method": "sell/all"}, -32601, "Method sell/all not found"),
        ({"jsonrpc": "2.0", "id": 3, "method": "resources/list"}, -32601, "resources not supported"),
        (called("sell_all", {}, 3), -32602, "tool 'sell_all' not found: tool not found"),
        ({"jsonrpc": "2.0", "id": 3, "method": "ping", "params": []}, None, ""),
        ({"jsonrpc": "2.0", "id": 3, "method": "ping", "params": [1]}, -32600, "Invalid request"),
        ({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": {}}}, -32600,
         "unparseable tools/call request"),
    ],
)  # fmt: skip
def test_protocol_errors_come_on_the_stream(tmp_path: Path, value: object, code: int | None, text: str) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        assert (await stream.post(value)).status == 202
        answer = await stream.message()
        assert answer.get("error") == ({"code": code, "message": text} if code else None)
        assert answer["id"] == (3 if isinstance(value, dict) else None)

    drive(tmp_path, play)


def test_pings_are_requests_counted_from_one_without_a_blank(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        assert [await stream.raw() for _ in range(2)] == [
            b'event: message\ndata:{"jsonrpc":"2.0","id":%d,"method":"ping"}\n\n' % number for number in (1, 2)
        ]

    drive(tmp_path, play, ping_s=0.005)


def test_a_stream_that_ends_takes_its_session_along(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, other = await wire.open(), await wire.open()
        assert (await wire.request("GET", "/status")).json["sessions"] == 2
        stream.connection.leave()
        await stream.ended()
        assert (await stream.post(PING)).json["error"]["message"] == "Invalid session ID"
        assert (await wire.request("GET", "/status")).json["sessions"] == 1
        await other.post(PING)
        assert (await other.message())["id"] == 9

    drive(tmp_path, play)


def test_the_end_of_the_server_ends_streams_in_good_order(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, listening = await wire.open(), wire.send("GET", "/mcp")
        await listening.started.wait()
        wire.face.end_streams()
        await stream.ended()
        await listening.task
        assert (stream.is_cut, listening.got.is_cut) == (False, False)

    drive(tmp_path, play)


def test_an_order_sent_before_the_stream_died_is_placed(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        assert (await stream.post(called("place_order", LIMIT, 1))).status == 202
        stream.connection.leave()
        await stream.ended()
        other = await wire.open()
        assert [row["tag"] for row in orders_of(await other.tool("get_orders"))] == ["T1"]

    drive(tmp_path, play)


def test_answers_that_do_not_fit_the_queue_are_dropped(tmp_path: Path) -> None:
    stream = streams.Stream(None, ping_s=10, abort=lambda: None)  # type: ignore[arg-type]
    for number in range(streams.QUEUE + 5):
        stream.push(str(number).encode())
    assert stream._queue.qsize() == streams.QUEUE


def test_calls_of_one_stream_run_beside_each_other_and_all_are_answered(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        for number in range(30):
            await stream.post(called("get_profile", {}, number))
        answers = [await stream.message() for _ in range(30)]
        assert sorted(answer["id"] for answer in answers) == list(range(30))
        assert {json.loads(text_of(answer["result"]))["user_id"] for answer in answers} == {"PT0001"}

    drive(tmp_path, play)
