"""A broker in memory for tests of everything above the port, no kinder than the real one.

An ack is not acceptance; statuses come in steps, one per read of the order book; a refused cancel says nothing; an
unknown outcome may or may not have left an order. What becomes of each placement is scripted:

    broker = FakeBroker()
    broker.script(Outcome.UNKNOWN_ACCEPTED)                       # next placement: error, but the order exists
    broker.script(Outcome.ACK, statuses=partial(4, 10))           # 4 filled, then all
    with install(connection, broker): ...
    assert [order.tag for order in broker.placed] == [...]        # every write that reached the broker
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from broker.domain import (
    Books,
    BrokerOrder,
    Candle,
    DepthLevel,
    Holding,
    MarginSegment,
    MarketState,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Position,
    Profile,
    Quote,
    SessionPhase,
    Side,
    Trade,
    split_symbol,
)
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerUnavailable,
)

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
ZERO = Decimal(0)
DEFAULT_QUOTES = {
    "NSE:INFY": Decimal("1499.50"),
    "NSE:TCS": Decimal("3420.00"),
    "NSE:RELIANCE": Decimal("1401.50"),
    "NSE:SBIN": Decimal("812.35"),
    "NSE:HDFCBANK": Decimal("958.20"),
    "NSE:ITC": Decimal("428.60"),
}


class Outcome(StrEnum):
    """What the broker answers to one write, and whether it took it."""

    ACK = "ack"
    REJECT = "reject"  # a definite refusal: BrokerRejected, no order
    UNKNOWN_ACCEPTED = "unknown_accepted"  # BrokerOutcomeUnknown, the order is there
    UNKNOWN_LATE = "unknown_late"  # as before, but it appears only after `late_reads` reads of the book
    UNKNOWN_NOT_ACCEPTED = "unknown_not_accepted"  # BrokerOutcomeUnknown, there is no order
    UNAVAILABLE = "unavailable"  # BrokerUnavailable: provably not sent
    AUTH_EXPIRED = "auth_expired"  # BrokerAuthExpired: provably not sent
    CRASH_BEFORE = "crash_before"  # our process dies before the bytes leave
    CRASH_AFTER = "crash_after"  # our process dies after the broker took it


class ProcessKilled(BaseException):
    """Stands for kill -9: nothing below may catch it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One state an order passes through: Kite's status word and the quantity filled by then."""

    status: str
    filled: int = 0
    message: str = ""
    cancelled: int = 0


ARRIVAL = (Step("PUT ORDER REQ RECEIVED"), Step("VALIDATION PENDING"), Step("OPEN PENDING"), Step("OPEN"))


def fills(quantity: int) -> tuple[Step, ...]:
    """The normal way: all transitional states, then COMPLETE."""
    return (*ARRIVAL, Step("COMPLETE", quantity))


def partial(*filled: int) -> tuple[Step, ...]:
    """Fills up to each figure in turn; the last one completes the order."""
    return (*ARRIVAL, *(Step("OPEN", upto) for upto in filled[:-1]), Step("COMPLETE", filled[-1]))


def stays_open() -> tuple[Step, ...]:
    return ARRIVAL


def rejected(
    message: str = "Insufficient funds. Required margin is 15000.00 but available margin is 10.00.",
) -> tuple[Step, ...]:
    """Acked first, refused a moment later."""
    return (*ARRIVAL[:2], Step("REJECTED", 0, message))


def cancelled_by_exchange(filled: int = 0, quantity: int = 0) -> tuple[Step, ...]:
    """Cancelled (an IOC remainder, the day's end), possibly after some fills."""
    return (*ARRIVAL, Step("CANCELLED", filled, "", quantity - filled))


@dataclass(frozen=True, slots=True)
class Sent:
    """One write that reached the broker."""

    kind: str  # place | modify | cancel
    order: PlaceOrder | ModifyOrder | str
    outcome: Outcome


@dataclass(slots=True)
class _Script:
    outcome: Outcome = Outcome.ACK
    statuses: tuple[Step, ...] | None = None
    late_reads: int = 3
    text: str = ""


@dataclass(slots=True)
class _Live:
    request: PlaceOrder
    order_id: str
    steps: deque[Step]
    current: Step
    placed_at: datetime
    updated_at: datetime
    hidden_reads: int = 0
    variety: str = "regular"
    history: list[BrokerOrder] = field(default_factory=list)
    average_price: Decimal = ZERO


