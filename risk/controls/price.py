"""At what price: tick, collar, circuit band, trigger, and whether the price it is judged by is any good."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from broker.domain import OrderType, Side
from risk.codes import Code, Unit
from risk.findings import Finding, denies, passes, warns
from risk.legs import HUNDRED, LegFacts, PriceSource
from risk.wording import name, percent, plural, rupees

CENT = Decimal("0.01")


def fresh_price(leg: LegFacts) -> Finding:
    """MARKET_DATA_STALE: an entry needs a fresh quote; an exit may go on an old one, and with none only at a limit."""
    limit, age = leg.limits.quote_age_s, leg.quote_age_s
    if leg.source is PriceSource.FRESH:
        return passes(Code.MARKET_DATA_STALE, lambda: f"The price is {age or 0} s old.", limit, age, Unit.SECONDS)
    if leg.is_exit and leg.source is PriceSource.STALE:
        return warns(
            Code.WARN_MARKET_DATA,
            lambda: f"The price is {_age(age)}; the exit may go all the same.",
            limit,
            age,
            Unit.SECONDS,
        )
    if leg.source is PriceSource.STALE:
        return denies(
            Code.MARKET_DATA_STALE,
            lambda: f"The price of {name(leg.order.symbol)} is {_age(age)}; at most {limit} s are allowed.",
            limit,
            age,
            Unit.SECONDS,
        )
    return _without_quote(leg, limit)


def _without_quote(leg: LegFacts, limit: int) -> Finding:
    symbol = name(leg.order.symbol)
    if not leg.is_exit:
        return denies(Code.MARKET_DATA_STALE, lambda: f"There is no price for {symbol} now.", limit, None, Unit.SECONDS)
    if leg.is_market_like:
        limit_price = inward_tick(leg, leg.reference) if leg.reference is not None else None
        return denies(
            Code.MARKET_DATA_STALE,
            lambda: (
                f"There is no price for {symbol} now, so a market exit has no guard."
                + (f" A LIMIT at {rupees(limit_price)} would pass." if limit_price else " Give a LIMIT price.")
            ),
            limit,
            None,
            Unit.SECONDS,
        )
    return warns(
        Code.WARN_MARKET_DATA,
        lambda: f"There is no price for {symbol} now; your exit goes at its own limit.",
        limit,
        None,
        Unit.SECONDS,
    )


def tick_size(leg: LegFacts) -> Finding:
    """TICK_SIZE: limit and trigger price on a tick of the instrument."""
    if leg.info is None or leg.info.tick_size <= 0:
        return denies(Code.TICK_SIZE, lambda: "The tick size is not known.", None, None, Unit.RUPEES)
    tick = leg.info.tick_size
    given = [price for price in (leg.order.limit_price, leg.order.trigger_price) if price is not None]
    off = next((price for price in given if price % tick), None)
    if off is None:
        return passes(
            Code.TICK_SIZE,
            lambda: f"On the tick of {rupees(tick)}." if given else "No price of its own.",
            tick,
            given[0] if given else None,
            Unit.RUPEES,
        )
    return denies(
        Code.TICK_SIZE,
        lambda: (
            f"{name(leg.order.symbol)} moves in steps of {rupees(tick)}: {rupees(off)} is between "
            f"{rupees(off - off % tick)} and {rupees(off - off % tick + tick)}."
        ),
        tick,
        off,
        Unit.RUPEES,
    )


def price_collar(leg: LegFacts) -> Finding:
    """PRICE_COLLAR: a limit near the last price; for a stop-limit, near its own trigger.

    Against an old price an exit is only warned: the market may have moved where the trader wants to sell.
    """
    limit, order = leg.collar_percent, leg.order
    if not order.order_type.has_limit:
        return passes(Code.PRICE_COLLAR, lambda: "No limit price to compare.", limit, None, Unit.PERCENT)
    base = order.trigger_price if order.order_type is OrderType.SL else leg.reference
    if order.limit_price is None or base is None or base <= 0:
        return _no_collar(leg, limit)
    distance = abs(order.limit_price - base)
    away = (distance * HUNDRED / base).quantize(CENT)
    price, start = order.limit_price, base  # as the sentences below have them, told when somebody reads one

    def where() -> str:
        return f"{percent(away)} {'above' if price > start else 'below'} the {_base_name(leg)} of {rupees(start)}"

    if distance * HUNDRED > limit * base:
        if leg.is_exit and leg.source is not PriceSource.FRESH:
            return warns(
                Code.WARN_PRICE_COLLAR,
                lambda: f"{rupees(order.limit_price or base)} is {where()}, but that price is not fresh.",
                limit,
                away,
                Unit.PERCENT,
            )
        return denies(
            Code.PRICE_COLLAR,
            lambda: f"{rupees(order.limit_price or base)} is {where()}; at most {percent(limit)} is allowed.",
            limit,
            away,
            Unit.PERCENT,
        )
    if distance * HUNDRED * HUNDRED >= limit * base * leg.limits.soft_limit_percent:
        return warns(
            Code.WARN_PRICE_COLLAR,
            lambda: f"The price is {where()}; {percent(limit)} is the limit.",
            limit,
            away,
            Unit.PERCENT,
        )
    return passes(Code.PRICE_COLLAR, lambda: f"The price is {where()}.", limit, away, Unit.PERCENT)


def _no_collar(leg: LegFacts, limit: Decimal) -> Finding:
    if leg.is_exit and leg.order.limit_price is not None:
        return warns(
            Code.WARN_PRICE_COLLAR,
            lambda: "There is no price to compare your limit with; the exit goes at its own limit.",
            limit,
            None,
            Unit.PERCENT,
        )
    return denies(Code.PRICE_COLLAR, lambda: "There is no price to compare the limit with.", limit, None, Unit.PERCENT)


def price_band(leg: LegFacts) -> Finding:
    """PRICE_BAND: limit and trigger inside today's circuit limits."""
    given = [price for price in (leg.order.limit_price, leg.order.trigger_price) if price is not None]
    low = leg.quote.lower_circuit if leg.quote is not None else None
    high = leg.quote.upper_circuit if leg.quote is not None else None
    if not given:
        return passes(Code.PRICE_BAND, lambda: "No price of its own to compare.")
    if low is None or high is None:
        unknown = f"Today's circuit limits of {name(leg.order.symbol)} are not known."
        if leg.is_exit:
            return warns(Code.WARN_PRICE_BAND, lambda: unknown, None, given[0], Unit.RUPEES)
        return denies(Code.PRICE_BAND, lambda: unknown, None, given[0], Unit.RUPEES)

    def band() -> str:
        return f"{rupees(low)} to {rupees(high)}"

    outside = next((price for price in given if not low <= price <= high), None)
    if outside is not None:
        return denies(
            Code.PRICE_BAND,
            lambda: f"{rupees(outside)} is outside today's circuit limits, {band()}.",
            high if outside > high else low,
            outside,
            Unit.RUPEES,
        )
    return passes(Code.PRICE_BAND, lambda: f"Inside today's circuit limits, {band()}.", high, given[0], Unit.RUPEES)


