"""What we expect against what the broker says, and what can be done about each difference (CONTROLS section 3).

A part of the books that could not be read is skipped, never taken for empty; orders under way and fresh fills are
allowed for, since order book, trades and positions are read at different moments (FACTS c9, FAULTS A54).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from broker.domain import Books, InstrumentInfo, Product, Side, Trade
from execution.deltas import RANK, Delta, DeltaCode, foreign_order, missing_fill, missing_order, order_deltas
from execution.domain import IntentState, IntentView
from execution.exposure import Held, PoolKeys, combine, pool_keys
from execution.ledger import LedgerPositions
from execution.tags import our_tag_of
from sigmatrader.audit.canonical import decimal_text

MAX_DELTAS = 50
YOUNG_S = 10.0
CASH_TOLERANCE_PERCENT = Decimal(2)
HUNDRED = Decimal(100)
PoolKey = tuple[str, str]


class RunStatus(StrEnum):
    OK = "ok"
    DELTAS = "deltas"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Report:
    """``deltas`` holds the worst first and at most MAX_DELTAS; ``delta_count`` counts all. ``skipped`` names the parts
    that could not be read; ``allowed`` counts differences that orders under way explain."""

    status: RunStatus
    deltas: tuple[Delta, ...]
    delta_count: int
    holdings_checked: int
    positions_checked: int
    orders_checked: int
    skipped: tuple[str, ...] = ()
    allowed: int = 0

    @property
    def note(self) -> str:
        """What was left out, in one sentence; empty when nothing was."""
        return f"Not read, so not compared: {', '.join(self.skipped)}." if self.skipped else ""


@dataclass(frozen=True, slots=True)
class Known:
    """What our own records already account for.

    ``orders`` are broker order ids we have a row for, ``trades`` booked trade ids. Trades before ``opened_at`` are part
    of the opening books. ``cash`` is the expected buying power, None if we expect nothing particular.
    """

    orders: Collection[str] = ()
    trades: Collection[str] = ()
    opened_at: datetime | None = None
    cash: Decimal | None = None
    instruments: Mapping[str, InstrumentInfo] = field(default_factory=dict)


def compare(
    expected: LedgerPositions,
    intents: Sequence[IntentView],
    books: Books,
    *,
    known: Known,
    now: datetime,
    young_s: float = YOUNG_S,
    max_deltas: int = MAX_DELTAS,
) -> Report:
    """Compares the ledger and our intents with one read of the account.

    ``intents`` are all that may still move and those that ended today.
    """
    run = _Run(expected, tuple(intents), books, known, now - timedelta(seconds=young_s))
    pools = run.pools()
    deltas, allowed = run.position_deltas(pools)
    deltas += [*run.intent_deltas(), *run.foreign_deltas(), *run.trade_deltas(), *run.cash_deltas()]
    deltas.sort(key=lambda delta: (RANK[delta.severity], delta.symbol, delta.code, delta.broker_order_id))
    skipped = tuple(name for name, complete in books.complete.items() if not complete)
    status = RunStatus.DELTAS if deltas else RunStatus.SKIPPED if skipped else RunStatus.OK
    return Report(
        status=status,
        deltas=tuple(deltas[:max_deltas]),
        delta_count=len(deltas),
        holdings_checked=sum(1 for _, product in pools if product == Product.CNC),
        positions_checked=sum(1 for _, product in pools if product != Product.CNC),
        orders_checked=len(books.orders or ()),
        skipped=skipped,
        allowed=allowed,
    )


@dataclass(frozen=True, slots=True)
class _Pool:
    """One pool from both sides: expected units, the broker's rows (None: nothing there), and what may be on its way."""

    symbol: str
    product: str
    expected: int
    held: Held | None
    least: int  # how far below, and
    most: int  # how far above the expected quantity orders under way and unbooked fills may have brought it


