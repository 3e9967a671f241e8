"""Serves requests from threads that are kept, each with its database connection.

Django gives every request a new thread, and with it a new connection to the database: some milliseconds that a trader
waits for nothing. Here a request borrows a thread when it first needs one and gives it back when it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from sigmatrader.turnstile import AT_ONCE, App, Receive, Send


class RequestThreads:
    """An ASGI application around another. Streams hold their thread to the end; ``keep`` idle ones are kept beside."""

    def __init__(self, app: App, *, keep: int = AT_ONCE) -> None:
        self._app = app
        self._keep = keep
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        borrowed = _Borrowed(self._take)
        try:
            async with ThreadSensitiveContext(executor=borrowed):
                await self._app(scope, receive, send)
        finally:
            if borrowed.thread is not None:
                self._give_back(borrowed.thread)

    def _take(self) -> ThreadPoolExecutor:
        """The one given back last: its connection is the warmest."""
        return self._idle.pop() if self._idle else ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")

    def _give_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self._idle) < self._keep:
            self._idle.append(thread)
            return
        thread.submit(connections.close_all)
        thread.shutdown(wait=False)


class _Borrowed(Executor):
    """One request's thread, taken when the first piece of work comes: who only sends slowly holds none."""

    def __init__(self, take: Callable[[], ThreadPoolExecutor]) -> None:
        self._take = take
        self.thread: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.thread is None:
            self.thread = self._take()
        return self.thread.submit(fn, *args, **kwargs)
