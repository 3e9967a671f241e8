"""The instrument master from a shell: refresh it from the connection, search it, count it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Max
from django.utils import timezone
from rest_framework.exceptions import APIException

from broker import instrument_refresh, instruments
from broker.management.connection import add_connection_argument, chosen_connection
from broker.models import BrokerConnection, Instrument
from broker.ports import BrokerError
from broker.shapes import instrument_shape
from sigmatrader.audit import canonical


class Command(BaseCommand):
    help = "Refresh, search or count the instruments of a connection's market."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["refresh", "search", "count"])
        parser.add_argument("words", nargs="*", help="search: a symbol, a name, or a phrase such as: nifty 24500 ce")
        parser.add_argument("--limit", type=int, default=20, help="search: at most so many")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
        add_connection_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = chosen_connection(options["connection"])
        try:
            found = getattr(self, f"_{options['action']}")(connection, options, timezone.now())
        except (BrokerError, APIException) as exc:
            raise CommandError(getattr(exc, "text", "") or str(exc)) from exc
        text = json.dumps(canonical.plain(found), indent=2, ensure_ascii=False) if options["json"] else _told(found)
        self.stdout.write(text)

    def _refresh(self, connection: BrokerConnection, options: dict[str, Any], now: datetime) -> dict[str, object]:
        found = instrument_refresh.refresh(connection, now=now)
        return {"rows": found.rows, "skipped": found.skipped, "first_fault": found.first_fault or None}

    def _search(self, connection: BrokerConnection, options: dict[str, Any], now: datetime) -> dict[str, object]:
        query = " ".join(options["words"])
        found = instrument_refresh.find(connection, query, max(1, options["limit"]), now=now)
        return {"query": query, "instruments": [instrument_shape(info) for info in found]}

    def _count(self, connection: BrokerConnection, options: dict[str, Any], now: datetime) -> dict[str, object]:
        universe = instruments.universe_of(connection)
        rows = Instrument.objects.filter(universe=universe)
        kinds = rows.order_by().values("exchange", "instrument_type").annotate(rows=Count("id"))
        counts = {f"{row['exchange']} {row['instrument_type']}": row["rows"] for row in kinds}
        return {"universe": universe, "rows": sum(counts.values()), "by_kind": dict(sorted(counts.items())),
                "last_seen_on": rows.aggregate(day=Max("seen_on"))["day"]}  # fmt: skip


def _told(found: dict[str, Any]) -> str:
    rows = found.get("instruments")
    if rows is None:
        return "\n".join(f"{name}: {value}" for name, value in found.items())
    return "\n".join(f"{row['symbol']:<32} {row['expiry'] or '':<10} {row['name']}" for row in rows) or "none"