def trigger_price(leg: LegFacts) -> Finding:
    """TRIGGER_PRICE: a buy stop above the last price and not above its limit; a sell stop the other way round."""
    order = leg.order
    if not order.order_type.has_trigger:
        return passes(Code.TRIGGER_PRICE, lambda: "Not a stop order.")
    trigger = order.trigger_price
    if trigger is None:
        return denies(Code.TRIGGER_PRICE, lambda: "The stop has no trigger price.")
    buys = order.side is Side.BUY
    if order.limit_price is not None and (trigger > order.limit_price if buys else trigger < order.limit_price):
        return denies(
            Code.TRIGGER_PRICE,
            lambda: f"A {order.side.value} stop's trigger must not be {'above' if buys else 'below'} its limit price.",
            order.limit_price,
            trigger,
            Unit.RUPEES,
        )
    return _trigger_side(leg, trigger, buys)


def _trigger_side(leg: LegFacts, trigger: Decimal, buys: bool) -> Finding:
    last = leg.reference
    if last is None:
        if leg.is_exit:
            unknown = "There is no last price to compare the trigger with."
            return warns(Code.WARN_TRIGGER_PRICE, lambda: unknown, None, trigger, Unit.RUPEES)
        return denies(
            Code.TRIGGER_PRICE,
            lambda: "There is no last price to compare the trigger with.",
            None,
            trigger,
            Unit.RUPEES,
        )
    if trigger <= last if buys else trigger >= last:
        return denies(
            Code.TRIGGER_PRICE,
            lambda: (
                f"A {'BUY' if buys else 'SELL'} stop must be {'above' if buys else 'below'} the last price "
                f"of {rupees(last)}: at {rupees(trigger)} it would go off at once."
            ),
            last,
            trigger,
            Unit.RUPEES,
        )
    return passes(Code.TRIGGER_PRICE, lambda: f"The stop is on its side of {rupees(last)}.", last, trigger, Unit.RUPEES)


def inward_tick(leg: LegFacts, price: Decimal) -> Decimal | None:
    """``price`` on a tick, for a buy not above it and for a sale not below it; None where the tick is not known."""
    if leg.info is None or leg.info.tick_size <= 0:
        return None
    tick = leg.info.tick_size
    rounding = ROUND_FLOOR if leg.order.side is Side.BUY else ROUND_CEILING
    return (price / tick).to_integral_value(rounding) * tick


def _age(age: int | None) -> str:
    if age is not None and age < 0:
        return f"dated {plural(-age, 'second')} in the future"
    return f"{plural(age or 0, 'second')} old"


def _base_name(leg: LegFacts) -> str:
    return "trigger" if leg.order.order_type is OrderType.SL else "last price"
