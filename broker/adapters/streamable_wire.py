"""MCP over streamable HTTP: a POST for each message, its answer in the response. The session is an id in a header,
which any process may send (FACTS a8).
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx2
import mcp_types as types
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ClientMessageMetadata, SessionMessage

from broker.adapters.failures import Fault
from broker.adapters.sse_events import EventReader
from broker.adapters.wire import HttpWire, body_of, is_gone, media_type, read_body
from broker.outbound import MAX_BODY, GuardedTransport

END_S = 1.0  # a server is not waited for longer when we leave
SESSION_HEADER = "mcp-session-id"
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class StreamableWire(HttpWire):
    kind = "streamable_http"

    def __init__(self, url: str, http: GuardedTransport, *, timeout_s: float, session_id: str = "") -> None:
        super().__init__(url, http, timeout_s=timeout_s)
        self.session_id = session_id
        self._protocol = ""

    async def open(self) -> None:
        """Nothing to open: the first message makes the session."""

    async def close(self, *, end_login: bool) -> None:
        """``end_login`` ends the server's session, and the login with it."""
        try:
            if end_login and self.session_id and not self.gone:
                await self._end_session()
        finally:
            await self._close_http()

    async def _end_session(self) -> None:
        with contextlib.suppress(httpx2.TransportError, TimeoutError):
            async with asyncio.timeout(END_S):
                response = await self._http.handle_async_request(self._request("DELETE", self.url, self._headers()))
                await response.aclose()

    def _headers(self) -> dict[str, str]:
        headers = dict(HEADERS)
        if self.session_id:
            headers[SESSION_HEADER] = self.session_id
        if self._protocol:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._protocol
        return headers

    async def _post(self, message: types.JSONRPCMessage, item: SessionMessage) -> None:
        if isinstance(item.metadata, ClientMessageMetadata) and item.metadata.headers:
            self._protocol = item.metadata.headers.get(MCP_PROTOCOL_VERSION_HEADER, self._protocol)
        request = self._request("POST", self.url, self._headers(), body_of(message))
        response = await self._http.handle_async_request(request)
        self.heard_at = time.monotonic()
        self._note_version(response)
        if response.is_success and media_type(response) == "text/event-stream":
            self._note_session(message, response)
            await self._read_stream(message, response)
            return
        body = await read_body(response)
        if is_gone(response.status_code, body):
            await self._fail(message, Fault.SESSION_LOST, "the server does not know this session")
        elif not response.is_success and media_type(response) != "application/json":
            await self._fail(message, Fault.LOST, f"HTTP {response.status_code}")
        elif isinstance(message, types.JSONRPCRequest):
            self._note_session(message, response)
            await self._answer(message, response.status_code, body)

    async def _answer(self, message: types.JSONRPCRequest, status: int, body: bytes) -> None:
        try:
            found = types.jsonrpc_message_adapter.validate_json(body, by_name=False)
        except ValueError:
            fault = Fault.UNREADABLE if status < 400 else Fault.LOST
            await self._fail(message, fault, f"the answer is not of MCP's shape: HTTP {status}")
            return
        if not _answers(found, message):
            await self._fail(message, Fault.UNREADABLE, "the answer is to another call")
            return
        await self._deliver(_named(found, message))

    async def _read_stream(self, message: types.JSONRPCMessage, response: httpx2.Response) -> None:
        """An answer that comes as events: what the server says on the way, then the answer itself."""
        events, answered = EventReader(MAX_BODY), False
        try:
            if isinstance(response.stream, httpx2.AsyncByteStream):
                async for chunk in response.stream:
                    for event in events.feed(chunk):
                        if event.name == "message" and event.data:
                            answered = await self._take(event.data, message) or answered
                    if answered:
                        break
        finally:
            await response.aclose()
        if not answered:
            await self._fail(message, Fault.LOST, "the answer was cut")

    async def _take(self, data: bytes, message: types.JSONRPCMessage) -> bool:
        """Whether this was the answer."""
        try:
            found = types.jsonrpc_message_adapter.validate_json(data, by_name=False)
        except ValueError:
            await self._fail(message, Fault.UNREADABLE, "the answer is not of MCP's shape")
            return True
        answered = isinstance(message, types.JSONRPCRequest) and _answers(found, message)
        await self._deliver(_named(found, message) if answered else found)
        return answered

    def _note_session(self, message: types.JSONRPCMessage, response: httpx2.Response) -> None:
        """Only the answer to ``initialize`` names the session."""
        if isinstance(message, types.JSONRPCRequest) and message.method == "initialize":
            self.session_id = response.headers.get(SESSION_HEADER, self.session_id)


def _named(found: types.JSONRPCMessage, message: types.JSONRPCMessage) -> types.JSONRPCMessage:
    """An error without an id, with the id of the call it answers."""
    if isinstance(found, types.JSONRPCError) and found.id is None and isinstance(message, types.JSONRPCRequest):
        return found.model_copy(update={"id": message.id})
    return found


def _answers(found: types.JSONRPCMessage, message: types.JSONRPCRequest) -> bool:
    """Whether ``found`` is the answer to ``message``; an error without an id can be for nothing else here."""
    return isinstance(found, types.JSONRPCResponse | types.JSONRPCError) and found.id in (message.id, None)
