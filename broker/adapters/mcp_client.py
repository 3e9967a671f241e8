"""A synchronous MCP client: one warm session per process, called from any thread.

The session is made by ``initialize``, since the newer handshake has no session and would lose a login on the next call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any, TypeVar

import anyio
import httpx2
import mcp_types as types
import pydantic
from mcp import ClientSession, MCPError
from mcp.client.streamable_http import streamable_http_client

from broker.adapters.background import background
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.tool_client import ToolAnswer
from broker.adapters.wire import CONNECT_S, GuardedTransport, failure_of, guarded_client

T = TypeVar("T")
OPEN_S = 3.0  # an order waits no longer than this for a session before it is given up unsent
IDLE_S = 2.0  # a session quiet for longer is asked for a sign of life before an order goes out on it
GRACE_S = 1.0
_CLOSED = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)


class _Session:
    """One open session, entered and left in one task, as the SDK's cancel scopes want it."""

    def __init__(self, url: str, *, timeout_s: float, terminate: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._terminate = terminate
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self.transport: GuardedTransport | None = None
        self.used_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._task is not None and not self._task.done() and not self._stop.is_set()

    async def open(self) -> None:
        """Raises CallFailed when no session can be made; nothing is left running then."""
        self._task = asyncio.create_task(self._live())
        self._task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(OPEN_S):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self._task.cancel()
            raise CallFailed(Fault.LOST, "the server did not answer") from None
        self.used_at = time.monotonic()

    async def request(self, request: types.ClientRequest, answer: type[T], *, timeout_s: float) -> T:
        """Raises CallFailed."""
        session = self._ready.result()
        try:
            result = await session.send_request(request, answer, timeout_s)  # type: ignore[type-var]
        except MCPError as exc:
            raise failure_of(exc) from exc
        except pydantic.ValidationError as exc:
            raise CallFailed(Fault.UNREADABLE, "the answer is not of MCP's shape") from exc
        except _CLOSED as exc:
            raise CallFailed(Fault.LOST, "the session closed") from exc
        self.used_at = time.monotonic()
        return result

    async def close(self) -> None:
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=GRACE_S)

    async def _live(self) -> None:
        http, self.transport = guarded_client(self._timeout_s)
        async with (
            http,
            streamable_http_client(self._url, http_client=http, terminate_on_close=self._terminate) as (read, write),
            ClientSession(read, write, read_timeout_seconds=self._timeout_s, client_info=_CLIENT) as session,
        ):
            await session.initialize()
            self._ready.set_result(session)
            await self._stop.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The task is over: whoever still waits for the session learns why."""
        problem = None if task.cancelled() else task.exception()
        if not self._ready.done():
            self._ready.set_exception(_opening_failure(problem))
            self._ready.exception()  # seen, even if nobody waits any more


class McpClient:
    """``terminate`` ends the server's session at close; never for a login that other processes share."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, terminate: bool = False) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._terminate = terminate
        self._generation = 0
        self._session: _Session | None = None
        self._plain: httpx2.AsyncClient | None = None
        self._lock = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The server's id of the open session, or empty."""
        transport = self._session.transport if self._session is not None else None
        return transport.session_id if transport is not None else ""

    def call(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """One tool call on the warm session, sent once. Raises CallFailed."""
        return self._wait(self._call(tool, dict(arguments)), OPEN_S + self._timeout_s)

    def call_write(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """As ``call``, on a session just proven alive; a session that cannot be had is CallFailed(NOT_SENT)."""
        return self._wait(self._call_write(tool, dict(arguments)), 2 * OPEN_S + self._timeout_s)

    def list_tools(self) -> list[Mapping[str, object]]:
        """The tools as the server lists them. Raises CallFailed."""
        return self._wait(self._list_tools(), OPEN_S + self._timeout_s)

    def get_json(self, url: str) -> object:
        """A plain GET beside MCP (the paper exchange's status). Raises CallFailed."""
        return self._wait(self._get_json(url), CONNECT_S + GRACE_S)

    def close(self) -> None:
        if self._generation == background.generation:
            _result(background.submit(self._close()), 2 * GRACE_S)

    async def _get_json(self, url: str) -> object:
        if self._plain is None:  # kept: making one loads every certificate of the system
            self._plain = httpx2.AsyncClient(timeout=CONNECT_S, trust_env=False)
        try:
            response = await self._plain.get(url)
            response.raise_for_status()
            return response.json()
        except (httpx2.HTTPError, ValueError) as exc:
            raise CallFailed(Fault.LOST, f"{type(exc).__name__} at {url}") from exc

    async def _close(self) -> None:
        session, self._session = self._session, None
        plain, self._plain = self._plain, None
        if session is not None:
            await session.close()
        if plain is not None:
            await plain.aclose()

    async def _call(self, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        session = await self._open_session()
        return await self._request(session, tool, arguments)

    async def _call_write(self, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        try:
            async with asyncio.timeout(OPEN_S):
                session = await self._proven_session()
        except CallFailed as exc:
            raise CallFailed(Fault.NOT_SENT, exc.text) from exc
        except TimeoutError as exc:
            raise CallFailed(Fault.NOT_SENT, "no session in time") from exc
        return await self._request(session, tool, arguments)

    async def _request(self, session: _Session, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        call = types.CallToolRequest(params=types.CallToolRequestParams(name=tool, arguments=arguments))
        try:
            result = await session.request(call, types.CallToolResult, timeout_s=self._timeout_s)
        except CallFailed as exc:
            if exc.fault is Fault.SESSION_LOST:
                await self._forget(session)
            raise
        return _answer(result)

    async def _proven_session(self) -> _Session:
        session = await self._open_session()
        if time.monotonic() - session.used_at <= IDLE_S:
            return session
        try:
            await session.request(types.PingRequest(), types.EmptyResult, timeout_s=OPEN_S / 2)
        except CallFailed:
            await self._forget(session)
            return await self._open_session()
        return session

    async def _open_session(self) -> _Session:
        async with self._lock:
            if self._session is None or not self._session.is_open:
                session = _Session(self.url, timeout_s=self._timeout_s, terminate=self._terminate)
                await session.open()
                self._session = session
            return self._session

    async def _forget(self, session: _Session) -> None:
        if self._session is session:
            self._session = None
        await session.close()

    async def _list_tools(self) -> list[Mapping[str, object]]:
        session = await self._open_session()
        request = types.ListToolsRequest()
        try:
            listing = await session.request(request, types.ListToolsResult, timeout_s=self._timeout_s)
        except CallFailed as exc:
            if exc.fault is Fault.SESSION_LOST:
                await self._forget(session)
            raise
        return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listing.tools]

    def _wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        with background.guard:
            if self._generation != background.generation:  # first use, or a fork: what was inherited is not ours
                self._generation, self._session, self._plain = background.generation, None, None
                self._lock = asyncio.Lock()
        return _result(background.submit(work), timeout_s + GRACE_S)


_CLIENT = types.Implementation(name="SigmaTrader", version="1")


def _result(future: Future[T], timeout_s: float) -> T:
    try:
        return future.result(timeout_s)
    except WaitTimeout:
        future.cancel()
        raise CallFailed(Fault.LOST, "no answer in time") from None


def _opening_failure(problem: BaseException | None) -> CallFailed:
    """Why a session could not be opened, out of whatever nest of groups the SDK raised."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    if isinstance(problem, MCPError):
        return failure_of(problem)
    return CallFailed(Fault.LOST, f"no session: {type(problem).__name__}" if problem else "the session closed")


def _answer(result: types.CallToolResult) -> ToolAnswer:
    texts = [item.text for item in result.content if isinstance(item, types.TextContent)]
    if len(texts) != 1 or len(result.content) != 1:
        raise CallFailed(Fault.UNREADABLE, f"expected one text, got {len(result.content)} items")
    return ToolAnswer(texts[0], bool(result.is_error))
