"""The instrument masters in our database, one per universe, and their memory copy."""

from __future__ import annotations

import threading
from dataclasses import fields

from django.db import transaction
from django.db.models import Count, Max

from broker.domain import BrokerKind, InstrumentInfo
from broker.models import BrokerConnection, Instrument
from broker.paper.instruments import default_instruments

PAPER, LIVE = "paper", "live"
_lock = threading.Lock()
_memory: dict[str, tuple[tuple[object, object], dict[str, InstrumentInfo]]] = {}


def universe_of(connection: BrokerConnection) -> str:
    """Paper and live masters never mix: their ticks, lots and tokens may differ."""
    return LIVE if BrokerKind(connection.kind).is_live else PAPER


def infos(universe: str) -> dict[str, InstrumentInfo]:
    """Every instrument of a universe by symbol; from memory while the table is the same."""
    rows = Instrument.objects.filter(universe=universe)
    state = rows.aggregate(newest=Max("id"), rows=Count("id"))
    version = (state["newest"], state["rows"])
    with _lock:
        known = _memory.get(universe)
    if known is not None and known[0] == version:
        return known[1]
    found = {row.symbol: row.info() for row in rows.order_by("exchange", "tradingsymbol")}
    with _lock:
        _memory[universe] = (version, found)
    return found


def load(universe: str = PAPER) -> int:
    """Brings the table to what the product's file says; returns how many rows it has. All rows are made anew when any
    differs, so that their newest id tells every process of the change. Raises ValueError for another universe."""
    if universe != PAPER:
        raise ValueError(f"There is no instrument file for {universe!r}.")
    wanted = {row.symbol: row.info for row in default_instruments()}
    with transaction.atomic():
        stored = {row.symbol: row.info() for row in Instrument.objects.filter(universe=universe)}
        if stored != wanted:
            Instrument.objects.filter(universe=universe).delete()
            Instrument.objects.bulk_create(_row(universe, info) for info in wanted.values())
    return len(wanted)


def _row(universe: str, info: InstrumentInfo) -> Instrument:
    values = {field.name: getattr(info, field.name) for field in fields(info) if field.name != "symbol"}
    return Instrument(universe=universe, exchange=info.exchange, tradingsymbol=info.tradingsymbol, **values)
