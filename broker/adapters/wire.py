"""What both transports of an MCP session share: messages go out as POSTs of their own, and each failure tells how far
its message got. A message that fails gets its answer from us, marked with a word only this process knows, so that no
server can forge it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

import anyio
import httpx2
import mcp_types as types
from mcp import MCPError
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from broker.adapters.failures import CallFailed, Fault
from broker.outbound import CONNECT_S, AnswerTooLarge, GuardedTransport

MARK = secrets.token_hex(16)
LOCAL_CODE = -32090
REQUEST_TIMED_OUT, CONNECTION_CLOSED = -32001, -32000
CANCELLED = "notifications/cancelled"
ORDERLY_S = 2.0
POST_S = 30.0  # no POST hangs longer than this, whoever waits for it
AGENT = {"User-Agent": "SigmaTrader"}
_GONE = (b"Invalid session ID", b"Session terminated", b"Session not found")
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_CLOSED = (anyio.ClosedResourceError, anyio.BrokenResourceError)
_ID = re.compile(rb'"id"\s*:\s*(\d{1,18})')
NEVER_WAITS = {"connect": CONNECT_S, "pool": CONNECT_S, "read": None, "write": None}
"""Time limits of a request. A read limit would be one for its whole HTTP/2 connection, so ours are kept outside."""

for _name in ("httpcore2", "httpx2", "mcp", "client", "hpack", "h2"):  # their debug lines carry session ids
    logging.getLogger(_name).setLevel(logging.WARNING)


class Wire(Protocol):
    """A transport of one session: the stream pair the SDK's session runs on. One task opens and closes it."""

    kind: str
    http_version: str
    session_id: str
    heard_at: float  # monotonic seconds
    ended: asyncio.Event  # nothing will be received any more
    read: anyio.abc.ObjectReceiveStream[SessionMessage | Exception]

    async def open(self) -> None:
        """Raises CallFailed."""
        ...

    async def close(self, *, end_login: bool) -> None: ...


