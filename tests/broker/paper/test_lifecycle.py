from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from broker.paper.config import TOO_MANY_MODIFICATIONS, EntryRefused, ExchangeConfig
from tests.broker.paper.helpers import AT, MARKETS, ORDER, last_price, later, opened, row, statuses

WAY_IN = ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "OPEN"]


@pytest.mark.parametrize(
    ("milliseconds", "status", "filled"),
    [
        (0, "PUT ORDER REQ RECEIVED", 0),
        (59, "PUT ORDER REQ RECEIVED", 0),
        (60, "VALIDATION PENDING", 0),
        (140, "OPEN PENDING", 0),
        (240, "OPEN", 0),
        (300, "COMPLETE", 10),
    ],
)
def test_the_way_of_an_order_that_fills_at_once(milliseconds, status, filled):
    exchange = opened()
    order_id = exchange.place_order(ORDER, AT)
    seen = row(exchange, order_id, later(milliseconds / 1000))
    assert (seen["status"], seen["filled_quantity"], seen["pending_quantity"]) == (status, filled, 10 - filled)


def test_a_complete_order_shows_kites_keys_and_values():
    exchange = opened()
    order_id = exchange.place_order(ORDER, AT)
    seen = row(exchange, order_id, later(1))
    trades = exchange.order_trades(order_id, later(1))
    assert seen["tag"] == "T1"
    assert seen["tags"] == ["T1"]
    assert seen["order_timestamp"] == "2026-11-23T11:30:00+05:30"
    assert seen["exchange_order_id"].isdigit()
    assert seen["average_price"] == trades[0]["average_price"] <= Decimal(1500)
    assert [trade["quantity"] for trade in trades] == [10]
    assert trades[0]["exchange_order_id"] == seen["exchange_order_id"]
    assert statuses(exchange, order_id, later(1)) == [*WAY_IN, "COMPLETE"]


def test_a_big_order_fills_in_parts_and_then_whole():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"quantity": 3000, "product": "MIS"}, AT)
    filled = [row(exchange, order_id, later(0.3 + second))["filled_quantity"] for second in range(15)]
    assert 0 < filled[0] < 3000
    assert filled == sorted(filled)
    assert filled[-1] == 3000
    assert sum(int(t["quantity"]) for t in exchange.order_trades(order_id, later(16))) == 3000
    assert statuses(exchange, order_id, later(16)).count("COMPLETE") == 1
    partial = [state for state in exchange.order_history(order_id, later(16)) if 0 < state["filled_quantity"] < 3000]
    assert {state["status"] for state in partial} == {"OPEN"}


def test_a_limit_away_from_the_market_rests_until_cancelled():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    assert row(exchange, order_id, later(60))["status"] == "OPEN"
    assert exchange.cancel_order({"order_id": order_id, "variety": "regular"}, later(60)) == order_id
    assert row(exchange, order_id, later(60))["status"] == "CANCEL PENDING"
    seen = row(exchange, order_id, later(61))
    assert (seen["status"], seen["cancelled_quantity"], seen["pending_quantity"]) == ("CANCELLED", 10, 0)
    assert exchange.trades(later(61)) == []


def test_a_resting_order_trades_at_its_own_price_once_the_market_comes():
    exchange = opened()
    limit = last_price(exchange, AT) - Decimal("1.00")
    order_id = exchange.place_order(ORDER | {"price": limit}, AT)
    assert row(exchange, order_id, later(1))["status"] == "OPEN"
    end = later(6 * 3600)
    assert row(exchange, order_id, end)["status"] == "COMPLETE"
    assert {trade["average_price"] for trade in exchange.order_trades(order_id, end)} == {limit}


def test_ioc_takes_what_is_there_and_the_rest_dies():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"quantity": 3000, "product": "MIS", "validity": "IOC"}, AT)
    seen = row(exchange, order_id, later(1))
    assert seen["status"] == "CANCELLED"
    assert 0 < seen["filled_quantity"] < 3000
    assert seen["filled_quantity"] + seen["cancelled_quantity"] == 3000
    dead = exchange.place_order(ORDER | {"price": 1400, "validity": "IOC"}, later(2))
    seen = row(exchange, dead, later(3))
    assert (seen["status"], seen["filled_quantity"]) == ("CANCELLED", 0)


def test_fill_during_cancel_wins():
    exchange = opened()
    order_id = exchange.place_order(ORDER, AT)
    exchange.cancel_order({"order_id": order_id}, later(0.25))  # OPEN, its first match is due at 0.30
    assert row(exchange, order_id, later(0.25))["status"] == "CANCEL PENDING"
    assert row(exchange, order_id, later(2))["status"] == "COMPLETE"
    assert statuses(exchange, order_id, later(2))[-2:] == ["CANCEL PENDING", "COMPLETE"]


