"""Broker snapshots from a shell: take, list, show, diff, prune."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rest_framework.exceptions import APIException

from broker import ingestion, selectors
from broker.management.connection import add_connection_argument, chosen_connection
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
        add_connection_argument(parser)
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
        snapshot, books = ingestion.take_snapshot(chosen_connection(options["connection"]), correlation_id="", now=now)
        return snapshot_summary(snapshot) | {"faults": dict(books.faults)}

    def _list(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        connection = chosen_connection(options["connection"])
        rows = selectors.snapshots_of(connection).order_by("-taken_at", "-id")[: max(1, options["limit"])]
        good = selectors.latest_good(connection)
        return {
            "snapshots": [snapshot_summary(row) for row in rows],
            "latest_good": {part: str(good[part].pk) if part in good else None for part in selectors.PARTS},
        }

    def _show(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        return snapshot_shape(_snapshots(options, 1)[0])

    def _diff(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        before, after = _snapshots(options, 2)
        found = diff(selectors.snapshot_document(before), selectors.snapshot_document(after))
        return {"against": str(before.pk), "snapshot": str(after.pk), **found}

    def _prune(self, options: dict[str, Any], now: datetime) -> dict[str, object]:
        """Retention removes snapshots together with all else that is past its term, so that the chain stays whole."""
        return retention.prune(now=now, dry_run=options["dry_run"]).shape()


def _snapshots(options: dict[str, Any], count: int) -> list[Snapshot]:
    if len(options["ids"]) != count:
        raise CommandError(f"{options['action']} takes {count} snapshot id{'s' if count > 1 else ''}.")
    found = [_stored(text) for text in options["ids"]]
    missing = [text for text, row in zip(options["ids"], found, strict=True) if row is None]
    if missing:
        raise CommandError(f"There is no snapshot {missing[0]}.")
    return [row for row in found if row is not None]


def _stored(text: str) -> Snapshot | None:
    try:
        return Snapshot.objects.filter(pk=UUID(text)).first()
    except ValueError:
        return None


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
