"""``manage.py audit_verify``: verifies the chain and names the first bad event; exit code 1 when there is one."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sigmatrader.audit.verification import verify_and_report


class Command(BaseCommand):
    help = "Verifies the audit chain, its head and its anchors; names the first bad event."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="from_seq", type=int, default=1, help="first event (default 1)")
        parser.add_argument("--to", dest="to_seq", type=int, default=None, help="last event (default: the head)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        first, last = options["from_seq"], options["to_seq"]
        if first < 1 or (last is not None and last < first):
            raise CommandError("--from must be at least 1 and --to not less than --from.")
        result = verify_and_report(now=timezone.now(), from_seq=first, to_seq=last)
        report = result.report
        if options["json"]:
            self.stdout.write(json.dumps(result.shape()))
            if not report.ok:
                raise SystemExit(1)
            return
        if report.first_bad:
            raise CommandError(f"The chain is broken at event {report.first_bad.seq}: {report.first_bad.reason}.")
        self.stdout.write(
            f"Whole: {report.events} events from {report.from_seq} to {report.to_seq}, "
            f"{report.anchors_checked} anchors agree, {result.duration_ms} ms."
        )
