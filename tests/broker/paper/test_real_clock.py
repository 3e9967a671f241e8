"""Exchange hours: closed is closed, the closing auction prints once, books roll on trading days."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from broker.calendar import IST
from broker.domain import SessionPhase
from tests.broker.paper.helpers import ORDER, REAL, last_price, opened, row

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=IST)


def on(clock: str, day: int = 23) -> datetime:
    return datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=IST)


def test_a_regular_order_after_hours_is_rejected():
    exchange = opened(REAL, MONDAY)
    order_id = exchange.place_order(ORDER, on("08:00:00"))
    seen = row(exchange, order_id, on("09:30:00"))
    assert (seen["status"], "After Market Order" in seen["status_message"]) == ("REJECTED", True)


def test_an_order_before_the_open_waits_for_the_open():
    exchange = opened(REAL, MONDAY)
    order_id = exchange.place_order(ORDER, on("09:05:00"))
    assert row(exchange, order_id, on("09:14:59"))["status"] == "OPEN"
    seen = row(exchange, order_id, on("09:15:05"))
    assert (seen["status"], seen["exchange_update_timestamp"]) == ("COMPLETE", "2026-11-23T09:15:00+05:30")


def test_prices_stand_still_while_closed_and_jump_to_the_auction():
    exchange = opened(REAL, MONDAY)
    instrument = exchange.market.instruments.get("NSE:INFY")
    stood = exchange.market.price(instrument, exchange.market.path(instrument).last(int(on("15:15:00").timestamp())))
    assert last_price(exchange, on("15:16:00")) == last_price(exchange, on("15:34:59")) == stood
    printed = last_price(exchange, on("15:36:00"))
    assert printed != stood
    assert printed == last_price(exchange, on("23:00:00")) == last_price(exchange, on("08:59:00", 25))
    quote = exchange.quotes(["NSE:INFY"], on("10:00:00", 25))["NSE:INFY"]
    assert quote["ohlc"]["close"] == exchange.market.price(
        exchange.market.instruments.get("NSE:INFY"),
        exchange.market.path(exchange.market.instruments.get("NSE:INFY")).last(int(on("15:30:00").timestamp())),
    )


def test_limit_orders_meet_the_closing_price_in_the_auction():
    exchange = opened(REAL, MONDAY)
    order_id = exchange.place_order(ORDER, on("15:22:00"))
    assert row(exchange, order_id, on("15:29:59"))["status"] == "OPEN"
    seen = row(exchange, order_id, on("15:31:00"))
    assert (seen["status"], seen["average_price"]) == ("COMPLETE", last_price(exchange, on("15:40:00")))


def test_no_stops_in_the_auction():
    exchange = opened(REAL, MONDAY)
    order = ORDER | {"order_type": "SL", "price": 1600, "trigger_price": 1590}
    order_id = exchange.place_order(order, on("15:22:00"))
    assert "closing auction" in row(exchange, order_id, on("15:23:00"))["status_message"]


def test_day_orders_die_at_the_close_and_books_roll_on_the_next_trading_day():
    exchange = opened(REAL, MONDAY)
    resting = exchange.place_order(ORDER | {"price": 1400}, on("10:00:00"))
    exchange.place_order(ORDER, on("10:00:00"))
    assert row(exchange, resting, on("15:35:00"))["status"] == "OPEN"
    assert row(exchange, resting, on("15:37:00"))["status"] == "CANCELLED"
    assert len(exchange.orders(on("05:59:59", 25))) == 2  # the 24th is a holiday: still Monday's books
    assert exchange.orders(on("06:00:00", 25)) == []
    infy = next(r for r in exchange.holdings(on("06:00:00", 25)) if r["tradingsymbol"] == "INFY")
    assert infy["t1_quantity"] == 10


@pytest.mark.parametrize(("symbol", "cutoff"), [("INFY", "15:10:00"), ("BAJAJHFL", "15:20:00")])
def test_intraday_is_squared_off_in_time(symbol, cutoff):
    exchange = opened(REAL, MONDAY)
    price = last_price(exchange, on("10:00:00"), f"NSE:{symbol}") // 1 + 1
    exchange.place_order(ORDER | {"tradingsymbol": symbol, "product": "MIS", "price": price}, on("10:00:00"))
    assert exchange.positions(on(cutoff) - timedelta(seconds=1))["net"][0]["quantity"] == 10
    assert exchange.positions(on(cutoff))["net"][0]["quantity"] == 0


def test_an_amo_goes_in_at_the_next_open():
    exchange = opened(REAL, MONDAY)
    order_id = exchange.place_order(ORDER | {"variety": "amo"}, on("18:00:00"))
    assert row(exchange, order_id, on("09:14:00", 25))["status"] == "AMO REQ RECEIVED"
    assert row(exchange, order_id, on("09:15:05", 25))["status"] == "COMPLETE"


def test_candles_keep_exchange_hours():
    exchange = opened(REAL, MONDAY)
    rows = exchange.historical(408065, on("00:00:00", 23), on("23:00:00", 24), "60minute", on("23:00:00", 24))
    assert [r["date"][11:16] for r in rows] == ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15"]


def test_market_state_names_the_phase_and_the_kind_of_clock():
    exchange = opened(REAL, MONDAY)
    state = exchange.market_state(on("10:00:00"))
    assert (state.phase, state.practice, state.is_open) == (SessionPhase.CONTINUOUS, False, True)
    assert exchange.market_state(on("20:00:00")).phase is SessionPhase.CLOSED
    assert opened(at=MONDAY).market_state(on("03:00:00", 29)).practice
