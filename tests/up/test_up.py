"""The real `up`, once: its five processes, one killed, `up` itself killed, and the sentences for what is in its way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
MARKS = {
    "uvicorn": "web",
    " worker ": "worker",
    " beat ": "beat",
    "supervisor.paper": "paper",
    "broker_session": "broker",
}
# Whole products compete for two cores: one at a time.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("products")]


class Up:
    """One `up` on a folder of its own, read until it printed its link."""

    def __init__(self, folder: Path) -> None:
        self.env = {**os.environ, "SIGMATRADER_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "sigmatrader.settings"}
        for name in ("DATABASE_URL", "PORT", "SIGMATRADER_PAPER_PORT"):
            self.env.pop(name, None)
        self.process = subprocess.Popen(
            self.command("--port", str(_free_port())), cwd=ROOT, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if "/sign-in/link/" in line:
                break
        else:
            pytest.fail("".join(self.lines))
        self.base_url, self.token = re.search(r"(http://\S+)/sign-in/link/(\S+)", self.lines[-1]).groups()

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "manage.py", "up", *words]

    def children(self) -> dict[str, int]:
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = " ".join(child.cmdline())
            except (psutil.ZombieProcess, psutil.NoSuchProcess):
                continue  # just killed, not yet waited for
            found.update({name: child.pid for mark, name in MARKS.items() if mark in words})
        return found


@pytest.fixture
def up(tmp_path):
    started = Up(tmp_path)
    pids = list(started.children().values())
    yield started
    if started.process.poll() is None:
        started.process.send_signal(signal.SIGINT)
    started.process.communicate(timeout=30)
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as once:
        return once.getsockname()[1]


def _wait(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def _ready(up):
    try:
        with urllib.request.urlopen(f"{up.base_url}/api/ready", timeout=5) as answer:
            return json.load(answer)["ready"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def test_from_start_to_ctrl_c(up):
    assert set(up.children()) == {"web", "worker", "beat", "paper", "broker"}
    assert sum("/sign-in/link/" in line for line in up.lines) == 1
    assert _ready(up)
    for name in ("worker", "web", "broker"):
        killed = up.children()[name]
        os.kill(killed, signal.SIGKILL)
        _wait(lambda name=name, killed=killed: up.children().get(name) not in (None, killed))
    _wait(lambda: _ready(up))
    second = subprocess.run(up.command(), cwd=ROOT, env=up.env, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"SigmaTrader already runs on {up.env['SIGMATRADER_VAR']} (process {up.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    pids = list(up.children().values())
    up.process.send_signal(signal.SIGINT)
    rest, _ = up.process.communicate(timeout=30)
    assert (up.process.returncode, rest.splitlines()[-1]) == (0, "up     | Stopped.")
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_killed_outright_it_leaves_nobody_behind(up):
    pids = list(up.children().values())
    up.process.kill()
    _wait(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids), 15.0)


def test_a_port_in_use_is_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "SIGMATRADER_VAR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use." in done.stderr
    assert "Traceback" not in done.stderr
