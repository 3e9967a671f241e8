"""What is taken and then refused: a REJECTED row with Kite's words, nothing traded, no money held."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.paper.config import ExchangeConfig
from tests.broker.paper.helpers import AT, MARKETS, ORDER, last_price, later, opened, row, statuses

SELL = {"transaction_type": "SELL"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tradingsymbol": "NOSUCH"}, "has either expired or does not exist"),
        ({"tradingsymbol": "NIFTY 50"}, "has either expired or does not exist"),
        ({"exchange": "NFO", "tradingsymbol": "NIFTY26DECFUT", "product": "NRML"}, "has either expired"),
        ({"product": "NRML"}, "NRML is not allowed"),
        ({"product": "MTF"}, "MTF is not allowed"),
        ({"price": Decimal("1490.05")}, "Tick size for this script is 0.10"),
        ({"price": 1300}, "lower than the current lower circuit limit of 1346.20"),
        ({"price": 1700}, "higher than the current upper circuit limit of 1645.20"),
        ({"quantity": 100_001}, "exceeds the maximum of 100000"),
        ({"quantity": 70_000}, "Order value exceeds the maximum"),
        ({"quantity": 700}, "Insufficient funds. Required margin is 1050000.00 but available margin is 1000000.00."),
        ({"quantity": 3400, "product": "MIS"}, "Insufficient funds. Required margin is 1020000.00"),
        (SELL, "Insufficient stock holdings. 10 of INFY to sell but 0 available."),
        (SELL | {"tradingsymbol": "ITC", "quantity": 201, "price": 400}, "201 of ITC to sell but 200 available"),
    ],
)
def test_rejected_after_it_was_taken(change, text):
    exchange = opened()
    order_id = exchange.place_order(ORDER | change, AT)
    assert row(exchange, order_id, AT)["status"] == "PUT ORDER REQ RECEIVED"
    seen = row(exchange, order_id, later(1))
    assert seen["status"] == "REJECTED"
    assert text in seen["status_message"]
    assert seen["status_message_raw"].startswith("RMS:")
    assert seen["exchange_order_id"] == ""
    assert statuses(exchange, order_id, later(1)) == ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "REJECTED"]
    assert exchange.trades(later(5)) == []
    assert exchange.margins(later(5))["equity"]["net"] == Decimal("1000000.00")


@pytest.mark.parametrize(
    ("side", "distance", "limit", "text"),
    [
        ("BUY", "-5.00", None, "should be higher than the last traded price"),
        ("SELL", "5.00", None, "should be lower than the last traded price"),
        ("BUY", "5.00", "4.00", "cannot exceed the limit price"),
        ("SELL", "-5.00", "-4.00", "cannot be lower than the limit price"),
    ],
)
def test_triggers_on_the_wrong_side(side, distance, limit, text):
    exchange = opened(MARKETS)
    last = last_price(exchange, AT)
    stop = ORDER | {"transaction_type": side, "product": "MIS", "order_type": "SL-M" if limit is None else "SL"}
    prices = {"trigger_price": last + Decimal(distance), "price": 0 if limit is None else last + Decimal(limit)}
    order_id = exchange.place_order(stop | prices, AT)
    seen = row(exchange, order_id, later(1))
    assert seen["status"] == "REJECTED"
    assert text in seen["status_message"]


def test_no_stop_market_orders_on_bse():
    exchange = opened(MARKETS)
    order = ORDER | {"exchange": "BSE", "order_type": "SL-M", "trigger_price": 1550, "price": 0}
    seen = row(exchange, exchange.place_order(order, AT), later(1))
    assert (seen["status"], "SL-M" in seen["status_message"]) == ("REJECTED", True)


def test_open_orders_hold_money_back_and_give_it_free_again():
    exchange = opened()
    first = exchange.place_order(ORDER | {"quantity": 400, "price": 1400}, AT)
    assert exchange.margins(later(1))["equity"]["net"] == Decimal("440000.00")
    second = exchange.place_order(ORDER | {"quantity": 400, "price": 1400}, later(1))
    assert "available margin is 440000.00" in row(exchange, second, later(2))["status_message"]
    exchange.cancel_order({"order_id": first}, later(3))
    assert exchange.margins(later(4))["equity"]["net"] == Decimal("1000000.00")
    third = exchange.place_order(ORDER | {"quantity": 400, "price": 1400}, later(5))
    assert row(exchange, third, later(6))["status"] == "OPEN"


def test_open_sell_orders_count_against_what_is_free():
    exchange = opened()
    resting = SELL | {"tradingsymbol": "ITC", "quantity": 150, "price": 440}
    exchange.place_order(ORDER | resting, AT)
    second = exchange.place_order(ORDER | resting, later(1))
    assert "150 of ITC to sell but 50 available" in row(exchange, second, later(2))["status_message"]


def test_reducing_an_intraday_position_needs_no_money():
    exchange = opened()
    exchange.place_order(ORDER | {"quantity": 3200, "product": "MIS"}, AT)
    assert exchange.margins(later(30))["equity"]["net"] < Decimal(60_000)
    out = exchange.place_order(ORDER | SELL | {"quantity": 3200, "product": "MIS", "price": 1400}, later(30))
    assert row(exchange, out, later(60))["status"] == "COMPLETE"


def test_far_delivery_limits_where_the_rule_is_on():
    exchange = opened(ExchangeConfig(cnc_limit_distance_pct=Decimal(5)))
    far = exchange.place_order(ORDER | {"price": 1400}, AT)
    near = exchange.place_order(ORDER | {"price": 1430}, AT)
    assert "more than 5% away" in row(exchange, far, later(1))["status_message"]
    assert row(exchange, near, later(1))["status"] == "OPEN"
