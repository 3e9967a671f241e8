"""Two processes authorise against one limit at once: never more is allowed than fits, on either database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CARDS = int(os.environ.get("SIGMATRADER_RACE_CARDS", "200"))
LIMITS = {
    "order_value_max": "50000", "day_value_max": "50000", "open_orders_max": 5_000, "orders_per_minute": 400,
    "fat_finger_orders": 50,
}  # fmt: skip
READ = """
import django
django.setup()
from execution.models import OrderIntent
print(sum(row.order_value for row in OrderIntent.objects.all()), OrderIntent.objects.count())
"""


def run(environment: dict[str, str], *args: str) -> str:
    done = subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def race(url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "sigmatrader.settings"}
    run(environment, "manage.py", "migrate", "--verbosity", "0")
    connection = run(environment, "-m", "tests.risk.race", str(CARDS), json.dumps(LIMITS)).strip()
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.risk.authoriser", connection, str(n), "2"], cwd=ROOT, env=environment,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(2)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "READY\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=240) for racer in racers]
    assert [(racer.returncode, errors) for racer, (_, errors) in zip(racers, answers, strict=True)] == [(0, "")] * 2
    allowed = [int(out) for out, _ in answers]
    value, count = run(environment, "-c", READ).split()
    assert sum(allowed) == int(count)
    assert 48_000 < float(value) <= 50_000


def test_never_more_is_allowed_than_fits_on_sqlite(tmp_path: Path) -> None:
    race(f"sqlite:///{tmp_path / 'race.sqlite3'}")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of its own on the server of TEST_POSTGRES_URL (by default the local one)."""
    psycopg = pytest.importorskip("psycopg")
    server = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
    name = f"sigmatrader_race_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=3) as connection:
            connection.execute(f"CREATE DATABASE {name}")
    except psycopg.OperationalError as exc:
        reason = f"PostgreSQL does not answer at {server}: {exc}"
        if os.environ.get("SIGMATRADER_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_never_more_is_allowed_than_fits_on_postgres(postgres_url: str) -> None:
    race(postgres_url)
