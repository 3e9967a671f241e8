"""A context from a folder of Kite-shaped files: instruments.csv, quotes.json, holdings.json, positions.json,
orders.json, gtts.json, margins.json, monitors.json, now.txt. Reads only; a file that is not there is an empty book.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ai.context import Context, GttRow, MonitorRow
from ai.language.names import Catalog
from broker.adapters import kite_shapes
from broker.domain import InstrumentInfo, symbol_of
from broker.ports import BrokerSchemaError

_ANY_TIME = datetime(9000, 1, 1, tzinfo=UTC)  # files are read as they are, whatever day they are of
Rows = Sequence[Mapping[str, object]]


class ContextInvalid(ValueError):
    """A file of the folder cannot be read; the text names it and why."""


def load_context(folder: Path) -> Context:
    """The whole folder as one context. Raises ContextInvalid."""
    if not folder.is_dir():
        raise ContextInvalid(f"{folder} is not a folder.")
    now = _now(folder / "now.txt")
    try:
        net, _ = kite_shapes.positions(_document(folder / "positions.json", empty={"net": [], "day": []}))
        return Context(
            now=now,
            catalog=Catalog(read_instruments(folder / "instruments.csv")),
            quotes=kite_shapes.quotes(_document(folder / "quotes.json", empty={}), read_at=now),
            holdings=kite_shapes.holdings(_rows(folder / "holdings.json")),
            positions=net,
            orders=kite_shapes.orders(_rows(folder / "orders.json"), read_at=_ANY_TIME),
            margins=kite_shapes.margins(_document(folder / "margins.json", empty={})),
            gtts=_gtts(_rows(folder / "gtts.json")),
            monitors=_monitors(_rows(folder / "monitors.json")),
        )
    except BrokerSchemaError as exc:
        raise ContextInvalid(f"{folder}: {exc.text}") from exc


def read_instruments(path: Path) -> list[InstrumentInfo]:
    """Kite's instrument dump, with freeze_quantity where the file has it. Raises ContextInvalid."""
    if not path.exists():
        raise ContextInvalid(f"{path} is missing: without instruments no name can be read.")
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return [_instrument(row) for row in csv.DictReader(lines)]
        except (KeyError, ValueError, InvalidOperation) as exc:
            raise ContextInvalid(f"{path} has a row that is not an instrument: {exc}") from exc


def _instrument(row: Mapping[str, str]) -> InstrumentInfo:
    return InstrumentInfo(
        symbol=symbol_of(row["exchange"], row["tradingsymbol"]),
        name=row["name"],
        instrument_token=int(row["instrument_token"] or 0),
        tick_size=Decimal(row["tick_size"] or "0.05"),
        lot_size=int(row["lot_size"] or 1),
        segment=row["segment"],
        instrument_type=row["instrument_type"],
        expiry=row["expiry"] or "",
        strike=Decimal(row["strike"] or 0) or None,
        freeze_quantity=int(row.get("freeze_quantity") or 0) or None,
    )


def _now(path: Path) -> datetime:
    if not path.exists():
        return datetime(1970, 1, 1, tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except ValueError as exc:
        raise ContextInvalid(f"{path} does not hold an ISO 8601 time.") from exc
    if moment.tzinfo is None:
        raise ContextInvalid(f"{path} needs a time with its offset.")
    return moment


def _document(path: Path, *, empty: object) -> object:
    """The parsed file, without the envelope Kite's REST answers have."""
    if not path.exists():
        return empty
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except ValueError as exc:
        raise ContextInvalid(f"{path} is not JSON: {exc}") from exc
    if isinstance(document, dict) and "data" in document and document.get("status") == "success":
        return document["data"] if document["data"] is not None else empty
    return document


def _rows(path: Path) -> Rows:
    document = _document(path, empty=[])
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise ContextInvalid(f"{path} is not a list of objects.")
    return document


def _gtts(rows: Rows) -> tuple[GttRow, ...]:
    return tuple(_gtt(row) for row in rows if row.get("status", "active") == "active")


def _gtt(row: Mapping[str, object]) -> GttRow:
    condition = row.get("condition")
    about = condition if isinstance(condition, Mapping) else row
    return GttRow(
        str(row.get("id", "")), symbol_of(str(about.get("exchange", "NSE")), str(about.get("tradingsymbol", "")))
    )


def _monitors(rows: Rows) -> tuple[MonitorRow, ...]:
    return tuple(_monitor(row) for row in rows)


def _monitor(row: Mapping[str, object]) -> MonitorRow:
    condition = row.get("condition")
    symbol = condition.get("symbol") if isinstance(condition, Mapping) else None
    return MonitorRow(str(row.get("id", "")), str(symbol or ""))
