"""Values for the tests of risk: a healthy account on an open practice market in which a small buy passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from broker.domain import (
    BrokerOrder,
    Holding,
    InstrumentInfo,
    MarginSegment,
    MarketState,
    OrderType,
    Position,
    Product,
    Quote,
    SessionPhase,
    Side,
    Validity,
    Variety,
)
from risk.domain import UNTOUCHED, Actor, Book, OrderRequest, RequestKind, TradingStateName

NOW = datetime(2026, 9, 7, 5, 0, tzinfo=UTC)
D = Decimal


def order(**changes: Any) -> OrderRequest:
    base = OrderRequest(
        leg=1,
        kind=RequestKind.PLACE,
        symbol="NSE:INFY",
        side=Side.BUY,
        quantity=10,
        order_type=OrderType.LIMIT,
        product=Product.CNC,
        validity=Validity.DAY,
        variety=Variety.REGULAR,
        limit_price=D("1500"),
    )
    return replace(base, **changes)


def info(symbol: str = "NSE:INFY", **changes: Any) -> InstrumentInfo:
    base = InstrumentInfo(
        symbol=symbol,
        name="INFOSYS",
        instrument_token=408065,
        tick_size=D("0.10"),
        lot_size=1,
        segment=symbol.partition(":")[0],
        isin="INE009A01021" if symbol.endswith(":INFY") else "",
        freeze_quantity=100_000,
    )
    return replace(base, **changes)


def quote(symbol: str = "NSE:INFY", last: str = "1499", age_s: int = 1, **changes: Any) -> Quote:
    price = D(last)
    base = Quote(
        symbol=symbol,
        last_price=price,
        read_at=NOW - timedelta(seconds=age_s),
        close=price,
        lower_circuit=(price * D("0.9")).quantize(D("0.1")),
        upper_circuit=(price * D("1.1")).quantize(D("0.1")),
    )
    return replace(base, **changes)


def holding(symbol: str = "NSE:INFY", quantity: int = 100, **changes: Any) -> Holding:
    base = Holding(
        symbol=symbol,
        isin="INE009A01021" if symbol.endswith(":INFY") else "",
        quantity=quantity,
        t1_quantity=0,
        used_quantity=0,
        average_price=D("1400"),
        last_price=D("1499"),
        close_price=D("1490"),
    )
    return replace(base, **changes)


def position(symbol: str = "NSE:INFY", quantity: int = 10, product: str = "MIS", **changes: Any) -> Position:
    zero = D(0)
    base = Position(
        symbol=symbol, product=product, quantity=quantity, overnight_quantity=0, multiplier=D(1),
        average_price=D("1490"), last_price=D("1499"), close_price=D("1490"), buy_quantity=0, buy_value=zero,
        sell_quantity=0, sell_value=zero, day_buy_quantity=0, day_buy_value=zero, day_sell_quantity=0,
        day_sell_value=zero, pnl=zero, m2m=zero,
    )  # fmt: skip
    return replace(base, **changes)


def open_order(order_id: str = "240907000001", side: str = "SELL", quantity: int = 40, **changes: Any) -> BrokerOrder:
    base = BrokerOrder(
        broker_order_id=order_id, symbol="NSE:INFY", side=side, quantity=quantity, filled_quantity=0,
        pending_quantity=quantity, cancelled_quantity=0, order_type="LIMIT", product="CNC", validity="DAY",
        variety="regular", status="OPEN", price=D("1520"), trigger_price=D(0), average_price=D(0), tag="", tags=(),
        status_message="", placed_at=NOW - timedelta(minutes=5), updated_at=None,
    )  # fmt: skip
    return replace(base, **changes)


def purse(net: str = "1000000", **changes: Any) -> MarginSegment:
    base = MarginSegment(
        enabled=True, net=D(net), cash=D(net), opening_balance=D(net), live_balance=D(net), collateral=D(0), debits=D(0)
    )
    return replace(base, **changes)


def book(**changes: Any) -> Book:
    base = Book(
        account="paper-1",
        is_live=False,
        actor=Actor.TRADER,
        market=MarketState(now=NOW, phase=SessionPhase.CONTINUOUS, practice=True),
        trading_state=TradingStateName.ACTIVE,
        trading_state_reason="",
        instruments={"NSE:INFY": info(), "BSE:INFY": info("BSE:INFY")},
        quotes={"NSE:INFY": quote(), "BSE:INFY": quote("BSE:INFY")},
        holdings=(),
        positions=(),
        open_orders=(),
        margins={"equity": purse()},
        books_as_of=NOW - timedelta(seconds=2),
        margin_required={1: D("15020.50")},
        standing=UNTOUCHED,
    )
    return replace(base, **changes)
