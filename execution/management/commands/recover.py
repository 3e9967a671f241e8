"""``manage.py recover``: settles in-flight work now, as the sweep does."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from execution import recovery


class Command(BaseCommand):
    help = "Settle in-flight intents now, as the sweeper does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = recovery.sweep(settle_now=True)
        if options["json"]:
            self.stdout.write(json.dumps(dataclasses.asdict(report)))
            return
        self.stdout.write(
            f"{report.resumed} resumed, {report.made_ambiguous} lost sends to look up, {report.still_open} still open, "
            f"{report.cards_expired} cards expired, {report.unresolved} need a person."
        )
