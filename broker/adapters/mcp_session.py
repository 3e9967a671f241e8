"""One MCP session with a Kite server, over server-sent events or streamable HTTP. For one asyncio loop.

It is made by ``initialize``, since the newer handshake has no session and would lose a login on the next call. A login
lives as long as its session: over SSE as long as one stream, over streamable HTTP as long as the server keeps the id.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio
import mcp_types as types
import pydantic
from mcp import ClientSession, MCPError

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.sse_wire import SseWire
from broker.adapters.streamable_wire import StreamableWire
from broker.adapters.tool_client import ToolAnswer
from broker.adapters.wire import failure_of
from broker.addresses import AddressGuard, UrlNotAllowed
from broker.outbound import GuardedTransport

T = TypeVar("T", bound=pydantic.BaseModel)
AUTO, SSE, STREAMABLE = "auto", "sse", "streamable_http"
GRACE_S = 1.0
CLIENT = types.Implementation(name="SigmaTrader", version="1")
_CLOSED = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server said of itself, and how it is reached."""

    name: str
    version: str
    protocol_version: str
    http_version: str
    transport: str
    capabilities: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Saved:
    """A streamable session that any process may go on with. The id is a credential: store ``dump`` encrypted."""

    url: str
    session_id: str = field(repr=False)
    initialize: Mapping[str, object]

    def dump(self) -> str:
        return json.dumps({"url": self.url, "session_id": self.session_id, "initialize": self.initialize})

    @classmethod
    def load(cls, text: str) -> Saved | None:
        """None for what ``dump`` did not write."""
        try:
            found = json.loads(text)
            return cls(str(found["url"]), str(found["session_id"]), dict(found["initialize"]))
        except (ValueError, KeyError, TypeError):
            return None


