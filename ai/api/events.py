"""Server-sent events: a run told as it happens, and stored events told again.

A run works on a thread of its own and goes to its end whether anyone listens or not; whoever lost the stream takes it
up again with ``Last-Event-ID``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import StreamingHttpResponse

from ai.models import ChatThread, StreamEvent
from ai.selectors import events_after, is_running
from ai.shapes import event_shape
from sigmatrader.audit.api.renderers import json_text

CONTENT_TYPE = "text/event-stream"
TAIL_S = 60.0
POLL_S = 0.2
_END = None


def frame(event: StreamEvent) -> str:
    """One event on the wire: its stored number and one line of JSON."""
    return f"id: {event.pk}\ndata: {json_text(event_shape(event))}\n\n"


def streamed(frames: AsyncIterator[str], *, correlation_id: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(frames, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    response["X-Correlation-ID"] = correlation_id
    return response


async def live(run: Iterator[StreamEvent], *, done: Callable[[str], None]) -> AsyncIterator[str]:
    """The run's events as they come. ``done`` gets the whole text at its end, on the run's own thread."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def hand_on(text: str | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, text)

    threading.Thread(target=_drive, args=(run, hand_on, done), name="assistant-run", daemon=False).start()
    while (text := await queue.get()) is not _END:
        yield text


def _drive(run: Iterator[StreamEvent], hand_on: Callable[[str | None], None], done: Callable[[str], None]) -> None:
    told: list[str] = []
    try:
        for event in run:
            told.append(frame(event))
            hand_on(told[-1])
    finally:
        done("".join(told))
        connection.close()
        hand_on(_END)


async def replay(thread: ChatThread, after: int) -> AsyncIterator[str]:
    """Stored events behind ``after``, and those still to come while a run of the thread goes on."""
    began = time.monotonic()
    while True:
        running = await sync_to_async(is_running)(thread)
        events = await sync_to_async(events_after)(thread, after)
        for event in events:
            after = event.pk
            yield frame(event)
        if not events and (not running or time.monotonic() - began > TAIL_S):
            return
        if running and not events:
            await asyncio.sleep(POLL_S)
