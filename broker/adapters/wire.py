"""The HTTP below an MCP session, guarded: no redirect, no proxy, no endless answer, and each failure tells how far its
request got. The SDK would end the whole session on one broken request; here a failed request becomes an answer to that
request alone, marked with a word only this process knows, so that no server can forge it.
"""

from __future__ import annotations

import json
import secrets

import httpx2
from mcp import MCPError

from broker.adapters.failures import CallFailed, Fault

MARK = secrets.token_hex(16)
LOCAL_CODE = -32090
MAX_BODY = 6_000_000
CONNECT_S = 2.0
REQUEST_TIMED_OUT, CONNECTION_CLOSED = -32001, -32000
SESSION_HEADER = "mcp-session-id"
_GONE = (b"Invalid session ID", b"Session terminated", b"Session not found")
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Wraps a transport; ``session_id`` is the MCP session the server gave."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.session_id = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":  # the stream for server-sent news: nothing we need comes on it
            return httpx2.Response(405, request=request)
        try:
            response = await self._inner.handle_async_request(request)
            found = await self._checked(request, response)
        except httpx2.TransportError as exc:
            found = _without_answer(request, exc)
        if request.method == "DELETE":  # whatever was said, we are done with that session
            return httpx2.Response(204, request=request)
        return found

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _checked(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if response.is_success and response.headers.get("content-type", "").startswith("text/event-stream"):
            self._note_session(response)
            return response
        body = await _read(response)
        if body is None:
            return failed(request, Fault.UNREADABLE, "the answer is too large")
        if response.status_code >= 400 and any(text in body[:400] for text in _GONE):
            return failed(request, Fault.SESSION_LOST, "the server does not know this session")
        if not response.is_success and not _is_json(response):
            return failed(request, Fault.LOST, f"HTTP {response.status_code}")
        self._note_session(response)
        return httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)

    def _note_session(self, response: httpx2.Response) -> None:
        self.session_id = response.headers.get(SESSION_HEADER, self.session_id)


def guarded_client(timeout_s: float) -> tuple[httpx2.AsyncClient, GuardedTransport]:
    """A client that asks no environment for a proxy and follows nothing."""
    transport = GuardedTransport(
        httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=50, keepalive_expiry=60.0), trust_env=False)
    )
    timeout = httpx2.Timeout(timeout_s, connect=CONNECT_S)
    return httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False), transport


def failed(request: httpx2.Request, fault: Fault, text: str) -> httpx2.Response:
    """Our own JSON-RPC error in answer to ``request``."""
    error = {"code": LOCAL_CODE, "message": text[:300], "data": {"mark": MARK, "fault": fault.value}}
    answer = {"jsonrpc": "2.0", "id": _request_id(request), "error": error}
    return httpx2.Response(503, json=answer, request=request)


def _without_answer(request: httpx2.Request, exc: httpx2.TransportError) -> httpx2.Response:
    if isinstance(exc, _UNSENT):
        return failed(request, Fault.NOT_SENT, f"cannot connect: {exc}")
    return failed(request, Fault.LOST, f"connection lost: {type(exc).__name__}")


def failure_of(exc: MCPError) -> CallFailed:
    """What an error of the SDK means for the call."""
    data = exc.error.data
    if exc.error.code == LOCAL_CODE and isinstance(data, dict) and data.get("mark") == MARK:
        return CallFailed(Fault(data["fault"]), exc.error.message)
    if exc.error.code in (REQUEST_TIMED_OUT, CONNECTION_CLOSED):
        return CallFailed(Fault.LOST, exc.error.message)
    return CallFailed(Fault.PROTOCOL, exc.error.message, exc.error.code)


async def _read(response: httpx2.Response) -> bytes | None:
    """The raw body, or None when it is larger than any honest answer."""
    chunks, size = [], 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > MAX_BODY:
                return None
            chunks.append(chunk)
    finally:
        await response.aclose()
    return b"".join(chunks)


def _is_json(response: httpx2.Response) -> bool:
    return bool(response.headers.get("content-type", "").startswith("application/json"))


def _request_id(request: httpx2.Request) -> object:
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    return message.get("id") if isinstance(message, dict) else None
