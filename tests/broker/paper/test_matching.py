"""Exact cases of matching, against a depth read from the same seeded path."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from broker.charges import estimate_charges
from broker.paper.account import AccountBooks, default_account
from broker.paper.exchange import Exchange
from broker.paper.prices import PricePath
from tests.broker.paper.helpers import AT, ORDER, last_price, later, opened, row, statuses

SECOND = int(AT.timestamp())
NEXT_MORNING = AT.replace(hour=0, minute=30) + timedelta(days=1)


def path_of(exchange: Exchange) -> PricePath:
    instrument = exchange.market.instruments.get("NSE:INFY")
    assert instrument is not None
    return exchange.market.path(instrument)


def rupees(ticks: int) -> Decimal:
    return Decimal(ticks) / 10


def depth(exchange: Exchange, second: int) -> list[tuple[Decimal, int]]:
    path = path_of(exchange)
    return [(rupees(path.top(second).ask + n), path.level_quantity(second, 1, n)) for n in range(5)]


def fills(exchange: Exchange, order_id: str, at: Any) -> list[tuple[Decimal, int]]:
    return [(Decimal(str(t["average_price"])), int(str(t["quantity"]))) for t in exchange.order_trades(order_id, at)]


def test_a_sweep_takes_each_level_at_its_price():
    exchange = opened()
    offered = depth(exchange, SECOND)
    quantity = offered[0][1] + offered[1][1] + 1
    order_id = exchange.place_order(ORDER | {"product": "MIS", "quantity": quantity}, AT)
    assert fills(exchange, order_id, later(0.5)) == [*offered[:2], (offered[2][0], 1)]


def test_what_one_order_took_the_next_one_does_not_find():
    exchange = opened()
    offered = depth(exchange, SECOND)
    exchange.place_order(ORDER | {"product": "MIS", "quantity": offered[0][1]}, AT)
    second = exchange.place_order(ORDER | {"quantity": 1}, later(0.01))
    assert fills(exchange, second, later(0.5)) == [(offered[1][0], 1)]
    assert exchange.quotes(["NSE:INFY"], later(0.5))["NSE:INFY"]["depth"]["sell"][0]["quantity"] == 0


def test_charges_of_a_sweep_are_those_of_one_order():
    exchange = opened()
    order_id = exchange.place_order(ORDER | {"product": "MIS", "quantity": 600}, AT)
    seen = row(exchange, order_id, later(5))
    assert len(exchange.order_trades(order_id, later(5))) > 1
    value = exchange.cash(later(5))["bought"]
    whole = estimate_charges(exchange="NSE", product="MIS", side="BUY", quantity=1, price=value).total
    assert (seen["status"], exchange.cash(later(5))["charges"]) == ("COMPLETE", whole)


def crossing(exchange: Exchange, limit: int) -> int:
    """The first second after AT at which the best ask is at or under ``limit`` ticks."""
    path = path_of(exchange)
    return next(s for s in range(SECOND + 1, SECOND + 80_000) if path.top(s).ask <= limit)


def test_a_resting_order_waits_behind_the_seeded_queue_at_its_price():
    exchange = opened()
    path = path_of(exchange)
    limit = path.last(SECOND) - 3
    order_id = exchange.place_order(ORDER | {"quantity": 1, "price": rupees(limit)}, AT)
    exchange.advance(later(1))
    ahead = path.level_quantity(SECOND, 0, path.top(SECOND).bid - limit)
    expected = None
    for second in range(SECOND + 1, SECOND + 80_000):
        ask = path.top(second).ask
        served = path.level_quantity(second, 1, 0) if ask == limit else 0
        if ask < limit or served > ahead:
            expected = second
            break
        ahead -= served
    assert expected is not None
    done = row(exchange, order_id, later(expected - SECOND))
    assert done["status"] == "COMPLETE"
    assert row_before(limit, expected)["filled_quantity"] == 0
    assert fills(exchange, order_id, later(expected - SECOND)) == [(rupees(limit), 1)]


def row_before(limit: int, expected: int) -> dict[str, Any]:
    fresh = opened()
    order_id = fresh.place_order(ORDER | {"quantity": 1, "price": rupees(limit)}, AT)
    return row(fresh, order_id, later(expected - SECOND - 0.01))


def test_of_two_resting_orders_the_better_price_is_served_first_and_then_the_earlier():
    exchange = opened()
    limit = path_of(exchange).last(SECOND) - 4
    order = ORDER | {"product": "MIS", "quantity": 300}
    low = exchange.place_order(order | {"price": rupees(limit - 1), "tag": "low"}, AT)
    first = exchange.place_order(order | {"price": rupees(limit), "tag": "first"}, AT)
    second = exchange.place_order(order | {"price": rupees(limit), "tag": "second"}, later(0.01))
    crossed = crossing(exchange, limit) - SECOND
    exchange.advance(later(crossed + 30_000))
    book = {str(t["order_id"]): n for n, t in reversed(list(enumerate(exchange.trades(later(crossed + 30_000)))))}
    assert book[first] < book[second] < book[low]


def test_an_order_raised_in_price_takes_its_place_anew():
    exchange = opened()
    limit = path_of(exchange).last(SECOND) - 4
    order = ORDER | {"product": "MIS", "quantity": 300}
    early = exchange.place_order(order | {"price": rupees(limit - 1)}, AT)
    steady = exchange.place_order(order | {"price": rupees(limit)}, later(0.01))
    exchange.modify_order({"order_id": early, "order_type": "LIMIT", "price": rupees(limit)}, later(0.5))
    exchange.advance(later(30_000))
    book = {str(t["order_id"]): n for n, t in reversed(list(enumerate(exchange.trades(later(30_000)))))}
    assert book[steady] < book[early]


def test_looking_often_changes_nothing_for_two_resting_stocks():
    limit = {name: last_price(opened(), AT, f"NSE:{name}") - Decimal("0.50") for name in ("INFY", "ITC", "TCS")}
    one, two = opened(), opened()
    for exchange in (one, two):
        for name, price in limit.items():
            exchange.place_order(ORDER | {"tradingsymbol": name, "price": price}, AT)
    for seconds in range(0, 20_000, 37):
        two.orders(later(seconds))
    assert two.books(later(20_000)) == one.books(later(20_000))
    assert len(one.trades(later(20_000))) >= 2


def test_history_ends_where_the_roll_caught_the_order():
    exchange = opened()
    order_id = exchange.place_order(ORDER, NEXT_MORNING - timedelta(milliseconds=30))
    assert statuses(exchange, order_id, NEXT_MORNING + timedelta(seconds=5)) == ["PUT ORDER REQ RECEIVED", "CANCELLED"]


def test_a_sale_takes_settled_shares_first_and_then_those_on_their_way():
    exchange = opened()
    exchange.place_order(ORDER | {"tradingsymbol": "ITC", "quantity": 100, "price": 415}, AT)
    morning = NEXT_MORNING + timedelta(seconds=5)
    sell = ORDER | {"tradingsymbol": "ITC", "transaction_type": "SELL", "price": 390, "quantity": 250}
    exchange.place_order(sell, morning)
    itc = next(r for r in exchange.holdings(NEXT_MORNING + timedelta(days=1)) if r["tradingsymbol"] == "ITC")
    assert (itc["quantity"], itc["t1_quantity"]) == (50, 0)


def test_whole_rupees_stay_decimals_over_a_round_trip():
    books = AccountBooks.from_json(default_account().as_json())
    assert {type(row["average_price"]) for row in books.holdings} == {Decimal}
    big = AccountBooks(profile={}, margins={"net": Decimal("1E+6"), "cash": Decimal(5)})
    assert [type(value) for value in AccountBooks.from_json(big.as_json()).margins.values()] == [Decimal, Decimal]
