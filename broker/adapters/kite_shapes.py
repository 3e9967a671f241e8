"""Kite's documents as domain values. Pure: a parsed JSON document goes in, a value or BrokerSchemaError comes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from broker.adapters.kite_values import (
    Row,
    amount,
    count,
    flag,
    identifier,
    mapping,
    moment,
    optional,
    part,
    required,
    rows_of,
    text,
    whole,
)
from broker.domain import (
    BrokerOrder,
    Candle,
    DepthLevel,
    Holding,
    MarginSegment,
    Position,
    Profile,
    Quote,
    Side,
    Trade,
    symbol_of,
)
from broker.ports import BrokerSchemaError

ID_LENGTH = 32  # an order's id as it is stored; Kite's have 19 digits at most
POSITION_KEY = ("exchange", "tradingsymbol", "product")


def profile(document: object) -> Profile:
    row = mapping(document, "profile")
    return Profile(required(row, "user_id"), text(row, "user_name"), text(row, "broker") or "ZERODHA")


def holdings(rows: Sequence[Row]) -> tuple[Holding, ...]:
    return tuple(_holding(row) for row in rows)


def positions(document: object) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
    """(net rows, day rows) of the flat, unlabelled list: day rows first, then one net row per key (FACTS a23)."""
    if isinstance(document, dict) and "net" in document:
        return _positions(rows_of(document["net"])), _positions(rows_of(document.get("day")))
    rows = rows_of(document)
    keys = [tuple(required(row, name) for name in POSITION_KEY) for row in rows]
    split = len(keys) - len(set(keys))
    day, net = keys[:split], keys[split:]
    if len(set(net)) != len(net) or len(set(day)) != len(day):
        raise BrokerSchemaError("positions cannot be told apart into day and net rows")
    return _positions(rows[split:]), _positions(rows[:split])


def orders(rows: Sequence[Row], *, read_at: datetime) -> tuple[BrokerOrder, ...]:
    """The order book. An id that comes twice makes the whole read invalid."""
    found = tuple(order(row, read_at=read_at) for row in rows)
    if len({row.broker_order_id for row in found}) != len(found):
        raise BrokerSchemaError("an order id comes twice")
    return found


def order(row: Row, *, read_at: datetime) -> BrokerOrder:
    quantity, filled = count(row, "quantity"), count(row, "filled_quantity")
    if filled > quantity:
        raise BrokerSchemaError(f"filled_quantity {filled} is above quantity {quantity}")
    placed_at = moment(row, "order_timestamp", read_at=read_at)
    return BrokerOrder(
        broker_order_id=identifier(row, "order_id", longest=ID_LENGTH),
        symbol=_symbol(row),
        side=required(row, "transaction_type"),
        quantity=quantity,
        filled_quantity=filled,
        pending_quantity=whole(row, "pending_quantity"),
        cancelled_quantity=whole(row, "cancelled_quantity"),
        order_type=text(row, "order_type"),
        product=text(row, "product"),
        validity=text(row, "validity"),
        variety=text(row, "variety"),
        status=required(row, "status"),
        price=amount(row, "price"),
        trigger_price=amount(row, "trigger_price"),
        average_price=amount(row, "average_price"),
        tag=text(row, "tag"),
        tags=_tags(row),
        status_message=text(row, "status_message"),
        placed_at=placed_at,
        updated_at=moment(row, "exchange_update_timestamp", read_at=read_at) or placed_at,
        exchange_order_id=text(row, "exchange_order_id"),
        parent_order_id=text(row, "parent_order_id"),
        placed_by=text(row, "placed_by"),
        raw=row,
    )


def trades(rows: Sequence[Row], *, read_at: datetime) -> tuple[Trade, ...]:
    return tuple(_trade(row, read_at) for row in rows)


def margins(document: object) -> dict[str, MarginSegment]:
    """Segment name to purse; a segment the broker leaves out is absent."""
    purses = mapping(document, "margins")
    return {name: _segment(part(purses, name)) for name in ("equity", "commodity") if purses.get(name) is not None}


def quotes(document: object, *, read_at: datetime) -> dict[str, Quote]:
    """Quotes by symbol; null is none at all."""
    if document is None:
        return {}
    rows = mapping(document, "quotes")
    return {symbol: _quote(symbol, mapping(row, symbol), read_at) for symbol, row in rows.items()}


def candles(document: object, *, read_at: datetime) -> tuple[Candle, ...]:
    return tuple(_candle(row, read_at) for row in rows_of(document))


def order_id(document: object) -> str:
    """The id an accepted write is answered with: digits, 19 at most."""
    found = required(mapping(document, "answer"), "order_id")
    if not (found.isascii() and found.isalnum() and len(found) <= ID_LENGTH):
        raise BrokerSchemaError(f"order_id {found[:40]!r} is not an id")
    return found


def _holding(row: Row) -> Holding:
    return Holding(
        symbol=_symbol(row),
        isin=text(row, "isin"),
        quantity=whole(row, "quantity"),
        t1_quantity=whole(row, "t1_quantity"),
        used_quantity=whole(row, "used_quantity"),
        average_price=amount(row, "average_price"),
        last_price=amount(row, "last_price"),
        close_price=amount(row, "close_price"),
        collateral_quantity=whole(row, "collateral_quantity"),
        product=text(row, "product") or "CNC",
        discrepancy=flag(row, "discrepancy"),
        pnl=amount(row, "pnl"),
    )


def _positions(rows: Sequence[Row]) -> tuple[Position, ...]:
    return tuple(_position(row) for row in rows)


def _position(row: Row) -> Position:
    return Position(
        symbol=_symbol(row),
        product=required(row, "product"),
        quantity=whole(row, "quantity"),
        overnight_quantity=whole(row, "overnight_quantity"),
        multiplier=amount(row, "multiplier") or Decimal(1),
        average_price=amount(row, "average_price"),
        last_price=amount(row, "last_price"),
        close_price=amount(row, "close_price"),
        buy_quantity=count(row, "buy_quantity"),
        buy_value=amount(row, "buy_value"),
        sell_quantity=count(row, "sell_quantity"),
        sell_value=amount(row, "sell_value"),
        day_buy_quantity=count(row, "day_buy_quantity"),
        day_buy_value=amount(row, "day_buy_value"),
        day_sell_quantity=count(row, "day_sell_quantity"),
        day_sell_value=amount(row, "day_sell_value"),
        pnl=amount(row, "pnl"),
        m2m=amount(row, "m2m"),
    )


def _trade(row: Row, read_at: datetime) -> Trade:
    return Trade(
        trade_id=identifier(row, "trade_id", longest=40),
        broker_order_id=identifier(row, "order_id", longest=ID_LENGTH),
        symbol=_symbol(row),
        side=_traded_side(row),
        product=text(row, "product")[:10],
        quantity=count(row, "quantity"),
        average_price=amount(row, "average_price"),
        filled_at=moment(row, "fill_timestamp", read_at=read_at),
        exchange_order_id=text(row, "exchange_order_id"),
    )


def _traded_side(row: Row) -> str:
    """A trade moves the expected books, so its side is one of two words or the read is none."""
    side = required(row, "transaction_type")
    if side not in (Side.BUY, Side.SELL):
        raise BrokerSchemaError(f"transaction_type is {side[:20]!r}, not BUY or SELL")
    return side


def _segment(row: Row) -> MarginSegment:
    available, utilised = part(row, "available"), part(row, "utilised")
    return MarginSegment(
        enabled=flag(row, "enabled"),
        net=amount(row, "net"),
        cash=amount(available, "cash"),
        opening_balance=amount(available, "opening_balance"),
        live_balance=amount(available, "live_balance"),
        collateral=amount(available, "collateral"),
        debits=amount(utilised, "debits"),
        raw=row,
    )


def _quote(symbol: str, row: Row, read_at: datetime) -> Quote:
    ohlc, depth = part(row, "ohlc"), part(row, "depth")
    return Quote(
        symbol=symbol,
        last_price=amount(row, "last_price"),
        read_at=read_at,
        as_of=moment(row, "timestamp", read_at=read_at),
        open=optional(ohlc, "open"),
        high=optional(ohlc, "high"),
        low=optional(ohlc, "low"),
        close=optional(ohlc, "close"),
        volume=count(row, "volume"),
        lower_circuit=optional(row, "lower_circuit_limit"),
        upper_circuit=optional(row, "upper_circuit_limit"),
        bids=_levels(depth.get("buy")),
        asks=_levels(depth.get("sell")),
    )


def _levels(value: object) -> tuple[DepthLevel, ...]:
    """The levels that exist: an empty one is sent as zeros."""
    levels = (DepthLevel(amount(row, "price"), count(row, "quantity"), count(row, "orders")) for row in rows_of(value))
    return tuple(level for level in levels if level.price > 0 and level.quantity > 0)


def _candle(row: Row, read_at: datetime) -> Candle:
    ts = moment(row, "date", read_at=read_at)
    if ts is None:
        raise BrokerSchemaError("a candle has no date")
    return Candle(
        ts, amount(row, "open"), amount(row, "high"), amount(row, "low"), amount(row, "close"), count(row, "volume")
    )


def _symbol(row: Row) -> str:
    return symbol_of(identifier(row, "exchange", longest=9), identifier(row, "tradingsymbol", longest=50))


def _tags(row: Row) -> tuple[str, ...]:
    tags = row.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BrokerSchemaError("tags is not a list of texts")
    return tuple(tags)