class HttpWire(ABC):
    """Base of both. As the SDK's write stream it takes messages; ``read`` yields what came back."""

    kind = ""

    def __init__(self, url: str, http: GuardedTransport, *, timeout_s: float) -> None:
        self.url = url
        self.http_version = ""
        self.session_id = ""
        self.heard_at = time.monotonic()
        self.ended = asyncio.Event()
        self.gone = False  # the server said that it does not know this session
        self._http = http
        self._timeout_s = timeout_s
        self._posts: dict[object, asyncio.Task[None]] = {}
        self._incoming, self.read = anyio.create_memory_object_stream[SessionMessage | Exception](100)

    # --- the SDK's write stream --------------------------------------------------------------------------------
    async def send(self, item: SessionMessage, /) -> None:
        """Takes a message on its way. Its failure comes back as its answer, never from here."""
        message = item.message
        if isinstance(message, types.JSONRPCNotification) and message.method == CANCELLED:
            self._let_go((message.params or {}).get("requestId"))
            return
        key = ("call", message.id) if isinstance(message, types.JSONRPCRequest) else object()
        task = asyncio.create_task(self._carry(message, item))
        self._posts[key] = task
        task.add_done_callback(lambda _: self._posts.pop(key, None))
        if isinstance(message, types.JSONRPCNotification):  # in order: what follows counts on it
            await asyncio.wait({task}, timeout=ORDERLY_S)

    async def aclose(self) -> None:  # noqa: B027  # nothing to do, for every wire
        """The SDK is done writing; the wire itself is closed by its owner."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- inside ------------------------------------------------------------------------------------------------
    def _let_go(self, request_id: object) -> None:
        """Nobody waits for this answer any more. The server is told nothing: what it does, it does to the end."""
        task = self._posts.get(("call", request_id))
        if task is not None:
            task.cancel()

    async def _carry(self, message: types.JSONRPCMessage, item: SessionMessage) -> None:
        try:
            async with asyncio.timeout(max(POST_S, self._timeout_s)):
                await self._post(message, item)
        except httpx2.TransportError as exc:
            await self._fail(message, *_reached(exc))
        except TimeoutError:
            await self._fail(message, Fault.LOST, "the server did not answer")
        except httpx2.InvalidURL:
            await self._fail(message, Fault.NOT_SENT, "the address for messages is none")

    @abstractmethod
    async def _post(self, message: types.JSONRPCMessage, item: SessionMessage) -> None:
        """Sends one message and delivers what is answered to it."""

    async def _deliver(self, message: types.JSONRPCMessage) -> None:
        with contextlib.suppress(*_CLOSED):  # the session has ended: nobody waits
            await self._incoming.send(SessionMessage(message))

    async def _fail(self, message: types.JSONRPCMessage, fault: Fault, text: str) -> None:
        """Answers ``message`` in the server's place; only a request has somebody who waits."""
        if isinstance(message, types.JSONRPCRequest):
            data = {"mark": MARK, "fault": fault.value}
            error = types.ErrorData(code=LOCAL_CODE, message=text[:300], data=data)
            await self._deliver(types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error))
        if fault is Fault.SESSION_LOST:
            self._end(gone=True)

    async def _read_message(self, data: bytes, *, cut: bool = False) -> None:
        """Delivers what the server said; what cannot be read is the answer to the call it names, or to the only one."""
        if cut:
            await self._unreadable(data, "the answer is too large")
            return
        try:
            message = types.jsonrpc_message_adapter.validate_json(data, by_name=False)
        except ValidationError:
            await self._unreadable(data, "the answer is not of MCP's shape")
            return
        if isinstance(message, types.JSONRPCError) and message.id is None:
            await self._unreadable(b"", "an error that names no call")
            return
        await self._deliver(message)

    async def _unreadable(self, data: bytes, text: str) -> None:
        waiting = [key[1] for key in self._waiting() if isinstance(key, tuple)]
        named = _ID.search(data[:400])
        request_id = int(named[1]) if named else None
        if request_id not in waiting:
            request_id = waiting[0] if len(waiting) == 1 else None
        if request_id is not None:
            answered = types.JSONRPCRequest(jsonrpc="2.0", id=request_id, method="")
            await self._fail(answered, Fault.UNREADABLE, text)

    def _waiting(self) -> list[object]:
        """Keys of the calls that have no answer yet."""
        return list(self._posts)

    def _end(self, *, gone: bool = False) -> None:
        """Nothing more will be received: whoever waits learns it at once."""
        self.gone = self.gone or gone
        self.ended.set()
        self._incoming.close()

    async def _close_http(self) -> None:
        posts = list(self._posts.values())
        for task in posts:
            task.cancel()
        if posts:
            await asyncio.wait(posts, timeout=ORDERLY_S)
        self._end()
        await self._http.aclose()

    def _request(self, method: str, url: str, headers: dict[str, str], content: bytes = b"") -> httpx2.Request:
        return httpx2.Request(
            method, url, headers={**AGENT, **headers}, content=content, extensions={"timeout": NEVER_WAITS}
        )

    def _note_version(self, response: httpx2.Response) -> None:
        self.http_version = response.http_version


def body_of(message: types.JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def is_gone(status: int, body: bytes) -> bool:
    """Whether this answer says that the server does not know the session."""
    return status >= 400 and any(text in body[:400] for text in _GONE)


async def read_body(response: httpx2.Response) -> bytes:
    """All of it, at most what the transport allows. Raises httpx2.TransportError."""
    chunks: list[bytes] = []
    try:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            chunks.extend([chunk async for chunk in response.stream])
    finally:
        await response.aclose()
    return b"".join(chunks)


def media_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def failure_of(exc: MCPError) -> CallFailed:
    """What an error of the SDK means for the call."""
    data = exc.error.data
    if exc.error.code == LOCAL_CODE and isinstance(data, dict) and data.get("mark") == MARK:
        return CallFailed(Fault(data["fault"]), exc.error.message)
    if exc.error.code in (REQUEST_TIMED_OUT, CONNECTION_CLOSED):
        return CallFailed(Fault.LOST, exc.error.message)
    return CallFailed(Fault.PROTOCOL, exc.error.message, exc.error.code)


def _reached(exc: httpx2.TransportError) -> tuple[Fault, str]:
    """How far a request got that has no answer. The text never has more than the kind of the failure."""
    if isinstance(exc, AnswerTooLarge):
        return Fault.UNREADABLE, str(exc)
    if isinstance(exc, _UNSENT):
        return Fault.NOT_SENT, f"cannot connect: {exc}"
    return Fault.LOST, f"connection lost: {type(exc).__name__}"


def unreached(exc: httpx2.TransportError) -> CallFailed:
    """The same for a request that opens a session."""
    return CallFailed(*_reached(exc))
