"""What is refused before there is an order: an error text and an empty book."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.paper.config import CANNOT_CANCEL, CANNOT_MODIFY, MARKET_REFUSED, EntryRefused, UnknownOrder
from tests.broker.paper.helpers import AT, MARKETS, ORDER, later, opened


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"order_type": "MARKET", "price": 0}, MARKET_REFUSED),
        ({"order_type": "SL-M", "trigger_price": 1600}, MARKET_REFUSED),
        ({"quantity": 0}, "Invalid `quantity`."),
        ({"quantity": -5}, "Invalid `quantity`."),
        ({"quantity": Decimal("1.5")}, "Invalid `quantity`."),
        ({"quantity": "ten"}, "Invalid `quantity`."),
        ({"price": 0}, "Missing or invalid `price`."),
        ({"price": -1}, "Invalid `price`."),
        ({"price": "NaN"}, "Invalid `price`."),
        ({"order_type": "SL", "trigger_price": 0}, "Missing or invalid `trigger_price`."),
        ({"transaction_type": "HOLD"}, "Invalid `transaction_type`."),
        ({"product": "BO"}, "Invalid `product`."),
        ({"exchange": "NYSE"}, "Invalid `exchange`."),
        ({"variety": "co"}, "Invalid `variety`."),
        ({"validity": "GTC"}, "Invalid `validity`."),
        ({"tradingsymbol": ""}, "Missing or empty field `tradingsymbol`."),
        ({"tag": "has space"}, "Invalid `tag`."),
        ({"tag": "x" * 21}, "Invalid `tag`."),
    ],
)
def test_refused_at_entry_leaves_no_order(change, text):
    exchange = opened()
    with pytest.raises(EntryRefused) as refused:
        exchange.place_order(ORDER | change, AT)
    assert refused.value.text.startswith(text)
    assert exchange.orders(later(5)) == []
    assert exchange.cash(later(5))["closing"] == Decimal("1000000.00")


def test_market_orders_pass_where_the_protection_rule_is_off():
    exchange = opened(MARKETS)
    order_id = exchange.place_order(ORDER | {"order_type": "MARKET", "price": 0}, AT)
    assert exchange.order_history(order_id, later(1))[-1]["status"] == "COMPLETE"


def test_an_order_id_is_a_string_of_15_digits_and_never_repeats():
    exchange = opened()
    ids = [exchange.place_order(ORDER, AT) for _ in range(5)]
    assert len(set(ids)) == 5
    assert all(len(order_id) == 15 and order_id.isdigit() for order_id in ids)


def test_changes_to_an_unknown_order_are_refused():
    exchange = opened()
    for call in (exchange.modify_order, exchange.cancel_order):
        with pytest.raises(UnknownOrder):
            call({"order_id": "999", "order_type": "LIMIT"}, AT)
    with pytest.raises(UnknownOrder):
        exchange.order_history("999", AT)


def test_changes_are_refused_while_processed_and_after_the_end():
    exchange = opened()
    order_id = exchange.place_order(ORDER, AT)
    for moment in (AT, later(0.1), later(2)):  # received, being validated, complete
        with pytest.raises(EntryRefused) as refused:
            exchange.modify_order({"order_id": order_id, "order_type": "LIMIT", "price": 1490}, moment)
        assert refused.value.text == CANNOT_MODIFY
        with pytest.raises(EntryRefused) as refused:
            exchange.cancel_order({"order_id": order_id}, moment)
        assert refused.value.text == CANNOT_CANCEL
    assert exchange.order_history(order_id, later(3))[-1]["status"] == "COMPLETE"
