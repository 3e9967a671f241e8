"""What a message is read against: the newest books, taken anew when too old, and quotes of the shares named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from ai.context import Context
from ai.interpreter.sentence import parse
from ai.language.names import Catalog
from ai.language.text import clean
from ai.selectors import catalog_of, context_of, traded_since
from ai.stream import Stream
from broker.domain import Books, Quote, symbol_of
from broker.factory import reader_for
from broker.ingestion import take_snapshot
from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.selectors import latest_snapshot
from broker.snapshots import stored_books
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import Snapshot

MAX_QUOTES = 20


@dataclass(frozen=True, slots=True)
class AssistantLook:
    """The context the reader gets, and the snapshot behind it (None: the broker could not be read at all)."""

    context: Context
    snapshot: Snapshot | None

    @property
    def snapshot_hash(self) -> str:
        return self.snapshot.hash if self.snapshot else ""

    @property
    def snapshot_id(self) -> str:
        return str(self.snapshot.pk) if self.snapshot else ""


def look(connection: BrokerConnection, text: str, *, stream: Stream, correlation_id: str) -> AssistantLook:
    """Reads only. A broker that does not answer leaves parts absent; it is the plan that then refuses, not a guess."""
    catalog = catalog_of(connection)
    snapshot, books = _books(connection, stream, correlation_id)
    quotes = _quotes(connection, named_symbols(text, catalog), stream)
    return AssistantLook(context_of(catalog, books, quotes, now=stream.clock.now()), snapshot)


def named_symbols(text: str, catalog: Catalog) -> list[str]:
    """``EXCHANGE:TRADINGSYMBOL`` of every share the text names beyond doubt."""
    names = [item.names[0] for item in parse(clean(text).text, catalog=catalog).names if len(item.names) == 1]
    found = [
        symbol_of(exchange, name)
        for name in dict.fromkeys(names)
        for exchange in sorted(catalog.listing(name), reverse=True)
    ]
    return found[:MAX_QUOTES]


def _books(connection: BrokerConnection, stream: Stream, correlation_id: str) -> tuple[Snapshot | None, Books]:
    now = stream.clock.now()
    newest = latest_snapshot(connection)
    if newest is not None and _is_good(newest, connection, now):
        return newest, stored_books(newest)
    with stream.tool("take_snapshot", {"connection": connection.name}) as row:
        try:
            snapshot, books = take_snapshot(connection, correlation_id=correlation_id, now=now)
        except (BrokerError, Problem) as exc:
            row.result = "the broker did not answer" if isinstance(exc, BrokerError) else exc.text
            return newest, stored_books(newest) if newest else _nothing(now)
        row.ok, row.result = books.is_complete, _told(books)
    return snapshot, books


def _is_good(snapshot: Snapshot, connection: BrokerConnection, now: datetime) -> bool:
    """Young enough, and nothing of ours has moved since: "cancel that" must see the order made a second ago."""
    young = (now - snapshot.taken_at).total_seconds() <= settings.SNAPSHOT_AGE_AT_APPROVAL_S
    return young and not traded_since(connection, snapshot.taken_at)


def _told(books: Books) -> str:
    missing = [name for name, read in books.complete.items() if not read]
    return f"could not read {', '.join(missing)}" if missing else "all books read"


def _nothing(now: datetime) -> Books:
    return Books(now, None, None, None, None, None, None)


def _quotes(connection: BrokerConnection, symbols: list[str], stream: Stream) -> dict[str, Quote]:
    if not symbols:
        return {}
    with stream.tool("get_quotes", {"symbols": symbols}) as row:
        try:
            quotes = reader_for(connection).quotes(symbols)
        except BrokerError:
            row.result = "the broker did not answer"
            return {}
        row.ok, row.result = True, f"{len(quotes)} of {len(symbols)} read"
    return quotes
