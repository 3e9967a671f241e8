"""No way to an address nobody may be led to: 150 hostile URLs, and names that lie, with no socket opened."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any

import anyio
import httpx2
import pytest

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_client import McpClient
from broker.adapters.mcp_session import McpSession
from broker.addresses import AddressGuard, UrlNotAllowed
from broker.outbound import GuardedTransport, open_client
from tests.broker.wire.double import Double
from tests.broker.wire.hostile import INNER_V4, INNER_V6, URLS

OWN = {8000, 5432, 6379}
PUBLIC = "203.0.114.7"


class Resolver:
    """Answers from a table and counts; whoever asks for a name it has not is refused."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address something tried to connect to. Nothing gets through."""
    tried: list[str] = []

    async def connect(*args: Any, **options: Any) -> Any:
        tried.append(str(options.get("remote_host") or args[0]))
        raise OSError("refused by the test")

    def create(address: tuple[str, int], *args: Any, **options: Any) -> Any:
        tried.append(address[0])
        raise OSError("refused by the test")

    async def loop_connect(self: Any, *args: Any, **options: Any) -> Any:
        return await connect(str(args))

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    monkeypatch.setattr("socket.create_connection", create)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", loop_connect)
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: pytest.fail("the system's resolver was asked"))
    return tried


def opening(url: str, guard: AddressGuard) -> CallFailed:
    async def go() -> None:
        await McpSession(url, guard=guard, timeout_s=2).open()

    with pytest.raises(CallFailed) as caught:
        asyncio.run(go())
    return caught.value


def test_there_are_at_least_150() -> None:
    assert len(set(URLS)) >= 150


@pytest.mark.parametrize("url", URLS)
def test_a_hostile_url_is_refused_before_anything_is_resolved_or_connected(url: str, sockets: list[str]) -> None:
    resolver = Resolver([PUBLIC])
    guard = AddressGuard(own_ports=OWN, resolve=resolver)
    assert opening(url, guard).fault is Fault.NOT_SENT
    with pytest.raises(UrlNotAllowed):
        open_client(url, guard=guard, timeout_s=1)
    assert (sockets, resolver.asked) == ([], [])


@pytest.mark.parametrize("address", [*INNER_V4, *INNER_V6, "127.0.0.1", "::1"])
@pytest.mark.parametrize("among", [False, True])
def test_a_name_with_any_inner_address_is_not_connected(address: str, among: bool, sockets: list[str]) -> None:
    answers = [PUBLIC, address, "2606:4700::1111"] if among else [address]
    guard = AddressGuard(resolve=Resolver(answers))
    assert opening("https://mcp.kite.example/mcp", guard).fault is Fault.NOT_SENT
    client = open_client("https://mcp.kite.example/v1", guard=guard, timeout_s=1)
    with pytest.raises(httpx2.ConnectError, match="not allowed"):
        client.get("/models")
    client.close()
    assert sockets == []


@pytest.mark.parametrize("found", [[PUBLIC], ["2606:4700::1111", PUBLIC], ["8.8.8.8", "1.1.1.1"]])
def test_a_public_name_is_resolved_once_and_pinned(found: list[str], sockets: list[str]) -> None:
    resolver = Resolver(found, ["127.0.0.1"])  # the second answer would be a rebinding
    guard = AddressGuard(resolve=resolver)
    for _ in range(3):
        assert "refused by the test" in opening("https://mcp.kite.example/mcp", guard).text
    assert resolver.asked == ["mcp.kite.example"]
    assert sockets == found * 3


def test_a_client_keeps_what_was_judged_over_reconnects(sockets: list[str]) -> None:
    resolver = Resolver([PUBLIC], ["127.0.0.1"])
    client = McpClient("https://mcp.kite.example/mcp", guard=AddressGuard(resolve=resolver))
    for _ in range(2):
        with pytest.raises(CallFailed):
            client.call("get_profile", {})
    client.close()
    assert sockets == [PUBLIC, PUBLIC]


