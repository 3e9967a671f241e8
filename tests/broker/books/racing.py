"""One process that asks for tokens as fast as it can, by a clock that it shares with others through a file.

python -m tests.broker.books.racing CLOCK CONNECTION TRIES:STEP_MS...

Says that it is ready, starts when it is written to, and prints when its tokens count as sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def tick(clock: Path, step_ms: int) -> datetime:
    """Moves the shared clock on and tells the time."""
    with clock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        passed = int(file.read() or 0) + step_ms
        file.seek(0)
        file.write(str(passed))
    return START + timedelta(milliseconds=passed)


def main(clock: str, connection_id: str, *phases: str) -> list[int]:
    import django

    django.setup()
    from broker.budget import Kind, take

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    steps = [int(step) for tries, step in (phase.split(":") for phase in phases) for _ in range(int(tries))]
    found = (take(uuid.UUID(connection_id), Kind.ORDERS, now=tick(Path(clock), step)) for step in steps)
    return [token.at for token in found if token.ok]


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "sigmatrader.settings"
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
