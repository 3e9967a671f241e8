"""Market data rows as Kite's MCP server sends them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from broker.paper.instruments import PaperInstrument
from broker.paper.market import Market
from broker.paper.matching import Matcher
from broker.paper.prices import DEPTH_LEVELS
from broker.paper.shapes import Row, stamp

DAY_NAMES = ("open", "high", "low", "close")


def ltp_row(market: Market, instrument: PaperInstrument, now: datetime) -> Row:
    return {
        "instrument_token": instrument.info.instrument_token,
        "last_price": market.last_price(instrument, now),
    }


def ohlc_row(market: Market, instrument: PaperInstrument, now: datetime) -> Row:
    day = market.ohlc(instrument, now)
    prices = {name: market.price(instrument, getattr(day, name)) for name in DAY_NAMES}
    return ltp_row(market, instrument, now) | {"ohlc": prices}


def quote_row(market: Market, matcher: Matcher, instrument: PaperInstrument, now: datetime) -> Row:
    """A full quote. Depth is what our own orders have left of the seeded book in this second."""
    base = ohlc_row(market, instrument, now)
    day = market.ohlc(instrument, now)
    depth = _depth(market, matcher, instrument, now)
    low, high = market.band(instrument, now)
    return {
        "instrument_token": base["instrument_token"],
        "timestamp": stamp(now),
        "last_price": base["last_price"],
        "last_quantity": 0 if instrument.info.is_index else 1 + market.second(instrument, now) % 97,
        "last_trade_time": stamp(now),
        "average_price": market.price(instrument, (day.high + day.low + day.open) // 3),
        "volume": 0 if instrument.info.is_index else market.volume(instrument, now),
        "buy_quantity": _total(depth["buy"]),
        "sell_quantity": _total(depth["sell"]),
        "ohlc": base["ohlc"],
        "net_change": 0,
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "lower_circuit_limit": low,
        "upper_circuit_limit": high,
        "depth": depth,
    }


def search_row(market: Market, instrument: PaperInstrument, now: datetime) -> Row:
    info = instrument.info
    low, high = market.band(instrument, now)
    return {
        "id": info.symbol,
        "instrument_token": info.instrument_token,
        "exchange_token": instrument.exchange_token,
        "tradingsymbol": info.tradingsymbol,
        "exchange": info.exchange,
        "isin": info.isin,
        "name": info.name,
        "series": "" if info.is_index else "EQ",
        "last_price": market.last_price(instrument, now),
        "strike": info.strike or 0,
        "tick_size": info.tick_size,
        "lot_size": info.lot_size,
        "multiplier": 1,
        "instrument_type": info.instrument_type,
        "segment": info.segment,
        "delivery_units": "",
        "price_units": "",
        "freeze_quantity": info.freeze_quantity or 0,
        "max_order_quantity": 0,
        "expiry_type": "",
        "expiry_date": info.expiry,
        "exercise_start_date": "",
        "exercise_end_date": "",
        "issue_date": "",
        "listing_date": "",
        "maturity_date": "",
        "lower_circuit_limit": low,
        "upper_circuit_limit": high,
        "active": True,
    }


def _depth(market: Market, matcher: Matcher, instrument: PaperInstrument, now: datetime) -> dict[str, list[Row]]:
    if instrument.info.is_index:
        nothing: Row = {"price": Decimal(0), "quantity": 0, "orders": 0}
        return {side: [dict(nothing) for _ in range(DEPTH_LEVELS)] for side in ("buy", "sell")}
    second = market.second(instrument, now)
    top = market.path(instrument).top(second)
    sides: dict[str, list[Row]] = {"buy": [], "sell": []}
    for name, side, best, step in (("buy", 0, top.bid, -1), ("sell", 1, top.ask, 1)):
        for level in range(DEPTH_LEVELS):
            quantity = matcher.available(instrument, second, side, level)
            price = market.price(instrument, best + step * level)
            sides[name].append({"price": price, "quantity": quantity, "orders": 1 + quantity // 50})
    return sides


def _total(levels: list[Row]) -> int:
    return sum(int(str(level["quantity"])) for level in levels)
