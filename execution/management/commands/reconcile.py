"""``manage.py reconcile``: one run for every active connection, or for one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from execution import reconciler, recovery
from execution.models import ReconciliationRun
from execution.shapes import run_shape
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.ids import new_correlation_id


class Command(BaseCommand):
    help = "Compare what we expect with the broker's books."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--connection", help="id of one connection; every active one otherwise")
        parser.add_argument("--json", action="store_true", help="print the runs as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["connection"]
        connections = [c for c in recovery.connections_in_use() if not wanted or str(c.id) == wanted]
        if not connections:
            raise CommandError("There is no active connection to reconcile. See: manage.py doctor")
        runs = [
            reconciler.reconcile(c, trigger="command", correlation_id=new_correlation_id(), now=timezone.now())
            for c in connections
        ]
        if options["json"]:
            self.stdout.write(json_text([run_shape(run) for run in runs]))
            return
        for run in runs:
            self._tell(run)

    def _tell(self, run: ReconciliationRun) -> None:
        self.stdout.write(
            f"{run.connection.name}: {run.status}, {run.holdings_checked} holdings, {run.positions_checked} positions, "
            f"{run.orders_checked} orders, {run.delta_count} differences. {run.note}"
        )
        for delta in run.deltas:
            self.stdout.write(f"  {delta['severity']}: {delta['code']} {delta.get('symbol', '')} {delta['summary']}")
