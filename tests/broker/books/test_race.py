"""Two processes at the same budget: no window is ever exceeded, and none is left unused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection as database

from broker.models import BrokerConnection, RateBudget
from tests.support.processes import ROOT

LIMITS = {"second": 10, "minute": 60, "day": 90}
WINDOW_MS = {"second": 1_000, "minute": 60_000, "day": 86_400_000}


def _environment() -> dict[str, str]:
    """What a process needs to work on this test's own database."""
    facts = database.settings_dict
    url = f"sqlite:///{facts['NAME']}"
    if database.vendor == "postgresql":
        login = f"{facts['USER']}:{facts['PASSWORD']}" if facts["PASSWORD"] else facts["USER"]
        url = f"postgres://{login}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"
    limits = {f"RATE_ORDERS_PER_{name.upper()}": str(limit) for name, limit in LIMITS.items()}
    reserve = {f"RATE_RESERVE_PER_{name.upper()}": "0" for name in LIMITS}
    return {**os.environ, **limits, **reserve, "DATABASE_URL": url, "PYTHONPATH": str(ROOT)}


def _hammer(clock: Path, connection: BrokerConnection, *phases: str) -> list[int]:
    argv = [sys.executable, "-m", "tests.broker.books.racing", str(clock), connection.account, *phases]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(argv, cwd=ROOT, env=_environment(), **pipes) for _ in range(2)]  # type: ignore[call-overload]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return sorted(at for text in said for at in json.loads(text))


def _worst(granted: list[int], window_ms: int) -> int:
    return max(sum(at - window_ms <= other <= at for other in granted) for at in granted)


@pytest.mark.django_db(transaction=True)
def test_two_processes_never_exceed_a_window(connection: BrokerConnection, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.touch()
    # 12 s in which far more is asked for than fits a minute, then two minutes and a half, until the day is used up.
    granted = _hammer(clock, connection, "150:40", "80:900")
    assert int(clock.read_text()) == 2 * (150 * 40 + 80 * 900)
    assert {name: _worst(granted, WINDOW_MS[name]) for name in LIMITS} == LIMITS
    assert RateBudget.objects.get().day_count == len(granted) == LIMITS["day"]