def test_partial_fill_then_cancel_keeps_the_fill():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"quantity": 20000, "price": 1499, "product": "MIS"}, AT)
    assert row(exchange, order_id, later(1))["status"] == "REJECTED"  # twenty thousand is more than the money
    order_id = exchange.place_order(ORDER | {"quantity": 3000, "product": "MIS"}, later(2))
    exchange.cancel_order({"order_id": order_id}, later(2.5))
    seen = row(exchange, order_id, later(10))
    assert seen["status"] == "CANCELLED"
    assert 0 < seen["filled_quantity"] < 3000
    assert sum(int(t["quantity"]) for t in exchange.order_trades(order_id, later(10))) == seen["filled_quantity"]


def test_modify_goes_through_its_own_states():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    exchange.modify_order({"order_id": order_id, "order_type": "LIMIT", "quantity": 12, "price": 1401}, later(5))
    assert row(exchange, order_id, later(5))["price"] == 1400
    seen = row(exchange, order_id, later(6))
    assert (seen["status"], seen["price"], seen["quantity"], seen["modified"]) == ("OPEN", 1401, 12, True)
    assert seen["order_timestamp"] == "2026-11-23T11:30:05+05:30"
    assert statuses(exchange, order_id, later(6)) == [
        *WAY_IN, "MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN",
    ]  # fmt: skip


def test_modify_to_a_price_the_market_meets_fills():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    exchange.modify_order({"order_id": order_id, "order_type": "LIMIT", "price": 1500}, later(5))
    seen = row(exchange, order_id, later(6))
    assert (seen["status"], seen["quantity"]) == ("COMPLETE", 10)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"price": Decimal("1400.03")}, "Tick size"), ({"quantity": 5_000, "price": 1400}, "Insufficient funds")],
)
def test_a_refused_modification_leaves_the_order_as_it_was(change, text):
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    exchange.modify_order({"order_id": order_id, "order_type": "LIMIT"} | change, later(5))
    seen = row(exchange, order_id, later(6))
    assert (seen["status"], seen["price"], seen["quantity"]) == ("OPEN", 1400, 10)
    assert text in seen["status_message"]
    assert statuses(exchange, order_id, later(6))[-2:] == ["NOT MODIFIED", "OPEN"]


def test_the_26th_modification_is_refused():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    for count in range(25):
        exchange.modify_order({"order_id": order_id, "order_type": "LIMIT", "price": 1401 + count}, later(1 + count))
    with pytest.raises(EntryRefused, match=TOO_MANY_MODIFICATIONS):
        exchange.modify_order({"order_id": order_id, "order_type": "LIMIT", "price": 1400}, later(60))
    assert row(exchange, order_id, later(61))["price"] == 1425


@pytest.mark.parametrize(("order_type", "extra"), [("SL", {"price": 1400}), ("SL-M", {})])
def test_a_stop_waits_for_its_trigger_and_then_sells(order_type, extra):
    exchange = opened(MARKETS)
    trigger = last_price(exchange, AT, "NSE:RELIANCE") - Decimal("1.00")
    stop = ORDER | {"tradingsymbol": "RELIANCE", "transaction_type": "SELL", "order_type": order_type} | extra
    order_id = exchange.place_order(stop | {"trigger_price": trigger}, AT)
    assert row(exchange, order_id, later(1))["status"] == "TRIGGER PENDING"
    end = later(12 * 3600)
    assert row(exchange, order_id, end)["status"] == "COMPLETE"
    assert statuses(exchange, order_id, end)[-3:] == ["TRIGGER PENDING", "OPEN", "COMPLETE"]
    touched = exchange.order_trades(order_id, end)[0]["average_price"]
    assert trigger - Decimal("1.00") <= touched <= trigger


def test_an_amo_waits_for_the_morning_and_can_be_cancelled():
    exchange = opened()
    kept = exchange.place_order(ORDER | {"variety": "amo"}, AT)
    dropped = exchange.place_order(ORDER | {"variety": "amo", "tag": "T2"}, AT)
    assert row(exchange, kept, later(5))["status"] == "AMO REQ RECEIVED"
    exchange.cancel_order({"order_id": dropped, "variety": "amo"}, later(5))
    assert row(exchange, dropped, later(6))["status"] == "CANCELLED"
    morning = AT.replace(hour=3, minute=45) + timedelta(days=1)  # 09:15 in India
    assert row(exchange, kept, morning - timedelta(seconds=1))["status"] == "AMO REQ RECEIVED"
    assert row(exchange, kept, morning + timedelta(seconds=1))["status"] == "COMPLETE"


def test_delays_are_configured():
    slow = ExchangeConfig.from_dict(ExchangeConfig().as_dict() | {"delays": {"validation": 60_000}})
    exchange = opened(slow)
    order_id = exchange.place_order(ORDER, AT)
    assert row(exchange, order_id, later(59))["status"] == "PUT ORDER REQ RECEIVED"
    assert row(exchange, order_id, later(61))["status"] == "COMPLETE"


def test_a_clock_that_goes_back_counts_as_standing_still():
    exchange = opened()
    order_id = exchange.place_order(ORDER, later(10))
    assert exchange.advance(AT) == later(10)
    assert row(exchange, order_id, AT)["status"] == "PUT ORDER REQ RECEIVED"