class McpSession:
    """Every method raises CallFailed and nothing else. Nothing is ever sent twice."""

    def __init__(
        self,
        url: str,
        *,
        transport: str = AUTO,
        timeout_s: float = 10.0,
        resume: Saved | None = None,
        trust: str = "",
        guard: AddressGuard | None = None,
        http2_prior: bool = False,
    ) -> None:
        """``http2_prior``: an http:// server is known to speak HTTP/2. ``trust``: path of a CA file to trust instead of
        the system's. ``resume``: go on with this session, without a new ``initialize``."""
        if transport not in (AUTO, SSE, STREAMABLE):
            raise ValueError(f"transport is {transport!r}")
        self.url = url
        self.lost = asyncio.Event()
        self._transport = transport
        self._timeout_s = timeout_s
        self._resume = resume
        self._trust = trust
        self._guard = guard or AddressGuard()
        self._http2_prior = http2_prior and urlsplit(url).scheme == "http"
        self._link: _Link | None = None

    @property
    def is_open(self) -> bool:
        return self._link is not None and self._link.is_open

    @property
    def silent_s(self) -> float:
        """Seconds since the server was last heard; over SSE, on the stream."""
        return time.monotonic() - self._link.wire.heard_at if self._link is not None else float("inf")

    @property
    def session_id(self) -> str:
        return self._link.wire.session_id if self._link is not None else ""

    def saved(self) -> Saved | None:
        """What another process needs to go on with this session; None over SSE, where no other can."""
        link = self._link
        if link is None or link.greeting is None or link.wire.kind != STREAMABLE or not link.wire.session_id:
            return None
        greeting = link.greeting.model_dump(by_alias=True, mode="json", exclude_none=True)
        return Saved(link.wire.url, link.wire.session_id, greeting)

    async def open(self) -> ServerFacts:
        """Connects and greets; of the ways ``auto`` knows, the first that answers. Once per session.

        A resumed session is proven by a ping: CallFailed(SESSION_LOST) says that the server has it no more.
        """
        try:
            self._guard.check(self.url)
        except UrlNotAllowed as exc:
            raise CallFailed(Fault.NOT_SENT, str(exc)) from exc
        if self._resume is not None:
            if _origin(self._resume.url) != _origin(self.url):  # a credential goes back only where it came from
                raise CallFailed(Fault.SESSION_LOST, "the session was made at another server")
            return await self._open_way(STREAMABLE, self._resume.url, self._resume)
        first: CallFailed | None = None
        for kind, url in ways(self.url, self._transport):
            try:
                return await self._open_way(kind, url, None)
            except CallFailed as exc:
                first = first or exc
                if exc.fault is Fault.NOT_SENT:  # nobody is there, whatever the way
                    break
        raise first or CallFailed(Fault.NOT_SENT, "no way to the server")

    async def _open_way(self, kind: str, url: str, resume: Saved | None) -> ServerFacts:
        """A server that does not speak HTTP/2 in plain text after all is asked again over HTTP/1.1."""
        link = self._new_link(kind, url, resume)
        try:
            return await self._enter(link, resume)
        except CallFailed as exc:
            if not self._http2_prior or link.wire.http_version or exc.fault is not Fault.LOST:
                raise
        self._http2_prior = False
        return await self._enter(self._new_link(kind, url, resume), resume)

    async def call(self, tool: str, arguments: Mapping[str, object], *, timeout_s: float | None = None) -> ToolAnswer:
        """One tool call, sent once. On a session that is not open it is CallFailed(NOT_SENT)."""
        params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        result = await self._ask(types.CallToolRequest(params=params), types.CallToolResult, timeout_s)
        texts = [item.text for item in result.content if isinstance(item, types.TextContent)]
        if len(texts) != 1 or len(result.content) != 1:
            raise CallFailed(Fault.UNREADABLE, f"expected one text, got {len(result.content)} items")
        return ToolAnswer(texts[0], bool(result.is_error))

    async def list_tools(self) -> list[Mapping[str, object]]:
        """The tools as the server lists them."""
        listing = await self._ask(types.ListToolsRequest(), types.ListToolsResult, None)
        return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listing.tools]

    async def ping(self, *, timeout_s: float) -> None:
        """A sign of life."""
        await self._ask(types.PingRequest(), types.EmptyResult, timeout_s)

    async def close(self, *, end_login: bool = False) -> None:
        """``end_login`` also ends a streamable session at the server; without it the session stays alive there."""
        if self._link is not None:
            await self._link.close(end_login=end_login)

    async def _ask(self, request: types.ClientRequest, answer: type[T], timeout_s: float | None) -> T:
        link = self._link
        if link is None or not link.is_open:
            raise CallFailed(Fault.NOT_SENT, "the session is not open")
        return await link.ask(request, answer, timeout_s or self._timeout_s)

    def _new_link(self, kind: str, url: str, resume: Saved | None) -> _Link:
        return _Link(self._wire(kind, url, resume), self._timeout_s, self.lost)

    async def _enter(self, link: _Link, resume: Saved | None) -> ServerFacts:
        try:
            async with asyncio.timeout(self._timeout_s):
                greeting = await link.open(resume)
        except TimeoutError as exc:
            await link.close(end_login=False)
            raise CallFailed(Fault.LOST, "the server did not answer") from exc
        except BaseException:  # a cancelled opening must not leave its connection behind; raised on
            await link.close(end_login=False)
            raise
        self._link = link
        return _facts(greeting, link.wire)

    def _wire(self, kind: str, url: str, resume: Saved | None) -> SseWire | StreamableWire:
        if kind == STREAMABLE:
            session_id = resume.session_id if resume is not None else ""
            return StreamableWire(url, self._http(url), timeout_s=self._timeout_s, session_id=session_id)
        stream = self._http(url, connections=1, limit=0)  # one connection: over HTTP/2 the POSTs must share it
        return SseWire(url, stream, self._http(url), timeout_s=self._timeout_s)

    def _http(self, url: str, **options: int) -> GuardedTransport:
        secure = urlsplit(url).scheme == "https"
        prior = self._http2_prior
        return GuardedTransport(
            self._guard, trust=self._trust, secure=secure, http1=not prior, http2=secure or prior, **options
        )


