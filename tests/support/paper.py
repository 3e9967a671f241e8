"""Starts a real paper exchange, a process of its own on a free loopback port, for tests that need a wire."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0
READY = re.compile(r"ready at (http://\S+/mcp)")


@dataclass
class PaperProcess:
    """``url`` is the MCP endpoint; ``ledger`` the exchange's own file. ``restart`` keeps port and ledger."""

    process: subprocess.Popen[bytes]
    url: str
    ledger: Path
    arguments: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        """Ends it as `up` does; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """kill -9."""
        return self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts it again on the same port and ledger after ``stop`` or ``kill``."""
        again = _start([*self.arguments, "--port", str(self.port)], self.ledger)
        self.process, self.url = again.process, again.url

    def _end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=10)


def start_paper(tmp_path: Path, *, delay: float = 0.0, ledger: Path | None = None, **options: object) -> PaperProcess:
    """Starts an exchange and waits until it answers. Options as the command's, e.g. ``seed=9, clock="real"``.

    By default it has none of its delays, so that an order is at its end at the first look.
    """
    arguments = ["--delay", str(delay)]
    for name, value in options.items():
        arguments += [f"--{name}", str(value)]
    tmp_path.mkdir(exist_ok=True)
    port = [] if "port" in options else ["--port", "0"]
    return _start(arguments, ledger or tmp_path / "paper.sqlite3", port)


def _start(arguments: list[str], ledger: Path, port: list[str] | None = None) -> PaperProcess:
    command = [sys.executable, "-m", "broker.paper.server", *arguments, *(port or []), "--ledger", str(ledger)]
    log = ledger.with_name(f"{ledger.name}.log")
    with log.open("w", encoding="utf-8") as said:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, env=environment)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = READY.search(log.read_text(encoding="utf-8"))
        if found:
            return PaperProcess(process, found[1], ledger, arguments)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise RuntimeError(f"the paper exchange did not start: {log.read_text(encoding='utf-8')}")
