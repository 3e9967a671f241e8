"""The SSE side of the exchange's MCP server: open streams, their framing and their pings (FACTS a2, a5, a7)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable

from broker.paper import rpc
from broker.paper.sessions import ToolSession
from broker.paper.web import Receive, Scope, Send, abort_of, gone, start

QUEUE = 100
logger = logging.getLogger(__name__)


class Stream:
    """One open stream. What does not fit its queue is dropped without a word to the client, as at the real server."""

    def __init__(self, session: ToolSession, *, ping_s: float, abort: Callable[[], None]) -> None:
        self.session = session
        self.abort = abort
        self._ping_s = ping_s
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)

    def push(self, payload: bytes) -> None:
        """Queues one JSON-RPC message."""
        try:
            self._queue.put_nowait(b"event: message\ndata: " + payload + b"\n\n")
        except asyncio.QueueFull:
            logger.warning("an event queue is full: an answer was dropped")

    def end(self) -> None:
        """Ends the stream in good order."""
        if self._queue.full():
            self.abort()
        else:
            self._queue.put_nowait(None)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Returns when the client left or the stream was ended."""
        headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
        await start(send, 200, headers + ([("connection", "keep-alive")] if scope["http_version"] != "2" else []))
        await _send(send, f"event: endpoint\ndata: /message?sessionId={self.session.session_id}\r\n\r\n".encode())
        tasks = {asyncio.create_task(work) for work in (self._write(send), self._ping(), gone(receive))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        while (event := await self._queue.get()) is not None:
            await _send(send, event)

    async def _ping(self) -> None:
        """A request of our own every ten seconds, whose id may well equal one of the client's."""
        for number in itertools.count(1):
            await asyncio.sleep(self._ping_s)
            await self._queue.put(b"event: message\ndata:" + rpc.encode(rpc.ping(number)) + b"\n\n")


class Streams:
    """The open streams by session id."""

    def __init__(self, ping_s: float) -> None:
        self._ping_s = ping_s
        self._open: dict[str, Stream] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, session_id: str) -> Stream | None:
        return self._open.get(session_id)

    async def serve(self, session: ToolSession, scope: Scope, receive: Receive, send: Send) -> None:
        stream = Stream(session, ping_s=self._ping_s, abort=abort_of(scope))
        self._open[session.session_id] = stream
        try:
            await stream.serve(scope, receive, send)
        finally:
            self._open.pop(session.session_id, None)

    def cut_all(self) -> None:
        for stream in list(self._open.values()):
            stream.abort()

    def end_all(self) -> None:
        for stream in list(self._open.values()):
            stream.end()


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
