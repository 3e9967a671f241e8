"""A real owner process, a real paper exchange and a scratch database, to be killed and cut off."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.adapters.failures import CallFailed
from broker.session.client import SessionClient, is_running
from broker.session.messages import SessionState
from tests.support.paper import PaperProcess, start_paper
from tests.support.processes import scratch_database

ROOT = Path(__file__).resolve().parents[3]
ORDER = {
    "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 1,
    "product": "CNC", "order_type": "LIMIT", "price": 0, "trigger_price": 0, "validity": "DAY",
    "disclosed_quantity": 0, "tag": "ST1",
}  # fmt: skip
_PREPARE = (
    "import django; django.setup()\n"
    "from django.utils import timezone\n"
    "from sigmatrader.supervisor.prepare import prepare\n"
    "from broker.models import BrokerConnection\n"
    "prepare(now=timezone.now(), say=lambda text: None)\n"
    "BrokerConnection.objects.update(server_url={url!r}, transport={transport!r})\n"
    "print(BrokerConnection.objects.get().pk)\n"
)


@dataclass
class World:
    """``client`` asks the owner; ``log`` has every word owners and exchange said."""

    folder: Path
    environment: dict[str, str]
    paper: PaperProcess
    account: str = ""
    owners: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket_path(self) -> Path:
        return self.folder / "run" / "broker.sock"

    @property
    def client(self) -> SessionClient:
        return SessionClient(self.account, self.socket_path)

    @property
    def log(self) -> Path:
        return self.folder / "owner.log"

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def start(self, folder: Path | None = None) -> subprocess.Popen[bytes]:
        """One more owner; with a folder of its own it has another socket."""
        path = (folder or self.folder) / "run" / "broker.sock"
        environment = {**self.environment, "SIGMATRADER_BROKER_SOCKET": str(path)}
        with self.log.open("ab") as said:
            owner = subprocess.Popen(
                [sys.executable, "manage.py", "broker_session"], env=environment, cwd=ROOT, stdout=said, stderr=said
            )
        self.owners.append(owner)
        wait(lambda: is_running(path) or owner.poll() is not None, 30)
        return owner

    def state(self) -> SessionState | None:
        try:
            return self.client.state()
        except CallFailed:
            return None

    def wait_open(self, epoch: int, seconds: float = 10.0) -> SessionState:
        """Within ten seconds, as is promised."""

        def found() -> SessionState | None:
            state = self.state()
            return state if state and state.connected and state.authorized and state.epoch == epoch else None

        return wait(found, seconds)  # type: ignore[no-any-return]

    def order(self) -> dict[str, object]:
        """One share at its last price."""
        quote = json.loads(self.client.call("get_ltp", {"instruments": ["NSE:INFY"]}).text)
        return {**ORDER, "price": quote["NSE:INFY"]["last_price"]}

    def orders(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.paper.port}/status", timeout=5) as answer:
            return int(json.load(answer)["orders"])

    def end(self) -> None:
        for owner in self.owners:
            if owner.poll() is None:
                owner.send_signal(signal.SIGCONT)
                owner.terminate()
        for owner in self.owners:
            owner.wait(10)


@contextlib.contextmanager
def world(folder: Path, path: str = "/sse", *, port: int = 0, **options: Any) -> Iterator[World]:
    """``port`` is where the connection points to, if not straight to the exchange."""
    paper = start_paper(folder, login="auto", **options)
    with scratch_database(folder) as database:
        environment = {
            **os.environ, "SIGMATRADER_VAR": str(folder), "DATABASE_URL": database, "SIGMATRADER_ENV": "practice",
            "SIGMATRADER_PAPER_PORT": str(paper.port), "DJANGO_SETTINGS_MODULE": "sigmatrader.settings",
            "PYTHONPATH": str(ROOT), "LOG_LEVEL": "DEBUG",
        }  # fmt: skip
        found = World(folder, environment, paper)
        url = f"http://127.0.0.1:{port or paper.port}{path}"
        found.account = found.python(_PREPARE.format(url=url, transport="auto")).split()[-1]
        try:
            yield found
        finally:
            found.end()
            paper.kill()


def wait(condition: Callable[[], object], seconds: float = 10.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {seconds:g} s")


SECRETS = re.compile(r"kitemcp-[0-9a-f]|sessionId=[0-9a-f]|/authorize\?|session_id%3D|mcp-session-id[^\n]*[0-9a-f]{8}-")


class Proxy:
    """A network path that can be cut: every link at once, and no new ones until it is mended."""

    def __init__(self) -> None:
        self.target = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._links: list[socket.socket] = []
        self._whole = True
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole = False
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._links.clear()

    def mend(self) -> None:
        self._whole = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            if not self._whole:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self._links += [near, far]
            threading.Thread(target=_pump, args=(near, far), daemon=True).start()


def _pump(near: socket.socket, far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while True:
            for link in select.select([near, far], [], [])[0]:
                data = link.recv(65536)
                if not data:
                    near.close()
                    far.close()
                    return
                (far if link is near else near).sendall(data)
