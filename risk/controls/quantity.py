"""How much: quantity, freeze quantity, lots, and the value of one order and of the day."""

from __future__ import annotations

from decimal import Decimal

from risk.codes import Code, Unit
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import LegFacts
from risk.wording import name, percent, plural, rupees, shares

UNPRICED = "There is no price to work out the order's value with."


def quantity_max(leg: LegFacts) -> Finding:
    """ORDER_QTY_MAX: the policy's largest quantity per order."""
    limit, actual = leg.limits.order_quantity_max, leg.order.quantity
    if actual > limit:
        return denies(
            Code.ORDER_QTY_MAX,
            lambda: f"{shares(actual)} are more than the {shares(limit)} one order may have.",
            limit,
            actual,
            Unit.UNITS,
        )
    if is_near(actual, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_ORDER_QTY, lambda: f"{shares(actual)}: the limit is {shares(limit)}.", limit, actual, Unit.UNITS
        )
    return passes(Code.ORDER_QTY_MAX, lambda: f"{shares(actual)}, at most {shares(limit)}.", limit, actual, Unit.UNITS)


def freeze_quantity(leg: LegFacts) -> Finding:
    """FREEZE_QTY: the exchange refuses larger orders. The policy's figure stands in where the master has none."""
    limits, actual = leg.limits, leg.order.quantity
    if leg.info is None:
        return denies(Code.FREEZE_QTY, lambda: "The instrument is unknown, so is its freeze quantity.", None, actual)
    fallback = limits.freeze_quantity_equity if leg.info.is_equity else limits.freeze_quantity_derivative
    limit = leg.info.freeze_quantity or fallback
    if actual > limit:
        return denies(
            Code.FREEZE_QTY,
            lambda: f"The exchange freezes orders above {shares(limit)}: split {shares(actual)} into smaller orders.",
            limit,
            actual,
            Unit.UNITS,
        )
    return passes(Code.FREEZE_QTY, lambda: f"Within the freeze quantity of {shares(limit)}.", limit, actual, Unit.UNITS)


def lot_multiple(leg: LegFacts) -> Finding:
    """LOT_SIZE: a whole number of lots."""
    actual = leg.order.quantity
    if leg.info is None or leg.info.lot_size <= 0:
        return denies(Code.LOT_SIZE, lambda: "The lot size is not known.", None, actual, Unit.UNITS)
    lot = leg.info.lot_size
    if actual % lot:
        return denies(
            Code.LOT_SIZE,
            lambda: f"{name(leg.order.symbol)} trades in lots of {lot}: {actual} is not a multiple of it.",
            lot,
            actual,
            Unit.UNITS,
        )
    return passes(Code.LOT_SIZE, lambda: f"{plural(actual // lot, 'lot')} of {lot}.", lot, actual, Unit.UNITS)


def value_min(leg: LegFacts) -> Finding:
    """ORDER_VALUE_MIN: orders too small to be worth their charges; an exit is never too small."""
    limit, value = leg.limits.order_value_min, leg.value
    if value is None:
        return denies(Code.ORDER_VALUE_MIN, lambda: UNPRICED, limit, None, Unit.RUPEES)
    if value < limit and not leg.is_exit:
        return denies(
            Code.ORDER_VALUE_MIN,
            lambda: f"The order is worth {rupees(value)}; the smallest allowed is {rupees(limit)}.",
            limit,
            value,
            Unit.RUPEES,
        )
    return passes(
        Code.ORDER_VALUE_MIN, lambda: f"Not below the smallest order of {rupees(limit)}.", limit, value, Unit.RUPEES
    )


def value_max(leg: LegFacts) -> Finding:
    """ORDER_VALUE_MAX: quantity times the worst price the order allows."""
    limit, value = leg.limits.order_value_max, leg.value
    if value is None:
        return denies(Code.ORDER_VALUE_MAX, lambda: UNPRICED, limit, None, Unit.RUPEES)
    if value > limit:
        return denies(
            Code.ORDER_VALUE_MAX,
            lambda: f"The order is worth {rupees(value)}; one order may be worth at most {rupees(limit)}.",
            limit,
            value,
            Unit.RUPEES,
        )
    if is_near(value, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_ORDER_VALUE,
            lambda: (
                f"The order is worth {rupees(value)}, {percent(value * 100 / limit)} of the {rupees(limit)} allowed."
            ),
            limit,
            value,
            Unit.RUPEES,
        )
    return passes(
        Code.ORDER_VALUE_MAX, lambda: f"{rupees(value)} of at most {rupees(limit)}.", limit, value, Unit.RUPEES
    )


def value_day(leg: LegFacts) -> Finding:
    """ORDER_VALUE_DAY: the value of all orders of the day, attempts too. An exit counts but is never held back."""
    limit = leg.limits.day_value_max
    if leg.value is None:
        return denies(Code.ORDER_VALUE_DAY, lambda: UNPRICED, limit, None, Unit.RUPEES)
    total = leg.book.counters.value_today + sum((_added(each) for each in (*leg.earlier, leg)), Decimal(0))
    if leg.is_exit:
        return passes(
            Code.ORDER_VALUE_DAY,
            lambda: f"{rupees(total)} ordered today with this exit; exits are not held back.",
            limit,
            total,
            Unit.RUPEES,
        )
    if total > limit:
        return denies(
            Code.ORDER_VALUE_DAY,
            lambda: f"With this order {rupees(total)} would be ordered today; the day's limit is {rupees(limit)}.",
            limit,
            total,
            Unit.RUPEES,
        )
    if is_near(total, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_ORDER_VALUE_DAY,
            lambda: f"With this order {rupees(total)} of the day's {rupees(limit)} are ordered.",
            limit,
            total,
            Unit.RUPEES,
        )
    return passes(
        Code.ORDER_VALUE_DAY, lambda: f"{rupees(total)} of {rupees(limit)} for today.", limit, total, Unit.RUPEES
    )


def _added(leg: LegFacts) -> Decimal:
    """What a leg adds to the day: a modify only what it raises its order by."""
    if leg.value is None or leg.order.kind == "cancel":
        return Decimal(0)
    if leg.replaced is None:
        return leg.value
    had = (leg.replaced.quantity - leg.replaced.filled_quantity) * (leg.replaced.price or leg.reference or Decimal(0))
    return max(Decimal(0), leg.value - had)
