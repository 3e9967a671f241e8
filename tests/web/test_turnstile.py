"""The turnstile: a bounded number at work, everyone gets a turn, and neither slow senders nor streams hold one."""

from __future__ import annotations

import asyncio
from typing import Any

from sigmatrader.turnstile import Turnstile

HTTP = {"type": "http"}
BODY = {"type": "http.request", "body": b"", "more_body": False}
START = {"type": "http.response.start", "status": 200, "headers": []}


class App:
    """Counts who is between reading the body and beginning the answer."""

    def __init__(self, stream: asyncio.Event | None = None, error: bool = False) -> None:
        self.now, self.most, self.served, self.stream, self.error = 0, 0, 0, stream, error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if self.error:
            raise RuntimeError("broken")
        await send(START)
        if self.stream is not None:
            await self.stream.wait()
        self.served += 1


async def body() -> Any:
    return BODY


async def nowhere(message: Any) -> None:
    return None


def test_no_more_than_the_limit_work_at_once_and_all_are_served() -> None:
    async def run() -> App:
        app = App()
        gate = Turnstile(app, at_once=3)
        await asyncio.gather(*(gate(HTTP, body, nowhere) for _ in range(50)))
        return app

    app = asyncio.run(run())
    assert (app.most, app.served) == (3, 50)


def test_a_stream_holds_no_turn_once_its_answer_began() -> None:
    async def run() -> int:
        forever = asyncio.Event()
        app = App(stream=forever)
        gate = Turnstile(app, at_once=1)
        tasks = [asyncio.create_task(gate(HTTP, body, nowhere)) for _ in range(5)]
        for _ in range(30):
            await asyncio.sleep(0)
        waiting = app.served
        forever.set()
        await asyncio.gather(*tasks)
        return app.served - waiting

    assert asyncio.run(run()) == 5


def test_a_slow_sender_holds_none() -> None:
    async def run() -> int:
        app, never = App(), asyncio.Event()
        gate = Turnstile(app, at_once=1)

        async def slow() -> Any:
            await never.wait()
            return BODY

        slow_one = asyncio.create_task(gate(HTTP, slow, nowhere))
        await gate(HTTP, body, nowhere)
        slow_one.cancel()
        return app.served

    assert asyncio.run(run()) == 1


def test_an_error_gives_the_turn_back() -> None:
    async def run() -> list[Any]:
        gate = Turnstile(App(error=True), at_once=1)
        return await asyncio.gather(*(gate(HTTP, body, nowhere) for _ in range(4)), return_exceptions=True)

    assert [str(result) for result in asyncio.run(run())] == ["broken"] * 4
