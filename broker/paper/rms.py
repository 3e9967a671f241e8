"""The broker's risk checks after an order was taken: what makes it a REJECTED row, in Kite's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from broker.domain import OrderType, Product, SessionPhase, Side
from broker.paper.books import AccountState, Prices
from broker.paper.config import ExchangeConfig
from broker.paper.instruments import PaperInstrument
from broker.paper.market import Market
from broker.paper.orders import PaperOrder

UNKNOWN_INSTRUMENT = "The instrument you are placing an order for has either expired or does not exist."
MARKET_CLOSED = "Your order could not be converted to a After Market Order (AMO)."
ENTRY_PHASES = (SessionPhase.PRE_OPEN, SessionPhase.CONTINUOUS, SessionPhase.CLOSING_AUCTION)


@dataclass(frozen=True, slots=True)
class Terms:
    """The part of an order a modification can change."""

    order_type: OrderType
    quantity: int
    price: Decimal
    trigger_price: Decimal


@dataclass(frozen=True, slots=True)
class Refusal:
    """``text`` is what Kite shows, ``raw`` the words of its risk system."""

    text: str
    raw: str


def terms_of(order: PaperOrder) -> Terms:
    return Terms(order.order_type, order.quantity, order.price, order.trigger_price)


def refusal(
    order: PaperOrder,
    terms: Terms,
    *,
    others: Sequence[PaperOrder],
    account: AccountState,
    market: Market,
    config: ExchangeConfig,
    now: datetime,
) -> Refusal | None:
    """The first reason against ``order`` on ``terms``; None when it may go to the exchange."""
    instrument = order.instrument
    if instrument is None or instrument.info.is_index:
        return _plain(UNKNOWN_INSTRUMENT)
    text = (
        _product(order, terms, instrument)
        or _session(order, terms, instrument, market, now)
        or _quantity(terms, instrument, config, market, now)
        or _prices(order, terms, instrument, market, config, now)
    )
    if text:
        return _plain(text)
    return _cover(order, terms, instrument, others, account) or _funds(order, terms, others, account, market, now)


def _plain(text: str) -> Refusal:
    return Refusal(text, f"RMS:{text}")


def _product(order: PaperOrder, terms: Terms, instrument: PaperInstrument) -> str | None:
    if order.request.product not in (Product.CNC, Product.MIS):
        return f"{order.request.product.value} is not allowed for {instrument.info.tradingsymbol} in this account."
    if terms.order_type is OrderType.SL_M and instrument.info.exchange == "BSE":
        return "SL-M orders are not allowed on BSE. Use SL orders instead."
    return None


def _session(order: PaperOrder, terms: Terms, instrument: PaperInstrument, market: Market, now: datetime) -> str | None:
    phase = market.phase(instrument, now)
    if order.request.variety == "regular" and phase not in ENTRY_PHASES:
        return MARKET_CLOSED
    if phase is SessionPhase.CLOSING_AUCTION and terms.order_type.has_trigger:
        return "Stop loss orders are not allowed in the closing auction session."
    return None


def _quantity(
    terms: Terms, instrument: PaperInstrument, config: ExchangeConfig, market: Market, now: datetime
) -> str | None:
    info = instrument.info
    if terms.quantity % info.lot_size:
        return f"Order quantity should be in multiples of lot size {info.lot_size}."
    most = min(config.max_order_quantity, info.freeze_quantity or config.max_order_quantity)
    if terms.quantity > most:
        return f"Order quantity exceeds the maximum of {most} allowed per order."
    price = terms.price or terms.trigger_price or market.last_price(instrument, now)
    if terms.quantity * price > config.max_order_value:
        return f"Order value exceeds the maximum of {config.max_order_value} allowed per order."
    return None


def _prices(
    order: PaperOrder, terms: Terms, instrument: PaperInstrument, market: Market, config: ExchangeConfig, now: datetime
) -> str | None:
    for price in (terms.price, terms.trigger_price):
        if price and price % instrument.info.tick_size:
            return (
                f"Tick size for this script is {instrument.info.tick_size}. "
                "Kindly enter price in the multiple of tick size for this script."
            )
        if price and (text := _band(price, instrument, market, now)):
            return text
    last = market.last_price(instrument, now)
    if terms.order_type.has_trigger:
        return _trigger(order.request.side, terms, last)
    if order.request.product is Product.CNC and terms.price:
        return _distance(terms.price, last, config.cnc_limit_distance_pct)
    return None


def _distance(price: Decimal, last: Decimal, limit: Decimal | None) -> str | None:
    if limit is None or abs(price - last) * 100 <= limit * last:
        return None
    return f"Your order price is more than {limit}% away from the last price of {last}. Use GTT instead."


def _band(price: Decimal, instrument: PaperInstrument, market: Market, now: datetime) -> str | None:
    low, high = market.band(instrument, now)
    if price < low:
        return f"Your order price is lower than the current lower circuit limit of {low}. " + _IN_RANGE
    if price > high > 0:
        return f"Your order price is higher than the current upper circuit limit of {high}. " + _IN_RANGE
    return None


_IN_RANGE = "You can place an order within the daily range."


def _trigger(side: Side, terms: Terms, last: Decimal) -> str | None:
    """FACTS b9: a buy stop lies above the last price and not above its limit; a sell stop the other way round."""
    buys = side is Side.BUY
    if (terms.trigger_price <= last) if buys else (terms.trigger_price >= last):
        where = "higher" if buys else "lower"
        return (
            f"Trigger price for stoploss {side.lower()} orders should be {where} than the last traded price ({last})."
        )
    if not terms.order_type.has_limit:
        return None
    if (terms.trigger_price > terms.price) if buys else (terms.trigger_price < terms.price):
        what = "exceed" if buys else "be lower than"
        return f"Trigger price for stoploss {side.lower()} orders cannot {what} the limit price."
    return None


def _cover(
    order: PaperOrder, terms: Terms, instrument: PaperInstrument, others: Sequence[PaperOrder], account: AccountState
) -> Refusal | None:
    if order.request.side is not Side.SELL or order.request.product is not Product.CNC:
        return None
    free, wanted = account.free_to_sell(instrument.info.isin, others), terms.quantity - order.filled_quantity
    if wanted <= free:
        return None
    symbol = instrument.info.tradingsymbol
    return Refusal(
        f"Insufficient stock holdings. {wanted} of {symbol} to sell but {max(0, free)} available. "
        "Check the orderbook for open orders.",
        f"RMS:Rule: Check holdings including collateral, Required:{wanted}, Available:{max(0, free)}",
    )


def _funds(
    order: PaperOrder,
    terms: Terms,
    others: Sequence[PaperOrder],
    account: AccountState,
    market: Market,
    now: datetime,
) -> Refusal | None:
    prices = price_source(market, now)
    blocked = account.order_margin(others, prices)
    required = account.order_margin([*others, _on_terms(order, terms)], prices) - blocked
    available = account.available(blocked)
    if required <= available or required == 0:
        return None
    return Refusal(
        f"Insufficient funds. Required margin is {required:.2f} but available margin is {available:.2f}. "
        "Check the orderbook for open orders.",
        f"RMS:Margin Exceeds,Required:{required:.2f}, Available:{available:.2f} for entity account-{order.placed_by} "
        "across exchange across segment across product ",
    )


def price_source(market: Market, now: datetime) -> Prices:
    """(last price, close of the day before) of an instrument as of ``now``."""
    return lambda instrument: (market.last_price(instrument, now), market.close_price(instrument, now))


def _on_terms(order: PaperOrder, terms: Terms) -> PaperOrder:
    return PaperOrder(
        order_id=order.order_id,
        request=order.request,
        instrument=order.instrument,
        placed_at=order.placed_at,
        placed_by=order.placed_by,
        sequence=order.sequence,
        order_type=terms.order_type,
        quantity=terms.quantity,
        price=terms.price,
        trigger_price=terms.trigger_price,
        validity=order.validity,
        order_timestamp=order.order_timestamp,
        filled_quantity=order.filled_quantity,
    )
