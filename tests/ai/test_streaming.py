"""The stream over ASGI: it comes piece by piece, outlives its reader, and is taken up again without loss or repeat."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from django.test import AsyncClient

from ai.models import ChatMessage, ChatThread
from ai.services import start_thread
from execution.models import ActionCard
from tests.support.fake_broker import FakeBroker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("assistant_on")]
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def thread(trader: Any) -> ChatThread:
    from django.utils import timezone

    return start_thread(trader, now=timezone.now())


@pytest.fixture
def client(trader: Any) -> AsyncClient:
    made = AsyncClient()
    made.force_login(trader)
    return made


async def _say(client: AsyncClient, thread: ChatThread, text: str) -> Any:
    return await client.post(
        f"/api/ai/threads/{thread.pk}/messages",
        json.dumps({"text": text}),
        content_type="application/json",
        headers=STREAM,
    )


def _parsed(text: str) -> list[dict[str, Any]]:
    frames = [frame.split("\n") for frame in text.strip().split("\n\n") if frame]
    return [
        {"id": int(lines[0].removeprefix("id: ")), **json.loads(lines[1].removeprefix("data: "))} for lines in frames
    ]


async def _all(response: Any) -> str:
    return "".join([piece.decode() async for piece in response.streaming_content])


def test_a_message_streams_its_events(client: AsyncClient, thread: ChatThread, broker: FakeBroker) -> None:
    async def scenario() -> tuple[Any, list[str]]:
        response = await _say(client, thread, "buy 10 INFY at 1499.50")
        return response, [piece.decode() async for piece in response.streaming_content]

    response, pieces = asyncio.run(scenario())
    events = _parsed("".join(pieces))
    assert response.headers["Content-Type"] == "text/event-stream"
    assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-cache", "no")
    assert (events[0]["type"], events[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED")
    assert len(pieces) == len(events)
    assert [event["id"] for event in events] == sorted({event["id"] for event in events})
    assert broker.sent == []


def test_a_run_goes_on_when_its_reader_is_gone_and_is_replayed_whole(
    client: AsyncClient, thread: ChatThread, broker: FakeBroker
) -> None:
    async def scenario() -> tuple[int, str]:
        response = await _say(client, thread, "buy 10 INFY at 1499.50")
        stream = response.streaming_content
        first = _parsed((await anext(stream)).decode())[0]
        await stream.aclose()
        rest = await client.get(
            f"/api/ai/threads/{thread.pk}/events", headers={**STREAM, "Last-Event-ID": str(first["id"])}
        )
        return first["id"], await _all(rest)

    first, text = asyncio.run(scenario())
    events = _parsed(text)
    assert events[0]["id"] > first
    assert events[-1]["type"] == "RUN_FINISHED"
    _until(lambda: ChatMessage.objects.filter(role="assistant", state="complete").exists())
    assert ActionCard.objects.count() == 1


def test_an_error_before_the_stream_is_a_problem_document(
    client: AsyncClient, thread: ChatThread, broker: FakeBroker
) -> None:
    async def scenario() -> Any:
        return await _say(client, thread, "")

    response = asyncio.run(scenario())
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/problem+json")
    assert json.loads(response.content)["code"] == "VALIDATION"


def _until(test: Any) -> None:
    deadline = time.monotonic() + 5
    while not test():
        assert time.monotonic() < deadline
