"""Bringing the live master up to date: the day's whole list where a broker has one, else what its search tells.

Kite Connect lists everything once a day. Kite's MCP server only searches, so there rows are learnt as they are asked
for, kept, and asked for again when they are older than a day. No network call in a transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from zoneinfo import ZoneInfo

from broker import factory, instruments
from broker.domain import Books, BrokerKind, InstrumentInfo
from broker.instrument_query import phrase_of, words_of
from broker.instrument_rows import Skipped, infos_of
from broker.instrument_search import search
from broker.models import BrokerConnection, Instrument
from broker.ports import BrokerError, BrokerReader
from broker.selectors import latest_snapshot
from broker.snapshots import stored_books
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import SystemEvent
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

IST = ZoneInfo("Asia/Kolkata")
REFRESHED = "INSTRUMENTS_REFRESHED"
LEARN_MAX = 100  # symbols asked for in one run: ten seconds of the budget of reads
ROWS_MAX = 2_000  # rows kept of one answer: a short query can return thousands
ASKED_AGAIN_S = 600.0
SHORTEST = 3
Dump = Callable[[], Iterable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many instruments were stored, how many rows could not be read, and the first fault among those."""

    rows: int
    skipped: int = 0
    first_fault: str = ""


def refresh(connection: BrokerConnection, *, now: datetime) -> Refreshed:
    """Reads the day's list, or asks for what the account holds and does not know; written down as a system event.

    Raises BrokerError as a read does; what was stored until then stays. Problem 409 as the factory does.
    """
    today = _today(now)
    if not connection.is_live:
        return Refreshed(instruments.load(instruments.PAPER))
    reader = factory.reader_for(connection)
    dump: Dump | None = getattr(reader, "instrument_dump", None)
    rows = dump() if dump is not None else _asked(reader, _to_learn(connection, today))
    skipped = Skipped()
    stored = instruments.upsert(instruments.LIVE, infos_of(rows, skipped), seen_on=today)
    instruments.mark_closing_auction(instruments.LIVE)
    _say(connection, stored, skipped, now=now)
    return Refreshed(stored, skipped.rows, skipped.first)


def is_due(connection: BrokerConnection, *, now: datetime) -> bool:
    """Whether this connection's list was not yet read on this day in India."""
    day = datetime.combine(_today(now), datetime.min.time(), IST)
    events = SystemEvent.objects.filter(category=EventCategory.KITE_MCP.value, ts__gte=day)
    return not events.filter(event_type=REFRESHED, account=connection.account).exists()


def find(connection: BrokerConnection, query: str, limit: int, *, now: datetime) -> list[InstrumentInfo]:
    """As ``selectors.find_instruments``; a broker with a search of its own is asked for what we have no good match of.

    Raises BrokerError, or Problem 409 as the factory does, if that fails and we know nothing that matches.
    """
    universe, today = instruments.universe_of(connection), _today(now)
    found = search(universe, query, limit, today=today)
    if connection.kind == BrokerKind.KITE_MCP.value and not _is_match(found, query, today):
        try:
            if _learn(connection, query, today):
                found = search(universe, query, limit, today=today)
        except (BrokerError, Problem):
            if not found:
                raise
    return [row.info() for row in found]


def known(connection: BrokerConnection, symbols: Sequence[str], *, now: datetime) -> dict[str, InstrumentInfo]:
    """As ``selectors.instrument_infos``; what is unknown, or not seen since the day before yesterday, is asked for
    where the broker can be asked. One it cannot tell of either is absent. Raises BrokerError as a read does."""
    universe, today = instruments.universe_of(connection), _today(now)
    if connection.kind != BrokerKind.KITE_MCP.value:
        return instruments.lookup(universe, symbols)
    fresh = {row.symbol for row in instruments.rows_of(universe, symbols) if not instruments.is_stale(row, today)}
    for symbol in islice((s for s in dict.fromkeys(symbols) if s not in fresh), LEARN_MAX):
        _learn(connection, symbol, today)
    return instruments.lookup(universe, symbols)


