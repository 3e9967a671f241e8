"""Sentences that work right now, one a mode, made from what the trader holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from broker.domain import Books, Holding
from broker.models import BrokerConnection
from broker.selectors import latest_snapshot
from broker.snapshots import stored_books


@dataclass(frozen=True, slots=True)
class Example:
    mode: str
    label: str
    text: str


def examples_for(connection: BrokerConnection | None) -> Sequence[Example]:
    """Examples from the latest stored books; general ones while nothing is held or read."""
    snapshot = latest_snapshot(connection) if connection else None
    return examples_of(stored_books(snapshot) if snapshot else None)


def examples_of(books: Books | None) -> Sequence[Example]:
    """The same, from books already at hand. Pure."""
    held = sorted(books.holdings or (), key=_value, reverse=True) if books else []
    return (
        Example("analyze", "Analyze", "what did I make today?" if held else "how much cash is free to trade?"),
        Example("execute", "Execute", _order(books)),
        Example("explain", "Explain", "explain my last order"),
    )


def _order(books: Books | None) -> str:
    quote = books.quotes.get("NSE:INFY") if books else None
    held = next((row for row in (books.holdings or ()) if row.symbol == "NSE:INFY"), None) if books else None
    last = quote.last_price if quote else held.last_price if held else Decimal(1500)
    return f"buy 10 INFY at {last.quantize(Decimal(1))}"


def _value(holding: Holding) -> Decimal:
    return holding.owned * holding.last_price
