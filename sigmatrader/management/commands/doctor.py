"""Says what is configured, reachable, missing or unsafe, and what to do about each."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sigmatrader.doctor import Verdict, examine

_MARKS = {Verdict.OK: "ok     ", Verdict.NOTE: "note   ", Verdict.MISSING: "MISSING", Verdict.UNSAFE: "UNSAFE "}


class Command(BaseCommand):
    help = "Say what is configured, reachable, missing or unsafe, and what to do. Exit code 1 if something is."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        bad = [f for f in findings if f.verdict in (Verdict.MISSING, Verdict.UNSAFE)]
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not bad, "findings": [asdict(f) for f in findings]}, indent=1))
        else:
            for finding in findings:
                advice = f"  -> {finding.advice}" if finding.advice else ""
                self.stdout.write(f"{_MARKS[finding.verdict]} {finding.area}: {finding.text}{advice}")
        if bad:
            sys.exit(1)
