# ruff: noqa: PLC0415  # Django is set up before what needs it is imported
"""How long ``audit_verify`` takes over a million events: a SQLite file of its own, filled by the chain's own functions.

python -m benchmarks.audit_verify [EVENTS]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

BATCH = 20_000
START = datetime(2026, 1, 5, 4, 0, tzinfo=UTC)
TARGET_S = 60.0


def fill(count: int) -> None:
    """Appends ``count`` events of the size the product writes, four to a trace."""
    from django.db import transaction

    from sigmatrader.audit import canonical, chain

    for first in range(0, count, BATCH):
        events = [
            chain.PendingEvent(
                correlation_id=f"01KAQ5Y3M7Q2V9ZB{number // 4:010d}",
                ts=START + timedelta(milliseconds=number),
                type="status.change",
                data=canonical.dumps(
                    {"order": f"{number:019d}", "from": "OPEN", "to": "COMPLETE", "filled": number % 75}
                ),
            )
            for number in range(first, min(first + BATCH, count))
        ]
        with transaction.atomic():
            chain.append(events)


def main(count: int = 1_000_000) -> dict[str, object]:
    """Fills a temporary database, verifies it, and reports seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        os.environ["SIGMATRADER_ANCHOR_DIR"] = str(Path(folder) / "anchors")
        os.environ["DJANGO_SETTINGS_MODULE"] = "sigmatrader.settings"
        import django

        django.setup()
        return _measured(count)


def _measured(count: int) -> dict[str, object]:
    import resource

    from django.core.management import call_command
    from django.db import connection

    from sigmatrader.audit import anchors, verification

    call_command("migrate", "audit", verbosity=0)
    started = time.perf_counter()
    fill(count)
    filled = time.perf_counter()
    anchors.write_anchor(now=START)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = verification.verify()
    seconds = result.duration_ms / 1000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    connection.close()
    return {
        "benchmark": "audit_verify", "events": result.report.events, "ok": result.report.ok,
        "anchors_checked": result.report.anchors_checked, "append_s": round(filled - started, 2),
        "verify_s": round(seconds, 2), "verify_grew_mb": round((after - before) / 1024, 1),
        "target_s": TARGET_S, "met": bool(result.report.ok and seconds < TARGET_S),
    }  # fmt: skip


if __name__ == "__main__":
    figures = main(*[int(text) for text in sys.argv[1:2]])
    print(json.dumps(figures))
    sys.exit(0 if figures["met"] else 1)
