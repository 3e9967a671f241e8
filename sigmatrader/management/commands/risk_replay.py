"""``manage.py risk_replay``: makes stored decisions again from their stored inputs and tells every difference."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone

from risk.models import RiskDecision
from risk.replay import replay_decision

SHOWN = 100


class Command(BaseCommand):
    help = "Recomputes stored risk decisions and reports any that come out different. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--decision", default="", help="one decision's id")
        parser.add_argument("--correlation-id", default="", help="the decisions of one story")
        parser.add_argument("--days", type=int, default=0, help="those of the last days only; default: all")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        count, engines, different = 0, dict[str, int](), list[dict[str, object]]()
        for row in _rows(options).iterator(chunk_size=200):
            count += 1
            engines[row.engine_version] = engines.get(row.engine_version, 0) + 1
            different += [dict(difference) for difference in replay_decision(row)]
        report = {
            "same": not different, "decisions": count, "engines": dict(sorted(engines.items())),
            "different": len({str(row["decision"]) for row in different}), "differences": different[:SHOWN],
        }  # fmt: skip
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            self.stdout.write(_in_words(report, different))
        if different:
            raise CommandError(f"{report['different']} of {count} decisions come out different.", returncode=1)


def _rows(options: dict[str, Any]) -> QuerySet[RiskDecision]:
    rows = RiskDecision.objects.order_by("evaluated_at", "id")
    if options["decision"]:
        rows = rows.filter(pk=options["decision"])
    if options["correlation_id"]:
        rows = rows.filter(correlation_id=options["correlation_id"])
    if options["days"] > 0:
        rows = rows.filter(evaluated_at__gte=timezone.now() - timedelta(days=options["days"]))
    return rows


def _in_words(report: dict[str, Any], different: list[dict[str, object]]) -> str:
    head = f"{report['decisions']} decisions made again"
    if not different:
        return f"{head}: all come out the same."
    rows = [f"  {row['decision']}  {row['field']}: {row['stored']!r} -> {row['now']!r}"[:300] for row in different]
    return "\n".join([f"{head}: {report['different']} come out different.", *rows[:SHOWN]])
