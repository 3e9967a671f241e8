from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rounding import floor_to_lot, is_on_tick, to_tick

TICKS = st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.1"), Decimal("0.5"), Decimal(5)])
PRICES = st.decimals(min_value=0, max_value=10**6, places=4)


@pytest.mark.parametrize(
    ("price", "up", "found"),
    [("1500.07", None, "1500.05"), ("1500.075", None, "1500.10"), ("1500.01", True, "1500.05"),
     ("1500.04", False, "1500.00"), ("1500.05", True, "1500.05"), ("1500.05", False, "1500.05")],
)  # fmt: skip
def test_to_tick(price: str, up: bool | None, found: str) -> None:
    assert to_tick(Decimal(price), Decimal("0.05"), up=up) == Decimal(found)


@given(PRICES, TICKS)
def test_neighbours_on_the_grid(price: Decimal, tick: Decimal) -> None:
    low, high = to_tick(price, tick, up=False), to_tick(price, tick, up=True)
    assert low <= price <= high
    assert high - low == (0 if is_on_tick(price, tick) else tick)
    assert to_tick(price, tick) in (low, high)


@pytest.mark.parametrize(
    ("quantity", "lot", "found"), [(100, 75, 75), (74, 75, 0), (150, 75, 150), (-5, 1, 0), (7, 1, 7)]
)
def test_floor_to_lot(quantity: int, lot: int, found: int) -> None:
    assert floor_to_lot(quantity, lot) == found


def test_no_step_is_no_grid() -> None:
    with pytest.raises(ValueError, match="tick"):
        to_tick(Decimal(1), Decimal(0))
    with pytest.raises(ValueError, match="lot"):
        floor_to_lot(1, 0)
