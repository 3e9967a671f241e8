"""``manage.py demo``: the whole path once, on the real processes and the paper exchange, told and checked."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sigmatrader.demo.stage import set_stage
from sigmatrader.demo.story import DemoFailed, Teller, play


class Command(BaseCommand):
    help = "Snapshot, instruct, plan, RiskGate, approve, place, fill, reconcile, veto, twins, a crash; verified."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", default="", help="a folder of Kite-shaped JSON files to practise on")
        parser.add_argument("--symbol", default="NSE:INFY")
        parser.add_argument("--json", action="store_true", help="print the facts as JSON")
        parser.add_argument("--verbose", action="store_true", help="show what the processes say")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        teller = Teller(say=(lambda _words: None) if options["json"] else self.stdout.write)
        with _log(verbose=options["verbose"]) as log:
            try:
                with set_stage(account=options["account"], log=log) as stage:
                    play(stage, teller, symbol=options["symbol"], log=log)
            except (DemoFailed, RuntimeError, OSError) as exc:
                raise CommandError(f"The demo stopped: {exc}") from exc
        took = round(time.monotonic() - began, 1)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": True, "seconds": took, "steps": teller.steps}, default=_plain))
        else:
            self.stdout.write(f"All of it in {took} s, on a database and ports of its own.")


def _log(*, verbose: bool) -> AbstractContextManager[IO[bytes]]:
    """Where the processes talk to; our own standard error stays open afterwards."""
    return nullcontext(sys.stderr.buffer) if verbose else tempfile.TemporaryFile()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
