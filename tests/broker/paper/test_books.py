from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from broker.charges import default_rates, estimate_charges
from tests.broker.paper.helpers import AT, ORDER, later, opened, row

SELL_ITC = ORDER | {"tradingsymbol": "ITC", "transaction_type": "SELL", "quantity": 50, "price": 390}
NEXT_MORNING = AT.replace(hour=0, minute=30) + timedelta(days=1)  # 06:00 in India


def charges(side: str, quantity: int, price: Decimal, product: str = "CNC") -> Decimal:
    return estimate_charges(exchange="NSE", product=product, side=side, quantity=quantity, price=price).total


def test_a_purchase_shows_as_a_position_and_not_yet_as_a_holding():
    exchange = opened()
    order_id = exchange.place_order(ORDER, AT)
    price = Decimal(str(row(exchange, order_id, later(1))["average_price"]))
    net = exchange.positions(later(1))["net"]
    assert [(r["tradingsymbol"], r["product"], r["quantity"], r["overnight_quantity"]) for r in net] == [
        ("INFY", "CNC", 10, 0)
    ]
    assert net == exchange.positions(later(1))["day"]
    assert (net[0]["buy_value"], net[0]["value"], net[0]["average_price"]) == (10 * price, -10 * price, price)
    assert net[0]["pnl"] == 10 * (Decimal(str(net[0]["last_price"])) - price) == net[0]["unrealised"]
    assert "INFY" not in {r["tradingsymbol"] for r in exchange.holdings(later(1))}
    equity = exchange.margins(later(1))["equity"]
    spent = 10 * price + charges("BUY", 10, price)
    assert equity["net"] == equity["available"]["live_balance"] == Decimal(1_000_000) - spent
    assert equity["utilised"]["debits"] == spent
    assert equity["available"]["cash"] == Decimal(1_000_000)


def test_a_sale_out_of_holdings_is_used_quantity_and_a_negative_position():
    exchange = opened()
    order_id = exchange.place_order(SELL_ITC, AT)
    price = Decimal(str(row(exchange, order_id, later(1))["average_price"]))
    itc = next(r for r in exchange.holdings(later(1)) if r["tradingsymbol"] == "ITC")
    assert (itc["quantity"], itc["used_quantity"], itc["opening_quantity"]) == (200, 50, 200)
    assert [r["quantity"] for r in exchange.positions(later(1))["net"]] == [-50]
    costs = charges("SELL", 50, price) + default_rates().dp_charge
    assert exchange.cash(later(1))["closing"] == Decimal(1_000_000) + 50 * price - costs
    assert exchange.margins(later(1))["equity"]["net"] == exchange.cash(later(1))["closing"]


def test_the_depository_charge_is_once_a_day_per_stock():
    exchange = opened()
    exchange.place_order(SELL_ITC, AT)
    first = exchange.cash(later(5))["charges"]
    second = row(exchange, exchange.place_order(SELL_ITC, later(5)), later(6))
    alone = charges("SELL", 50, Decimal(str(second["average_price"])))
    assert exchange.cash(later(10))["charges"] - first == alone


def test_delivery_takes_one_day_and_settles_the_day_after():
    exchange = opened()
    exchange.place_order(ORDER, AT)
    exchange.place_order(SELL_ITC, AT)
    before = exchange.cash(NEXT_MORNING - timedelta(seconds=1))["closing"]
    holdings = {r["tradingsymbol"]: r for r in exchange.holdings(NEXT_MORNING)}
    assert (holdings["INFY"]["t1_quantity"], holdings["INFY"]["quantity"]) == (10, 0)
    assert (holdings["ITC"]["quantity"], holdings["ITC"]["used_quantity"]) == (150, 0)
    assert exchange.positions(NEXT_MORNING) == {"day": [], "net": []}
    assert exchange.trades(NEXT_MORNING) == exchange.orders(NEXT_MORNING) == []
    equity = exchange.margins(NEXT_MORNING)["equity"]
    assert equity["net"] == equity["available"]["cash"] == equity["available"]["opening_balance"] == before
    assert equity["utilised"]["debits"] == 0
    following = {r["tradingsymbol"]: r for r in exchange.holdings(NEXT_MORNING + timedelta(days=1))}
    assert (following["INFY"]["t1_quantity"], following["INFY"]["quantity"]) == (0, 10)


