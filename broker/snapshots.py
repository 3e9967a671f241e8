"""Books as a document and back. A part that could not be read is null in it, never an empty list."""

from __future__ import annotations

import json
import threading
import types
import typing
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from broker.domain import Books, BrokerKind, BrokerOrder, DepthLevel, Holding, MarginSegment, Position, Quote, Trade
from broker.models import BrokerConnection
from sigmatrader.audit import canonical
from sigmatrader.audit.models import Snapshot

SCHEMA_VERSION = 1
_KEPT = 8
_recent: OrderedDict[str, Books] = OrderedDict()  # by content, of those read or taken last: a content never changes
_lock = threading.Lock()
T = TypeVar("T")
Read = Callable[[Any], object]


def document_of(books: Books, connection: BrokerConnection) -> dict[str, object]:
    """What the books say, as plain JSON values, decimals and times as canonical text.

    When they were read is the snapshot's own, not the content's: two reads that found the same are the same document.
    """
    kind = BrokerKind(connection.kind)
    body = {
        "schema_version": SCHEMA_VERSION,
        "connection": {
            "id": connection.account, "name": connection.name, "kind": kind.value, "practice": not kind.is_live,
        },
        "source": kind.value,
        "complete": books.complete,
        "holdings": _rows(books.holdings),
        "positions": {"net": _rows(books.positions_net), "day": _rows(books.positions_day)},
        "orders": _rows(books.orders, leave="raw"),
        "trades": _rows(books.trades),
        "margins": None if books.margins is None else {name: _row(row) for name, row in books.margins.items()},
        "quotes": {symbol: _row(quote) for symbol, quote in books.quotes.items()},
        "faults": dict(books.faults),
    }  # fmt: skip
    plain = canonical.plain(body)
    assert isinstance(plain, dict)
    return plain


def books_of(document: Mapping[str, Any], *, as_of: datetime) -> Books:
    """The books a document was made of; an order's ``raw`` row is not kept in it. Raises KeyError, TypeError or
    ValueError for a document that is none of ours."""
    positions, margins = document["positions"], document["margins"]
    return Books(
        as_of=as_of,
        holdings=_values(Holding, document["holdings"]),
        positions_net=_values(Position, positions["net"]),
        positions_day=_values(Position, positions["day"]),
        orders=_values(BrokerOrder, document["orders"]),
        trades=_values(Trade, document["trades"]),
        margins=None if margins is None else {name: _value(MarginSegment, row) for name, row in margins.items()},
        quotes={symbol: _value(Quote, row) for symbol, row in document["quotes"].items()},
        faults=dict(document["faults"]),
    )


def stored_books(snapshot: Snapshot) -> Books:
    """The books of a stored snapshot, from memory if this process has seen their content of late."""
    with _lock:
        known = _recent.get(snapshot.hash)
    if known is None:
        known = _kept(snapshot.hash, books_of(json.loads(snapshot.document), as_of=snapshot.as_of))
    return replace(known, as_of=snapshot.as_of)


def remember(snapshot: Snapshot, books: Books) -> None:
    """Keeps the books a snapshot was just made of, as ``stored_books`` would read them again."""
    bare = None if books.orders is None else tuple(replace(order, raw={}) for order in books.orders)
    _kept(snapshot.hash, replace(books, orders=bare))


def _kept(key: str, books: Books) -> Books:
    with _lock:
        _recent[key] = books
        _recent.move_to_end(key)
        while len(_recent) > _KEPT:
            _recent.popitem(last=False)
    return books


def _rows(values: Sequence[Any] | None, *, leave: str = "") -> list[dict[str, object]] | None:
    return None if values is None else [_row(value, leave=leave) for value in values]


def _row(value: Any, *, leave: str = "") -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name != leave}


def _values(kind: type[T], rows: Sequence[Mapping[str, Any]] | None) -> tuple[T, ...] | None:
    return None if rows is None else tuple(_value(kind, row) for row in rows)


def _value(kind: type[T], row: Mapping[str, Any]) -> T:
    readers = _readers(kind)  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
    return kind(**{name: readers[name](value) for name, value in row.items()})


@lru_cache(maxsize=16)
def _readers(kind: type[Any]) -> dict[str, Read]:
    return {name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()}


def _reader(hint: Any) -> Read:
    """How the text of one field becomes its value again."""
    if typing.get_origin(hint) is types.UnionType:
        inner = _reader(next(part for part in typing.get_args(hint) if part is not type(None)))
        return lambda value: None if value is None else inner(value)
    if typing.get_origin(hint) is tuple:
        item = _reader(typing.get_args(hint)[0])
        return lambda value: tuple(item(one) for one in value)
    if hint is DepthLevel:
        return lambda value: _value(DepthLevel, value)
    if hint is Decimal:
        return Decimal
    if hint is datetime:
        return datetime.fromisoformat
    return lambda value: value
