"""Broker snapshots from a shell: take, list, show, diff, prune."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rest_framework.exceptions import APIException

from broker import ingestion, selectors
from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.shapes import snapshot_shape, snapshot_summary
from broker.snapshot_diff import diff
from sigmatrader.audit import canonical, retention
from sigmatrader.audit.models import Snapshot


class Command(BaseCommand):
    help = "Take, list, show, compare or prune snapshots of a broker's books."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["take", "list", "show", "diff", "prune"])
        parser.add_argument("ids", nargs="*", help="show: one snapshot's id; diff: the earlier and the later one's")
        parser.add_argument("--connection", help="a connection's id; the active one when absent")
        parser.add_argument("--limit", type=int, default=20, help="list: at most so many")
        parser.add_argument("--dry-run", action="store_true", help="prune: only say what would go")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = getattr(self, f"_{options['action']}")(options, timezone.now())
        except (BrokerError, APIException) as exc:
            raise CommandError(getattr(exc, "text", "") or str(exc)) from exc
        text = json.dumps(canonical.plain(found), indent=2, ensure_ascii=False) if options["json"] else _told(found)
        self.stdout.write(text)

    def _take(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        snapshot, books = ingestion.take_snapshot(_connection(options), correlation_id="", now=now)
        return snapshot_summary(snapshot) | {"faults": dict(books.faults)}

    def _list(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        rows = selectors.snapshots_of(_connection(options)).order_by("-taken_at")[: max(1, options["limit"])]
        return {"snapshots": [snapshot_summary(row) for row in rows]}

    def _show(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        return snapshot_shape(_snapshots(options, 1)[0])

    def _diff(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        before, after = _snapshots(options, 2)
        found = diff(selectors.snapshot_document(before), selectors.snapshot_document(after))
        return {"against": str(before.pk), "snapshot": str(after.pk), **found}

    def _prune(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        """Retention removes snapshots together with all else that is past its term, so that the chain stays whole."""
        return retention.prune(now=now, dry_run=options["dry_run"]).shape()


def _connection(options: dict[str, Any]) -> BrokerConnection:
    rows = BrokerConnection.objects.all()
    rows = rows.filter(pk=options["connection"]) if options["connection"] else rows.filter(is_active=True)
    found = list(rows[:2])
    if len(found) != 1:
        raise CommandError("Name one connection with --connection ID: " + ", ".join(map(str, rows[:5])))
    return found[0]


def _snapshots(options: dict[str, Any], count: int) -> list[Snapshot]:
    if len(options["ids"]) != count:
        raise CommandError(f"{options['action']} takes {count} snapshot id{'s' if count > 1 else ''}.")
    found = [Snapshot.objects.filter(pk=one).first() for one in options["ids"]]
    missing = [text for text, row in zip(options["ids"], found, strict=True) if row is None]
    if missing:
        raise CommandError(f"There is no snapshot {missing[0]}.")
    return [row for row in found if row is not None]


def _told(found: dict[str, object]) -> str:
    """One line per fact; lists are counted, ids and times stay whole."""
    rows = found.get("snapshots")
    if isinstance(rows, list):
        return "\n".join(f"{row['id']}  {row['taken_at']:%Y-%m-%d %H:%M:%S}  {_whole(row)}" for row in rows) or "none"
    return "\n".join(f"{name}: {_short(value)}" for name, value in found.items())


def _whole(row: dict[str, Any]) -> str:
    missing = [name for name, there in row["complete"].items() if not there]
    return f"without {', '.join(missing)}" if missing else "complete"


def _short(value: object) -> str:
    return f"{len(value)} rows" if isinstance(value, list) else str(value)
