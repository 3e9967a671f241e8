"""Real processes append to one chain at once; it must not fork, on either database."""

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
WRITERS, EACH = 3, 40


def manage(environment: dict[str, str], *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def race(url: str, folder: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": url, "SIGMATRADER_ANCHOR_DIR": str(folder / "anchors")}
    manage(environment, "migrate", "audit", "--verbosity", "0")
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.audit.appender", name, str(EACH)], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for name in "abc"[:WRITERS]
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "READY\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    shape = json.loads(manage(environment, "audit_verify", "--json").splitlines()[-1])
    assert (shape["ok"], shape["events"], shape["to_seq"]) == (True, 2 * WRITERS * EACH, 2 * WRITERS * EACH)


def test_processes_do_not_fork_the_chain_on_sqlite(tmp_path: Path) -> None:
    race(f"sqlite:///{tmp_path / 'race.sqlite3'}", tmp_path)


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


def test_processes_do_not_fork_the_chain_on_postgres(postgres_url: str, tmp_path: Path) -> None:
    race(postgres_url, tmp_path)
