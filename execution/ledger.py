"""What we expect to own: the opening books, then our fills and the differences a person accepted, folded by pool.

Quantities are signed, prices rupees. Entries are never changed; a correction is another entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from broker.domain import Books, InstrumentInfo, Side, Trade
from execution.exposure import combine, pool_keys

ZERO = Decimal(0)


class EntryKind(StrEnum):
    OPENING = "opening"
    FILL = "fill"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. ``price`` is None where no price was paid or known."""

    kind: EntryKind
    symbol: str
    product: str
    quantity: int
    price: Decimal | None = None
    trade_id: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class LedgerPosition:
    """The expected size of one (symbol, product) and what was paid for it on average, None where unknown."""

    symbol: str
    product: str
    quantity: int
    average_price: Decimal | None = None


LedgerPositions = Mapping[tuple[str, str], LedgerPosition]


class BooksIncomplete(ValueError):
    """The books cannot be taken over: a part of them was not read."""


def fold(entries: Iterable[Entry]) -> dict[tuple[str, str], LedgerPosition]:
    """Expected positions by (symbol, product), in the order of the entries. A fill counts once by its trade id."""
    positions: dict[tuple[str, str], LedgerPosition] = {}
    seen: set[str] = set()
    for entry in entries:
        if entry.trade_id and entry.trade_id in seen:
            continue
        seen.add(entry.trade_id)
        key = (entry.symbol, entry.product)
        before = positions.get(key, LedgerPosition(entry.symbol, entry.product, 0))
        positions[key] = _add(before, entry)
    return positions


def _add(before: LedgerPosition, entry: Entry) -> LedgerPosition:
    quantity = before.quantity + entry.quantity
    return LedgerPosition(before.symbol, before.product, quantity, _average(before, entry, quantity))


def _average(before: LedgerPosition, entry: Entry, quantity: int) -> Decimal | None:
    """Adding averages, reducing keeps the average, going through zero starts a new one."""
    if quantity == 0:
        return None
    if before.quantity == 0:
        return entry.price
    if before.quantity * entry.quantity > 0:
        if before.average_price is None or entry.price is None:
            return None
        return (before.average_price * before.quantity + entry.price * entry.quantity) / quantity
    return before.average_price if before.quantity * quantity > 0 else entry.price


def opening_entries(books: Books, *, instruments: Mapping[str, InstrumentInfo]) -> tuple[Entry, ...]:
    """One entry for everything the books hold, from the connection's first complete snapshot.

    Raises BooksIncomplete when holdings or net positions were not read: absent is never empty.
    """
    if books.holdings is None or books.positions_net is None:
        raise BooksIncomplete("holdings and positions must both be read before books are taken over")
    keys = pool_keys(instruments=instruments, holdings=books.holdings)
    pools = combine(holdings=books.holdings, positions=books.positions_net, keys=keys)
    return tuple(
        Entry(EntryKind.OPENING, held.symbol, held.product, held.quantity, held.average_price, note="taken over")
        for held in pools.values()
        if held.quantity != 0
    )


def fill_entry(trade: Trade) -> Entry:
    """The entry of one trade: bought is plus, sold is minus. Raises ValueError for a side that is neither."""
    sign = Side(trade.side).sign
    return Entry(
        EntryKind.FILL, trade.symbol, trade.product, sign * trade.quantity, trade.average_price, trade_id=trade.trade_id
    )


def adjustment_entries(position: LedgerPosition, *, actual: int, note: str) -> tuple[Entry, ...]:
    """What accepting the broker's quantity takes: one entry, or two when the sign turns (close, then open)."""
    expected = position.quantity
    steps = (actual - expected,) if expected * actual >= 0 else (-expected, actual)
    return tuple(
        Entry(EntryKind.ADJUSTMENT, position.symbol, position.product, change, note=note) for change in steps if change
    )
