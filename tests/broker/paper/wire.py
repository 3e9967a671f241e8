"""Speaks to the exchange's server without a socket: an ASGI client for one request, and for one open stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from broker.paper.account import AccountBooks
from broker.paper.config import Delays, ExchangeConfig
from broker.paper.desk import Desk
from broker.paper.face import Face
from broker.paper.ledger import DurableExchange
from broker.paper.sessions import LoginMode
from broker.paper.tools import Profile
from tests.broker.paper.helpers import AT

WAIT_S = 20.0
HOST = "127.0.0.1:8765"
AS_JSON = {"content-type": "application/json"}
NO_DELAYS = ExchangeConfig(delays=Delays(0, 0, 0, 0, 0, 0))


class FakeClock:
    def __init__(self, now: datetime = AT) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@dataclass
class Got:
    """``is_cut``: the server broke the connection."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def result(self) -> Any:
        return self.json["result"]


class Connection:
    """One request on its way; ``sent`` are the body's pieces as they come."""

    def __init__(self, wire: Wire, method: str, target: str, body: bytes, headers: dict[str, str]) -> None:
        parts = urlsplit(target)
        self.got = Got()
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.started = asyncio.Event()
        self._left = asyncio.Event()
        self._body = body
        self._given = False
        raw = {"host": wire.host, **headers}
        self._scope: dict[str, Any] = {
            "type": "http", "method": method, "path": parts.path, "query_string": parts.query.encode(),
            "http_version": wire.http_version, "scheme": "http", "client": (wire.client, 40000),
            "headers": [(k.encode(), v.encode()) for k, v in raw.items()],
            "extensions": {"sigmatrader.abort": self._abort},
        }  # fmt: skip
        self.task = asyncio.create_task(wire.face(self._scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    def _abort(self) -> None:
        self.got.is_cut = True
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.got.status = event["status"]
            self.got.headers = {k.decode(): v.decode() for k, v in event["headers"]}
            self.started.set()
        else:
            self.got.body += event["body"]
            self.sent.put_nowait(event["body"])


class OpenStream:
    """An SSE stream and the POSTs that go with it."""

    def __init__(self, wire: Wire, connection: Connection) -> None:
        self._wire = wire
        self.connection = connection
        self.endpoint = ""
        self.number = 100

    @property
    def is_cut(self) -> bool:
        return self.connection.got.is_cut

    async def raw(self) -> bytes:
        """The next piece, as framed."""
        async with asyncio.timeout(WAIT_S):
            return await self.connection.sent.get()

    async def message(self) -> Any:
        event = await self.raw()
        assert event.startswith(b"event: message\ndata: ")
        assert event.endswith(b"\n\n")
        return json.loads(event[len(b"event: message\ndata: ") :])

    async def post(self, value: object) -> Got:
        return await self._wire.request("POST", self.endpoint, json.dumps(value).encode(), AS_JSON)

    async def tool(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """The result of one call, or its error."""
        self.number += 1
        assert (await self.post(called(name, arguments, self.number))).status == 202
        answer = await self.message()
        assert answer["id"] == self.number
        return answer.get("result", answer.get("error"))

    async def ended(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.connection.task


class Wire:
    def __init__(self, face: Face, desk: Desk, clock: FakeClock) -> None:
        self.face, self.desk, self.clock = face, desk, clock
        self.host, self.http_version, self.client = HOST, "1.1", "127.0.0.1"
        self._connections: list[Connection] = []

    async def request(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Got:
        connection = self.send(method, target, body, headers)
        async with asyncio.timeout(WAIT_S):
            await connection.task
        return connection.got

    def send(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Connection:
        connection = Connection(self, method, target, body, headers or {})
        self._connections.append(connection)
        return connection

    async def open(self) -> OpenStream:
        stream = OpenStream(self, self.send("GET", "/sse"))
        first = (await stream.raw()).decode()
        stream.endpoint = first.removeprefix("event: endpoint\ndata: ").removesuffix("\r\n\r\n")
        return stream

    async def initialize(self) -> str:
        """The id of a new session of /mcp."""
        got = await self.mcp({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
        return got.headers["mcp-session-id"]

    async def mcp(self, value: object, session: str = "") -> Got:
        headers = {**AS_JSON, **({"mcp-session-id": session} if session else {})}
        return await self.request("POST", "/mcp", json.dumps(value).encode(), headers)

    async def tool(self, session: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
        answer = (await self.mcp(called(name, arguments, 7), session)).json
        return answer.get("result", answer.get("error"))

    async def hang_up(self) -> None:
        for connection in self._connections:
            connection.leave()
        await asyncio.gather(*(connection.task for connection in self._connections))


def called(name: str, arguments: dict[str, Any] | None, number: int) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments or {}},
    }


def text_of(result: Any) -> str:
    (item,) = result["content"]
    assert item["type"] == "text"
    return str(item["text"])


def error_of(result: Any) -> str:
    """The text of a result that must be an error."""
    assert result["isError"] is True
    return text_of(result)


def orders_of(result: Any) -> list[dict[str, Any]]:
    return list(json.loads(text_of(result)))


def link_in(text: str) -> str:
    """Path and query of the login link, which must be there twice."""
    markdown = text.split("[Login to Kite](")[1].split(")", maxsplit=1)[0]
    assert text.count(markdown) == 2
    parts = urlsplit(markdown)
    assert (parts.scheme, parts.netloc) == ("http", HOST)
    return f"{parts.path}?{parts.query}"


def drive(
    folder: Path,
    play: Callable[[Wire], Awaitable[None]],
    *,
    login: LoginMode = LoginMode.OFF,
    profile: Profile = Profile.SELF_HOSTED,
    control: str = "",
    ping_s: float = 10.0,
    account: AccountBooks | None = None,
    config: ExchangeConfig = NO_DELAYS,
) -> None:
    """Plays a scene against a fresh exchange without delays, and puts everything away."""

    async def all_of_it() -> None:
        clock = FakeClock()
        exchange = DurableExchange(folder / "ledger.sqlite3", opened_at=AT, config=config, account=account)
        desk = Desk(exchange, clock=clock, login=login, profile=profile)
        wire = Wire(Face(desk, ping_s=ping_s, control=control), desk, clock)
        try:
            await play(wire)
            await wire.hang_up()
        finally:
            desk.close()

    asyncio.run(all_of_it())
