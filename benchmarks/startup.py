"""How long a first and a later start take, and how much memory all processes have together. Prints one JSON line.

A start is timed from the call to the line that prints the address; the environment is there already. RSS counts shared
pages once per process, PSS shares them out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"later_start_s": 5.0, "rss_mb": 600.0}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "SIGMATRADER_VAR": folder}
        env.pop("DATABASE_URL", None)
        first, _ = _start(env)
        later = [_start(env, settle_s=20.0 if n == 2 else 0.0) for n in range(3)]
    figures: dict[str, Any] = {
        "benchmark": "startup",
        "first_start_s": round(first, 1),
        "later_start_s": round(min(seconds for seconds, _ in later), 1),
        **later[-1][1],
    }
    figures["within"] = {name: float(figures[name]) <= limit for name, limit in LIMITS.items()}
    print(json.dumps(figures))
    return 0


def _start(env: dict[str, str], settle_s: float = 0.0) -> tuple[float, dict[str, object]]:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "/sign-in/link/" in line:
            break
    else:
        raise SystemExit("".join(said) + "up ended before it was ready")
    seconds = time.monotonic() - began
    time.sleep(settle_s)
    memory = _memory(process.pid) if settle_s else {}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    return seconds, memory


def _memory(pid: int) -> dict[str, object]:
    parent = psutil.Process(pid)
    each = {_name(p): p.memory_full_info() for p in (parent, *parent.children(recursive=True))}
    mb = 1024 * 1024
    return {
        "rss_mb": round(sum(info.rss for info in each.values()) / mb),
        "pss_mb": round(sum(info.pss for info in each.values()) / mb),
        "each_rss_mb": {name: round(info.rss / mb) for name, info in each.items()},
    }


def _name(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    marks = {
        "uvicorn": "web",
        " worker ": "worker",
        " beat ": "beat",
        "supervisor.paper": "paper",
        " up": "up",
        "broker_session": "broker",
    }
    return next((name for mark, name in marks.items() if mark in words), words[:40])


if __name__ == "__main__":
    sys.exit(main())
