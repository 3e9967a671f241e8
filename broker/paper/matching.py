"""Matching of our orders against the seeded depth, by price and then by time.

Every second has its own fresh depth; what our orders took of it in that second is remembered. An order that finds the
market when it arrives takes the depth's prices; one that waits is hit at its own limit, after the seeded quantity
that stood at its price before it. Our own orders never trade with each other (self-trade prevention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from broker.domain import OrderType, Side
from broker.paper.instruments import PaperInstrument
from broker.paper.market import Market
from broker.paper.orders import Life, PaperOrder
from broker.paper.prices import DEPTH_LEVELS, SEGMENT, Top


@dataclass(frozen=True, slots=True)
class Execution:
    """``quantity`` at ``ticks``."""

    order: PaperOrder
    quantity: int
    ticks: int


@dataclass(slots=True)
class Taken:
    """What our orders took of one symbol's depth in one second, by (side taken from, level)."""

    second: int = -1
    levels: dict[tuple[int, int], int] = field(default_factory=dict)


class Matcher:
    """Remembers only what was taken of the current second's depth, per symbol."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._taken: dict[str, Taken] = {}

    def match(self, instrument: PaperInstrument, orders: Sequence[PaperOrder], second: int) -> list[Execution]:
        """Fills of ``orders`` (working, one symbol) in ``second``: best price first, then first come."""
        top = self._market.path(instrument).top(second)
        executions: list[Execution] = []
        for order in sorted(orders, key=lambda o: self._priority(instrument, o)):
            executions += self._fill(instrument, order, second, top)
        return executions

    def available(self, instrument: PaperInstrument, second: int, side: int, level: int) -> int:
        """What is left of a depth level (side 0 bids, 1 asks) in ``second``."""
        taken = self._taken.get(instrument.symbol)
        gone = taken.levels.get((side, level), 0) if taken is not None and taken.second == second else 0
        return max(0, self._market.path(instrument).level_quantity(second, side, level) - gone)

    def is_triggered(self, instrument: PaperInstrument, order: PaperOrder, second: int) -> bool:
        """True once the last price has reached the trigger."""
        last = self._market.path(instrument).last(second)
        trigger = self._market.ticks(instrument, order.trigger_price)
        return last >= trigger if order.request.side is Side.BUY else last <= trigger

    def next_second(
        self, instrument: PaperInstrument, orders: Sequence[PaperOrder], after: int, until: int
    ) -> int | None:
        """The first second in (after, until] at which something may happen to ``orders``; None if nothing can."""
        if after >= until:
            return None
        if any(order.life is Life.WORKING and order.taker for order in orders):
            return after + 1
        low, high = self._thresholds(instrument, orders)
        path, second = self._market.path(instrument), after + 1
        while second <= until:
            least, most = path.bounds(second // SEGMENT)
            segment_end = min(until, (second // SEGMENT + 1) * SEGMENT - 1)
            if (low is not None and least <= low) or (high is not None and most >= high):
                for candidate in range(second, segment_end + 1):
                    last = path.last(candidate)
                    if (low is not None and last <= low) or (high is not None and last >= high):
                        return candidate
            second = segment_end + 1
        return None

    def rest(self, instrument: PaperInstrument, order: PaperOrder, second: int) -> None:
        """The order stands in the book from now on, behind what the seeded book shows at its price."""
        order.taker = False
        path, limit = self._market.path(instrument), self._market.ticks(instrument, order.price)
        top = path.top(second)
        buys = order.request.side is Side.BUY
        depth = top.bid - limit if buys else limit - top.ask
        level = min(depth, DEPTH_LEVELS - 1)
        order.queue_ahead = 0 if depth < 0 else path.level_quantity(second, 0 if buys else 1, level)

    def sweeps(self, instrument: PaperInstrument, order: PaperOrder, second: int) -> bool:
        """True if the order would take the whole visible depth: it goes on taking in the next second."""
        if not order.order_type.has_limit:
            return True
        top, limit = self._market.path(instrument).top(second), self._market.ticks(instrument, order.price)
        reach = DEPTH_LEVELS - 1
        return top.ask + reach <= limit if order.request.side is Side.BUY else top.bid - reach >= limit

    def _thresholds(self, instrument: PaperInstrument, orders: Sequence[PaperOrder]) -> tuple[int | None, int | None]:
        """A last price at or under the first, or at or over the second, may move one of ``orders``."""
        low: list[Decimal] = []
        high: list[Decimal] = []
        for order in orders:
            buys = order.request.side is Side.BUY
            if order.life is Life.WAITING:
                (high if buys else low).append(order.trigger_price)
            else:
                (low if buys else high).append(order.price)
        ticks = self._market.ticks
        return ticks(instrument, max(low)) if low else None, ticks(instrument, min(high)) if high else None

    def _priority(self, instrument: PaperInstrument, order: PaperOrder) -> tuple[int, int, int]:
        """Buys before sells (they meet different depth), market first, better price first, earlier first."""
        if not order.order_type.has_limit:
            return int(order.request.side is Side.SELL), -(1 << 40), order.sequence
        ticks = self._market.ticks(instrument, order.price)
        return int(order.request.side is Side.SELL), -order.request.side.sign * ticks, order.sequence

    def _fill(self, instrument: PaperInstrument, order: PaperOrder, second: int, top: Top) -> list[Execution]:
        buys = order.request.side is Side.BUY
        side, best, step = (1, top.ask, 1) if buys else (0, top.bid, -1)
        limit = self._market.ticks(instrument, order.price) if order.order_type.has_limit else None
        wanted, fills = order.remaining, []
        for level in range(DEPTH_LEVELS):
            price = best + step * level
            if wanted == 0 or (limit is not None and (price - limit) * step > 0):
                break
            left = self._behind_queue(instrument, order, second, side, level, at_limit=price == limit)
            quantity = min(wanted, left)
            if quantity:
                self._take(instrument, second, side, level, quantity)
                fills.append(Execution(order, quantity, price if order.taker or limit is None else limit))
                wanted -= quantity
        return _merged(fills)

    def _behind_queue(
        self, instrument: PaperInstrument, order: PaperOrder, second: int, side: int, level: int, *, at_limit: bool
    ) -> int:
        """What a level still has for ``order`` once the quantity queued before it at its limit has been served."""
        left = self.available(instrument, second, side, level)
        if order.taker or not at_limit or order.queue_ahead == 0:
            return left
        ahead = min(order.queue_ahead, left)
        order.queue_ahead -= ahead
        return left - ahead

    def _take(self, instrument: PaperInstrument, second: int, side: int, level: int, quantity: int) -> None:
        taken = self._taken.setdefault(instrument.symbol, Taken())
        if taken.second != second:
            taken.second = second
            taken.levels = {}
        taken.levels[side, level] = taken.levels.get((side, level), 0) + quantity


def becomes_working(order: PaperOrder) -> None:
    """A stop whose trigger was reached enters the book as if it arrived now."""
    order.life = Life.WORKING
    order.taker = True
    if order.order_type is OrderType.SL_M:
        order.queue_ahead = 0


def _merged(fills: list[Execution]) -> list[Execution]:
    """Fills at one price are one trade."""
    merged: list[Execution] = []
    for fill in fills:
        if merged and merged[-1].ticks == fill.ticks:
            merged[-1] = Execution(fill.order, merged[-1].quantity + fill.quantity, fill.ticks)
        else:
            merged.append(fill)
    return merged
