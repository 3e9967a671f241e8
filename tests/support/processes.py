"""Web processes of the product on a scratch database and an exchange of their own, for tests that kill and race."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import psycopg
from django.db import connection

from sigmatrader.demo.client import Api
from tests.support.paper import PaperProcess, start_paper

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
_PREPARE = (
    "import django; django.setup()\n"
    "from django.utils import timezone\n"
    "from sigmatrader.supervisor.prepare import prepare\n"
    "prepare(now=timezone.now(), say=lambda text: None)\n"
)


@dataclass
class Product:
    """``environment`` is what every process of it is started with; ``webs`` are those that still should run."""

    environment: dict[str, str]
    paper: PaperProcess
    log: Path
    token: str = ""
    webs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def manage(self, *words: str) -> str:
        """What a management command prints. Raises RuntimeError with its complaint."""
        return self.python(str(ROOT / "manage.py"), *words)

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{words[:2]}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def web(self, **environment: str) -> Api:
        """One more web process, answering; further environment for this one alone."""
        port = free_port()
        argv = [sys.executable, "-m", "uvicorn", "sigmatrader.asgi:application", "--port", str(port)]
        argv += ["--log-level", "warning", "--no-access-log", "--backlog", "2048"]
        with self.log.open("ab") as said:
            process = subprocess.Popen(
                argv, env={**self.environment, **environment}, cwd=ROOT, stdout=said, stderr=said
            )
        self.webs.append(process)
        _wait_for(f"http://127.0.0.1:{port}/api/health", process, self.log)
        return Api(port, self.token)

    def orders_at_exchange(self) -> int:
        """How many orders the exchange itself counts."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.paper.port}/status", timeout=5) as answer:
            return int(json.load(answer)["orders"])

    def stop(self) -> None:
        for process in self.webs:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.webs:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def product(folder: Path, *, delay: float = 0.0) -> Iterator[Product]:
    """A prepared product without any web process yet, on the engine the test run uses."""
    paper = start_paper(folder, delay=delay)
    with scratch_database(folder) as url:
        environment = {
            **os.environ, "SIGMATRADER_VAR": str(folder), "DATABASE_URL": url, "SIGMATRADER_ENV": "practice",
            "SIGMATRADER_PAPER_PORT": str(paper.port), "DJANGO_SETTINGS_MODULE": "sigmatrader.settings",
            "PYTHONPATH": str(ROOT), "SIGMATRADER_BROKER_SESSION": "0",
        }  # fmt: skip
        running = Product(environment, paper, folder / "web.log")
        try:
            running.python("-c", _PREPARE)
            running.token = running.manage("api_token", "trader").split()[-1]
            yield running
        finally:
            running.stop()
            paper.kill()


@contextmanager
def scratch_database(folder: Path) -> Iterator[str]:
    """The URL of an empty database of the engine this run is on; gone afterwards."""
    if connection.vendor != "postgresql":
        yield f"sqlite:///{folder / 'product.sqlite3'}"
        return
    facts = connection.settings_dict
    host, port, user = facts["HOST"] or "127.0.0.1", facts["PORT"] or "5432", facts["USER"] or "postgres"
    login = f"{user}:{facts['PASSWORD']}" if facts["PASSWORD"] else str(user)
    name = f"scratch_{secrets.token_hex(6)}"
    with psycopg.connect(f"postgresql://{login}@{host}:{port}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgres://{login}@{host}:{port}/{name}"
        finally:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"a web process ended: {log.read_text(encoding='utf-8')[-2000:]}")
        with suppress(URLError, OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer within {START_S:.0f} s")
