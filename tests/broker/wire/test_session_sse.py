"""A session over server-sent events: HTTP/1.1, HTTP/2 in plain text, HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from broker.adapters import sse_wire
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_session import McpSession, ServerFacts
from broker.adapters.tool_client import ToolAnswer
from tests.broker.wire.double import Double, served, text

pytestmark = pytest.mark.e2e
NOTHING: dict[str, Any] = {}


@asynccontextmanager
async def opened(double: Double, path: str = "/sse", **options: Any) -> AsyncIterator[McpSession]:
    session = McpSession(double.url(path), **{"timeout_s": 5.0, **options})
    await session.open()
    try:
        yield session
    finally:
        await session.close()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def failure(session: McpSession, tool: str = "get_orders", **options: Any) -> tuple[Fault, str]:
    with pytest.raises(CallFailed) as caught:
        await session.call(tool, {}, **options)
    return caught.value.fault, caught.value.text


@pytest.fixture(params=["http1", "h2c", "tls"])
def way(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[tuple[Double, dict[str, Any], str]]:
    """(server, how to reach it, the HTTP version it is reached with)"""
    with served(tls=certificate if request.param == "tls" else None) as double:
        if request.param == "tls":
            double.scheme = "https"
            yield double, {"trust": str(certificate[0])}, "HTTP/2"
        else:
            prior = request.param == "h2c"
            yield double, {"http2_prior": prior}, "HTTP/2" if prior else "HTTP/1.1"


def test_a_call_on_every_way(way: tuple[Double, dict[str, Any], str]) -> None:
    double, options, version = way
    double.answers = [text('[{"a": 1.10}]'), text("no", error=True)]

    async def go() -> None:
        session = McpSession(double.url(), transport="sse", **options)
        assert session.is_open is False
        assert await session.open() == ServerFacts(
            "Kite MCP Server", "v0.0.0", "2025-03-26", version, "sse", {"tools": {"listChanged": True}}
        )
        assert await session.call("get_orders", {"from": 1}) == ToolAnswer('[{"a": 1.10}]', False)
        assert await session.call("get_profile", {}) == ToolAnswer("no", True)
        assert [tool["name"] for tool in await session.list_tools()] == ["get_orders"]
        await session.ping(timeout_s=1)
        assert (session.is_open, session.lost.is_set(), session.session_id) == (True, False, "session-1")
        assert (session.saved(), session.silent_s < 1) == (None, True)
        await session.close()
        assert (session.is_open, session.lost.is_set()) == (False, False)
        await until(lambda: double.ended == ["session-1"])

    asyncio.run(go())
    number = "2" if version == "HTTP/2" else "1.1"
    assert {entry[0] for entry in double.requests} == {number}
    assert [entry[1:] for entry in double.requests[:4]] == [
        ("GET", "/sse", ""), ("POST", "/message", "initialize"), ("POST", "/message", "notifications/initialized"),
        ("POST", "/message", "tools/call"),
    ]  # fmt: skip
    assert double.calls == [{"name": "get_orders", "arguments": {"from": 1}}, {"name": "get_profile", "arguments": {}}]
    if version == "HTTP/2":
        assert len(double.clients) == 1  # the stream and every message on one connection


def test_many_calls_at_once_get_each_its_own_answer(way: tuple[Double, dict[str, Any], str]) -> None:
    double, options, version = way
    double.answers = [lambda m: text(m["params"]["arguments"]["n"])] * 60

    async def go() -> list[ToolAnswer]:
        async with opened(double, **options) as session:
            return await asyncio.gather(*(session.call("get_ltp", {"n": str(n)}) for n in range(60)))

    assert [answer.text for answer in asyncio.run(go())] == [str(n) for n in range(60)]
    if version == "HTTP/2":
        assert len(double.clients) == 1


def test_a_ping_of_the_server_is_answered_even_with_the_id_of_a_call_in_flight(double: Double) -> None:
    double.answers = ["held"]

    async def go() -> None:
        async with opened(double, http2_prior=True) as session:
            call = asyncio.create_task(session.call("get_orders", {}))
            await until(lambda: len(double.calls) == 1)
            double.say(b'event: message\ndata:{"jsonrpc":"2.0","id":2,"method":"ping"}\n\n')
            await until(lambda: len(double.replies) == 1)
            assert call.done() is False
            double.say(b'event: message\ndata: {"jsonrpc":"2.0","id":2,"result":{"content":'
                       b'[{"type":"text","text":"mine"}]}}\n\n')  # fmt: skip
            assert await call == ToolAnswer("mine", False)

    asyncio.run(go())
    assert double.replies == [{"jsonrpc": "2.0", "id": 2, "result": {}}]


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.2:1/message?sessionId={session}", "https://evil.example/message?sessionId={session}",
     "//evil.example/message?sessionId={session}", "http://127.0.0.1:1/message", "file:///etc/passwd",
     "//[x", "//[::1]]/message"],
)  # fmt: skip
def test_messages_go_to_the_streams_own_origin_only(double: Double, endpoint: str) -> None:
    double.endpoint, double.mcp = endpoint, False

    async def go() -> None:
        session = McpSession(double.url(), transport="sse", timeout_s=2)
        with pytest.raises(CallFailed, match=r"another origin|no address"):
            await session.open()
        assert session.is_open is False

    asyncio.run(go())
    assert [entry[1] for entry in double.requests] == ["GET"]


@pytest.mark.parametrize("prior", [False, True])
def test_a_stream_that_dies_fails_every_call_in_flight_at_once(double: Double, prior: bool) -> None:
    double.answers = ["held"] * 5

    async def go() -> None:
        async with opened(double, http2_prior=prior) as session:
            calls = [asyncio.create_task(failure(session, "place_order")) for _ in range(5)]
            await until(lambda: len(double.calls) == 5)
            started = time.monotonic()
            double.say(None)
            assert {fault for fault, _ in await asyncio.gather(*calls)} == {Fault.LOST}
            assert time.monotonic() - started < 1
            await asyncio.wait_for(session.lost.wait(), 1)
            assert session.is_open is False
            assert (await failure(session))[0] is Fault.NOT_SENT

    asyncio.run(go())
    assert len(double.calls) == 5  # nothing was sent again, nor after the end


def test_an_answer_before_the_end_is_not_lost_with_the_stream(double: Double) -> None:
    said = b'{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"[]"}]}}'

    def answer_and_end(message: dict[str, Any]) -> None:
        double.say(b"event: message\ndata: " + said + b"\n\n")
        double.say(None)

    double.answers = [answer_and_end]

    async def go() -> None:
        async with opened(double) as session:
            assert (await session.call("get_orders", {})).text == "[]"

    asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "fault", "lost"),
    [
        ("lost session", Fault.SESSION_LOST, True), (500, Fault.LOST, False), (429, Fault.LOST, False),
        (307, Fault.LOST, False), (b"<html>", Fault.UNREADABLE, False), (b'{"id": 2, "result', Fault.UNREADABLE, False),
        (b"[]", Fault.UNREADABLE, False), (b'{"jsonrpc":"2.0","id":2,"result":' + b" " * 6_100_000 + b"1}",
                                           Fault.UNREADABLE, False),
        ({"result": {"content": []}}, Fault.UNREADABLE, False), ({"result": {"content": "x"}}, Fault.UNREADABLE, False),
        ({"error": {"code": -32602, "message": "tool 'x' not found: tool not found"}}, Fault.PROTOCOL, False),
        ({"error": {"code": -32090, "message": "x", "data": {"mark": "guess", "fault": "not_sent"}}}, Fault.PROTOCOL,
         False),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}', Fault.UNREADABLE, False),
        ("cut", Fault.LOST, True),
    ],
)  # fmt: skip
def test_each_failure_says_how_far_the_call_got(double: Double, answer: Any, fault: Fault, lost: bool) -> None:
    double.answers = [answer]

    async def go() -> None:
        async with opened(double, http2_prior=True) as session:
            assert (await failure(session, "place_order"))[0] is fault
            await asyncio.sleep(0)
            if lost:
                await asyncio.wait_for(session.lost.wait(), 1)
            else:
                assert (await session.call("get_orders", {})).text == "[]"
            assert session.lost.is_set() is lost

    asyncio.run(go())
    assert [call["name"] for call in double.calls] == (["place_order"] if lost else ["place_order", "get_orders"])


def test_what_cannot_be_read_fails_the_call_it_names_and_no_other(double: Double) -> None:
    double.answers = ["held", b'{"jsonrpc":"2.0","id":3,"result":{,']

    async def go() -> None:
        async with opened(double) as session:
            first = asyncio.create_task(failure(session, timeout_s=0.4))
            await until(lambda: len(double.calls) == 1)
            assert (await failure(session))[0] is Fault.UNREADABLE
            assert (await first)[0] is Fault.LOST  # its own time ran out
            assert session.is_open

    asyncio.run(go())


def test_no_answer_in_time_leaves_the_session_open_and_a_late_one_is_dropped(double: Double) -> None:
    double.answers = ["held"]

    async def go() -> None:
        async with opened(double) as session:
            assert (await failure(session, timeout_s=0.05))[0] is Fault.LOST
            late = b'{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"late"}]}}'
            double.say(b"event: message\ndata: " + late + b"\n\n")
            assert (await session.call("get_orders", {})).text == "[]"

    asyncio.run(go())
    assert double.notices == ["notifications/initialized"]  # nothing was cancelled at the server


def test_a_silent_stream_is_dead(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_wire, "SILENT_S", 0.15)
    double.answers = ["held"]

    async def go() -> None:
        async with opened(double) as session:
            for _ in range(4):  # any byte keeps it alive
                await asyncio.sleep(0.06)
                double.say(b": still here\n\n")
            assert session.is_open
            assert (await failure(session))[0] is Fault.LOST
            await asyncio.wait_for(session.lost.wait(), 1)
            assert (session.is_open, session.silent_s >= 0.15) == (False, True)

    asyncio.run(go())


def test_nobody_there_is_provably_not_sent() -> None:
    async def go() -> None:
        with pytest.raises(CallFailed) as caught:
            await McpSession("http://127.0.0.1:9/sse").open()
        assert caught.value.fault is Fault.NOT_SENT

    asyncio.run(go())


def test_a_certificate_nobody_vouches_for_is_not_trusted(certificate: tuple[Path, Path]) -> None:
    async def go(double: Double) -> None:
        with pytest.raises(CallFailed, match="cannot connect") as caught:
            await McpSession(double.url()).open()
        assert caught.value.fault is Fault.NOT_SENT

    with served(tls=certificate) as double:
        double.scheme = "https"
        asyncio.run(go(double))
        assert double.requests == []


def test_sessions_that_come_and_go_leave_nothing_behind(double: Double) -> None:
    def ours() -> int:
        return sum(
            bool(found.raddr) and found.raddr.port == double.port for found in psutil.Process().net_connections("tcp")
        )

    async def go() -> None:
        tasks = len(asyncio.all_tasks())
        for number in range(24):
            path, prior = ("/sse", "/mcp")[number % 2], number % 4 < 2
            async with opened(double, path, http2_prior=prior) as session:
                await session.call("get_orders", {})
                assert ours() > 0
        assert (ours(), len(asyncio.all_tasks())) == (0, tasks)
        await until(lambda: len(double.ended) == 12)

    asyncio.run(go())
    assert double.sessions == {}


def test_no_session_id_in_any_log_line(double: Double, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    double.answers = ["lost session"]

    async def go() -> list[str]:
        said = []
        for path in ("/sse", "/mcp"):
            async with opened(double, path, http2_prior=True) as session:
                said += [repr(session), repr(session.saved()), *map(str, await failure(session))]
                double.answers = ["lost session"]
        return said

    said = asyncio.run(go())
    assert double.sessions == {}
    everything = "\n".join([caplog.text, *said])
    assert [word for word in ("session-1", "kitemcp-2", "sessionId=") if word in everything] == []
