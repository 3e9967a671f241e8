"""What would pass instead: a quantity, a price, or both. Each is evaluated by the gate before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from broker.domain import InstrumentInfo, OrderType, Product
from risk.codes import Code
from risk.domain import Alternative, Book, OrderRequest, RequestKind
from risk.legs import HUNDRED, LegFacts
from risk.wording import rupees, shares

AT_MOST = 3
PRICE_CODES = frozenset({Code.TICK_SIZE, Code.PRICE_COLLAR, Code.PRICE_BAND})
MARKET_CODES = frozenset({Code.MARKET_DATA_STALE, Code.MARKET_PROTECTION})
QUANTITY_CODES = frozenset(
    {
        Code.ORDER_QTY_MAX, Code.FREEZE_QTY, Code.LOT_SIZE, Code.ORDER_VALUE_MAX, Code.ORDER_VALUE_DAY,
        Code.POSITION_MAX, Code.EXPOSURE_MAX, Code.OPEN_VALUE_MAX, Code.MARGIN_INSUFFICIENT, Code.SHORT_NOT_COVERED,
        Code.REDUCE_WOULD_FLIP, Code.TRADING_REDUCING, Code.SYMBOL_RESTRICTED, Code.ORDER_COUNT_DAY,
        Code.REJECT_STREAK, Code.UNCONFIRMED_ORDERS, Code.POSITION_COUNT_MAX, Code.MARKET_DATA_STALE,
    }
)  # fmt: skip
BROKERAGE_CAP = Decimal(24)  # rupees, GST included: brokerage is capped, so charges do not shrink in proportion

Denials = Callable[[OrderRequest, Book], tuple[Code, ...]]


def find(leg: LegFacts, denials: tuple[Code, ...], judge: Denials) -> tuple[Alternative, ...]:
    """At most three changes of one denied place request that ``judge`` finds nothing against.

    ``judge`` gives the denials of an order with its book. The quantity offered is the largest below the asked one.
    """
    order, book = leg.order, leg.book
    if order.kind is not RequestKind.PLACE or leg.info is None or order.quantity <= 0:
        return ()
    found: list[Alternative] = []
    priced = _priced(leg, denials)
    if priced is not None and not judge(priced, _rescaled(book, order, priced)):
        found.append(_alternative(order, priced, _first(denials, PRICE_CODES | MARKET_CODES)))
    for base in (order, priced):
        if base is None or (base is priced and found):
            continue
        quantity = _largest_passing(base, order, leg.info, denials, book, judge)
        if quantity is not None:
            change = replace(base, quantity=quantity)
            found.append(_alternative(order, change, _first(denials, QUANTITY_CODES)))
    return tuple(found[:AT_MOST])


def _first(denials: tuple[Code, ...], among: frozenset[Code]) -> Code:
    return next((code for code in denials if code in among), denials[0])


def _priced(leg: LegFacts, denials: tuple[Code, ...]) -> OrderRequest | None:
    """The order with the nearest price that can pass; for a market exit without a quote, as a limit order."""
    order = leg.order
    if set(denials) & MARKET_CODES and order.order_type is OrderType.MARKET and leg.reference is not None:
        price = _nearest(leg, leg.reference)
        return replace(order, order_type=OrderType.LIMIT, limit_price=price) if price is not None else None
    if order.order_type is not OrderType.LIMIT or order.limit_price is None or not set(denials) & PRICE_CODES:
        return None
    price = _nearest(leg, order.limit_price)
    return replace(order, limit_price=price) if price is not None and price != order.limit_price else None


def _nearest(leg: LegFacts, price: Decimal) -> Decimal | None:
    """The price on a tick nearest to ``price`` inside collar and circuit band; None if there is none."""
    if leg.info is None or leg.info.tick_size <= 0:
        return None
    tick = leg.info.tick_size
    low, high = _bounds(leg)
    nearest = (price / tick).to_integral_value(ROUND_HALF_UP) * tick
    if low is not None:
        nearest = max(nearest, (low / tick).to_integral_value(ROUND_CEILING) * tick)
    if high is not None:
        nearest = min(nearest, (high / tick).to_integral_value(ROUND_FLOOR) * tick)
    return nearest if nearest > 0 else None


def _bounds(leg: LegFacts) -> tuple[Decimal | None, Decimal | None]:
    lows, highs = [], []
    if leg.reference is not None:
        lows.append(leg.reference * (HUNDRED - leg.collar_percent) / HUNDRED)
        highs.append(leg.reference * (HUNDRED + leg.collar_percent) / HUNDRED)
    if leg.quote is not None:
        lows += [leg.quote.lower_circuit] if leg.quote.lower_circuit is not None else []
        highs += [leg.quote.upper_circuit] if leg.quote.upper_circuit is not None else []
    return max(lows, default=None), min(highs, default=None)


def _largest_passing(
    base: OrderRequest,
    asked: OrderRequest,
    info: InstrumentInfo,
    denials: tuple[Code, ...],
    book: Book,
    judge: Denials,
) -> int | None:
    """The largest whole number of lots below the asked quantity that passes, by bisection: fewer is never worse."""
    if not set(denials) & QUANTITY_CODES or info.lot_size <= 0:
        return None

    def passes(lots: int) -> bool:
        order = replace(base, quantity=lots * info.lot_size)
        return not judge(order, _rescaled(book, asked, order))

    low, high = 1, (asked.quantity - 1) // info.lot_size
    if low > high or not passes(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if passes(middle):
            low = middle
        else:
            high = middle - 1
    return low * info.lot_size


def _rescaled(book: Book, asked: OrderRequest, order: OrderRequest) -> Book:
    """The book with the margin that the changed order would need: in proportion, rounded up, never too little."""
    needed = book.margin_required.get(asked.leg)
    if needed is None:
        return book
    scaled = needed * order.quantity / asked.quantity
    if asked.limit_price is not None and order.limit_price is not None and asked.limit_price > 0:
        scaled *= max(Decimal(1), order.limit_price / asked.limit_price)
    if order.product is not Product.CNC and order.quantity < asked.quantity:
        scaled = min(needed, scaled + BROKERAGE_CAP)
    required: Mapping[int, Decimal] = {**book.margin_required, order.leg: scaled.to_integral_value(ROUND_CEILING)}
    return replace(book, margin_required=required)


def _alternative(asked: OrderRequest, order: OrderRequest, code: Code) -> Alternative:
    words = []
    if order.quantity != asked.quantity:
        words.append(shares(order.quantity))
    if order.limit_price is not None and order.limit_price != asked.limit_price:
        words.append(f"{'a LIMIT at' if asked.limit_price is None else 'a price of'} {rupees(order.limit_price)}")
    return Alternative(
        change=f"{' at '.join(words)} would pass: {code.value}",
        code=code.value,
        quantity=order.quantity if order.quantity != asked.quantity else None,
        limit_price=order.limit_price if order.limit_price != asked.limit_price else None,
    )
