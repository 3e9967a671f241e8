"""MCP over /mcp, the tools' profiles, the login as a client meets it, and who may ask at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from broker.paper.sessions import LoginMode, token_death
from broker.paper.tools import Profile, tool_list
from tests.broker.paper.helpers import AT
from tests.broker.paper.wire import AS_JSON, Wire, called, drive, error_of, link_in, orders_of, text_of
from tests.broker.test_paper_tools import LIMIT

FIRST = "Please log in first using the login tool"
INIT = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
AT_SIX = (token_death(AT) - AT).total_seconds()


@pytest.mark.parametrize(
    ("asked", "given"),
    [("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-03-26"), (None, "2025-03-26")],
)
def test_initialize_gives_a_session_and_an_old_protocol(tmp_path: Path, asked: str | None, given: str) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.mcp({**INIT, "params": {"protocolVersion": asked}})
        assert re.fullmatch(r"kitemcp-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", got.headers["mcp-session-id"])
        assert got.result == {
            "protocolVersion": given,
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "SigmaTrader paper exchange", "version": "1"},
        }

    drive(tmp_path, play)


def test_a_session_is_kept_between_requests_until_it_is_ended(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        noted = await wire.mcp({"jsonrpc": "2.0", "method": "notifications/initialized"}, session)
        assert (noted.status, noted.body) == (202, b"")
        got = await wire.mcp({"jsonrpc": "2.0", "id": 2, "method": "ping"}, session)
        assert (got.status, got.body) == (200, b'{"jsonrpc":"2.0","id":2,"result":{}}\n')
        assert "mcp-session-id" not in got.headers
        assert (await wire.request("DELETE", "/mcp", headers={"mcp-session-id": session})).status == 200
        got = await wire.mcp(called("get_orders", {}, 3), session)
        assert (got.status, got.body) == (404, b"Session terminated\n")
        assert (await wire.request("GET", "/status")).json["sessions"] == 0

    drive(tmp_path, play)


@pytest.mark.parametrize("session", ["", "nosuch", "kitemcp-nosuch"])
def test_a_session_it_has_not_is_a_plain_400(tmp_path: Path, session: str) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.mcp(called("place_order", LIMIT, 3), session)
        assert (got.status, got.body) == (400, b"Invalid session ID\n")
        assert got.headers["content-type"] == "text/plain; charset=utf-8"
        assert orders_of(await wire.tool(await wire.initialize(), "get_orders")) == []

    drive(tmp_path, play)


def test_a_streams_session_is_none_of_mcp(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        session = stream.endpoint.partition("=")[2]
        assert (await wire.mcp(called("get_orders", {}, 3), session)).status == 400

    drive(tmp_path, play)


@pytest.mark.parametrize(
    ("method", "body", "headers", "status", "text"),
    [
        ("POST", b"{}", {}, 400, "Invalid content type: must be 'application/json'"),
        ("POST", b"{}", {"content-type": "application/json; charset=utf-8"}, 400,
         "Invalid content type: must be 'application/json'"),
        ("POST", b"{", AS_JSON, 400, "request body is not valid json"),
        ("POST", b"[]", AS_JSON, 400, "request body is not valid json"),
        ("PUT", b"{}", AS_JSON, 404, "404 page not found"),
        ("DELETE", b"", {"mcp-session-id": "kitemcp-no"}, 500, "Session termination failed: session ID not found"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, method: str, body: bytes, headers: dict[str, str], status: int, text: str) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.request(method, "/mcp", body, headers)
        assert got.status == status
        assert text in got.body.decode()

    drive(tmp_path, play)


def test_the_hosted_profile_has_no_order_tools(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        got = await wire.mcp({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, session)
        names = [tool["name"] for tool in got.result["tools"]]
        assert len(names) == 19
        assert {"place_order", "modify_order", "cancel_order"} & set(names) == set()
        assert names == sorted(names)
        for name in ("place_order", "modify_order", "cancel_order"):
            error = {"code": -32602, "message": f"tool '{name}' not found: tool not found"}
            assert await wire.tool(session, name, LIMIT) == error
        assert orders_of(await wire.tool(session, "get_orders")) == []

    drive(tmp_path, play, profile=Profile.HOSTED)


def test_a_login_from_the_first_refusal_to_the_first_order(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        assert error_of(await stream.tool("get_orders")) == FIRST
        assert error_of(await stream.tool("get_profile")) == "Failed to execute get_profile"
        assert error_of(await stream.tool("place_order", LIMIT)) == "Failed to place order"
        assert "isError" not in await stream.tool("search_instruments", {"query": "INFY"})
        first, second = [link_in(text_of(await stream.tool("login"))) for _ in range(2)]
        assert re.fullmatch(
            r"/authorize\?api_key=paper&v=3&redirect_params=session_id%3D[0-9a-f-]{36}%7C\d{10}\.[\w-]{43}", first
        )
        got = await wire.request("POST", first)
        assert (got.status, b"Login done" in got.body) == (200, True)
        assert orders_of(await stream.tool("get_orders")) == []
        assert text_of(await stream.tool("login")) == "You are already logged in as Practice Trader"
        assert (await wire.request("POST", first)).status == 400
        assert (await wire.request("POST", second)).status == 200
        assert "order_id" in text_of(await stream.tool("place_order", LIMIT))
        other = await wire.open()
        assert error_of(await other.tool("get_orders")) == FIRST

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_a_missing_parameter_is_said_before_any_login(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        assert error_of(await wire.tool(session, "place_order")) == "parameter 'variety': is required"
        assert error_of(await wire.tool(session, "get_orders")) == FIRST

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_at_six_in_india_the_login_is_gone(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        wire.clock.pass_time(seconds=AT_SIX - 3600)
        session = await wire.initialize()
        await wire.request("POST", link_in(text_of(await wire.tool(session, "login"))))
        assert "user_id" in text_of(await wire.tool(session, "get_profile"))
        wire.clock.pass_time(hours=1)
        assert error_of(await wire.tool(session, "get_profile")) == "Failed to execute get_profile"
        link = link_in(text_of(await wire.tool(session, "login")))
        assert (await wire.request("POST", link)).status == 200
        assert "user_id" in text_of(await wire.tool(session, "get_profile"))

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_after_twelve_hours_a_stream_has_no_session_and_mcp_says_terminated(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, session = await wire.open(), await wire.initialize()
        assert error_of(await stream.tool("get_orders")) == FIRST
        wire.clock.pass_time(hours=12)
        assert error_of(await stream.tool("get_orders")) == "Failed to establish a session. Please try again."
        assert error_of(await stream.tool("login")) == "Failed to get or create Kite session"
        assert (await wire.mcp(called("get_orders", {}, 1), session)).status == 404
        wire.clock.pass_time(minutes=30)
        assert error_of(await stream.tool("get_orders")) == FIRST

    drive(tmp_path, play, login=LoginMode.AUTO)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:8765", 200), ("evil.example", 403), ("", 403),
     ("127.0.0.1.evil.example:8765", 403)],
)  # fmt: skip
def test_only_a_request_that_names_this_machine_is_answered(tmp_path: Path, host: str, status: int) -> None:
    async def play(wire: Wire) -> None:
        wire.host = host
        assert (await wire.request("GET", "/status")).status == status

    drive(tmp_path, play)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8765", 200), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:8000", 403)],
)
def test_a_page_of_another_origin_is_not_answered(tmp_path: Path, origin: str, status: int) -> None:
    async def play(wire: Wire) -> None:
        assert (await wire.request("GET", "/status", headers={"origin": origin})).status == status

    drive(tmp_path, play)


ODD: list[object] = [None, True, -1, 0, 1.5, 1e308, 10**200, "", "\ud800", "x" * 5000, [], [None], [[]], {}, {"a": [1]}]


@pytest.mark.parametrize("odd", ODD, ids=lambda value: repr(value)[:20])
def test_odd_arguments_are_answered_as_arguments(tmp_path: Path, odd: object) -> None:
    names = {name for tool in tool_list() for name in tool["inputSchema"]["properties"]}  # type: ignore[index]

    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        for tool in tool_list():
            for arguments in (dict.fromkeys(names, odd), {**LIMIT, "order_id": "1", "quantity": odd, "price": odd}):
                assert "content" in await wire.tool(session, str(tool["name"]), arguments), tool["name"]

    drive(tmp_path, play)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400])
def test_a_number_no_double_can_hold_is_not_json(tmp_path: Path, number: str) -> None:
    async def play(wire: Wire) -> None:
        got = await wire.request("POST", "/mcp", b'{"jsonrpc":"2.0","id":%s}' % number.encode(), AS_JSON)
        assert (got.status, got.json["error"]["code"]) == (400, -32700)

    drive(tmp_path, play)


def test_a_call_that_breaks_is_an_internal_error_and_the_next_is_answered(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream = await wire.open()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wire.desk.exchange, "read", lambda ask: 1 // 0)
            assert await stream.tool("get_orders") == {"code": -32603, "message": "internal error"}
        assert orders_of(await stream.tool("get_orders")) == []

    drive(tmp_path, play)


def test_a_ledger_that_fails_answers_nobody_and_ends_the_server(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, session = await wire.open(), await wire.initialize()
        wire.desk.exchange.close()
        await stream.post(called("place_order", LIMIT, 1))
        await stream.ended()
        got = await wire.mcp(called("place_order", LIMIT, 1), session)
        assert (stream.is_cut, got.is_cut, got.body) == (True, True, b"")
        assert wire.desk.broken.is_set()

    drive(tmp_path, play)


def test_a_request_nobody_needs_that_large_is_refused(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        assert (await wire.request("POST", "/mcp", b" " * 1_000_001, AS_JSON)).status == 413

    drive(tmp_path, play)


def test_status_says_what_is_served(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        wire.http_version = "2"
        await wire.initialize()
        status = (await wire.request("GET", "/status")).json
        found = {k: status[k] for k in ("profile", "login", "sessions", "streams", "http_version", "http_versions")}
        assert found == {
            "profile": "hosted", "login": "manual", "sessions": 1, "streams": 0, "http_version": "2",
            "http_versions": ["1.1", "2"],
        }  # fmt: skip
        assert json.dumps(status["orders"]) == "0"

    drive(tmp_path, play, login=LoginMode.MANUAL, profile=Profile.HOSTED)
