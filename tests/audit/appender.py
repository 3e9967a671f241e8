"""Appends to the chain: ``python -m tests.audit.appender NAME COUNT``. Writes READY, waits for a line."""

from __future__ import annotations

import os
import sys


def main(name: str, count: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
    import django

    django.setup()
    from django.utils import timezone

    from sigmatrader.audit.recording import recording

    sys.stdout.write("READY\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        with recording(timezone.now()) as record:
            record.event(f"trace-{name}-{number}", "first", {"writer": name, "n": number})
            record.event(f"trace-{name}-{number}", "second", {"writer": name, "n": number})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
