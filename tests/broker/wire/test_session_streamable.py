"""A session over streamable HTTP, the choice of a transport, and the synchronous client on both."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from broker.adapters import mcp_client
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_client import McpClient
from broker.adapters.mcp_session import McpSession, Saved, ways
from broker.adapters.tool_client import ToolAnswer
from tests.broker.wire.double import Double, served, text
from tests.broker.wire.test_session_sse import failure, opened

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("prior", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_the_id_is_kept_and_the_session_outlives_us(double: Double, prior: bool, version: str) -> None:
    async def go() -> None:
        session = McpSession(double.url("/mcp"), http2_prior=prior)
        facts = await session.open()
        assert (facts.transport, facts.http_version) == ("streamable_http", version)
        assert await session.call("get_orders", {}) == ToolAnswer("[]", False)
        assert session.session_id == "kitemcp-1"
        await session.close()

    asyncio.run(go())
    assert [entry[1:] for entry in double.requests] == [
        ("POST", "/mcp", "initialize"), ("POST", "/mcp", "notifications/initialized"), ("POST", "/mcp", "tools/call"),
    ]  # fmt: skip
    assert (double.kept, double.ended) == ({"kitemcp-1"}, [])


def test_a_login_is_ended_only_when_told(double: Double) -> None:
    async def go() -> None:
        session = McpSession(double.url("/mcp"))
        await session.open()
        await session.close(end_login=True)

    asyncio.run(go())
    assert (double.kept, double.ended) == (set(), ["kitemcp-1"])


def saved_session(double: Double) -> Saved:
    async def go() -> Saved | None:
        async with opened(double, "/mcp") as session:
            return session.saved()

    found = asyncio.run(go())
    assert found is not None
    double.requests.clear()
    return found


GO_ON = """
import asyncio, sys
from broker.adapters.mcp_session import McpSession, Saved
async def main():
    saved = Saved.load(sys.stdin.read())
    session = McpSession(saved.url, resume=saved)
    facts = await session.open()
    print(facts.protocol_version, (await session.call("get_orders", {})).text)
    await session.close()
