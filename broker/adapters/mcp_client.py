"""A synchronous MCP client: one warm session per process, called from any thread (see ``mcp_session``)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from broker.adapters.background import background
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_session import AUTO, McpSession
from broker.adapters.tool_client import ToolAnswer
from broker.adapters.wire import read_body, unreached
from broker.addresses import AddressGuard
from broker.outbound import CONNECT_S, GuardedTransport

T = TypeVar("T")
OPEN_S = 3.0  # an order waits no longer than this for a session before it is given up unsent
IDLE_S = 2.0  # a session quiet for longer is asked for a sign of life before an order goes out on it
GRACE_S = 1.0


class McpClient:
    """``terminate`` ends the server's session at close; never for a login that other processes share.

    The other options are ``McpSession``'s.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        terminate: bool = False,
        transport: str = AUTO,
        trust: str = "",
        guard: AddressGuard | None = None,
        http2_prior: bool = False,
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._terminate = terminate
        self._transport = transport
        self._trust = trust
        self._guard = guard or AddressGuard()
        self._http2_prior = http2_prior
        self._generation = 0
        self._session: McpSession | None = None
        self._used_at = 0.0
        self._plain: GuardedTransport | None = None
        self._lock = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The server's id of the open session, or empty."""
        return self._session.session_id if self._session is not None else ""

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
            _result(background.submit(self._close()), 3 * GRACE_S)

    async def _get_json(self, url: str) -> object:
        if self._plain is None:
            secure = urlsplit(url).scheme == "https"
            self._plain = GuardedTransport(self._guard, trust=self._trust, secure=secure, http2=False)
        request = httpx2.Request("GET", url, extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S}})
        try:
            async with asyncio.timeout(CONNECT_S):
                response = await self._plain.handle_async_request(request)
                body = await read_body(response)
        except httpx2.TransportError as exc:
            raise unreached(exc) from exc
        except TimeoutError as exc:
            raise CallFailed(Fault.LOST, f"no answer in time at {url}") from exc
        if response.status_code != 200:
            raise CallFailed(Fault.LOST, f"HTTP {response.status_code} at {url}")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise CallFailed(Fault.UNREADABLE, f"no JSON at {url}") from exc

    async def _close(self) -> None:
        session, self._session = self._session, None
        plain, self._plain = self._plain, None
        if session is not None:
            await session.close(end_login=self._terminate)
        if plain is not None:
            await plain.aclose()

    async def _call(self, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        return await self._on(await self._open_session(), tool, arguments)

    async def _call_write(self, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        try:
            async with asyncio.timeout(OPEN_S):
                session = await self._proven_session()
        except CallFailed as exc:
            raise CallFailed(Fault.NOT_SENT, exc.text) from exc
        except TimeoutError as exc:
            raise CallFailed(Fault.NOT_SENT, "no session in time") from exc
        return await self._on(session, tool, arguments)

    async def _on(self, session: McpSession, tool: str, arguments: dict[str, object]) -> ToolAnswer:
        try:
            answer = await session.call(tool, arguments)
        except CallFailed as exc:
            await self._forget_lost(session, exc)
            raise
        self._used_at = time.monotonic()
        return answer

    async def _proven_session(self) -> McpSession:
        session = await self._open_session()
        if time.monotonic() - self._used_at <= IDLE_S:
            return session
        try:
            await session.ping(timeout_s=OPEN_S / 2)
        except CallFailed:
            await self._forget(session)
            return await self._open_session()
        return session

    async def _open_session(self) -> McpSession:
        async with self._lock:
            if self._session is not None and self._session.is_open:
                return self._session
            return await self._new_session()

    async def _new_session(self) -> McpSession:
        gone, self._session = self._session, None
        if gone is not None:
            await gone.close()
        session = McpSession(
            self.url,
            transport=self._transport,
            timeout_s=self._timeout_s,
            trust=self._trust,
            guard=self._guard,
            http2_prior=self._http2_prior,
        )
        try:
            async with asyncio.timeout(OPEN_S):
                await session.open()
        except TimeoutError:
            raise CallFailed(Fault.LOST, "the server did not answer") from None
        self._session, self._used_at = session, time.monotonic()
        return session

    async def _forget_lost(self, session: McpSession, exc: CallFailed) -> None:
        if exc.fault is Fault.SESSION_LOST:
            await self._forget(session)

    async def _forget(self, session: McpSession) -> None:
        if self._session is session:
            self._session = None
        await session.close()

    async def _list_tools(self) -> list[Mapping[str, object]]:
        session = await self._open_session()
        try:
            return await session.list_tools()
        except CallFailed as exc:
            await self._forget_lost(session, exc)
            raise

    def _wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        with background.guard:
            if self._generation != background.generation:  # first use, or a fork: what was inherited is not ours
                self._generation, self._session, self._plain = background.generation, None, None
                self._lock = asyncio.Lock()
        return _result(background.submit(work), timeout_s + GRACE_S)


def _result(future: Future[T], timeout_s: float) -> T:
    try:
        return future.result(timeout_s)
    except WaitTimeout:
        future.cancel()
        raise CallFailed(Fault.LOST, "no answer in time") from None
