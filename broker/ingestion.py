"""What is read from a broker and stored: snapshots of the books, and instruments. No network call in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from broker import factory, instruments
from broker.domain import Books
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from broker.reading import read_books
from broker.snapshots import document_of, remember
from sigmatrader.audit.models import DecisionTrace, Snapshot
from sigmatrader.audit.recording import recording
from sigmatrader.audit.services import store_snapshot


def load_instruments(universe: str = instruments.PAPER, *, now: datetime) -> int:
    """Brings the instrument table to the product's file; returns its row count. Safe to call at every start."""
    with recording(now):
        return instruments.load(universe)


def take_snapshot(
    connection: BrokerConnection, *, correlation_id: str, now: datetime, symbols: Sequence[str] = ()
) -> tuple[Snapshot, Books]:
    """Reads all books side by side, then stores them; a trace named by ``correlation_id`` gets a ``snapshot.taken``
    event. Books that say what the last ones said are stored as one more row about the same content.

    A part that cannot be read is absent in both. Raises BrokerAuthExpired or BrokerUnavailable if no part could be
    read at all, Problem 409 as the factory does; nothing is stored then.
    """
    books = read_books(factory.reader_for(connection), symbols, as_of=now)
    if not any(books.complete.values()):
        _raise_unread(books)
    document = document_of(books, connection)
    with recording(now) as record:
        snapshot = store_snapshot(
            account=connection.account, source=connection.kind, correlation_id=correlation_id,
            as_of=books.as_of, taken_at=now, complete=books.complete, document=document,
        )  # fmt: skip
        if correlation_id and DecisionTrace.objects.filter(correlation_id=correlation_id).exists():
            facts = {"snapshot": snapshot.pk, "hash": snapshot.hash, "complete": books.complete}
            record.event(correlation_id, "snapshot.taken", facts | {"as_of": books.as_of})
            record.link(correlation_id, "snapshot", snapshot.pk)
    remember(snapshot, books)
    return snapshot, books


def _raise_unread(books: Books) -> None:
    reason = next(iter(books.faults.values()), "nothing could be read")
    if any(text.startswith(BrokerAuthExpired.__name__) for text in books.faults.values()):
        raise BrokerAuthExpired(reason)
    raise BrokerUnavailable(reason)
