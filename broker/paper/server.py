"""The paper exchange as a process of its own: an MCP server over streamable HTTP at /mcp, and GET /status beside it.

    python -m broker.paper.server --port 8765          the same as: manage.py paper_exchange --port 8765

Kept free of Django, so that it starts fast and stays small. All calls go to the engine one after the other, in one
thread; a call goes on when its caller has gone, as at the real server (FACTS a7).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.paper.account import AccountBooks, AccountError, load_account
from broker.paper.config import ClockMode, Delays, ExchangeConfig
from broker.paper.ledger import DurableExchange, LedgerError
from broker.paper.tools import Call, Layer, PaperTools, Reply, ToolSession, UnknownTool, tool_list

T = TypeVar("T")
Clock = Callable[[], datetime]
TICK_S = 0.25
PREFIX = b"kitemcp-"
INVALID_SESSION = "Invalid session ID\n"


class ServerProblem(Exception):
    """The exchange cannot be served; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one exchange is started with. ``delay`` scales the exchange's own delays; 0 takes them out."""

    port: int
    host: str = "127.0.0.1"
    account: Path | None = None
    seed: int = 7
    clock: ClockMode = ClockMode.PRACTICE
    ledger: Path | None = None
    delay: float = 1.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class PaperServer:
    """One exchange behind one MCP server. ``layers`` are handed to the tools."""

    def __init__(self, exchange: DurableExchange, *, clock: Clock = utc_now, layers: Sequence[Layer] = ()) -> None:
        self._exchange = exchange
        self._clock = clock
        self._tools = PaperTools(exchange, layers=layers)
        self._sessions: WeakKeyDictionary[object, ToolSession] = WeakKeyDictionary()
        self._engine = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._listing = types.ListToolsResult.model_validate({"tools": tool_list()})
        self.broken = asyncio.Event()

    def app(self) -> ASGIApp:
        server: Server[Any] = Server(
            "SigmaTrader paper exchange", version="1", on_list_tools=self._list_tools, on_call_tool=self._call_tool
        )
        server.middleware.clear()  # tracing spans that nobody collects
        routes = [Route("/status", self._status, methods=["GET"])]
        return KiteSessions(server.streamable_http_app(json_response=True, custom_starlette_routes=routes))

    async def tick(self) -> None:
        """Lets the market move while nobody asks, so that statuses and fills happen in their own time."""
        while True:
            await self._run(lambda: self._exchange.advance(self._clock()))
            await asyncio.sleep(TICK_S)

    async def status(self) -> dict[str, object]:
        return await self._run(self._status_now)

    def close(self) -> None:
        self._engine.shutdown(wait=True)
        self._exchange.close()

    async def _list_tools(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return self._listing

    async def _call_tool(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        session = self._sessions.setdefault(context.session, ToolSession())
        call = Call(params.name, params.arguments or {}, session, self._clock())
        try:
            reply = await self._run(lambda: self._tools.call(call))
        except UnknownTool as exc:
            raise MCPError(types.INVALID_PARAMS, f"tool '{params.name}' not found: tool not found") from exc
        return _result(reply)

    async def _status(self, request: Request) -> JSONResponse:
        return JSONResponse(await self.status())

    def _status_now(self) -> dict[str, object]:
        now, config = self._clock(), self._exchange.config
        state = self._exchange.read(lambda e: e.market_state(now))
        return {
            "ok": True,
            "clock": config.mode.value,
            "now": state.now.isoformat(),
            "phase": state.phase.value,
            "note": state.note,
            "seed": config.seed,
            "symbols": self._exchange.read(lambda e: len(e.market.instruments)),
            "orders": self._exchange.read(lambda e: e.order_count(now)),
            "ledger": str(self._exchange.path),
        }

    async def _run(self, work: Callable[[], T]) -> T:
        """In the engine's thread, to its end even if the caller is cancelled. A ledger that fails ends the server."""
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._engine, work))
        except LedgerError:
            self.broken.set()
            raise


class KiteSessions:
    """Session ids as the real server gives and refuses them: ``kitemcp-...``, and a plain 400 for one it has not.

    A client that offers only the newer, sessionless protocol is refused the same way: its login would be nowhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/mcp":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        session, version = headers.get(b"mcp-session-id", b""), headers.get(b"mcp-protocol-version")
        sessionless = version is not None and version.decode("latin-1") not in HANDSHAKE_PROTOCOL_VERSIONS
        if sessionless or (session and not session.startswith(PREFIX)):
            await PlainTextResponse(INVALID_SESSION, status_code=400)(scope, receive, send)
            return
        inner: Scope = {**scope, "headers": [_incoming(name, value) for name, value in scope["headers"]]}
        await self._app(inner, receive, _Outgoing(send, scope, receive))


class _Outgoing:
    """Passes an answer on, with the session id's prefix, or the plain 400 in place of the SDK's 404."""

    def __init__(self, send: Send, scope: Scope, receive: Receive) -> None:
        self._send = send
        self._scope = scope
        self._receive = receive
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._replaced = True
            await PlainTextResponse(INVALID_SESSION, status_code=400)(self._scope, self._receive, self._send)
        elif not self._replaced:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [_outgoing(name, value) for name, value in message["headers"]]}
            await self._send(message)


def open_exchange(options: Options, *, now: datetime) -> DurableExchange:
    """Raises ServerProblem. What an existing ledger was opened with counts, whatever the options say."""
    account: AccountBooks | None = None
    try:
        if options.account is not None:
            account = load_account(options.account)
        config = ExchangeConfig(seed=options.seed, mode=options.clock, delays=_delays(options.delay))
        return DurableExchange(options.ledger or default_ledger(options), opened_at=now, config=config, account=account)
    except AccountError as exc:
        raise ServerProblem(f"The account cannot be used: {exc}") from exc
    except LedgerError as exc:
        raise ServerProblem(f"The ledger cannot be used: {exc}. Stop the other exchange or choose --ledger.") from exc
    except OSError as exc:
        raise ServerProblem(f"The ledger cannot be used: {exc}") from exc


def default_ledger(options: Options) -> Path:
    """One file per account, clock and seed, under the project's var directory."""
    root = Path(os.environ.get("SIGMATRADER_VAR") or Path(__file__).resolve().parents[2] / "var")
    name = "demo"
    if options.account is not None:
        folder = options.account.resolve()
        name = f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    return root / "paper" / f"{name}-{options.clock.value}-{options.seed}.sqlite3"


