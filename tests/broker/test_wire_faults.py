"""The adapter against a server that misbehaves: what was sent is sent once, and every failure is read for what it
proves. The server speaks just enough MCP, in the shapes of the real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from broker.adapters.kite_mcp import KiteMcpAdapter
from broker.domain import OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerSchemaError,
    BrokerUnavailable,
)

pytestmark = pytest.mark.e2e
ORDER = PlaceOrder(
    "NSE:INFY", Side.BUY, 1, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "ST1", Decimal("1500.05")
)
ACK = '{"order_id": "151220000000000"}'


def text(body: str, *, error: bool = False) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": body}], **({"isError": True} if error else {})}}


class Server(ThreadingHTTPServer):
    """``answers`` are given to tool calls in turn; ``calls`` has every tool call that arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Any] = []
        self.calls: list[dict[str, Any]] = []
        self.sessions = 0
        self.forgotten: set[str] = set()  # sessions it does not know any more
        self.held = threading.Event()  # an answer of "held" waits for this


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_DELETE(self) -> None:
        self._send(200, b"", "text/plain")

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Mcp-Session-Id") in self.server.forgotten:
            self._send(400, b"Invalid session ID\n", "text/plain")
        elif message["method"] == "initialize":
            self.server.sessions += 1
            info = {"serverInfo": {"name": "Kite MCP Server", "version": "v0.0.0"}, "protocolVersion": "2025-03-26",
                    "capabilities": {"tools": {"listChanged": True}}}  # fmt: skip
            self._json(message, {"result": info}, session=f"kitemcp-{self.server.sessions}")
        elif "id" not in message:
            self._send(202, b"", "text/plain")
        elif message["method"] == "ping":
            self._json(message, {"result": {}})
        else:
            self.server.calls.append(message["params"])
            self._answer(message, self.server.answers.pop(0))

    def _answer(self, message: dict[str, Any], answer: Any) -> None:
        if answer == "cut":
            self.close_connection = True
        elif answer == "held":
            self.server.held.wait(5)
            self._json(message, text(ACK))
        elif answer == "lost session":
            self._send(400, b"Invalid session ID\n", "text/plain; charset=utf-8")
        elif answer == "redirect":
            self.send_response(307)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif isinstance(answer, bytes):
            self._send(200, answer, "application/json")
        elif isinstance(answer, int):
            self._send(answer, b"<html>no</html>", "text/html")
        else:
            self._json(message, answer)

    def _json(self, message: dict[str, Any], answer: dict[str, Any], session: str = "") -> None:
        self._send(
            200, json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}).encode(), "application/json", session
        )

    def _send(self, status: int, body: bytes, content_type: str, session: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def adapter(server: Server) -> Iterator[KiteMcpAdapter]:
    found = KiteMcpAdapter(f"http://127.0.0.1:{server.server_address[1]}/mcp", timeout_s=8.0)
    yield found
    found.close()


def test_an_order_goes_as_json_numbers_with_every_field(server: Server, adapter: KiteMcpAdapter) -> None:
    server.answers = [text(ACK)]
    assert adapter.place_order(ORDER) == "151220000000000"
    (call,) = server.calls
    assert (call["name"], call["arguments"]["quantity"], call["arguments"]["price"]) == ("place_order", 1, 1500.05)
    assert len(call["arguments"]) == 12


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (text("Failed to place order", error=True), BrokerOutcomeUnknown),
        (text("Please log in first using the login tool", error=True), BrokerAuthExpired),
        (text("parameter 'tag': cannot be empty", error=True), BrokerUnavailable),
        ({"error": {"code": -32602, "message": "tool 'place_order' not found: tool not found"}}, BrokerUnavailable),
        ({"error": {"code": -32603, "message": "handler error"}}, BrokerOutcomeUnknown),
        ({"error": {"code": -32090, "message": "x", "data": {"mark": "guessed", "fault": "not_sent"}}},
         BrokerOutcomeUnknown),
        ("cut", BrokerOutcomeUnknown), ("lost session", BrokerOutcomeUnknown), ("redirect", BrokerOutcomeUnknown),
        (500, BrokerOutcomeUnknown), (502, BrokerOutcomeUnknown), (429, BrokerOutcomeUnknown),
        (b"<html>", BrokerOutcomeUnknown), (b'{"jsonrpc": "2.0", "id": 1, "result', BrokerOutcomeUnknown),
        (b"[]" + b" " * 6_100_000, BrokerOutcomeUnknown),
        (text("null"), BrokerOutcomeUnknown), (text('{"order_id": ""}'), BrokerOutcomeUnknown),
        (text("<html>"), BrokerOutcomeUnknown), ({"result": {"content": []}}, BrokerOutcomeUnknown),
        ({"result": {"content": "x"}}, BrokerOutcomeUnknown),
    ],
)  # fmt: skip
def test_a_failed_placement_is_sent_once_and_read_for_what_it_proves(
    server: Server, adapter: KiteMcpAdapter, answer: Any, error: type[BrokerError]
) -> None:
    server.answers = [answer, text(ACK), text(ACK)]
    with pytest.raises(BrokerError) as caught:
        adapter.place_order(ORDER)
    assert type(caught.value) is error
    assert [call["name"] for call in server.calls] == ["place_order"]


