"""Lets a bounded number of requests be worked on at once; the others wait their turn, first come, first served.

Each request Django works on is a thread. A thousand at once leave the one that is sending an order a thousandth of the
process, and its reads of the broker run out of time: waiting in line costs nobody more and fails nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]
AT_ONCE = 16


class Turnstile:
    """An ASGI application around another. A turn begins when a request's body is whole, so that a slow sender holds
    none, and ends when its answer begins, so that a stream holds none either.
    """

    def __init__(self, app: App, *, at_once: int = AT_ONCE) -> None:
        self._app = app
        self._free = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        turn = _Turn(self._free)

        async def whole() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                await turn.begin()
            return message

        async def answered(message: Message) -> None:
            turn.end()
            await send(message)

        try:
            await self._app(scope, whole, answered)
        finally:
            turn.end()


class _Turn:
    """One request's turn, taken and given back once."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free, self._holds = free, False

    async def begin(self) -> None:
        if not self._holds:
            await self._free.acquire()
            self._holds = True

    def end(self) -> None:
        if self._holds:
            self._holds = False
            self._free.release()
