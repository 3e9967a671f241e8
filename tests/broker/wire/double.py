"""A small Kite MCP server for tests, in the shapes of the real one: /sse with /message, and /mcp; over HTTP/1.1, HTTP/2
in plain text and HTTP/2 over TLS. It runs in a thread of this process and misbehaves when told to.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hypercorn.asyncio import serve
from hypercorn.config import Config

INITIALIZE = {
    "protocolVersion": "2025-03-26",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "Kite MCP Server", "version": "v0.0.0"},
}
TOOLS = [{"name": "get_orders", "inputSchema": {"type": "object", "properties": {}}}]


def text(body: str, *, error: bool = False) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": body}], **({"isError": True} if error else {})}}


@dataclass
class Double:
    """``answers`` go to tool calls in turn (a dict is the answer; a word is a fault; a callable makes either); every
    request that arrived is in ``requests`` as (HTTP version, method, path, JSON-RPC method)."""

    answers: list[Any] = field(default_factory=list)
    requests: list[tuple[str, str, str, str]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)  # the client's answers to our requests
    notices: list[str] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    endpoint: str = "/message?sessionId={session}"
    greeting: dict[str, Any] = field(default_factory=lambda: dict(INITIALIZE))
    sessions: dict[str, asyncio.Queue[bytes | None]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    redirect: str = ""  # where /moved leads
    big: int = 0  # bytes of /big
    sse: bool = True
    mcp: bool = True
    port: int = 0
    scheme: str = "http"
    loop: asyncio.AbstractEventLoop | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, path: str = "/sse") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def say(self, chunk: bytes | None) -> None:
        """Bytes on every open stream; None ends them."""
        assert self.loop is not None

        def put() -> None:
            for queue in self.sessions.values():
                queue.put_nowait(chunk)

        self.loop.call_soon_threadsafe(put)

    # --- ASGI --------------------------------------------------------------------------------------------------
    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            return
        self.clients.add(scope["client"])
        path, method = scope["path"], scope["method"]
        if path == "/sse" and self.sse:
            self._note(scope, "")
            if method == "GET":
                await self._stream(receive, send)
            else:
                await _plain(send, 405, b"Method not allowed\n")
        elif path == "/message" and self.sse:
            await self._message(scope, receive, send)
        elif path == "/mcp" and self.mcp:
            await self._mcp(scope, receive, send)
        else:
            self._note(scope, "")
            where = ((b"location", self.redirect.encode()),)
            status = 307 if path == "/moved" else 200 if path == "/big" else 404
            await _plain(
                send, status, b"x" * self.big or b"404 page not found\n", more=where if path == "/moved" else ()
            )

    def _note(self, scope: dict[str, Any], rpc: str) -> None:
        self.requests.append((scope["http_version"], scope["method"], scope["path"], rpc))

    async def _stream(self, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        session = f"session-{next(self._numbers)}"
        queue = self.sessions[session] = asyncio.Queue()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        first = f"event: endpoint\ndata: {self.endpoint.format(session=session)}\r\n\r\n".encode()
        await send({"type": "http.response.body", "body": first, "more_body": True})
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while True:
                item = asyncio.ensure_future(queue.get())
                await asyncio.wait({item, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() or item.result() is None:
                    item.cancel()
                    break
                await send({"type": "http.response.body", "body": item.result(), "more_body": True})
        finally:
            gone.cancel()
            del self.sessions[session]
            self.ended.append(session)
        await send({"type": "http.response.body", "body": b""})

    async def _message(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        message = json.loads(await _body(receive))
        session = parse_qs(scope["query_string"].decode()).get("sessionId", [""])[0]
        self._note(scope, message.get("method", "reply"))
        queue = self.sessions.get(session)
        if queue is None:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "Invalid session ID"}}
            await _plain(send, 400, json.dumps(error).encode(), b"application/json")
            return
        answer = self._answer(message)
        if isinstance(answer, int):
            await _plain(send, answer, b"<html>no</html>", b"text/html")
            return
        if answer == "lost session":
            await _plain(send, 400, b'{"error": {"code": -32602, "message": "Invalid session ID"}}')
            return
        await _plain(send, 202, b"")
        if answer == "cut":
            queue.put_nowait(None)
        elif isinstance(answer, bytes):
            queue.put_nowait(b"event: message\ndata: " + answer + b"\n\n")
        elif isinstance(answer, dict):
            said = json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer})
            queue.put_nowait(f"event: message\ndata: {said}\n\n".encode())

    async def _mcp(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        session = dict(scope["headers"]).get(b"mcp-session-id", b"").decode()
        if scope["method"] == "DELETE":
            self._note(scope, "")
            self.kept.discard(session)
            self.ended.append(session)
            await _plain(send, 200, b"")
            return
        message = json.loads(await _body(receive))
        self._note(scope, message.get("method", "reply"))
        if message.get("method") == "initialize":
            session = f"kitemcp-{next(self._numbers)}"
            self.kept.add(session)
        elif session not in self.kept:
            await _plain(send, 400, b"Invalid session ID\n")
            return
        answer = self._answer(message)
        if isinstance(answer, int):
            await _plain(send, answer, b"<html>no</html>", b"text/html")
        elif answer == "lost session":
            await _plain(send, 400, b"Invalid session ID\n")
        elif answer is None:
            await _plain(send, 202, b"")
        elif isinstance(answer, bytes):
            await _plain(send, 200, answer, b"text/event-stream" if answer[:5] == b"data:" else b"application/json")
        elif isinstance(answer, dict):
            said = json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}).encode()
            await _plain(send, 200, said, b"application/json", ((b"mcp-session-id", session.encode()),))
        else:
            await asyncio.sleep(30)

    def _answer(self, message: dict[str, Any]) -> Any:
        method = message.get("method")
        if "id" not in message:
            self.notices.append(str(method))
            return None
        if method is None:
            self.replies.append(message)
            return None
        fixed = {"initialize": self.greeting, "ping": {}, "tools/list": {"tools": TOOLS}}
        if method in fixed:
            return {"result": fixed[method]}
        self.calls.append(message["params"])
        answer = self.answers.pop(0) if self.answers else text("[]")
        return answer(message) if callable(answer) else answer


async def _until_gone(receive: Callable[..., Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Callable[..., Any]) -> bytes:
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body


async def _plain(
    send: Callable[..., Any], status: int, body: bytes, kind: bytes = b"text/plain", more: tuple[Any, ...] = ()
) -> None:
    headers = [*([(b"content-type", kind)] if body else []), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(double: Double | None = None, *, tls: tuple[Path, Path] | None = None) -> Iterator[Double]:
    """The double on a free loopback port; ``tls`` is (certificate, key)."""
    import socket

    found = double or Double()
    listener = socket.create_server(("127.0.0.1", 0))
    found.port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 0.05
    config.keep_alive_timeout = 60
    if tls is not None:
        config.certfile, config.keyfile = str(tls[0]), str(tls[1])
    started, stop = threading.Event(), None

    async def run() -> None:
        nonlocal stop
        found.loop, stop = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await serve(found, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield found
    finally:
        found.say(None)
        assert found.loop is not None
        assert stop is not None
        found.loop.call_soon_threadsafe(stop.set)
        thread.join(5)
