"""The server as a process: both HTTP versions on one port, TLS, how it breaks a connection, and how it ends."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.paper.listeners import Listeners
from broker.paper.server import main
from tests.broker.paper.wire import called, text_of
from tests.broker.test_paper_tools import LIMIT
from tests.support.paper import ROOT, PaperProcess, start_paper

pytestmark = pytest.mark.e2e
TOKEN = "canary-token"
CONTROL = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    folder = tmp_path_factory.mktemp("face")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMATRADER_VAR", str(folder))
        patch.setenv("SIGMATRADER_PAPER_CONTROL", TOKEN)
        found = start_paper(folder, **{"tls-port": 0, "ping": 0.2})
    yield found
    found.kill()


@contextlib.contextmanager
def client(exchange: PaperProcess, how: str) -> Iterator[httpx2.Client]:
    """``how`` is h1, h2c, or h2 over TLS; the exchange's own authority is trusted and nobody else."""
    base, verify = f"http://127.0.0.1:{exchange.port}", ssl.create_default_context(cafile=authority(exchange))
    if how == "h2":
        base = f"https://127.0.0.1:{tls_port(exchange)}"
    with httpx2.Client(
        base_url=base, http1=how != "h2c", http2=how != "h1", verify=verify, trust_env=False, timeout=20.0
    ) as found:
        yield found


def said(exchange: PaperProcess) -> str:
    return exchange.ledger.with_name(f"{exchange.ledger.name}.log").read_text(encoding="utf-8")


def tls_port(exchange: PaperProcess) -> int:
    return int(said(exchange).split("https://127.0.0.1:")[1].split("/")[0])


def authority(exchange: PaperProcess) -> Path:
    return exchange.ledger.parent / "paper" / "tls" / "ca.pem"