class _Link:
    """A wire with the SDK's session on it, entered and left in one task, as the SDK's cancel scopes want it."""

    def __init__(self, wire: SseWire | StreamableWire, timeout_s: float, lost: asyncio.Event) -> None:
        self.wire = wire
        self.greeting: types.InitializeResult | None = None
        self._timeout_s = timeout_s
        self._lost = lost
        self._stop = asyncio.Event()
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._end_login = False

    @property
    def is_open(self) -> bool:
        live = self._task is not None and not self._task.done() and self.greeting is not None
        return live and not self._stop.is_set() and not self.wire.ended.is_set()

    async def open(self, resume: Saved | None) -> types.InitializeResult:
        self._task = asyncio.create_task(self._live())
        self._task.add_done_callback(self._over)
        session = await asyncio.shield(self._opened)
        try:
            self.greeting = await self._greet(session, resume)
        except (RuntimeError, pydantic.ValidationError) as exc:
            raise CallFailed(Fault.UNREADABLE, "the server's greeting is not of MCP's shape") from exc
        return self.greeting

    async def ask(self, request: types.ClientRequest, answer: type[T], timeout_s: float) -> T:
        session = self._opened.result()
        try:
            return await session.send_request(request, answer, timeout_s)
        except MCPError as exc:
            raise failure_of(exc) from exc
        except pydantic.ValidationError as exc:
            raise CallFailed(Fault.UNREADABLE, "the answer is not of MCP's shape") from exc
        except _CLOSED as exc:
            raise CallFailed(Fault.LOST, "the session closed") from exc

    async def close(self, *, end_login: bool) -> None:
        self._end_login = end_login
        self._stop.set()
        if self._task is None:
            return
        if self._opened.done():
            await asyncio.wait({self._task}, timeout=2 * GRACE_S)
        self._task.cancel()  # still opening, or held by a server that hangs
        await asyncio.wait({self._task}, timeout=GRACE_S)

    async def _greet(self, session: ClientSession, resume: Saved | None) -> types.InitializeResult:
        if resume is None:
            try:
                return await session.initialize()
            except MCPError as exc:
                raise failure_of(exc) from exc
        greeting = types.InitializeResult.model_validate(resume.initialize, by_name=False)
        session.adopt(greeting)
        await self.ask(types.PingRequest(), types.EmptyResult, self._timeout_s)
        return greeting

    async def _live(self) -> None:
        try:
            await self.wire.open()
            async with ClientSession(
                self.wire.read, self.wire, read_timeout_seconds=self._timeout_s, client_info=CLIENT
            ) as session:
                self._opened.set_result(session)
                await self._until_over()
        finally:
            await self.wire.close(end_login=self._end_login)

    async def _until_over(self) -> None:
        """Until we stop or the wire ends; then only our own end is not a loss."""
        stop, ended = (asyncio.ensure_future(event.wait()) for event in (self._stop, self.wire.ended))
        try:
            await asyncio.wait({stop, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            ended.cancel()
        if not self._stop.is_set():
            self._lost.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        """The task is over: whoever still waits for the session learns why."""
        problem = None if task.cancelled() else task.exception()
        if not self._opened.done():
            while isinstance(problem, BaseExceptionGroup):
                problem = problem.exceptions[0]
            kind = type(problem).__name__ if problem else "closed"
            self._opened.set_exception(
                problem if isinstance(problem, CallFailed) else CallFailed(Fault.LOST, f"no session: {kind}")
            )
            self._opened.exception()  # seen, even if nobody waits any more


def ways(url: str, transport: str) -> list[tuple[str, str]]:
    """The transports to try and where, best first. A Kite server has /sse and /mcp side by side (FACTS a1)."""
    if transport != AUTO:
        return [(transport, url)]
    path = urlsplit(url).path.rstrip("/")
    if path.endswith("/sse"):
        return [(SSE, url), (STREAMABLE, _beside(url, path[:-4] + "/mcp"))]
    if path.endswith("/mcp"):
        return [(STREAMABLE, url), (SSE, _beside(url, path[:-4] + "/sse"))]
    return [(STREAMABLE, url), (SSE, url)]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _beside(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _facts(greeting: types.InitializeResult, wire: SseWire | StreamableWire) -> ServerFacts:
    info = greeting.server_info
    return ServerFacts(
        name=info.name[:100],
        version=info.version[:100],
        protocol_version=str(greeting.protocol_version),
        http_version=wire.http_version,
        transport=wire.kind,
        capabilities=greeting.capabilities.model_dump(by_alias=True, mode="json", exclude_none=True),
    )