def test_no_answer_in_time_is_an_unknown_outcome(server: Server) -> None:
    adapter = KiteMcpAdapter(f"http://127.0.0.1:{server.server_address[1]}/mcp", timeout_s=0.3)
    server.answers = [text("[]"), "held"]
    adapter.orders()
    with pytest.raises(BrokerOutcomeUnknown):
        adapter.place_order(ORDER)
    server.held.set()
    assert [call["name"] for call in server.calls] == ["get_orders", "place_order"]
    adapter.close()


@pytest.mark.parametrize("trouble", ["cut", "lost session", 502, "redirect"])
def test_a_read_is_repeated_over_a_passing_trouble(server: Server, adapter: KiteMcpAdapter, trouble: Any) -> None:
    server.answers = [trouble, text("[]")]
    assert adapter.orders() == ()
    assert [call["name"] for call in server.calls] == ["get_orders", "get_orders"]
    assert server.sessions == (2 if trouble == "lost session" else 1)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (text("Failed to execute get_orders", error=True), BrokerUnavailable),
        (text("Please log in first using the login tool", error=True), BrokerAuthExpired),
        (text("<html>"), BrokerSchemaError), (text('{"rows": []}'), BrokerUnavailable),
        (text('[{"order_id": null}]'), BrokerSchemaError), ({"result": {"content": []}}, BrokerSchemaError),
        (b"[]" + b" " * 6_100_000, BrokerSchemaError),
    ],
)  # fmt: skip
def test_a_read_that_is_no_read_is_never_empty(
    server: Server, adapter: KiteMcpAdapter, answer: Any, error: type[BrokerError]
) -> None:
    server.answers = [answer]
    with pytest.raises(BrokerError) as caught:
        adapter.orders()
    assert isinstance(caught.value, (error, BrokerSchemaError))
    assert len(server.calls) == 1


def row(number: int) -> dict[str, Any]:
    return {
        "order_id": str(number), "status": "OPEN", "exchange": "NSE", "tradingsymbol": "INFY",
        "transaction_type": "BUY", "quantity": 1, "filled_quantity": 0,
    }  # fmt: skip


def page(rows: list[int], start: int, total: int) -> dict[str, Any]:
    facts = {"from": start, "limit": 2, "total": total, "has_more": start + len(rows) < total, "returned": len(rows)}
    return text(json.dumps({"data": [row(number) for number in rows], "pagination": facts}))


def test_all_pages_are_read(server: Server, adapter: KiteMcpAdapter) -> None:
    server.answers = [page([1, 2], 0, 3), page([3], 2, 3)]
    assert [order.broker_order_id for order in adapter.orders()] == ["1", "2", "3"]
    assert server.calls[1]["arguments"]["from"] == 2


@pytest.mark.parametrize("second", [page([], 2, 3), page([3], 2, 4), page([2], 2, 3)])
def test_pages_that_do_not_add_up_are_no_read(server: Server, adapter: KiteMcpAdapter, second: dict[str, Any]) -> None:
    server.answers = [page([1, 2], 0, 3), second, *[page([], 3, 4)] * 200]
    with pytest.raises((BrokerUnavailable, BrokerSchemaError)):
        adapter.orders()


def test_a_quiet_session_is_proven_alive_before_an_order_goes_out(
    server: Server, adapter: KiteMcpAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker.adapters import mcp_client

    server.answers = [text(ACK), text(ACK)]
    adapter.place_order(ORDER)
    monkeypatch.setattr(mcp_client, "IDLE_S", -1.0)

    server.forgotten = {"kitemcp-1"}
    assert adapter.place_order(ORDER) == "151220000000000"
    assert (server.sessions, len(server.calls)) == (2, 2)