asyncio.run(main())
"""


def test_another_process_goes_on_with_it_without_a_greeting(double: Double) -> None:
    found = saved_session(double)
    done = subprocess.run(
        [sys.executable, "-c", GO_ON], input=found.dump(), capture_output=True, text=True, cwd=ROOT, timeout=30,
        check=True,
    )  # fmt: skip
    assert done.stdout == "2025-03-26 []\n"
    assert [entry[3] for entry in double.requests] == ["ping", "tools/call"]


def test_a_session_the_server_has_no_more_is_lost(double: Double) -> None:
    found = saved_session(double)
    double.kept.clear()

    async def go() -> None:
        session = McpSession(double.url("/mcp"), resume=found)
        with pytest.raises(CallFailed) as caught:
            await session.open()
        assert (caught.value.fault, session.is_open) == (Fault.SESSION_LOST, False)

    asyncio.run(go())
    assert [entry[3] for entry in double.requests] == ["ping"]


def test_what_is_saved_reads_back_and_shows_no_id(double: Double) -> None:
    found = saved_session(double)
    assert Saved.load(found.dump()) == found
    assert "kitemcp" not in repr(found)
    for bad in ("", "null", "[]", "{}", '{"url": 1}', '{"url": "", "session_id": "", "initialize": 1}'):
        assert Saved.load(bad) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/mcp", "https://127.0.0.1/mcp"])
def test_a_session_goes_only_to_the_origin_it_was_made_at(double: Double, url: str) -> None:
    found = saved_session(double)

    async def go() -> None:
        with pytest.raises(CallFailed, match="another server") as caught:
            await McpSession(url, resume=found).open()
        assert caught.value.fault is Fault.SESSION_LOST

    asyncio.run(go())
    assert double.requests == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("lost session", Fault.SESSION_LOST), (404, Fault.LOST), (429, Fault.LOST), (502, Fault.LOST),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}', Fault.PROTOCOL),
        (b'data: {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}\n\n', Fault.PROTOCOL),
        (b"<html>", Fault.UNREADABLE), (b"[]", Fault.UNREADABLE), (b"data: {}\n\n", Fault.UNREADABLE),
        (b'{"jsonrpc":"2.0","id":77,"result":{}}', Fault.UNREADABLE), (b"[" + b" " * 6_100_000, Fault.UNREADABLE),
        (b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n', Fault.LOST),
        (b"data: " + b"x" * 6_100_000 + b"\n\n", Fault.UNREADABLE),
    ],
)  # fmt: skip
def test_each_failure_says_how_far_the_call_got(double: Double, answer: Any, fault: Fault) -> None:
    double.answers = [answer]

    async def go() -> None:
        async with opened(double, "/mcp") as session:
            assert (await failure(session, "place_order"))[0] is fault
            assert session.is_open is (fault is not Fault.SESSION_LOST)

    asyncio.run(go())
    assert [call["name"] for call in double.calls] == ["place_order"]


def test_an_answer_may_come_as_events_after_news(double: Double) -> None:
    answer = {"jsonrpc": "2.0", "id": 2, **text("[]")}
    news = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}\n\n'
    double.answers = [news + b"data: " + json.dumps(answer).encode() + b"\n\n"]

    async def go() -> None:
        async with opened(double, "/mcp") as session:
            assert (await session.call("get_orders", {})).text == "[]"

    asyncio.run(go())


def test_a_server_that_hangs_holds_nobody(double: Double) -> None:
    double.answers = ["never"]

    async def go() -> None:
        async with opened(double, "/mcp") as session:
            assert (await failure(session, timeout_s=0.05))[0] is Fault.LOST
            assert (await session.call("get_orders", {})).text == "[]"

    asyncio.run(asyncio.wait_for(go(), 5))


@pytest.mark.parametrize(
    ("url", "order"),
    [
        ("https://h/sse", [("sse", "https://h/sse"), ("streamable_http", "https://h/mcp")]),
        ("https://h/a/mcp", [("streamable_http", "https://h/a/mcp"), ("sse", "https://h/a/sse")]),
        ("https://h/sse/", [("sse", "https://h/sse/"), ("streamable_http", "https://h/mcp")]),
        ("https://h/", [("streamable_http", "https://h/"), ("sse", "https://h/")]),
    ],
)
def test_what_auto_tries(url: str, order: list[tuple[str, str]]) -> None:
    assert ways(url, "auto") == order
    assert ways(url, "sse") == [("sse", url)]


@pytest.mark.parametrize(
    ("path", "offers", "transport"),
    [
        ("/sse", (True, True), "sse"),
        ("/mcp", (True, True), "streamable_http"),
        ("/sse", (False, True), "streamable_http"),
        ("/mcp", (True, False), "sse"),
    ],
)
@pytest.mark.parametrize("prior", [False, True])
def test_auto_takes_what_the_server_offers(
    double: Double, path: str, offers: tuple[bool, bool], transport: str, prior: bool
) -> None:
    double.sse, double.mcp = offers

    async def go() -> None:
        session = McpSession(double.url(path), http2_prior=prior)
        facts = await session.open()
        assert (facts.transport, facts.http_version) == (transport, "HTTP/2" if prior else "HTTP/1.1")
        await session.close()

    asyncio.run(go())


def test_auto_gives_the_first_ways_reason(double: Double) -> None:
    double.sse = double.mcp = False

    async def go() -> None:
        with pytest.raises(CallFailed, match="no event stream: HTTP 404"):
            await McpSession(double.url("/sse")).open()

    asyncio.run(go())


def test_a_server_without_http2_in_plain_text_is_asked_again(paper_exchange: Any) -> None:
    async def go() -> None:
        session = McpSession(paper_exchange.url, http2_prior=True)
        facts = await session.open()
        assert facts.http_version in ("HTTP/1.1", "HTTP/2")
        assert len(await session.list_tools()) == 22
        await session.close(end_login=True)

    asyncio.run(go())


def test_a_greeting_of_another_kind_is_no_session(double: Double) -> None:
    double.greeting = {"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}

    async def go() -> None:
        with pytest.raises(CallFailed) as caught:
            await McpSession(double.url("/mcp"), transport="streamable_http").open()
        assert caught.value.fault is Fault.UNREADABLE

    asyncio.run(go())


# --- the synchronous client --------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/sse", "/mcp"])
def test_the_client_makes_a_new_session_when_the_old_is_lost(double: Double, path: str) -> None:
    client = McpClient(double.url(path), http2_prior=True, timeout_s=3)
    double.answers = [text("1"), "lost session", text("2")]
    assert client.call("get_orders", {}).text == "1"
    first = client.session_id
    with pytest.raises(CallFailed) as caught:
        client.call("get_orders", {})
    assert caught.value.fault is Fault.SESSION_LOST
    assert client.call("get_orders", {}).text == "2"
    assert (client.session_id != first, len(double.calls)) == (True, 3)
    client.close()


def test_a_write_after_a_dead_stream_goes_out_once_on_a_new_session(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = McpClient(double.url("/sse"), http2_prior=True, timeout_s=3)
    double.answers = [text("1"), text("2")]
    client.call("get_orders", {})
    monkeypatch.setattr(mcp_client, "IDLE_S", -1.0)
    double.say(None)
    assert client.call_write("place_order", {}).text == "2"
    assert [call["name"] for call in double.calls] == ["get_orders", "place_order"]
    client.close()


def test_a_write_to_nobody_is_provably_not_sent() -> None:
    with served() as double:
        client = McpClient(double.url("/sse"), timeout_s=3)
        client.call("get_orders", {})
        session = client._session
    deadline = time.monotonic() + 5
    while session is not None and session.is_open and time.monotonic() < deadline:
        time.sleep(0.002)
    with pytest.raises(CallFailed) as caught:
        client.call_write("place_order", {})
    assert caught.value.fault is Fault.NOT_SENT
    assert [call["name"] for call in double.calls] == ["get_orders"]
    client.close()
