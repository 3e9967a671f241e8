"""What goes to the server: JSON numbers, every field present, nothing the server would change."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.adapters.kite_tools import modify_arguments, place_arguments
from broker.domain import ModifyOrder, OrderType, PlaceOrder, Product, Side, Validity, Variety


def order(price: Decimal | None = Decimal("1500.05"), quantity: int = 10) -> PlaceOrder:
    return PlaceOrder(
        "NSE:INFY", Side.BUY, quantity, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "ST1", price
    )


def test_every_field_of_a_placement_is_there() -> None:
    assert place_arguments(order()) == {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 10,
        "product": "CNC", "order_type": "LIMIT", "price": 1500.05, "trigger_price": 0, "validity": "DAY",
        "disclosed_quantity": 0, "tag": "ST1",
    }  # fmt: skip


def test_every_field_of_a_modification_is_there() -> None:
    change = ModifyOrder("26", Variety.REGULAR, OrderType.LIMIT, 4, Validity.DAY, Decimal(1500))
    assert modify_arguments(change) == {
        "variety": "regular", "order_id": "26", "quantity": 4, "price": 1500, "order_type": "LIMIT",
        "trigger_price": 0, "validity": "DAY", "disclosed_quantity": 0,
    }  # fmt: skip


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_price_arrives_as_it_was(price: Decimal) -> None:
    sent = json.loads(json.dumps(place_arguments(order(price))), parse_float=Decimal)
    assert Decimal(sent["price"]) == price


@pytest.mark.parametrize("quantity", [0, -1, True])
def test_a_quantity_that_is_none_is_refused_here(quantity: int) -> None:
    with pytest.raises(ValueError, match="quantity"):
        place_arguments(order(quantity=quantity))


def test_a_price_no_number_can_hold_is_refused_here() -> None:
    with pytest.raises(ValueError, match="JSON number"):
        place_arguments(order(Decimal("1500.0000000000000000001")))
