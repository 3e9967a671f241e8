"""The stage of the demo: the whole product, as ``up`` starts it, on a database and ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import URLError

from django.conf import settings

from sigmatrader.demo.client import Api

START_S = 60.0
_OWN = ("DATABASE_URL", "CELERY_BROKER_URL", "PORT", "SIGMATRADER_PAPER_ACCOUNT", "SIGMATRADER_ENV")


@dataclass(frozen=True, slots=True)
class Stage:
    """A running product. ``environment`` is what every further process of it is started with."""

    folder: Path
    web_port: int
    paper_port: int
    environment: Mapping[str, str]
    api: Api

    def manage(self, *words: str) -> str:
        """What a management command prints. Raises RuntimeError with its complaint."""
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def orders_at_exchange(self) -> int:
        """How many orders the exchange itself counts, by its own word."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.paper_port}/status", timeout=5) as answer:
            return int(json.load(answer)["orders"])


@contextmanager
def set_stage(*, account: str, log: IO[bytes]) -> Iterator[Stage]:
    """Starts the product in a folder of its own and ends all of it afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="sigmatrader-demo-"))
    web_port, paper_port = _free_ports(2)
    environment = _environment(folder, web_port, paper_port)
    words = ["up", "--port", str(web_port)] + (["--account", account] if account else [])
    process = _start(words, environment, log)
    try:
        _wait_for(f"http://127.0.0.1:{web_port}/api/ready", process)
        stage = Stage(folder, web_port, paper_port, environment, Api(web_port, ""))
        token = stage.manage("api_token", "trader")
        yield Stage(folder, web_port, paper_port, environment, Api(web_port, token))
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def doomed_web(stage: Stage, *, fault_point: str, log: IO[bytes]) -> Iterator[Api]:
    """A second web process of the same product that kills itself, as ``kill -9`` does, when it gets to a point."""
    (port,) = _free_ports(1)
    argv = [sys.executable, "-m", "uvicorn", "sigmatrader.asgi:application", "--port", str(port)]
    argv += ["--log-level", "warning"]
    environment = {**stage.environment, "SIGMATRADER_FAULT_POINT": fault_point}
    process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=settings.BASE_DIR)  # noqa: S603
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health", process)
        yield Api(port, stage.api.token)
    finally:
        _end(process)


def _environment(folder: Path, web_port: int, paper_port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    return {
        **kept,
        "SIGMATRADER_VAR": str(folder),
        "SIGMATRADER_PAPER_PORT": str(paper_port),
        "PORT": str(web_port),
        "HOST": "127.0.0.1",
    }


def _start(words: list[str], environment: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]
    return subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=settings.BASE_DIR)  # noqa: S603


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the product did not start; run the demo with --verbose to see why")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # our own loopback address
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {START_S:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
