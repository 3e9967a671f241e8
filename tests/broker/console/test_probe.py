"""The connection test of an address: a real server on this machine, and each way not to reach one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from broker.addresses import AddressGuard
from broker.probe import ProbeCode, diagnose, probe
from tests.support.paper import PaperProcess


class _Web(BaseHTTPRequestHandler):
    """A web server that knows nothing of MCP."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815  # the server looks for this name

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Web)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def guard(**rules: Any) -> AddressGuard:
    return AddressGuard(**rules)


def test_our_exchange_is_opened_told_of_and_let_go(paper_exchange: PaperProcess) -> None:
    found = probe(paper_exchange.url, "auto", guard=guard(), is_paper=True, list_tools=True)
    assert (found.opened, found.code, found.message) == (True, None, "")
    assert found.http_version in ("HTTP/1.1", "HTTP/2")
    assert found.protocol_version in ("2024-11-05", "2025-03-26")
    assert {"get_profile", "place_order"} <= set(found.tools)


def test_without_listing_no_tool_is_asked_for(paper_exchange: PaperProcess) -> None:
    assert probe(paper_exchange.url, "auto", guard=guard(), is_paper=True, list_tools=False).tools == ()


def test_nobody_there(closed_port: int) -> None:
    found = probe(f"http://127.0.0.1:{closed_port}/sse", "auto", guard=guard(), is_paper=False, list_tools=True)
    assert (found.code, found.tools) == (ProbeCode.REFUSED, ())
    assert found.message.startswith(f"127.0.0.1 refuses connections on port {closed_port}.")


def test_a_web_server_is_no_mcp_endpoint(web: int) -> None:
    found = probe(f"http://127.0.0.1:{web}/nowhere", "auto", guard=guard(), is_paper=False, list_tools=True)
    assert (found.code, found.message) == (
        ProbeCode.NOT_MCP, "127.0.0.1 answers, but /nowhere is not an MCP endpoint. Usual ones are /sse and /mcp.",
    )  # fmt: skip


def test_plain_http_behind_https_is_named_as_tls(web: int) -> None:
    code, message = diagnose(f"https://127.0.0.1:{web}/sse", guard=guard())
    assert (code, message.startswith("No TLS with 127.0.0.1")) == (ProbeCode.TLS, True)


def test_a_name_nobody_knows() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    code, message = diagnose("https://mcp.kite.trde/sse", guard=guard(resolve=nobody))
    assert (code, message.split(".")[0]) == (ProbeCode.DNS, "No address is known for mcp")


def test_a_name_that_leads_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: opened.append(args))
    code, _ = diagnose("https://mcp.example.com/sse", guard=guard(resolve=lambda host, port: ["10.0.0.7"]))
    assert (code, opened) == (ProbeCode.NOT_ALLOWED, [])


def test_a_server_that_takes_too_long_is_told_from_one_that_is_none(web: int) -> None:
    assert diagnose(f"http://127.0.0.1:{web}/sse", guard=guard(), in_time=False)[0] is ProbeCode.TIMEOUT
