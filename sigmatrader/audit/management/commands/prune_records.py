"""``manage.py prune_records``: removes what is older than the retention settings say, and records that it did."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sigmatrader.audit.retention import prune
from sigmatrader.audit.segments import BrokenRun


class Command(BaseCommand):
    help = "Applies the retention settings: removes old records, never what is open, and records the removal."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what would be removed, remove nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = prune(now=timezone.now(), dry_run=options["dry_run"])
        except BrokenRun as exc:
            raise CommandError(f"Nothing was removed, old events do not verify: {exc}. Run audit_verify.") from exc
        if options["json"]:
            self.stdout.write(json.dumps(result.shape()))
            return
        verb = "Would remove" if result.dry_run else "Removed"
        for kind, count in result.removed.items():
            self.stdout.write(f"{verb} {count} {kind.replace('_', ' ')}.")
        for run in result.sealed:
            self.stdout.write(f"Events {run.from_seq} to {run.to_seq}, digest {run.digest}.")
