"""``manage.py audit_anchor``: writes where the chain stands outside the database."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sigmatrader.audit.anchors import write_anchor
from sigmatrader.audit.chain import AuditUnavailable


class Command(BaseCommand):
    help = "Writes an anchor of the audit chain's head outside the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            anchor = write_anchor(now=timezone.now())
        except (AuditUnavailable, OSError) as exc:
            raise CommandError(f"No anchor was written: {exc}.") from exc
        if options["json"]:
            known = {"seq": anchor.seq, "hash": anchor.hash, "ts": anchor.ts} if anchor else {}
            self.stdout.write(json.dumps({"written": anchor is not None, **known}))
        elif anchor:
            self.stdout.write(f"Anchored event {anchor.seq} in {settings.ANCHOR_DIR}.")
        else:
            self.stdout.write("Nothing new since the last anchor.")