def test_t1_stock_may_be_sold_and_a_sold_out_holding_goes():
    exchange = opened()
    exchange.place_order(ORDER, AT)
    morning = NEXT_MORNING + timedelta(seconds=10)
    order_id = exchange.place_order(ORDER | {"transaction_type": "SELL", "price": 1450}, morning)
    assert row(exchange, order_id, morning + timedelta(seconds=2))["status"] == "COMPLETE"
    names = {r["tradingsymbol"] for r in exchange.holdings(NEXT_MORNING + timedelta(days=1, seconds=1))}
    assert names == {"HDFCBANK", "ITC", "TCS", "RELIANCE", "NIFTYBEES"}


def test_buying_more_of_a_holding_averages_it():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"tradingsymbol": "ITC", "quantity": 100, "price": 415}, AT)
    price = Decimal(str(row(exchange, order_id, later(1))["average_price"]))
    itc = next(r for r in exchange.holdings(NEXT_MORNING) if r["tradingsymbol"] == "ITC")
    expected = (200 * Decimal("431.12") + 100 * price) / 300
    assert (itc["quantity"], itc["t1_quantity"]) == (200, 100)
    assert abs(itc["average_price"] - expected) <= Decimal("0.00005")
    assert itc["pnl"] == (itc["last_price"] - itc["average_price"]) * 300


def test_a_stock_sold_at_the_other_exchange_comes_from_the_same_holding():
    exchange = opened()
    exchange.place_order(SELL_ITC | {"exchange": "BSE"}, AT)
    itc = next(r for r in exchange.holdings(later(1)) if r["tradingsymbol"] == "ITC")
    assert (itc["exchange"], itc["used_quantity"]) == ("NSE", 50)


def test_intraday_needs_a_fifth_and_the_result_goes_to_cash():
    exchange = opened()
    bought = exchange.place_order(ORDER | {"product": "MIS", "quantity": 100}, AT)
    cost = Decimal(str(row(exchange, bought, later(5))["filled_quantity"]))
    value = exchange.cash(later(5))["bought"]
    net = exchange.margins(later(5))["equity"]["net"]
    assert cost == 100
    assert net == Decimal(1_000_000) - value / 5 - exchange.cash(later(5))["charges"]
    exchange.place_order(
        ORDER | {"product": "MIS", "quantity": 100, "transaction_type": "SELL", "price": 1450}, later(5)
    )
    equity = exchange.margins(later(30))["equity"]
    assert equity["net"] == exchange.cash(later(30))["closing"]
    flat = exchange.positions(later(30))["net"]
    assert [(r["product"], r["quantity"], r["average_price"]) for r in flat] == [("MIS", 0, 0)]
    assert flat[0]["pnl"] == exchange.cash(later(30))["sold"] - exchange.cash(later(30))["bought"]


def test_an_intraday_short_is_allowed_and_squared_off_before_the_day_rolls():
    exchange = opened()
    exchange.place_order(ORDER | {"product": "MIS", "transaction_type": "SELL", "price": 1450}, AT)
    assert [r["quantity"] for r in exchange.positions(later(5))["net"]] == [-10]
    late = NEXT_MORNING - timedelta(minutes=4)
    assert [r["quantity"] for r in exchange.positions(late)["net"]] == [0]
    squared = exchange.orders(late)[-1]
    assert (squared["placed_by"], squared["tag"], squared["status"], squared["transaction_type"]) == (
        "RMS", "", "COMPLETE", "BUY",
    )  # fmt: skip
    cash = exchange.cash(late)
    both = exchange.trades(late)
    legs = sum(charges(str(t["transaction_type"]), 10, Decimal(str(t["average_price"])), "MIS") for t in both)
    assert cash["charges"] == legs + Decimal("59.00")  # fifty rupees and GST
    assert exchange.margins(NEXT_MORNING)["equity"]["net"] == cash["closing"]


def test_day_orders_die_at_the_roll_and_are_still_seen_dead():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"price": 1400}, AT)
    assert row(exchange, order_id, NEXT_MORNING - timedelta(seconds=1))["status"] == "OPEN"
    assert row(exchange, order_id, NEXT_MORNING)["status"] == "CANCELLED"
    assert exchange.margins(NEXT_MORNING)["equity"]["net"] == Decimal(1_000_000)
    assert exchange.orders(NEXT_MORNING + timedelta(days=1)) == []


def test_an_order_caught_by_the_roll_on_its_way_in_is_dead():
    exchange = opened()
    order_id = exchange.place_order(ORDER, NEXT_MORNING - timedelta(milliseconds=100))
    assert row(exchange, order_id, NEXT_MORNING + timedelta(seconds=5))["status"] == "CANCELLED"
    assert exchange.trades(NEXT_MORNING + timedelta(seconds=5)) == []