def test_a_name_without_an_address_says_so(sockets: list[str]) -> None:
    def none(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    for resolve in (none, Resolver([])):
        failed = opening("https://mcp.kite.example/mcp", AddressGuard(resolve=resolve))
        assert failed.fault is Fault.NOT_SENT
        assert "known" in failed.text or "has no address" in failed.text
    assert sockets == []


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1:9000/mcp", {"loopback": False}),
        ("http://localhost:9000/mcp", {"loopback": False}),
        ("http://127.0.0.1:9000/mcp", {"loopback_ports": {9001}}),
        ("http://127.0.0.1:9000/mcp", {"own_ports": {9000}}),
    ],
)
def test_this_machine_only_where_the_operator_allows(url: str, options: dict[str, Any], sockets: list[str]) -> None:
    resolver = Resolver(["127.0.0.1"])
    assert opening(url, AddressGuard(**options, resolve=resolver)).fault is Fault.NOT_SENT
    assert sockets == []
    assert "refused by the test" in opening(url, AddressGuard(resolve=resolver)).text
    assert sockets == ["127.0.0.1"]


def test_localhost_must_be_this_machine(sockets: list[str]) -> None:
    guard = AddressGuard(resolve=Resolver(["127.0.0.1", "10.0.0.7"]))
    assert opening("http://localhost:9000/mcp", guard).fault is Fault.NOT_SENT
    assert sockets == []


def test_a_private_network_only_if_it_is_listed(sockets: list[str]) -> None:
    guard = AddressGuard(listed=[ipaddress.ip_network("10.7.0.0/16")], resolve=Resolver(["10.7.0.4"], ["10.8.0.4"]))
    for url in ("https://10.7.0.4/mcp", "https://llm.example/mcp"):
        assert "refused by the test" in opening(url, guard).text
    assert sockets == ["10.7.0.4", "10.7.0.4"]
    for url in ("https://10.8.0.4/mcp", "https://other.example/mcp", "https://[::ffff:10.7.0.4]/mcp"):
        assert opening(url, guard).fault is Fault.NOT_SENT
    assert len(sockets) == 2


# --- the rest of the way out -------------------------------------------------------------------------------------
def got(double: Double, reply: Callable[[httpx2.Client], httpx2.Response]) -> httpx2.Response:
    with open_client(double.url("/"), guard=AddressGuard(), timeout_s=3, limit=1000) as client:
        return reply(client)


def test_the_environments_proxy_is_not_asked(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert got(double, lambda client: client.get("/anywhere")).status_code == 404

    async def go() -> None:
        session = McpSession(double.url("/mcp"))
        await session.open()
        await session.close()

    asyncio.run(go())
    assert [entry[2] for entry in double.requests][:2] == ["/anywhere", "/mcp"]


def test_a_redirect_is_an_answer_and_not_a_way(double: Double) -> None:
    double.redirect = "http://127.0.0.1:1/elsewhere"
    assert got(double, lambda client: client.get("/moved")).status_code == 307
    assert got(double, lambda client: client.post("/moved", json={})).headers["location"] == double.redirect

    async def go() -> None:
        with pytest.raises(CallFailed, match="HTTP 307"):
            await McpSession(double.url("/moved"), transport="sse").open()

    asyncio.run(go())
    assert {entry[2] for entry in double.requests} == {"/moved"}


def test_an_answer_has_an_end(double: Double) -> None:
    double.big = 1001
    with pytest.raises(httpx2.ReadError, match="too large"):
        got(double, lambda client: client.get("/big"))
    double.big = 1000
    assert len(got(double, lambda client: client.get("/big")).content) == 1000

    async def go() -> None:
        transport = GuardedTransport(AddressGuard(), limit=999, secure=False, http2=False)
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(httpx2.ReadError, match="too large"):
                await client.get(double.url("/big"))

    asyncio.run(go())


def test_no_socket_file_is_an_address() -> None:
    backend = GuardedTransport(AddressGuard(), secure=False)._pool._network_backend
    with pytest.raises(Exception, match="no address of a server"):
        asyncio.run(backend.connect_unix_socket("/var/run/docker.sock"))
