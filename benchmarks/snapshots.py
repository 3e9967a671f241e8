# ruff: noqa: PLC0415  # Django is set up before what needs it is imported
"""Our own time for a snapshot of 500 holdings and 200 orders, new and unchanged, and for one token of the rate budget.

python -m benchmarks.snapshots [ROUNDS]      on a SQLite file of its own, or on the database of BENCH_DATABASE_URL

The broker here answers from memory, so all that is measured is ours: reading side by side, document, hash, storing.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

HOLDINGS, ORDERS = 500, 200
START = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
TARGET_MS, TOKEN_TARGET_MS = 150.0, 1.5


def main(rounds: int = 20) -> dict[str, object]:
    """Takes snapshots whose prices moved, then the same ones again; reports milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGMATRADER_VAR"] = folder
        os.environ["DATABASE_URL"] = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        os.environ["DJANGO_SETTINGS_MODULE"] = "sigmatrader.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return _measured(rounds)


def _measured(rounds: int) -> dict[str, object]:
    from broker import budget, factory
    from broker.models import BrokerConnection
    from sigmatrader.accounts.models import User
    from sigmatrader.audit.models import Snapshot, SnapshotContent

    user, _ = User.objects.get_or_create(username="bench")
    connection = BrokerConnection.objects.create(owner=user, name="Paper", kind="paper", created_at=START)
    broker = _broker()
    with factory.substituted(connection.account, broker):
        changed = [_take(connection, broker, n, price=n) for n in range(1, rounds + 1)]
        same = [_take(connection, broker, rounds + n, price=rounds) for n in range(1, rounds + 1)]
    tokens = [
        _timed(lambda n=n: budget.take(connection.pk, budget.Kind.ORDERS, now=START + timedelta(milliseconds=160 * n)))
        for n in range(400)
    ]
    taken, token = _spread(changed), _spread(tokens[100:])
    return {
        "holdings": HOLDINGS, "orders": ORDERS, "rounds": rounds, "changed_ms": taken, "unchanged_ms": _spread(same),
        "snapshots": Snapshot.objects.filter(account=connection.account).count(),
        "contents": SnapshotContent.objects.filter(snapshots__account=connection.account).distinct().count(),
        "token_ms": token, "ok": taken["p95"] < TARGET_MS and token["p50"] < TOKEN_TARGET_MS,
    }  # fmt: skip


def _take(connection: Any, broker: Any, number: int, *, price: int) -> float:
    from broker.ingestion import take_snapshot

    broker.prices = {f"NSE:S{n:04d}": Decimal(100 + n) + Decimal(price) / 20 for n in range(HOLDINGS)}
    now = START + timedelta(minutes=number)
    return _timed(lambda: take_snapshot(connection, correlation_id="", now=now))


def _broker() -> Any:
    """The tests' broker in memory with a full account; nothing of it is measured but what it hands over."""
    from broker.domain import BrokerOrder, Holding
    from tests.support.fake_broker import FakeBroker

    zero = Decimal(0)
    held = [
        Holding(f"NSE:S{n:04d}", f"INE{n:06d}A01", 10 + n, n % 3, 0, Decimal("99.95"), Decimal(100), Decimal("98.4"))
        for n in range(HOLDINGS)
    ]
    broker = FakeBroker(holdings=held)
    broker.foreign_orders = [
        BrokerOrder(
            f"2611230000{n:05d}", f"NSE:S{n:04d}", "BUY", 10, 10, 0, 0, "LIMIT", "CNC", "DAY", "regular", "COMPLETE",
            Decimal("101.5"), zero, Decimal("101.45"), f"ST{n:018d}", (f"ST{n:018d}",), "", START, START,
            exchange_order_id=f"1100000{n:09d}", placed_by="PT0001", raw={"order_id": str(n), "tag": f"ST{n:018d}"},
        )
        for n in range(ORDERS)
    ]  # fmt: skip
    return broker


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50": round(statistics.median(ordered), 2), "p95": round(ordered[int(len(ordered) * 0.95) - 1], 2),
        "max": round(ordered[-1], 2),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
