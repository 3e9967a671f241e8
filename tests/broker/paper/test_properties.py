"""What holds for every run of commands: the books add up, fills respect price and time, time alone decides."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper.config import EntryRefused, ExchangeConfig
from broker.paper.exchange import Exchange
from tests.broker.paper.helpers import AT, ORDER, later, opened

CONFIG = ExchangeConfig(refuse_unprotected_market=False)
QUICK = settings(max_examples=40, deadline=None)

places = st.fixed_dictionaries(
    {
        "kind": st.just("place"),
        "tradingsymbol": st.sampled_from(["INFY", "ITC", "WIPRO"]),
        "transaction_type": st.sampled_from(["BUY", "SELL"]),
        "product": st.sampled_from(["CNC", "MIS"]),
        "order_type": st.sampled_from(["LIMIT", "MARKET", "SL", "SL-M"]),
        "validity": st.sampled_from(["DAY", "DAY", "IOC"]),
        "quantity": st.sampled_from([1, 7, 50, 200, 900]),
        "offset": st.integers(-12, 12),
    }
)
changes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["cancel", "modify"]),
        "which": st.integers(0, 9),
        "quantity": st.sampled_from([0, 5, 300]),
        "offset": st.integers(-12, 12),
    }
)
runs = st.lists(st.tuples(st.sampled_from([0.05, 0.27, 1, 3.5, 60, 4000, 50_000]), places | changes), max_size=12)


def price(exchange: Exchange, symbol: str, offset: int, now: Any) -> Decimal:
    """A price on the tick grid, some ticks off the last."""
    instrument = exchange.market.instruments.get(f"NSE:{symbol}")
    assert instrument is not None
    return exchange.market.last_price(instrument, now) + offset * instrument.info.tick_size


def play(exchange: Exchange, run: list[tuple[float, dict[str, Any]]], *, looking: bool = False) -> float:
    """Runs the commands at their times; with ``looking``, somebody reads the books in between all the time."""
    at, ids = 0.0, []
    for wait, command in run:
        if looking:
            for part in (0.31, 0.77):
                exchange.orders(later(at + wait * part))
        at += wait
        now = later(at)
        try:
            if command["kind"] == "place":
                symbol, offset = command["tradingsymbol"], command["offset"]
                near = price(exchange, symbol, offset, now)
                args = ORDER | {k: v for k, v in command.items() if k not in ("kind", "offset")}
                ids.append(exchange.place_order(args | {"price": near, "trigger_price": near}, now))
            elif ids:
                order_id = ids[command["which"] % len(ids)]
                if command["kind"] == "cancel":
                    exchange.cancel_order({"order_id": order_id}, now)
                else:
                    exchange.modify_order({"order_id": order_id, "quantity": command["quantity"]}, now)
        except EntryRefused:
            continue
    return at


@QUICK
@given(run=runs)
def test_the_same_commands_at_the_same_times_give_the_same_books(run):
    one, two = opened(CONFIG), opened(CONFIG)
    end = later(play(one, run) + 30)
    play(two, run, looking=True)
    assert two.books(end) == one.books(end)


@QUICK
@given(run=runs)
def test_orders_trades_and_histories_agree(run):
    exchange = opened(CONFIG)
    end = later(play(exchange, run) + 30)
    trades = exchange.trades(end)
    for order in exchange.orders(end):
        own = [t for t in trades if t["order_id"] == order["order_id"]]
        filled = sum(int(t["quantity"]) for t in own)
        history = exchange.order_history(order["order_id"], end)
        counts = [int(state["filled_quantity"]) for state in history]
        assert counts == sorted(counts)
        assert 0 <= order["filled_quantity"] <= order["quantity"]
        assert history[-1] == order
        if int(order["order_timestamp"][8:10]) == int(str(exchange.market.trading_day(end))[8:10]):
            assert filled == order["filled_quantity"]
        if order["status"] == "COMPLETE":
            assert order["filled_quantity"] == order["quantity"]
        for trade in own:
            if order["price"] and order["transaction_type"] == "BUY":
                assert trade["average_price"] <= order["price"]
            elif order["price"]:
                assert trade["average_price"] >= order["price"]


@QUICK
@given(run=runs)
def test_money_is_conserved(run):
    exchange = opened(CONFIG)
    first = exchange.cash(AT)["closing"]
    seen: dict[str, dict[str, Any]] = {}
    at = 0.0
    for wait, command in run:
        at += play_one(exchange, wait, command, at)
        seen |= {str(t["trade_id"]): t for t in exchange.trades(later(at))}
    seen |= {str(t["trade_id"]): t for t in exchange.trades(later(at + 30))}
    cash = exchange.cash(later(at + 30))
    assert cash["closing"] == first + cash["sold"] - cash["bought"] - cash["charges"]
    signed = {"BUY": -1, "SELL": 1}
    if at + 30 < 60_000:  # no day has rolled: every trade was seen
        flow = sum(signed[t["transaction_type"]] * t["quantity"] * t["average_price"] for t in seen.values())
        assert cash["closing"] - first == flow - cash["charges"]


def play_one(exchange: Exchange, wait: float, command: dict[str, Any], at: float) -> float:
    if command["kind"] == "place":
        now = later(at + wait)
        near = price(exchange, command["tradingsymbol"], command["offset"], now)
        args = ORDER | {k: v for k, v in command.items() if k not in ("kind", "offset")}
        exchange.place_order(args | {"price": near, "trigger_price": near}, now)
    return wait


@QUICK
@given(run=runs)
def test_every_position_row_obeys_the_formulas(run):
    exchange = opened(CONFIG)
    end = later(play(exchange, run) + 30)
    for row in exchange.positions(end)["net"]:
        held = row["quantity"] * row["last_price"] * row["multiplier"]
        assert row["quantity"] == row["overnight_quantity"] + row["day_buy_quantity"] - row["day_sell_quantity"]
        assert row["value"] == row["sell_value"] - row["buy_value"]
        assert row["pnl"] == row["unrealised"] == row["value"] + held
        assert row["m2m"] == row["sell_m2m"] - row["buy_m2m"] + held


@QUICK
@given(run=runs)
def test_margins_add_up_and_delivery_is_never_oversold(run):
    exchange = opened(CONFIG)
    end = later(play(exchange, run) + 30)
    equity = exchange.margins(end)["equity"]
    assert equity["net"] == equity["available"]["live_balance"]
    assert equity["net"] == equity["available"]["cash"] - equity["utilised"]["debits"]
    for row in exchange.holdings(end):
        assert 0 <= row["used_quantity"] <= row["quantity"] + row["t1_quantity"]
    owned = {r["tradingsymbol"]: r["quantity"] + r["t1_quantity"] for r in exchange.holdings(end)}
    for row in exchange.positions(end)["net"]:
        if row["product"] == "CNC":
            assert row["quantity"] + owned.get(row["tradingsymbol"], 0) >= 0


@QUICK
@given(
    offsets=st.lists(st.integers(0, 3), min_size=2, max_size=5),
    quantity=st.sampled_from([300, 600]),
)
def test_better_prices_first_then_first_come(offsets, quantity):
    """Buys that rest together are served by price and, at one price, in order of arrival."""
    exchange = opened(CONFIG)
    base = price(exchange, "INFY", -15, AT)
    order = ORDER | {"product": "MIS", "quantity": quantity}
    limits = [base + offset * Decimal("0.10") for offset in offsets]
    ids = [exchange.place_order(order | {"price": limit}, later(0.01 * n)) for n, limit in enumerate(limits)]
    ranking = sorted(range(len(ids)), key=lambda n: (-offsets[n], n))
    done: dict[str, int] = {}
    for step in range(1, 3000, 50):
        for row in exchange.orders(later(step)):
            if row["status"] == "COMPLETE":
                done.setdefault(str(row["order_id"]), step)
    times = [done.get(ids[n], 10**6) for n in ranking]
    assert all(first <= second for first, second in pairwise(times))
