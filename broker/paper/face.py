"""The exchange's server as an ASGI app: MCP over /sse with /message and over /mcp, and beside them /status, the
authorize page and the control of faults. Statuses, texts and framing are the real server's (FACTS a2-a10).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine
from typing import Any

from broker.paper import pages, rpc
from broker.paper.desk import Delivery, Desk
from broker.paper.faults import Fault, FaultKind
from broker.paper.ledger import LedgerError
from broker.paper.sessions import EndedSession, ToolSession, UnknownSession
from broker.paper.streams import Stream, Streams
from broker.paper.web import (
    HTML,
    JSON,
    TEXT,
    Answer,
    BodyTooLarge,
    ClientGone,
    Receive,
    Scope,
    Send,
    abort_of,
    body_of,
    gone,
    header,
    is_meant_for,
    origin,
    plain,
    query,
    start,
)

INVALID_SESSION = "Invalid session ID"
SESSION_HEADER = "mcp-session-id"
ACCEPTED = Answer(202)
GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
BEFORE_THE_CALL = {
    FaultKind.HTTP_429: Answer(429, b"Too many requests\n", TEXT, {"retry-after": "1"}),
    FaultKind.HTML: Answer(502, GATEWAY_PAGE, HTML),
}
logger = logging.getLogger(__name__)


class Face:
    """One ASGI app. ``host`` is the address served on, ``control`` the token of the control endpoint (empty: off)."""

    def __init__(self, desk: Desk, *, host: str = "127.0.0.1", ping_s: float = 10.0, control: str = "") -> None:
        self._desk = desk
        self._host = host
        self._streams = Streams(ping_s)
        self._ending = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._pages = pages.Pages(desk, self.status, self._cut_for, control=control)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        try:
            if not is_meant_for(scope, self._host):
                await plain(403, "This exchange does not answer to that name").send(send)
            elif scope["path"] == "/sse":
                await self._sse(scope, receive, send)
            elif scope["path"] == "/mcp" and scope["method"] == "GET":
                await self._listen(scope, receive, send)
            else:
                await self._answer_once(scope, receive, send)
        except ClientGone:
            return
        except LedgerError:  # what was asked may be half done: no answer is the only true one
            abort_of(scope)()

    def add_fault(self, fault: Fault) -> None:
        self._cut_for(self._desk.add_fault(fault))

    def end_streams(self) -> None:
        """Ends what is open, in good order."""
        self._ending.set()
        self._streams.end_all()

    async def status(self, scope: Scope) -> dict[str, object]:
        """What /status says; phase and books as of now."""
        found = await self._desk.run(lambda: status_of(self._desk))
        return found | {
            "profile": self._desk.profile.value,
            "login": self._desk.sessions.mode.value,
            "sessions": len(self._desk.sessions),
            "streams": len(self._streams),
            "http_version": scope["http_version"],
            "http_versions": ["1.1", "2"],
        }

    async def _answer_once(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await body_of(receive)
        except BodyTooLarge:
            await plain(413, "Request body too large").send(send)
            return
        if scope["path"] == "/message":
            answer: Answer | None = self._message(scope, body)
        elif scope["path"] == "/mcp":
            answer = await self._mcp(scope, body, receive)
        else:
            answer = await self._pages.answer(scope, body)
        if answer is not None:
            await answer.send(send)

    # SSE

    async def _sse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await plain(405, "Method not allowed").send(send)
            return
        session = self._desk.sessions.open_stream()
        try:
            await self._streams.serve(session, scope, receive, send)
        finally:
            self._desk.sessions.drop(session.session_id)

    def _message(self, scope: Scope, body: bytes) -> Answer:
        """202 at once; the answer, if there is one, comes on the stream."""
        if scope["method"] != "POST":
            return _refused(rpc.INVALID_REQUEST, "Method not allowed")
        session_id = query(scope).get("sessionId", "")
        if not session_id:
            return _refused(rpc.INVALID_PARAMS, "Missing sessionId")
        stream = self._streams.get(session_id)
        if stream is None or not self._knows(session_id):
            return _refused(rpc.INVALID_PARAMS, INVALID_SESSION)
        try:
            value = rpc.parse(body)
        except ValueError:
            return _refused(rpc.PARSE_ERROR, "Parse error")
        fault = self._fault_of(value)
        if fault is not None and fault.kind in BEFORE_THE_CALL:
            return BEFORE_THE_CALL[fault.kind]
        if self._cuts(fault):
            stream.abort()
            return ACCEPTED
        self._spawn(self._deliver(stream, value, fault, origin(scope)))
        return ACCEPTED

    async def _deliver(self, stream: Stream, value: object, fault: Fault | None, where: str) -> None:
        try:
            delivery = await self._desk.answer(value, stream.session, fault, where)
        except LedgerError:
            delivery = Delivery(is_cut=True)
        if delivery is not None and delivery.is_cut:
            stream.abort()
        elif delivery is not None and delivery.body is not None:
            stream.push(delivery.body)

    # streamable HTTP

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream for news from the server, on which none ever comes."""
        await start(send, 200, [("content-type", "text/event-stream"), ("cache-control", "no-cache")])
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await self._until_gone(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _mcp(self, scope: Scope, body: bytes, receive: Receive) -> Answer | None:
        if scope["method"] == "DELETE":
            return self._end_session(header(scope, b"mcp-session-id"))
        if scope["method"] != "POST":
            return plain(404, "404 page not found")
        if header(scope, b"content-type") != JSON:
            return plain(400, "Invalid content type: must be 'application/json'")
        try:
            value = rpc.parse(body)
        except ValueError:
            return _refused(rpc.PARSE_ERROR, "request body is not valid json")
        if not isinstance(value, dict):
            return _refused(rpc.PARSE_ERROR, "request body is not valid json")
        try:
            session = self._session_for(value, scope)
        except UnknownSession:
            return plain(400, INVALID_SESSION)
        except EndedSession:
            return plain(404, "Session terminated")
        return await self._mcp_answer(value, session, scope, receive)

    async def _mcp_answer(
        self, value: dict[str, Any], session: ToolSession, scope: Scope, receive: Receive
    ) -> Answer | None:
        fault = self._fault_of(value)
        if fault is not None and fault.kind in BEFORE_THE_CALL:
            return BEFORE_THE_CALL[fault.kind]
        delivery: Delivery | None = Delivery(is_cut=True)
        if not self._cuts(fault):
            delivery = await self._desk.answer(value, session, fault, origin(scope))
        if delivery is None:
            return ACCEPTED
        if delivery.is_cut:
            abort_of(scope)()
            return None
        if delivery.body is None:
            await self._until_gone(receive)
            return None
        headers = {SESSION_HEADER: session.session_id} if value.get("method") == "initialize" else {}
        return Answer(200, delivery.body + b"\n", JSON, headers)

    def _session_for(self, value: dict[str, Any], scope: Scope) -> ToolSession:
        """Raises UnknownSession, EndedSession."""
        now = self._desk.clock()
        if value.get("method") == "initialize":
            return self._desk.sessions.open_kept(now)
        return self._desk.sessions.kept(header(scope, b"mcp-session-id"), now)

    def _end_session(self, session_id: str) -> Answer:
        try:
            self._desk.sessions.end(session_id)
        except UnknownSession:
            return plain(500, "Session termination failed: session ID not found")
        return Answer(200)

    # faults and tasks

    def _fault_of(self, value: object) -> Fault | None:
        """The fault that hits this message; only tool calls are hit."""
        try:
            tool = rpc.read(value).tool
        except rpc.RpcProblem:
            return None
        return self._desk.faults.take(tool) if tool else None

    def _cuts(self, fault: Fault | None) -> bool:
        """Acts on a fault that keeps the call from the exchange by ending its connection."""
        if fault is None or fault.kind not in (FaultKind.CUT, FaultKind.RESTART):
            return False
        if fault.kind is FaultKind.RESTART:
            self._cut_for(self._desk.act_at_once(fault.kind))
        return True

    def _cut_for(self, kind: FaultKind | None) -> None:
        if kind in (FaultKind.CUT, FaultKind.RESTART):
            self._streams.cut_all()

    def _knows(self, session_id: str) -> bool:
        with contextlib.suppress(UnknownSession):
            self._desk.sessions.stream(session_id)
            return True
        return False

    async def _until_gone(self, receive: Receive) -> None:
        waits = {asyncio.create_task(gone(receive)), asyncio.create_task(self._ending.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def status_of(desk: Desk) -> dict[str, object]:
    """In the engine's thread."""
    now, exchange = desk.clock(), desk.exchange
    state = exchange.read(lambda e: e.market_state(now))
    return {
        "ok": True,
        "clock": exchange.config.mode.value,
        "now": state.now.isoformat(),
        "phase": state.phase.value,
        "note": state.note,
        "seed": exchange.config.seed,
        "symbols": exchange.read(lambda e: len(e.market.instruments)),
        "orders": exchange.read(lambda e: e.order_count(now)),
        "ledger": str(exchange.path),
    }


def _refused(code: int, text: str) -> Answer:
    """400 with a JSON-RPC error of no request."""
    return Answer(400, json.dumps(rpc.error(rpc.RpcProblem(code, text)), separators=(",", ":")).encode() + b"\n", JSON)