def listening_socket(host: str, port: int) -> socket.socket:
    """Raises ServerProblem when the address cannot be had."""
    # The protocol is named so that asyncio turns Nagle off on what it accepts: without that an answer waits 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise ServerProblem(
                f"Port {port} on {host} is in use. Stop what uses it or choose another --port."
            ) from exc
        raise ServerProblem(f"Cannot listen on {host}:{port}: {exc}") from exc
    return listener


def serve(options: Options, *, announce: Callable[[str], None] = print, clock: Clock = utc_now) -> None:
    """Serves until a signal or a broken ledger ends it. Raises ServerProblem."""
    listener = listening_socket(options.host, options.port)
    with contextlib.closing(listener):
        exchange = open_exchange(options, now=clock())
        asyncio.run(_serve(exchange, listener, announce, clock))


class _Web(uvicorn.Server):
    """Ends on a signal by returning: uvicorn's own way raises the signal again and would skip closing the ledger."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(
    exchange: DurableExchange, listener: socket.socket, announce: Callable[[str], None], clock: Clock
) -> None:
    paper = PaperServer(exchange, clock=clock)
    config = uvicorn.Config(
        paper.app(), log_level="warning", access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=2
    )
    web = _Web(config)
    tick = asyncio.create_task(paper.tick())
    stop = asyncio.create_task(_stop_when_broken(paper, web))
    host, port = listener.getsockname()[:2]
    ready = asyncio.create_task(
        _announce_when_started(web, f"Paper exchange ready at http://{host}:{port}/mcp", announce)
    )
    try:
        await web.serve(sockets=[listener])
    finally:
        for task in (tick, stop, ready):
            task.cancel()
        await asyncio.gather(tick, stop, ready, return_exceptions=True)
        paper.close()
    if paper.broken.is_set():
        raise ServerProblem("The ledger could not be written; the exchange stopped rather than forget an order.")


async def _announce_when_started(web: uvicorn.Server, text: str, announce: Callable[[str], None]) -> None:
    while not web.started:
        await asyncio.sleep(0.01)
    announce(text)


async def _stop_when_broken(paper: PaperServer, web: uvicorn.Server) -> None:
    await paper.broken.wait()
    web.should_exit = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command, here and in ``manage.py``."""
    parser.add_argument("--port", type=int, default=8765, help="port to serve on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
    parser.add_argument("--account", type=Path, help="folder of Kite-shaped JSON files to start from")
    parser.add_argument("--seed", type=int, default=7, help="seed of the market")
    parser.add_argument("--clock", choices=[mode.value for mode in ClockMode], default=ClockMode.PRACTICE.value)
    parser.add_argument("--ledger", type=Path, help="the exchange's own durable file")
    parser.add_argument("--delay", type=float, default=1.0, help="factor on the exchange's delays; 0 takes them out")


def options_from(values: dict[str, Any]) -> Options:
    names = {field.name for field in fields(Options)}
    found = {name: value for name, value in values.items() if name in names}
    return Options(**found | {"clock": ClockMode(found["clock"])})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="paper_exchange", description=__doc__.splitlines()[0])
    add_arguments(parser)
    try:
        serve(options_from(vars(parser.parse_args(arguments))), announce=_say)
    except ServerProblem as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _result(reply: Reply) -> types.CallToolResult:
    """One text; ``isError`` is there only when it is true, as the real server sends it."""
    flags = {"isError": True} if reply.is_error else {}
    return types.CallToolResult.model_validate({"content": [{"type": "text", "text": reply.text}], **flags})


def _delays(factor: float) -> Delays:
    plain = Delays()
    return Delays(**{field.name: round(getattr(plain, field.name) * factor) for field in fields(Delays)})


def _incoming(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, value.removeprefix(PREFIX)) if name == b"mcp-session-id" else (name, value)


def _outgoing(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, PREFIX + value) if name.lower() == b"mcp-session-id" else (name, value)


if __name__ == "__main__":
    sys.exit(main())
