"""The instrument masters in our database, one per universe. Only the small paper master is kept in memory whole."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.db.models import Count, Max, QuerySet

from broker.domain import BrokerKind, Exchange, InstrumentInfo, split_symbol
from broker.models import BrokerConnection, Instrument
from broker.paper.instruments import default_instruments

PAPER, LIVE = "paper", "live"
BATCH = 500
CATALOG_MAX = 12_000
_lock = threading.Lock()
_memory: dict[str, tuple[tuple[object, ...], dict[str, InstrumentInfo]]] = {}


def universe_of(connection: BrokerConnection) -> str:
    """Paper and live masters never mix: their ticks, lots and tokens may differ."""
    return LIVE if BrokerKind(connection.kind).is_live else PAPER


def infos(universe: str) -> dict[str, InstrumentInfo]:
    """The instruments that are kept in memory, by symbol, read again when the table changed: all of the paper
    universe; of the live one the shares and indices of NSE alone, 12,000 at most. ``lookup`` finds any other."""
    rows = _catalog_rows(universe)
    state = rows.order_by().aggregate(newest=Max("id"), rows=Count("id"), seen=Max("seen_on"))
    version = (state["newest"], state["rows"], state["seen"])
    with _lock:
        known = _memory.get(universe)
    if known is not None and known[0] == version:
        return known[1]
    found = {row.symbol: row.info() for row in rows.order_by("exchange", "tradingsymbol")[:CATALOG_MAX]}
    with _lock:
        _memory[universe] = (version, found)
    return found


def lookup(universe: str, symbols: Iterable[str]) -> dict[str, InstrumentInfo]:
    """The instruments of these symbols; an unknown one is absent. Live ones are asked for in the database each time."""
    if universe == PAPER:
        known = infos(PAPER)
        return {symbol: known[symbol] for symbol in symbols if symbol in known}
    return {row.symbol: row.info() for row in rows_of(universe, symbols)}


def rows_of(universe: str, symbols: Iterable[str]) -> Iterator[Instrument]:
    """The stored rows of these symbols, one query for each exchange and 500 of its symbols."""
    wanted: dict[str, list[str]] = {}
    for symbol in dict.fromkeys(symbols):
        exchange, colon, tradingsymbol = symbol.partition(":")
        if colon:
            wanted.setdefault(exchange, []).append(tradingsymbol)
    for exchange, names in wanted.items():
        for part in _batches(names):
            yield from Instrument.objects.filter(universe=universe, exchange=exchange, tradingsymbol__in=part)


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


def upsert(universe: str, found: Iterable[InstrumentInfo], *, seen_on: date) -> int:
    """Stores what a broker lists, row by row as it comes; returns how many. A row that is listed no more stays, with
    the day it was last seen on.

    Short transactions of 500 rows, so that an order waits for one of them at most; a list that breaks off leaves what
    came before it. What a list is silent about (isin, sector, freeze quantity) stays as it is known.
    """
    count, day = 0, database.ops.adapt_datefield_value(seen_on)
    for part in _batches(found):
        rows = {info.symbol: info for info in part}  # one statement cannot touch a row twice
        _store([_values(universe, info, day) for info in rows.values()])
        count += len(rows)
    return count


def _store(rows: list[tuple[object, ...]]) -> None:
    """One statement for all. PostgreSQL gets them as one value: its client takes long over thousands of them."""
    with transaction.atomic(), database.cursor() as cursor:
        if database.vendor == "postgresql":
            text = json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows], default=str)
            cursor.execute(_UPSERT.format(rows=_FROM_JSON), [text])
        else:
            values: list[Any] = [value for row in rows for value in row]
            cursor.execute(_UPSERT.format(rows="VALUES " + ", ".join([_PLACES] * len(rows))), values)


def mark_closing_auction(universe: str) -> None:
    """Shares that have futures end their day in the closing auction: no list says so, but the futures do."""
    with transaction.atomic(), database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute("ANALYZE broker_instrument")  # its planner would search by the figures of the day before
        cursor.execute(_MARK, [True, universe, Exchange.NSE.value, "EQ", False, universe, Exchange.NFO.value, "FUT"])


def is_stale(row: Instrument, today: date) -> bool:
    """Whether a row that was learnt by asking for it should be asked for again."""
    return row.seen_on is None or row.seen_on < today - timedelta(days=1)


def _catalog_rows(universe: str) -> QuerySet[Instrument]:
    rows = Instrument.objects.filter(universe=universe)
    return rows if universe == PAPER else rows.filter(instrument_type="EQ", exchange=Exchange.NSE.value)


def _row(universe: str, info: InstrumentInfo) -> Instrument:
    values = {field.name: getattr(info, field.name) for field in fields(info) if field.name != "symbol"}
    return Instrument(universe=universe, exchange=info.exchange, tradingsymbol=info.tradingsymbol, **values)


def _batches(found: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(found)
    while part := list(itertools.islice(rows, BATCH)):
        yield part


def _values(universe: str, info: InstrumentInfo, seen_on: object) -> tuple[object, ...]:
    exchange, tradingsymbol = split_symbol(info.symbol)
    return (
        universe, exchange, tradingsymbol, info.name, info.instrument_token, info.isin, info.sector, info.segment,
        info.instrument_type, info.expiry, None if info.strike is None else f"{info.strike:.4f}",
        f"{info.tick_size:.4f}", info.lot_size, info.freeze_quantity, info.in_closing_auction, seen_on,
    )  # fmt: skip


_COLUMNS = (
    "universe", "exchange", "tradingsymbol", "name", "instrument_token", "isin", "sector", "segment",
    "instrument_type", "expiry", "strike", "tick_size", "lot_size", "freeze_quantity", "in_closing_auction", "seen_on",
)  # fmt: skip
_PLACES = "(" + ", ".join(["%s"] * len(_COLUMNS)) + ")"
_FROM_JSON = (  # the table's own row type says what each value is
    f"SELECT {', '.join(_COLUMNS)} FROM json_populate_recordset(NULL::broker_instrument, %s::json)"  # noqa: S608
)
_KEPT_WORDS = ("isin", "sector")
_PLAIN = (
    "name", "instrument_token", "segment", "instrument_type", "expiry", "strike", "tick_size", "lot_size", "seen_on",
)  # fmt: skip
_SET = ", ".join((
    *(f"{name} = excluded.{name}" for name in _PLAIN),
    *(f"{name} = COALESCE(NULLIF(excluded.{name}, ''), broker_instrument.{name})" for name in _KEPT_WORDS),
    "freeze_quantity = COALESCE(excluded.freeze_quantity, broker_instrument.freeze_quantity)",
))  # fmt: skip
_UPSERT = (  # our own column names alone go into the text
    f"INSERT INTO broker_instrument ({', '.join(_COLUMNS)}) {{rows}} "
    f"ON CONFLICT (universe, exchange, tradingsymbol) DO UPDATE SET {_SET}"
)
_MARK = (
    "UPDATE broker_instrument SET in_closing_auction = %s "
    "WHERE universe = %s AND exchange = %s AND instrument_type = %s AND in_closing_auction = %s AND tradingsymbol IN "
    "(SELECT name FROM broker_instrument WHERE universe = %s AND exchange = %s AND instrument_type = %s)"
)
