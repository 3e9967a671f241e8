"""MARKET and SL-M made into what every connection can carry: a LIMIT that crosses, an SL with its limit beyond.

Kite refuses API market orders without market protection and its MCP server has no parameter for it (FACTS b3, b5), so
the protection is the limit price itself. Practice does the same, or it would not be practice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from broker.domain import InstrumentInfo, OrderType, Quote, Side
from broker.rounding import to_tick
from execution.domain import SizingStep
from execution.sizing import NotTranslatable, step

HUNDRED = Decimal(100)
_OPTIONS = ("CE", "PE")


@dataclass(frozen=True, slots=True)
class Protection:
    """Percentages of policy: how far past the last price a market order may pay, and past its trigger a stop."""

    market_percent: Decimal = Decimal(1)
    market_option_percent: Decimal = Decimal(5)
    stop_percent: Decimal = Decimal(1)
    stop_option_percent: Decimal = Decimal(5)

    def market(self, info: InstrumentInfo) -> Decimal:
        return self.market_option_percent if info.instrument_type in _OPTIONS else self.market_percent

    def stop(self, info: InstrumentInfo) -> Decimal:
        return self.stop_option_percent if info.instrument_type in _OPTIONS else self.stop_percent


@dataclass(frozen=True, slots=True)
class Priced:
    """An order's type and prices as they would be sent."""

    order_type: OrderType
    limit_price: Decimal | None
    trigger_price: Decimal | None
    converted: bool = False
    steps: tuple[SizingStep, ...] = ()


def price_order(
    wanted: Priced,
    *,
    side: Side,
    info: InstrumentInfo,
    quote: Quote | None,
    protection: Protection,
    field: str = "price",
) -> Priced:
    """The order as it can be sent: LIMIT and SL as they are, MARKET and SL-M with their protecting limit.

    Raises NotTranslatable when a MARKET order has no quote to be priced from, or an SL-M no trigger.
    """
    if wanted.order_type is OrderType.MARKET:
        return _marketable(wanted, side=side, info=info, quote=quote, percent=protection.market(info), field=field)
    if wanted.order_type is OrderType.SL_M:
        return _stop_limit(wanted, side=side, info=info, quote=quote, percent=protection.stop(info), field=field)
    return wanted


def _marketable(
    wanted: Priced, *, side: Side, info: InstrumentInfo, quote: Quote | None, percent: Decimal, field: str
) -> Priced:
    if quote is None or quote.last_price <= 0:
        raise NotTranslatable(
            "NO_QUOTE", f"There is no price of {info.symbol} to protect a market order with: say a limit price.", field
        )
    limit = _beyond(quote.last_price, percent, side=side, info=info, quote=quote)
    steps = (
        step("Last price", quote.last_price, "INR"),
        step("Market order protected by", percent, "%"),
        step(f"Sent as a limit {_word(side)}", limit, "INR"),
    )
    return replace(
        wanted, order_type=OrderType.LIMIT, limit_price=limit, trigger_price=None, converted=True, steps=steps
    )


def _stop_limit(
    wanted: Priced, *, side: Side, info: InstrumentInfo, quote: Quote | None, percent: Decimal, field: str
) -> Priced:
    trigger = wanted.trigger_price
    if trigger is None:
        raise NotTranslatable("TRIGGER_MISSING", "A stop order needs its trigger price.", "trigger_price")
    limit = _beyond(trigger, percent, side=side, info=info, quote=quote)
    steps = (
        step("Trigger price", trigger, "INR"),
        step("Stop order protected by", percent, "%"),
        step(f"Sent with a limit {_word(side)}", limit, "INR"),
    )
    return replace(wanted, order_type=OrderType.SL, limit_price=limit, converted=True, steps=steps)


def _beyond(base: Decimal, percent: Decimal, *, side: Side, info: InstrumentInfo, quote: Quote | None) -> Decimal:
    """``percent`` past ``base`` in the order's favour to fill, on the tick, inside the day's band; never past it."""
    moved = base * (HUNDRED + side.sign * percent) / HUNDRED
    limit = to_tick(moved, info.tick_size, up=side is Side.SELL)
    lower = quote.lower_circuit if quote is not None else None
    upper = quote.upper_circuit if quote is not None else None
    if side is Side.BUY and upper is not None and limit > upper:
        return to_tick(upper, info.tick_size, up=False)
    if side is Side.SELL and lower is not None and limit < lower:
        return to_tick(lower, info.tick_size, up=True)
    return max(limit, info.tick_size)


def _word(side: Side) -> str:
    return "not above" if side is Side.BUY else "not below"