class Streaming:
    """One open stream; its events, pings left out."""

    def __init__(self, http: httpx2.Client, response: httpx2.Response) -> None:
        self.http, self.response = http, response
        self._lines = response.iter_lines()
        self.endpoint = self.data()

    def data(self) -> str:
        for line in self._lines:
            if line.startswith("data:") and '"method":"ping"' not in line:
                return line.removeprefix("data:").strip()
        raise EOFError

    def ping(self) -> str:
        return next(line for line in self._lines if '"method":"ping"' in line)

    def tool(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        assert self.http.post(self.endpoint, json=called(name, arguments, 5)).status_code == 202
        return json.loads(self.data())["result"]


@contextlib.contextmanager
def streaming(http: httpx2.Client) -> Iterator[Streaming]:
    with http.stream("GET", "/sse") as response:
        assert response.status_code == 200
        yield Streaming(http, response)


@pytest.mark.parametrize(("how", "version"), [("h1", "HTTP/1.1"), ("h2c", "HTTP/2"), ("h2", "HTTP/2")])
def test_stream_posts_and_mcp_on_one_port(exchange: PaperProcess, how: str, version: str) -> None:
    with client(exchange, how) as http, streaming(http) as stream:
        assert stream.response.http_version == version
        assert json.loads(text_of(stream.tool("get_profile")))["user_id"] == "PT0001"
        assert stream.ping().startswith('data:{"jsonrpc":"2.0","id":')
        status = http.get("/status")
        assert (status.http_version, status.json()["http_version"]) == (version, version.removeprefix("HTTP/").strip())
        assert status.json()["streams"] >= 1
        started = http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
        session = {"mcp-session-id": started.headers["mcp-session-id"]}
        for _ in range(3):
            answer = http.post("/mcp", json=called("get_margins", {}, 2), headers=session)
            assert "equity" in text_of(answer.json()["result"])
        assert http.delete("/mcp", headers=session).status_code == 200


@pytest.mark.parametrize("how", ["h1", "h2c", "h2"])
def test_a_cut_is_felt_at_once_and_the_order_is_there(exchange: PaperProcess, how: str) -> None:
    tag = f"CUT{how}"
    with client(exchange, "h1") as other:
        assert other.post("/control/faults", json={"faults": ["place:placed_then_cut"]}, headers=CONTROL).is_success
    with client(exchange, how) as http, streaming(http) as stream:
        before = time.monotonic()
        with contextlib.suppress(httpx2.TransportError):  # over HTTP/2 the POST's own answer may be lost too
            http.post(stream.endpoint, json=called("place_order", {**LIMIT, "tag": tag}, 1))
        with pytest.raises((httpx2.TransportError, EOFError)):
            stream.data()
        assert time.monotonic() - before < 10
    with client(exchange, how) as http, streaming(http) as stream:
        orders = json.loads(text_of(stream.tool("get_orders")))
    assert [row["tag"] for row in orders].count(tag) == 1


@pytest.mark.parametrize("how", ["h1", "h2c"])
def test_a_huge_answer_comes_whole(exchange: PaperProcess, how: str) -> None:
    with client(exchange, how) as http:
        assert http.post("/control/faults", json={"faults": ["get_profile:huge"]}, headers=CONTROL).is_success
        with streaming(http) as stream:
            text = text_of(stream.tool("get_profile"))
            assert len(text) > 5_000_000
            assert json.loads(text)["user_id"] == "PT0001"
            assert "equity" in text_of(stream.tool("get_margins"))


def test_a_connection_is_not_used_up() -> None:
    """hypercorn would end it, and a stream with it, after a thousand requests."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    assert Listeners(nothing)._config.keep_alive_max_requests == sys.maxsize


def open_files(exchange: PaperProcess) -> int:
    folder = Path(f"/proc/{exchange.pid}/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_neither_sessions_nor_sockets_leak_over_reconnects(exchange: PaperProcess) -> None:
    with client(exchange, "h1") as http:
        http.get("/status")
        before = open_files(exchange)
        for how in ("h1", "h2c", "h2"):
            for _ in range(15):
                with client(exchange, how) as other, streaming(other):
                    pass
        deadline = time.monotonic() + 5
        while (open_files(exchange) > before or http.get("/status").json()["sessions"]) and time.monotonic() < deadline:
            time.sleep(0.01)
        found = http.get("/status").json()
    assert (found["sessions"], found["streams"]) == (0, 0)
    assert open_files(exchange) <= before


def test_nobody_else_is_trusted_for_its_certificate(exchange: PaperProcess) -> None:
    with httpx2.Client(http2=True, trust_env=False) as http, pytest.raises(httpx2.ConnectError):
        http.get(f"https://127.0.0.1:{tls_port(exchange)}/status")


def test_noise_on_the_port_harms_nobody(exchange: PaperProcess) -> None:
    for noise in (b"\x00\xff" * 100, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense!" * 3, b""):
        with socket.create_connection(("127.0.0.1", exchange.port), timeout=2) as raw:
            raw.sendall(noise)
    with client(exchange, "h1") as http:
        assert http.get("/status").json()["ok"] is True
    assert "Traceback" not in said(exchange)


@pytest.mark.parametrize("how", ["h1", "h2c"])
def test_it_ends_streams_and_itself_in_good_order(tmp_path: Path, how: str) -> None:
    own = start_paper(tmp_path)
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{own.port}", http1=how == "h1", http2=how != "h1", trust_env=False
        ) as http, streaming(http) as stream:  # fmt: skip
            stream.tool("place_order", LIMIT)
            before = time.monotonic()
            own.process.terminate()
            with pytest.raises((EOFError, httpx2.TransportError)):
                stream.data()
        assert own.process.wait(10) == 0
        assert time.monotonic() - before < 10
        assert said(own).splitlines()[1:] == []
        own.restart()
        with httpx2.Client(base_url=f"http://127.0.0.1:{own.port}", trust_env=False) as http, streaming(http) as stream:
            assert [row["tag"] for row in json.loads(text_of(stream.tool("get_orders")))] == ["T1"]
    finally:
        own.kill()


def test_faults_of_the_command_line_hit_and_wrong_ones_are_named(tmp_path: Path) -> None:
    own = start_paper(tmp_path, fault="place:placed_then_error", login="auto", profile="self-hosted")
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{own.port}", trust_env=False) as http, streaming(http) as stream:
            link = text_of(stream.tool("login")).split("[Login to Kite](")[1].split(")")[0]
            assert link.startswith(f"http://127.0.0.1:{own.port}/authorize?")
            assert http.post(link).status_code == 200
            assert stream.tool("place_order", LIMIT)["isError"] is True
            assert [row["tag"] for row in json.loads(text_of(stream.tool("get_orders")))] == ["T1"]
            assert http.post("/control/faults", json={"faults": []}).status_code == 404
            secrets = (stream.endpoint.partition("=")[2], link.rpartition(".")[2])
        assert [secret for secret in secrets if secret in said(own)] == []
    finally:
        own.kill()


@pytest.mark.parametrize(
    ("fault", "said_of_it"),
    [("place:boom", "--fault: 'boom' is no kind of fault; there"), ("now:token_death", "--fault: token_death needs")],
)
def test_a_wrong_fault_ends_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str, said_of_it: str
) -> None:
    assert main(["--port", "0", "--fault", fault, "--ledger", str(tmp_path / "l")]) == 1
    assert capsys.readouterr().err.startswith(said_of_it)
    assert not (tmp_path / "l").exists()


def test_it_needs_neither_django_nor_the_sdk() -> None:
    code = (
        "import sys; import broker.paper.server; "
        "print(sorted({'django', 'mcp', 'mcp_types', 'pydantic', 'cryptography', 'starlette'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
