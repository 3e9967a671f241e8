"""One exchange behind the tools: takes an MCP message, has the engine do what it asks, and says what goes back.

All calls go to the engine one after the other, in one thread; a call goes on when its caller has gone, as at the real
server (FACTS a7). Faults on command act here: on the call, on the answer, or in place of both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from broker.paper import rpc
from broker.paper.faults import AT_ONCE, NOW, Fault, FaultBook, FaultKind, Hidden, bloated, doubled
from broker.paper.ledger import DurableExchange, LedgerError
from broker.paper.sessions import LoginMode, Sessions, ToolSession
from broker.paper.tools import Call, Layer, PaperTools, Profile, Reply, UnknownTool, failed_text, tool_list

T = TypeVar("T")
Clock = Callable[[], datetime]
TICK_S = 0.25
logger = logging.getLogger(__name__)
_BREAKS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_UNSUPPORTED = ("resources", "prompts", "logging")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes back: ``body``; nothing, for ever, where it is None; or the end of the connection."""

    body: bytes | None = None
    is_cut: bool = False


class Desk:
    """The exchange, its tools, its sessions and its faults."""

    def __init__(
        self,
        exchange: DurableExchange,
        *,
        clock: Clock,
        login: LoginMode = LoginMode.OFF,
        profile: Profile = Profile.SELF_HOSTED,
        layers: Sequence[Layer] = (),
    ) -> None:
        self.exchange = exchange
        self.profile = profile
        self.clock = clock
        self.sessions = Sessions(login, started=clock())
        self.faults = FaultBook()
        self.broken = asyncio.Event()
        self._hidden = Hidden()
        self._engine = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._tools = PaperTools(exchange, layers=layers, profile=profile, desk=self.sessions.desk, hidden=self._hidden)

    async def tick(self) -> None:
        """Lets the market move while nobody asks, so that statuses and fills happen in their own time."""
        while True:
            await self.run(lambda: self.exchange.advance(self.clock()))
            await asyncio.sleep(TICK_S)

    async def run(self, work: Callable[[], T]) -> T:
        """In the engine's thread, to its end even if the caller is cancelled. A ledger that fails ends the server."""
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._engine, work))
        except LedgerError:
            self.broken.set()
            raise

    def close(self) -> None:
        """After the last call was answered or given up: ends the engine's thread, then the ledger."""
        self._engine.shutdown(wait=True)
        self.exchange.close()

    def add_fault(self, fault: Fault) -> FaultKind | None:
        """Notes a fault; the kind is returned where connections are to be cut for it now."""
        if fault.tool != NOW:
            self.faults.add(fault)
            return None
        return self.act_at_once(fault.kind)

    def act_at_once(self, kind: FaultKind) -> FaultKind | None:
        if kind is FaultKind.TOKEN_DEATH:
            self.sessions.kill_tokens()
            return None
        if kind is FaultKind.RESTART:
            self.sessions.lose_all()
        return kind if kind in AT_ONCE else None

    async def answer(self, value: object, session: ToolSession, fault: Fault | None, origin: str) -> Delivery | None:
        """The answer to one JSON value; None for what gets none (a notification, a reply to our ping)."""
        try:
            message = rpc.read(value)
            if not message.is_request:
                return None
            if message.tool:
                return await self._call(message, session, fault, origin)
            return _delivered(message, self._plain(message))
        except rpc.RpcProblem as problem:
            return Delivery(rpc.encode(rpc.error(problem)))

    def _plain(self, message: rpc.Message) -> object:
        method = message.method
        if method == "initialize":
            return rpc.initialized(message)
        if method == "ping":
            return {}
        if method == "tools/list":
            return {"tools": tool_list(self.profile)}
        family = method.partition("/")[0]
        text = f"{family} not supported" if family in _UNSUPPORTED else f"Method {method} not found"
        raise rpc.RpcProblem(rpc.NOT_FOUND, text, message.request_id)

    async def _call(self, message: rpc.Message, session: ToolSession, fault: Fault | None, origin: str) -> Delivery:
        name, arguments = rpc.call_arguments(message)
        call = Call(name, arguments, session, self.clock(), origin)
        kind = fault.kind if fault is not None else None
        if kind is FaultKind.LOST:
            return Delivery()
        if kind is FaultKind.TOKEN_DEATH:
            self.sessions.kill_tokens()
        try:
            failed = Reply(failed_text(name), is_error=True)
            reply = failed if kind is FaultKind.ERROR else await self.run(lambda: self._done(call, fault))
        except UnknownTool as exc:
            text = f"tool '{name}' not found: tool not found"
            raise rpc.RpcProblem(rpc.INVALID_PARAMS, text, message.request_id) from exc
        except _BREAKS as exc:  # one call must not leave its client without an answer
            logger.exception("%s failed", name)
            raise rpc.RpcProblem(rpc.INTERNAL, "internal error", message.request_id) from exc
        if fault is not None and kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        return _spoilt(message, reply, kind)

    def _done(self, call: Call, fault: Fault | None) -> Reply:
        """In the engine's thread."""
        reply = self._tools.call(call)
        if fault is not None and fault.kind is FaultKind.DELAYED_VISIBILITY and not reply.is_error:
            self._hidden.hide_placed(reply.text, call.now, fault.seconds)
        return reply


def _spoilt(message: rpc.Message, reply: Reply, kind: FaultKind | None) -> Delivery:
    if kind is FaultKind.PLACED_THEN_CUT:
        return Delivery(is_cut=True)
    if kind is FaultKind.NEVER_ANSWERED:
        return Delivery()
    if kind is FaultKind.PLACED_THEN_ERROR:
        reply = Reply(failed_text(message.tool), is_error=True)
    elif kind is FaultKind.DUPLICATE_ROWS:
        reply = Reply(doubled(reply.text), reply.is_error)
    elif kind is FaultKind.HUGE:
        reply = Reply(bloated(reply.text), reply.is_error)
    found = _delivered(message, rpc.tool_result(reply.text, is_error=reply.is_error))
    if kind is FaultKind.GARBAGE and found.body is not None:
        return Delivery(found.body[: len(found.body) // 2])
    return found


def _delivered(message: rpc.Message, result: object) -> Delivery:
    return Delivery(rpc.encode(rpc.answer(message.request_id, result)))
