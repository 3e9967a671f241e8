"""What past trades say of a trader's day: values in, a value out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)
Pool = tuple[str, str]
Stake = tuple[int, Decimal]  # signed quantity and what one unit of it cost


@dataclass(frozen=True, slots=True)
class PastFill:
    """One fill. ``sign`` is +1 for a buy and -1 for a sale; several fills of one order are one trade."""

    order_id: str
    pool: Pool
    sign: int
    quantity: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Streak:
    """How many of the latest closing trades lost, one after the other, and when the last of them did."""

    losses: int = 0
    last_at: datetime | None = None


def losing_streak(fills: Sequence[PastFill], *, stakes: Mapping[Pool, Stake]) -> Streak:
    """Walks ``fills``, oldest first, from what was held before them. A trade whose cost is not known counts for
    nothing; one that breaks even or gains ends the streak."""
    held = dict(stakes)
    made: dict[str, tuple[Decimal, datetime]] = {}
    for fill in sorted(fills, key=lambda fill: (fill.at, fill.order_id)):
        gain = _take(held, fill)
        if gain is not None:
            before = made.pop(fill.order_id, (ZERO, fill.at))[0]
            made[fill.order_id] = (before + gain, fill.at)
    streak = Streak()
    for gain, at in made.values():
        streak = Streak(streak.losses + 1, at) if gain < 0 else Streak()
    return streak


def _take(held: dict[Pool, Stake], fill: PastFill) -> Decimal | None:
    """Books one fill; what it gained on what it closed, None if it closed nothing."""
    quantity, cost = held.get(fill.pool, (0, ZERO))
    change = fill.sign * fill.quantity
    if quantity * change >= 0:
        total = abs(quantity) + fill.quantity
        held[fill.pool] = (quantity + change, (abs(quantity) * cost + fill.quantity * fill.price) / total)
        return None
    closed = min(abs(quantity), fill.quantity)
    held[fill.pool] = (quantity + change, cost if fill.quantity < abs(quantity) else fill.price)
    return closed * (fill.price - cost) * (1 if quantity > 0 else -1)


def median(values: Sequence[Decimal]) -> Decimal:
    """The middle value, the lower of the two middle ones; 0 of none."""
    return sorted(values)[(len(values) - 1) // 2] if values else ZERO
