"""Finding instruments in a master of a hundred thousand rows: a few short queries on indexes, ranked here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from django.db import connection
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from broker.domain import Exchange
from broker.instrument_query import Phrase, phrase_of, words_of
from broker.models import Instrument

CASH = "EQ"
DERIVATIVES = ("FUT", "CE", "PE")
NAMESAKES = 100
SHORT = 2  # a query this short would match half of all options: only cash is searched by it
_BY_EXCHANGE = Case(
    When(exchange=Exchange.NSE.value, then=Value(0)), When(exchange=Exchange.BSE.value, then=Value(1)),
    default=Value(2), output_field=IntegerField(),
)  # fmt: skip


def search(universe: str, query: str, limit: int, *, today: date) -> list[Instrument]:
    """The contracts that a phrase names, and nothing else; or, best first: the symbol itself, its beginning, a name's
    beginning (all in cash), contracts by symbol or underlying, any part of either. Expired contracts are left out."""
    words = words_of(query)
    if not words or limit < 1:
        return []
    rows = Instrument.objects.filter(universe=universe)
    named = _written_on(rows, phrase_of(query), limit, today)
    if named:
        return named
    found: dict[int, Instrument] = {}
    for tier in _tiers(rows, query, words, limit, today):
        for row in tier():
            found.setdefault(row.pk, row)
        if len(found) >= limit:
            break
    return list(found.values())[:limit]


def _tiers(
    rows: QuerySet[Instrument], query: str, words: tuple[str, ...], limit: int, today: date
) -> tuple[Callable[[], QuerySet[Instrument]], ...]:
    text, joined = " ".join(words), "".join(words)
    cash = rows.filter(instrument_type=CASH)
    on = query.upper().strip().partition(":")[0] if ":" in query else ""
    exact = rows.filter(instrument_type__in=(CASH, *DERIVATIVES), tradingsymbol__in={text, joined})
    ordered = (_BY_EXCHANGE, "tradingsymbol")
    return (
        lambda: (exact.filter(exchange=on) if on else exact).order_by(*ordered)[:limit],
        lambda: exact.order_by(*ordered)[:limit],
        lambda: _starting(cash, "tradingsymbol", joined).order_by(*ordered)[:limit],
        lambda: _starting(cash, "name", text).order_by(*ordered)[:limit],
        lambda: _contracts(rows, joined, limit, today),
        lambda: _with_words(cash, words).order_by(*ordered)[:limit],
    )


def _starting(rows: QuerySet[Instrument], field: str, text: str) -> QuerySet[Instrument]:
    """Rows whose ``field`` begins so, by an index on both engines: a range where LIKE would not use one."""
    if connection.vendor == "postgresql":
        return rows.filter(**{f"{field}__startswith": text})
    return rows.filter(**{f"{field}__gte": text, f"{field}__lt": text + "\U0010ffff"})


def _contracts(rows: QuerySet[Instrument], text: str, limit: int, today: date) -> QuerySet[Instrument]:
    """Futures and options whose symbol begins so, or on an underlying of that very name, the nearest first."""
    if len(text) <= SHORT:
        return rows.none()
    living = rows.filter(instrument_type__in=DERIVATIVES, expiry__gte=today.isoformat())
    named = living.filter(name=text)
    chosen = named if named.exists() else _starting(living, "tradingsymbol", text)
    futures_first = Case(When(instrument_type="FUT", then=Value(0)), default=Value(1), output_field=IntegerField())
    return chosen.order_by(futures_first, "expiry", "strike", "tradingsymbol")[:limit]


def _with_words(cash: QuerySet[Instrument], words: tuple[str, ...]) -> QuerySet[Instrument]:
    for word in words:
        cash = cash.filter(Q(tradingsymbol__icontains=word) | Q(name__icontains=word))
    return cash


def _written_on(rows: QuerySet[Instrument], phrase: Phrase | None, limit: int, today: date) -> list[Instrument]:
    """The contracts a phrase names, nearest expiry first."""
    if phrase is None:
        return []
    for name in _underlyings(rows, phrase.underlying):
        for reading in phrase.readings():
            first, last = reading.expiries(today)
            chosen = rows.filter(
                name=name, instrument_type__in=reading.types, expiry__gte=first, expiry__lte=last
            )  # fmt: skip
            if reading.strike is not None:
                chosen = chosen.filter(strike=reading.strike)
            found = list(chosen.order_by("expiry", "strike", "instrument_type", "tradingsymbol")[:limit])
            if found:
                return found
    return []


def _underlyings(rows: QuerySet[Instrument], words: tuple[str, ...]) -> Iterator[str]:
    """Names contracts could have: the words as one (``BANK NIFTY``), the symbol of the company they begin to name."""
    yield "".join(words)
    cash = rows.filter(instrument_type=CASH, exchange=Exchange.NSE.value)
    named = _starting(cash, "name", " ".join(words)).order_by().values_list("name", "tradingsymbol")[:NAMESAKES]
    yield from (symbol for _, symbol in sorted(named)[:1])
