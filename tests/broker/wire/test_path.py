"""The network between us and the server: a path that is cut, one that swallows, and one that dribbles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broker.adapters import sse_wire
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_session import McpSession
from tests.broker.wire.double import Double, text
from tests.broker.wire.test_session_sse import failure, until

pytestmark = pytest.mark.e2e


class Path:
    """A TCP relay to the double. ``cut`` breaks every connection; ``swallow`` keeps them and passes nothing on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.swallow = False
        self.piece = 65_536
        self.url = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(self.piece):
                if not self.swallow:
                    sink.write(chunk)
                    await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def path_to(double: Double) -> AsyncIterator[Path]:
    path = Path(double.port)
    server = await asyncio.start_server(path.carry, "127.0.0.1", 0)
    path.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield path
    finally:
        path.cut()
        server.close()


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("place", ["/sse", "/mcp"])
def test_a_cut_path_fails_what_is_in_flight_at_once_and_nothing_is_sent_again(
    double: Double, place: str, prior: bool
) -> None:
    double.answers = ["held", "held", text("after")]

    async def go() -> None:
        async with path_to(double) as path:
            session = McpSession(path.url + place, http2_prior=prior, timeout_s=5)
            await session.open()
            calls = [asyncio.create_task(failure(session, "place_order")) for _ in range(2)]
            await until(lambda: len(double.calls) == 2)
            started = time.monotonic()
            path.cut()
            assert {fault for fault, _ in await asyncio.gather(*calls)} == {Fault.LOST}
            assert time.monotonic() - started < 1
            if place == "/sse":
                await asyncio.wait_for(session.lost.wait(), 1)
                await session.close()
                session = McpSession(path.url + place, http2_prior=prior, timeout_s=5)
                await session.open()
            assert (await session.call("get_orders", {})).text == "after"
            await session.close()

    asyncio.run(go())
    assert [call["name"] for call in double.calls] == ["place_order", "place_order", "get_orders"]


def test_a_path_that_swallows_everything_is_noticed_by_its_silence(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_wire, "SILENT_S", 0.15)

    async def go() -> None:
        async with path_to(double) as path:
            session = McpSession(path.url + "/sse", http2_prior=True, timeout_s=0.3)
            await session.open()
            path.swallow = True
            assert (await failure(session))[0] is Fault.LOST
            await asyncio.wait_for(session.lost.wait(), 1)
            await session.close()

    asyncio.run(go())
    assert double.calls == []


def test_a_path_that_passes_a_byte_at_a_time_changes_nothing(double: Double) -> None:
    async def go() -> None:
        async with path_to(double) as path:
            path.piece = 1
            session = McpSession(path.url + "/sse", timeout_s=5)
            await session.open()
            assert (await session.call("get_orders", {})).text == "[]"
            await session.close()

    asyncio.run(go())


def test_a_server_that_accepts_and_never_answers_is_given_up_in_time() -> None:
    async def go() -> None:
        server = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for place in ("/sse", "/mcp"):
            started = time.monotonic()
            with pytest.raises(CallFailed, match="did not answer") as caught:
                await McpSession(url + place, timeout_s=0.1).open()
            assert caught.value.fault is Fault.LOST
            assert time.monotonic() - started < 2
        assert [task for task in asyncio.all_tasks() if "_live" in repr(task)] == []
        server.close()

    asyncio.run(go())
