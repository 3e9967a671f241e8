"""The one place where a price is put on its tick and a quantity on its lot."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal


def to_tick(price: Decimal, tick: Decimal, *, up: bool | None = None) -> Decimal:
    """The nearest price on the tick grid (halves go up), or the next up or down. Raises ValueError for tick <= 0."""
    if tick <= 0:
        raise ValueError(f"a tick of {tick} is not a step")
    rounding = ROUND_HALF_UP if up is None else ROUND_CEILING if up else ROUND_FLOOR
    return (price / tick).to_integral_value(rounding) * tick


def is_on_tick(price: Decimal, tick: Decimal) -> bool:
    """Whether the exchange takes this price. Raises ValueError for tick <= 0."""
    return to_tick(price, tick, up=False) == price


def floor_to_lot(quantity: int, lot: int) -> int:
    """The largest whole number of lots within ``quantity``, in units; 0 for less than one lot, never negative."""
    if lot < 1:
        raise ValueError(f"a lot of {lot} is not a size")
    return max(0, quantity) // lot * lot