# --- asking --------------------------------------------------------------------------------------------------------
class _Asked:
    """What was asked for of late, so that a word nobody knows is not asked for at every key pressed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[tuple[str, str], float] = {}

    def claim(self, account: str, query: str) -> bool:
        """False if this account asked so within ten minutes."""
        now = time.monotonic()
        with self._lock:
            self._at = {key: at for key, at in self._at.items() if now - at < ASKED_AGAIN_S}
            if (account, query) in self._at:
                return False
            self._at[account, query] = now
            return True

    def release(self, account: str, query: str) -> None:
        with self._lock:
            self._at.pop((account, query), None)


asked = _Asked()


def _learn(connection: BrokerConnection, query: str, today: date) -> int:
    """Asks the broker's search and keeps what it tells; returns how many rows. Asked of late: none."""
    text = question(query)
    if len(text) < SHORTEST or not asked.claim(connection.account, text):
        return 0
    try:
        rows = factory.reader_for(connection).instruments(text)
    except (BrokerError, Problem):
        asked.release(connection.account, text)
        raise
    return instruments.upsert(instruments.LIVE, infos_of(islice(rows, ROWS_MAX), Skipped()), seen_on=today)


def question(query: str) -> str:
    """The part of a symbol that the broker's search is asked for: it matches ``EXCHANGE:TRADINGSYMBOL`` anywhere.

    A contract's symbol ends in strike and type (``24500CE``), a future's bears its month (``RELIANCE26NOVFUT``).
    """
    phrase = phrase_of(query)
    if phrase is None:
        exchange, colon, name = query.strip().upper().partition(":")
        return f"{exchange}:{name}" if colon and name else "".join(words_of(query))
    if phrase.strike is not None and len(phrase.types) == 1:
        return f"{phrase.strike.normalize():f}{phrase.types[0]}"
    return "".join(phrase.underlying)


def _is_match(found: Sequence[Instrument], query: str, today: date) -> bool:
    """Whether the first hit is what was asked for, and seen of late."""
    if not found or instruments.is_stale(found[0], today):
        return False
    return phrase_of(query) is not None or found[0].tradingsymbol == "".join(words_of(query))


def _asked(reader: BrokerReader, symbols: Iterable[str]) -> Iterator[Mapping[str, object]]:
    return chain.from_iterable(islice(reader.instruments(symbol), ROWS_MAX) for symbol in symbols)


def _to_learn(connection: BrokerConnection, today: date) -> list[str]:
    """What the account holds or has orders in, and was not seen today."""
    snapshot = latest_snapshot(connection)
    symbols = _symbols(stored_books(snapshot)) if snapshot is not None else []
    seen = instruments.rows_of(instruments.LIVE, symbols)
    fresh = {row.symbol for row in seen if row.seen_on is not None and row.seen_on >= today}
    return [symbol for symbol in symbols if symbol not in fresh][:LEARN_MAX]


def _symbols(books: Books) -> list[str]:
    held = [row.symbol for row in books.holdings or ()] + [row.symbol for row in books.positions_net or ()]
    return list(dict.fromkeys(held + [row.symbol for row in books.orders or ()]))


def _say(connection: BrokerConnection, stored: int, skipped: Skipped, *, now: datetime) -> None:
    text = f"{stored} instruments of {connection.name} were read."
    if skipped.rows:
        text += f" {skipped.rows} rows were left out as unreadable."
    record_system_event(
        category=EventCategory.KITE_MCP, event_type=REFRESHED, message=text, now=now,
        level=EventLevel.WARNING if skipped.rows else EventLevel.INFO, account=connection.account,
        details={"rows": stored, "skipped": skipped.rows, "first_fault": skipped.first},
        owner=str(connection.owner_id),
    )  # fmt: skip


def _today(now: datetime) -> date:
    return now.astimezone(IST).date()