class FakeBroker:
    """Implements BrokerAdapter. ``sent`` has every write, also those whose answer was lost; ``reads`` counts reads."""

    def __init__(
        self,
        *,
        now: datetime = START,
        prices: Mapping[str, Decimal] = DEFAULT_QUOTES,
        holdings: Iterable[Holding] = (),
        cash: Decimal = Decimal("1000000.00"),
        steps_per_read: int = 1,
    ) -> None:
        self.now = now
        self.prices = dict(prices)
        self.cash = cash
        self.phase = SessionPhase.CONTINUOUS
        self.steps_per_read = steps_per_read
        self.sent: list[Sent] = []
        self.reads: dict[str, int] = {}
        self.foreign_orders: list[BrokerOrder] = []
        self.before_place: Callable[[PlaceOrder], None] | None = None
        self.closed = False
        self._holdings = list(holdings)
        self._scripts: dict[str, deque[_Script]] = {"place": deque(), "modify": deque(), "cancel": deque()}
        self._failures: dict[str, deque[BrokerError]] = {}
        self._orders: dict[str, _Live] = {}
        self._trades: list[Trade] = []
        self._next_id = 261123000000001
        self._lock = threading.RLock()

    # --- scripting ---------------------------------------------------------------------------------------------
    def script(
        self,
        outcome: Outcome = Outcome.ACK,
        *,
        kind: str = "place",
        statuses: tuple[Step, ...] | None = None,
        late_reads: int = 3,
        text: str = "",
    ) -> None:
        """What happens to the next unscripted write of this kind; unscripted ones are ACK and fill at the limit."""
        self._scripts[kind].append(_Script(outcome, statuses, late_reads, text))

    def fail_read(self, part: str, error: BrokerError, *, times: int = 1) -> None:
        """The next reads of ``part`` (a method's name) raise ``error``."""
        self._failures.setdefault(part, deque()).extend([error] * times)

    def step(self, count: int = 1) -> None:
        """Moves every live order on by ``count`` states, as time does."""
        with self._lock:
            for _ in range(count):
                for live in self._orders.values():
                    self._advance(live)

    def run_to_end(self) -> None:
        """Moves every order to the last state of its script."""
        self.step(max((len(live.steps) for live in self._orders.values()), default=0))

    @property
    def placed(self) -> list[PlaceOrder]:
        """Placements that reached the broker, whatever was answered."""
        return [row.order for row in self.sent if isinstance(row.order, PlaceOrder)]

    def order_count(self) -> int:
        """Orders that exist at the broker, hidden ones included."""
        return len(self._orders)

    # --- writes ------------------------------------------------------------------------------------------------
    def place_order(self, order: PlaceOrder) -> str:
        if self.before_place is not None:
            self.before_place(order)
        with self._lock:
            script = self._take("place")
            _raise_unsent(script)
            self.sent.append(Sent("place", order, script.outcome))
            if script.outcome is Outcome.REJECT:
                raise BrokerRejected(script.text or "Order refused")
            if script.outcome is Outcome.UNKNOWN_NOT_ACCEPTED:
                raise BrokerOutcomeUnknown(script.text or "Failed to place order")
            live = self._accept(order, script)
        _raise_after(script, "Failed to place order")
        return live.order_id

    def modify_order(self, order: ModifyOrder) -> str:
        with self._lock:
            script = self._take("modify")
            _raise_unsent(script)
            self.sent.append(Sent("modify", order, script.outcome))
            live = self._orders.get(order.broker_order_id)
            refused = live is None or live.current.status not in ("OPEN", "TRIGGER PENDING")
            if refused or script.outcome in (Outcome.UNKNOWN_NOT_ACCEPTED, Outcome.REJECT):
                raise BrokerOutcomeUnknown(script.text or "Failed to modify order")
            assert live is not None
            self._apply_modify(live, order)
        _raise_after(script, "Failed to modify order")
        return order.broker_order_id

    def cancel_order(self, broker_order_id: str, variety: str) -> str:
        with self._lock:
            script = self._take("cancel")
            _raise_unsent(script)
            self.sent.append(Sent("cancel", broker_order_id, script.outcome))
            live = self._orders.get(broker_order_id)
            working = live is not None and live.current.status in ("OPEN", "TRIGGER PENDING")
            if not working or script.outcome in (Outcome.UNKNOWN_NOT_ACCEPTED, Outcome.REJECT):
                raise BrokerOutcomeUnknown(script.text or "Failed to cancel order")
            assert live is not None
            filled = live.current.filled
            rest = live.request.quantity - filled
            live.steps = deque(script.statuses or (Step("CANCELLED", filled, "", rest),))
            self._set(live, Step("CANCEL PENDING", filled))
        _raise_after(script, "Failed to cancel order")
        return broker_order_id

    # --- reads -------------------------------------------------------------------------------------------------
    def profile(self) -> Profile:
        self._read("profile")
        return Profile("PT0001", "Practice Trader")

    def holdings(self) -> tuple[Holding, ...]:
        self._read("holdings")
        return tuple(replace(row, last_price=self.prices.get(row.symbol, row.last_price)) for row in self._holdings)

    def positions(self) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
        self._read("positions")
        with self._lock:
            keys = sorted({(trade.symbol, trade.product) for trade in self._trades})
            rows = tuple(self._position(symbol, product) for symbol, product in keys)
        return rows, rows

    def orders(self) -> tuple[BrokerOrder, ...]:
        self._read("orders")
        with self._lock:
            rows = []
            for live in self._orders.values():
                if live.hidden_reads > 0:
                    live.hidden_reads -= 1
                    continue
                rows.append(self._row(live))
            self.step(self.steps_per_read)
            return (*rows, *self.foreign_orders)

    def order_history(self, broker_order_id: str) -> tuple[BrokerOrder, ...]:
        self._read("order_history")
        with self._lock:
            if broker_order_id not in self._orders:
                raise BrokerUnavailable("Failed to get order history")
            return tuple(self._orders[broker_order_id].history)

    def trades(self) -> tuple[Trade, ...]:
        self._read("trades")
        return tuple(self._trades)

    def margins(self) -> Mapping[str, MarginSegment]:
        self._read("margins")
        with self._lock:
            bought = sum((t.average_price * t.quantity * Side(t.side).sign for t in self._trades), ZERO)
            net = self.cash - bought
        equity = MarginSegment(True, net, self.cash, self.cash, net, ZERO, bought)
        return {"equity": equity, "commodity": MarginSegment(False, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)}

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        self._read("quotes")
        return {symbol: self._quote(symbol) for symbol in symbols if symbol in self.prices}

    def candles(self, instrument_token: int, interval: str, start: datetime, end: datetime) -> tuple[Candle, ...]:
        self._read("candles")
        price = next(iter(self.prices.values()))
        return (Candle(start, price, price, price, price, 1000),)

    def instruments(self, query: str) -> list[Mapping[str, object]]:
        self._read("instruments")
        return [{"id": symbol} for symbol in self.prices if query.upper() in symbol]

    def market_state(self) -> MarketState:
        self._read("market_state")
        return MarketState(now=self.now, phase=self.phase, practice=True, note="fake")

    def tools(self) -> list[Mapping[str, object]]:
        self._read("tools")
        return [
            {"name": name, "inputSchema": {}} for name in ("cancel_order", "get_orders", "modify_order", "place_order")
        ]

    def call_read_tool(self, name: str, arguments: Mapping[str, object]) -> object:
        if not name.startswith("get_"):
            raise ValueError(name)
        self._read(name)
        return []

    def books(self, symbols: Sequence[str] = ()) -> Books:
        parts: dict[str, Any] = {}
        faults: dict[str, str] = {}
        for name in ("holdings", "positions", "orders", "trades", "margins"):
            try:
                parts[name] = getattr(self, name)()
            except BrokerError as exc:
                faults[name] = f"{type(exc).__name__}: {exc.text}"
        net, day = parts.get("positions") or (None, None)
        quotes = self.quotes(symbols) if symbols else {}
        return Books(
            self.now, parts.get("holdings"), net, day, parts.get("orders"), parts.get("trades"), parts.get("margins"),
            quotes, faults,
        )  # fmt: skip

    def close(self) -> None:
        self.closed = True

    # --- inside ------------------------------------------------------------------------------------------------
    def _take(self, kind: str) -> _Script:
        return self._scripts[kind].popleft() if self._scripts[kind] else _Script()

    def _read(self, part: str) -> None:
        with self._lock:
            self.reads[part] = self.reads.get(part, 0) + 1
            if self._failures.get(part):
                raise self._failures[part].popleft()

    def _accept(self, order: PlaceOrder, script: _Script) -> _Live:
        order_id = str(self._next_id)
        self._next_id += 1
        steps = deque(script.statuses or fills(order.quantity))
        hidden = script.late_reads if script.outcome is Outcome.UNKNOWN_LATE else 0
        live = _Live(order, order_id, steps, steps[0], self.now, self.now, hidden, order.variety.value)
        self._orders[order_id] = live
        self._advance(live)
        return live

    def _advance(self, live: _Live) -> None:
        if live.hidden_reads == 0 and live.steps:
            self._set(live, live.steps.popleft())

    def _set(self, live: _Live, step: Step) -> None:
        gained = step.filled - (live.current.filled if live.history else 0)
        live.current = step
        live.updated_at = self.now = self.now + timedelta(milliseconds=10)
        if gained > 0:
            self._fill(live, gained)
        live.history.append(self._row(live))

    def _fill(self, live: _Live, quantity: int) -> None:
        request = live.request
        price = self.prices.get(request.symbol, request.limit_price or ZERO)
        if request.limit_price is not None:
            price = min(price, request.limit_price) if request.side is Side.BUY else max(price, request.limit_price)
        live.average_price = price
        trade_id = str(10_000_000 + len(self._trades))
        self._trades.append(
            Trade(
                trade_id,
                live.order_id,
                request.symbol,
                request.side.value,
                request.product.value,
                quantity,
                price,
                self.now,
            )
        )

    def _apply_modify(self, live: _Live, order: ModifyOrder) -> None:
        live.request = replace(
            live.request, quantity=order.quantity, order_type=order.order_type, validity=order.validity,
            limit_price=order.limit_price, trigger_price=order.trigger_price,
        )  # fmt: skip
        filled = live.current.filled
        rest = [replace(step, filled=order.quantity) if step.status == "COMPLETE" else step for step in live.steps]
        live.steps = deque([Step("MODIFIED", filled), Step("OPEN", filled), *rest])
        self._set(live, Step("MODIFY PENDING", filled))

    def _row(self, live: _Live) -> BrokerOrder:
        request, step = live.request, live.current
        return BrokerOrder(
            broker_order_id=live.order_id, symbol=request.symbol, side=request.side.value, quantity=request.quantity,
            filled_quantity=step.filled, pending_quantity=request.quantity - step.filled - step.cancelled,
            cancelled_quantity=step.cancelled, order_type=request.order_type.value, product=request.product.value,
            validity=request.validity.value, variety=live.variety, status=step.status,
            price=request.limit_price or ZERO if request.order_type is not OrderType.MARKET else ZERO,
            trigger_price=request.trigger_price or ZERO, average_price=live.average_price if step.filled else ZERO,
            tag=request.tag, tags=(request.tag,) if request.tag else (), status_message=step.message,
            placed_at=live.placed_at, updated_at=live.updated_at,
            exchange_order_id="" if step in ARRIVAL[:3] else f"11{live.order_id}", placed_by="PT0001",
        )  # fmt: skip

    def _position(self, symbol: str, product: str) -> Position:
        mine = [trade for trade in self._trades if (trade.symbol, trade.product) == (symbol, product)]
        bought = [trade for trade in mine if trade.side == "BUY"]
        sold = [trade for trade in mine if trade.side == "SELL"]
        buy_q, sell_q = sum(t.quantity for t in bought), sum(t.quantity for t in sold)
        buy_v = sum((t.average_price * t.quantity for t in bought), ZERO)
        sell_v = sum((t.average_price * t.quantity for t in sold), ZERO)
        last, net = self.prices.get(symbol, ZERO), buy_q - sell_q
        average = ZERO if net == 0 else (buy_v / buy_q if net > 0 else sell_v / sell_q)
        pnl = sell_v - buy_v + net * last
        return Position(
            symbol=symbol, product=product, quantity=net, overnight_quantity=0, multiplier=Decimal(1),
            average_price=average, last_price=last, close_price=last, buy_quantity=buy_q, buy_value=buy_v,
            sell_quantity=sell_q, sell_value=sell_v, day_buy_quantity=buy_q, day_buy_value=buy_v,
            day_sell_quantity=sell_q, day_sell_value=sell_v, pnl=pnl, m2m=pnl,
        )  # fmt: skip

    def _quote(self, symbol: str) -> Quote:
        split_symbol(symbol)
        last, tick = self.prices[symbol], Decimal("0.05")
        bids = tuple(DepthLevel(last - tick * n, 100 * n, n) for n in range(1, 6))
        asks = tuple(DepthLevel(last + tick * n, 100 * n, n) for n in range(1, 6))
        return Quote(
            symbol=symbol, last_price=last, read_at=self.now, as_of=self.now, open=last, high=last, low=last,
            close=last,
            volume=100_000, lower_circuit=(last * Decimal("0.9")).quantize(tick),
            upper_circuit=(last * Decimal("1.1")).quantize(tick), bids=bids, asks=asks,
        )  # fmt: skip


def _raise_unsent(script: _Script) -> None:
    if script.outcome is Outcome.UNAVAILABLE:
        raise BrokerUnavailable(script.text or "connection refused")
    if script.outcome is Outcome.AUTH_EXPIRED:
        raise BrokerAuthExpired(script.text or "Please log in first using the login tool")
    if script.outcome is Outcome.CRASH_BEFORE:
        raise ProcessKilled


def _raise_after(script: _Script, text: str) -> None:
    if script.outcome in (Outcome.UNKNOWN_ACCEPTED, Outcome.UNKNOWN_LATE):
        raise BrokerOutcomeUnknown(script.text or text)
    if script.outcome is Outcome.CRASH_AFTER:
        raise ProcessKilled


@contextmanager
def install(connection: object, broker: FakeBroker) -> Iterator[FakeBroker]:
    """For the length of the block ``broker`` is what ``broker.factory`` gives for this connection."""
    from broker import factory

    with factory.substituted(str(connection.pk), broker):  # type: ignore[attr-defined]
        yield broker
