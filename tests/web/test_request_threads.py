"""Requests are served from threads that are kept: the same one again, one each at the same time, none for a sender."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from sigmatrader.request_threads import RequestThreads

HTTP = {"type": "http"}


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def nowhere(message: Any) -> None:
    return None


def kept(served: RequestThreads) -> list[threading.Thread]:
    return [thread for executor in served._idle for thread in executor._threads]


class App:
    """Works in its request's thread twice, as middleware and view do, and notes which one that was."""

    def __init__(self) -> None:
        self.threads: list[tuple[int, int]] = []
        self.together = asyncio.Event()
        self.wait_for = 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        first = await sync_to_async(threading.get_ident, thread_sensitive=True)()
        self.wait_for -= 1
        if self.wait_for <= 0:
            self.together.set()
        await self.together.wait()
        second = await sync_to_async(threading.get_ident, thread_sensitive=True)()
        self.threads.append((first, second))


def test_one_request_after_another_is_served_by_one_thread() -> None:
    async def run() -> App:
        app = App()
        served = RequestThreads(app)
        for _ in range(5):
            await served(HTTP, nothing, nowhere)
        return app

    assert len({ident for pair in asyncio.run(run()).threads for ident in pair}) == 1


def test_requests_at_the_same_time_have_a_thread_each() -> None:
    async def run() -> App:
        app = App()
        app.wait_for = 4
        served = RequestThreads(app)
        await asyncio.gather(*(served(HTTP, nothing, nowhere) for _ in range(4)))
        return app

    threads = asyncio.run(run()).threads
    assert all(first == second for first, second in threads)
    assert len({first for first, _ in threads}) == 4


def test_who_only_sends_slowly_holds_no_thread() -> None:
    async def run() -> int:
        app, never = App(), asyncio.Event()
        served = RequestThreads(app)

        async def slow() -> Any:
            await never.wait()

        waiting = [asyncio.create_task(served(HTTP, slow, nowhere)) for _ in range(20)]
        await asyncio.sleep(0)
        await served(HTTP, nothing, nowhere)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return len(kept(served))

    assert asyncio.run(run()) == 1


def test_no_more_than_a_few_are_kept() -> None:
    async def run() -> int:
        app = App()
        app.wait_for = 6
        before = {thread.ident for thread in threading.enumerate()}
        served = RequestThreads(app, keep=2)
        await asyncio.gather(*(served(HTTP, nothing, nowhere) for _ in range(6)))
        ours = [t for t in threading.enumerate() if t.ident not in before and t.name.startswith("request")]
        ended = {first for first, _ in app.threads} - {t.ident for t in kept(served)}
        for thread in ours:
            if thread.ident in ended:
                thread.join(5)
        return sum(thread.is_alive() for thread in ours)

    assert asyncio.run(run()) == 2


def test_a_request_that_fails_gives_its_thread_back() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(threading.get_ident, thread_sensitive=True)()
        raise RuntimeError("broken")

    async def run() -> int:
        served = RequestThreads(broken)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await served(HTTP, nothing, nowhere)
        return len(kept(served))

    assert asyncio.run(run()) == 1
