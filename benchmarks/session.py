"""What the broker session process costs: a call through it, reconnects, memory after an hour's calls. Prints JSON.

A real owner and a real paper exchange on loopback. An hour of one call a second is simulated by its 3,600 calls in a
row: memory follows calls and reconnects, not the time between them. Reconnects are asked for over the socket, each a
new session with its login; what they leave behind is counted in the owner's open files and threads.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")

import django  # noqa: E402

django.setup()

import psutil  # noqa: E402

from broker.session.client import SessionClient  # noqa: E402
from tests.broker.session.world import World, wait, world  # noqa: E402

RECONNECTS = int(os.environ.get("RECONNECTS", "1000"))
CALLS = int(os.environ.get("CALLS", "3600"))
MB = 1024 * 1024
LIMITS = {"call_p50_ms": 5.0, "rss_after_calls_mb": 120.0, "leaked_files": 2, "leaked_threads": 1}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        here.environment["LOG_LEVEL"] = "ERROR"
        owner = psutil.Process(here.start().pid)
        http_version = here.wait_open(1).http_version
        _calls(here, 100)
        figures: dict[str, object] = {
            "benchmark": "session",
            "http": http_version,
            "rss_at_start_mb": _rss(owner),
            **_spread(_calls(here, CALLS)),
            "calls": CALLS,
            "rss_after_calls_mb": _rss(owner),
        }
        files, threads = owner.num_fds(), owner.num_threads()
        figures |= {
            "reconnects": RECONNECTS,
            "reconnect_ms": _reconnects(here, RECONNECTS),
            "leaked_files": owner.num_fds() - files,
            "leaked_threads": owner.num_threads() - threads,
            "rss_after_reconnects_mb": _rss(owner),
        }
    figures["within"] = {name: float(str(figures[name])) <= limit for name, limit in LIMITS.items()}
    print(json.dumps(figures))
    return 0


def _calls(here: World, count: int) -> list[float]:
    client, taken = here.client, []
    for _ in range(count):
        began = time.perf_counter()
        client.call("get_profile", {})
        taken.append(1000 * (time.perf_counter() - began))
    client.close()
    return taken


def _is_after(client: SessionClient, epoch: int) -> bool:
    now = client.state()
    return now.connected and now.epoch > epoch


def _reconnects(here: World, count: int) -> float:
    """Milliseconds each."""
    client, began = here.client, time.perf_counter()
    for _ in range(count):
        epoch = client.state().epoch
        client.reconnect()
        wait(partial(_is_after, client, epoch))
    client.close()
    return round(1000 * (time.perf_counter() - began) / max(1, count), 1)


def _spread(taken: list[float]) -> dict[str, float]:
    return {
        "call_p50_ms": round(statistics.median(taken), 2),
        "call_p95_ms": round(statistics.quantiles(taken, n=20)[-1], 2),
    }


def _rss(process: psutil.Process) -> float:
    return round(process.memory_info().rss / MB, 1)


if __name__ == "__main__":
    sys.exit(main())
