"""MCP over server-sent events: one GET stream that is the session, and a POST for each message (FACTS a2-a7).

Over HTTP/2 the POSTs share the stream's connection, since another connection may end at another instance of the
server, which does not know the session (FACTS a12).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import mcp_types as types
from mcp.shared.message import SessionMessage

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.sse_events import Event, EventReader
from broker.adapters.wire import HttpWire, body_of, is_gone, media_type, read_body, unreached
from broker.outbound import MAX_BODY, GuardedTransport

SILENT_S = 30.0  # the server says something every 10 s; a stream without a byte for longer is dead (FACTS a6)
STREAM_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
POST_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class SseWire(HttpWire):
    """``stream`` carries the GET and, over HTTP/2, everything; ``posts`` the rest over HTTP/1.1."""

    kind = "sse"

    def __init__(self, url: str, stream: GuardedTransport, posts: GuardedTransport, *, timeout_s: float) -> None:
        super().__init__(url, stream, timeout_s=timeout_s)
        self._separate = posts
        self._endpoint = ""
        self._events = EventReader(MAX_BODY)
        self._answer: httpx2.Response | None = None
        self._reader: asyncio.Task[None] | None = None
        self._calls: set[object] = set()

    async def open(self) -> None:
        """Opens the stream and waits for the address of the POSTs. Raises CallFailed."""
        try:
            response = await self._http.handle_async_request(self._request("GET", self.url, STREAM_HEADERS))
        except httpx2.TransportError as exc:
            raise unreached(exc) from exc
        self._answer = response
        self._note_version(response)
        if response.status_code != 200 or media_type(response) != "text/event-stream":
            raise CallFailed(Fault.LOST, f"no event stream: HTTP {response.status_code}")
        announced = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._listen(response, announced))
        self._endpoint = await announced

    async def close(self, *, end_login: bool) -> None:
        """Ends the session and its login: here they are one with the stream, whatever ``end_login`` says."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
        if self._answer is not None:
            await self._answer.aclose()
        await self._close_http()
        await self._separate.aclose()

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        if isinstance(message, types.JSONRPCRequest):
            self._calls.add(("call", message.id))
        await super().send(item)

    def _let_go(self, request_id: object) -> None:
        """The POST itself is short and goes on: to cut it in its middle could break the connection it shares."""
        self._calls.discard(("call", request_id))

    def _waiting(self) -> list[object]:
        return list(self._calls)

    async def _deliver(self, message: types.JSONRPCMessage) -> None:
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._calls.discard(("call", message.id))
        await super()._deliver(message)

    async def _post(self, message: types.JSONRPCMessage, item: SessionMessage) -> None:
        """The answer comes on the stream; here only a refusal does."""
        if self.ended.is_set():
            await self._fail(message, Fault.NOT_SENT, "the stream has ended")
            return
        http = self._http if self.http_version == "HTTP/2" else self._separate
        request = self._request("POST", self._endpoint, POST_HEADERS, body_of(message))
        response = await http.handle_async_request(request)
        body = await read_body(response)
        if is_gone(response.status_code, body):
            await self._fail(message, Fault.SESSION_LOST, "the server does not know this session")
        elif not response.is_success:
            await self._fail(message, Fault.LOST, f"HTTP {response.status_code}")

    async def _listen(self, response: httpx2.Response, announced: asyncio.Future[str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SILENT_S) as silence, contextlib.aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    self.heard_at = time.monotonic()
                    silence.reschedule(loop.time() + SILENT_S)
                    for event in self._events.feed(chunk):
                        await self._heard(event, announced)
        except CallFailed as exc:
            _settle(announced, exc)
        except httpx2.TransportError as exc:
            _settle(announced, unreached(exc))
        except TimeoutError:
            _settle(announced, CallFailed(Fault.LOST, "the stream fell silent"))
        finally:
            _settle(announced, CallFailed(Fault.LOST, "the stream ended"))
            self._end()

    async def _heard(self, event: Event, announced: asyncio.Future[str]) -> None:
        if event.name == "endpoint" and not announced.done():
            announced.set_result(self._same_origin(event))
        elif event.name == "message" and event.data:
            await self._read_message(event.data, cut=event.cut)

    def _same_origin(self, event: Event) -> str:
        """The address for the POSTs, of the stream's own origin. Raises CallFailed."""
        try:
            found = urljoin(self.url, event.data.decode("ascii", "replace").strip())
            ours, theirs = urlsplit(self.url), urlsplit(found)
        except ValueError as exc:
            raise CallFailed(Fault.LOST, "the server names no address for its messages") from exc
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise CallFailed(Fault.LOST, "the server names another origin for its messages")
        query = parse_qs(theirs.query)
        self.session_id = (query.get("sessionId") or query.get("session_id") or [""])[0]
        return found


async def _chunks(response: httpx2.Response) -> AsyncGenerator[bytes]:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        async for chunk in response.stream:
            yield chunk


def _settle(announced: asyncio.Future[str], exc: CallFailed) -> None:
    if not announced.done():
        announced.set_exception(exc)
        announced.exception()  # seen, even if nobody waits any more