@dataclass(frozen=True, slots=True)
class _Run:
    expected: LedgerPositions
    intents: tuple[IntentView, ...]
    books: Books
    known: Known
    young_since: datetime

    def pools(self) -> dict[PoolKey, _Pool]:
        """Every pool that can be compared: delivery needs holdings and positions, the rest positions."""
        if self.books.positions_net is None:
            return {}
        keys = pool_keys(instruments=self.known.instruments, holdings=self.books.holdings or ())
        actual = combine(holdings=self.books.holdings or (), positions=self.books.positions_net, keys=keys)
        wanted: dict[PoolKey, int] = {}
        symbols: dict[PoolKey, str] = {key: held.symbol for key, held in actual.items()}
        for position in self.expected.values():
            key = keys.of(position.symbol, position.product)
            wanted[key] = wanted.get(key, 0) + position.quantity
            symbols.setdefault(key, position.symbol)
        found = {}
        for key in sorted(symbols):
            if key[1] == Product.CNC and self.books.holdings is None:
                continue
            least, most = self._on_its_way(key, keys)
            found[key] = _Pool(symbols[key], key[1], wanted.get(key, 0), actual.get(key), least, most)
        return found

    def _on_its_way(self, key: PoolKey, keys: PoolKeys) -> tuple[int, int]:
        sells, buys = 0, 0
        for intent in self.intents:
            if keys.of(intent.symbol, intent.product.value) != key or not self._may_move(intent):
                continue
            if intent.side is Side.BUY:
                buys += intent.quantity
            else:
                sells += intent.quantity
        for trade in self.unbooked():
            if keys.of(trade.symbol, trade.product) == key:
                buys += trade.quantity if trade.side == Side.BUY else 0
                sells += trade.quantity if trade.side != Side.BUY else 0
        return sells, buys

    def _may_move(self, intent: IntentView) -> bool:
        """Under way, in doubt, or so fresh that its fills may be in one book and not yet in the other."""
        if intent.state.is_in_flight or intent.state is IntentState.NEEDS_REVIEW:
            return True
        fresh = intent.updated_at is not None and intent.updated_at > self.young_since
        return fresh and intent.filled_quantity > 0

    def position_deltas(self, pools: Mapping[PoolKey, _Pool]) -> tuple[list[Delta], int]:
        """(differences nothing under way explains, how many are explained)."""
        deltas, allowed = [], 0
        for pool in pools.values():
            readings = (pool.held.quantity, pool.held.other) if pool.held is not None else (0,)
            if pool.expected in readings:
                continue
            if any(-pool.least <= actual - pool.expected <= pool.most for actual in readings):
                allowed += 1
            else:
                deltas.append(_position_delta(pool, readings[0]))
        return deltas, allowed

    def intent_deltas(self) -> Iterator[Delta]:
        """Our orders as the broker's book has them; nothing without a complete book."""
        if self.books.orders is None:
            return
        rows = {order.broker_order_id: order for order in self.books.orders}
        with_trades = {trade.broker_order_id for trade in self.unbooked()}  # told trade by trade instead
        for intent in self.intents:
            if not intent.broker_order_id or self._is_young(intent):
                continue
            row = rows.get(intent.broker_order_id)
            if row is not None:
                unbooked = intent.broker_order_id in with_trades
                yield from (d for d in order_deltas(intent, row) if not (unbooked and d.code is DeltaCode.FILL_MISSING))
            elif intent.state in (IntentState.ACKED, IntentState.WORKING):
                yield missing_order(intent)

    def _is_young(self, intent: IntentView) -> bool:
        return intent.updated_at is not None and intent.updated_at > self.young_since

    def foreign_deltas(self) -> Iterator[Delta]:
        """Orders we have no record of; one that bears a tag of our form is a lost record of our own."""
        ours = {intent.broker_order_id for intent in self.intents if intent.broker_order_id}
        tags = {intent.tag for intent in self.intents if intent.tag}
        for order in self.books.orders or ():
            if order.broker_order_id in ours or order.broker_order_id in self.known.orders:
                continue
            tag = our_tag_of(order)
            if not any(order.bears(known) for known in tags):
                yield foreign_order(order, tagged=bool(tag))

    def unbooked(self) -> Iterator[Trade]:
        """Trades since the opening that the ledger does not know."""
        for trade in self.books.trades or ():
            old = (
                self.known.opened_at is not None
                and trade.filled_at is not None
                and trade.filled_at < self.known.opened_at
            )
            if trade.trade_id not in self.known.trades and not old:
                yield trade

    def trade_deltas(self) -> Iterator[Delta]:
        """Each trade the ledger lacks, unless it is so fresh that it is about to be booked."""
        for trade in self.unbooked():
            if trade.filled_at is None or trade.filled_at <= self.young_since:
                yield missing_fill(trade)

    def cash_deltas(self) -> Iterator[Delta]:
        """The broker wins; told only above the tolerance and with nothing under way."""
        segment = (self.books.margins or {}).get("equity")
        expected = self.known.cash
        if segment is None or expected is None or any(self._may_move(intent) for intent in self.intents):
            return
        difference = segment.net - expected
        if abs(difference) * HUNDRED > CASH_TOLERANCE_PERCENT * max(abs(expected), abs(segment.net)):
            yield Delta(
                DeltaCode.CASH_DIFFERS,
                f"Buying power is {decimal_text(segment.net)}, {decimal_text(expected)} was expected.",
                expected=decimal_text(expected),
                actual=decimal_text(segment.net),
                difference=decimal_text(difference),
            )


def _position_delta(pool: _Pool, actual: int) -> Delta:
    turned = pool.expected * actual < 0
    return Delta(
        DeltaCode.POSITION_SIGN if turned else DeltaCode.POSITION_DIFFERS,
        f"{pool.symbol} {pool.product}: {pool.expected} expected, the broker has {actual}.",
        expected=str(pool.expected),
        actual=str(actual),
        difference=f"{actual - pool.expected:+d}",
        symbol=pool.symbol,
        product=pool.product,
    )
