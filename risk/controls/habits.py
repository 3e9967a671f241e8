"""Against one's own past orders: unusual size, prices that walk away, repeated automation, many changes, used ids."""

from __future__ import annotations

from decimal import Decimal

from risk.codes import Code, Unit
from risk.controls.order import OPTION_TYPES
from risk.controls.position import EXIT_PASSES
from risk.controls.quantity import UNPRICED
from risk.controls.standing import NOT_COUNTED
from risk.domain import Actor, RequestKind
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import HUNDRED, LegFacts
from risk.wording import name, percent, plural, rupees

CENT = Decimal("0.01")


def fat_finger(leg: LegFacts) -> Finding:
    """FAT_FINGER: a large order many times the size one usually orders. An exit is only warned."""
    limits, standing, value = leg.limits, leg.book.standing, leg.value
    count, typical = standing.typical_orders, standing.typical_value
    if value is None and not leg.is_exit:
        return denies(Code.FAT_FINGER, lambda: UNPRICED, limits.fat_finger_times, None, Unit.TIMES)
    if count is None or typical is None or value is None:
        if leg.is_exit:
            return passes(Code.FAT_FINGER, lambda: EXIT_PASSES, limits.fat_finger_times, None, Unit.TIMES)
        return denies(Code.FAT_FINGER, lambda: NOT_COUNTED, limits.fat_finger_times, None, Unit.TIMES)
    times = (value / typical).quantize(CENT) if typical > 0 else None
    usual = count < limits.fat_finger_orders or value <= limits.fat_finger_value or typical <= 0
    if usual or value <= typical * limits.fat_finger_times:
        return passes(
            Code.FAT_FINGER,
            lambda: (
                "Not out of the ordinary for you." if not usual else "Too small, or too few orders to compare with."
            ),
            limits.fat_finger_times,
            times,
            Unit.TIMES,
        )

    def say() -> str:
        return f"The order is worth {rupees(value)}, {times} times the {rupees(typical)} you usually order"

    if leg.is_exit:
        return warns(Code.WARN_FAT_FINGER, lambda: f"{say()}.", limits.fat_finger_times, times, Unit.TIMES)
    return denies(
        Code.FAT_FINGER,
        lambda: f"{say()}; up to {limits.fat_finger_times} times is taken as meant.",
        limits.fat_finger_times,
        times,
        Unit.TIMES,
    )


def price_drift(leg: LegFacts) -> Finding:
    """PRICE_DRIFT: one's own limits may not walk away step by step within a few minutes. An exit is only warned."""
    limits, prices, price = leg.limits, leg.book.standing.first_prices, leg.order.limit_price
    is_option = leg.info is not None and leg.info.instrument_type in OPTION_TYPES
    limit = limits.price_drift_option_percent if is_option else limits.price_drift_equity_percent
    if prices is None:
        if leg.is_exit:
            return passes(Code.PRICE_DRIFT, lambda: EXIT_PASSES, limit, None, Unit.PERCENT)
        return denies(Code.PRICE_DRIFT, lambda: NOT_COUNTED, limit, None, Unit.PERCENT)
    first = prices.get(leg.order.symbol)
    if first is None or first <= 0 or price is None:
        return passes(Code.PRICE_DRIFT, lambda: "No earlier price of yours to compare.", limit, None, Unit.PERCENT)
    distance = abs(price - first)
    away = (distance * HUNDRED / first).quantize(CENT)

    def say() -> str:
        return f"{rupees(price)} is {percent(away)} from the {rupees(first)} you began with a short while ago"

    if distance * HUNDRED <= limit * first:
        return passes(Code.PRICE_DRIFT, lambda: f"{say()}.", limit, away, Unit.PERCENT)
    if leg.is_exit:
        return warns(Code.WARN_PRICE_DRIFT, lambda: f"{say()}; an exit may go.", limit, away, Unit.PERCENT)
    return denies(
        Code.PRICE_DRIFT,
        lambda: f"{say()}; at most {percent(limit)} within {plural(limits.price_drift_window_s // 60, 'minute')}.",
        limit,
        away,
        Unit.PERCENT,
    )


def repeat_execution(leg: LegFacts) -> Finding:
    """REPEAT_EXECUTION: automation that sends the same side of an instrument again and again waits for a person."""
    limit, sent = leg.limits.repeat_executions_max, leg.book.standing.automated
    if leg.book.actor is Actor.TRADER:
        return passes(Code.REPEAT_EXECUTION, lambda: "A person orders it.", limit, None, Unit.ORDERS)
    if sent is None:
        return denies(Code.REPEAT_EXECUTION, lambda: NOT_COUNTED, limit, None, Unit.ORDERS)
    count = sent.get(f"{leg.order.symbol} {leg.order.side.value}", 0)
    what = f"{leg.order.side.value} {name(leg.order.symbol)}"
    if count < limit:
        return passes(
            Code.REPEAT_EXECUTION, lambda: f"{what}: {count} of {limit} without a person.", limit, count, Unit.ORDERS
        )
    if leg.is_exit:
        return warns(
            Code.WARN_REPEAT_EXECUTION,
            lambda: f"{what} was sent {plural(count, 'time')} without a person; an exit may go.",
            limit,
            count,
            Unit.ORDERS,
        )
    return denies(
        Code.REPEAT_EXECUTION,
        lambda: f"{what} was sent {plural(count, 'time')} without a person: somebody has to release it.",
        limit,
        count,
        Unit.ORDERS,
    )


def modify_limit(leg: LegFacts) -> Finding:
    """MODIFY_LIMIT: how often one order may be changed; the exchange refuses more."""
    order, limit, counted = leg.order, leg.limits.modifications_max, leg.book.standing.modifications
    if order.kind is not RequestKind.MODIFY:
        return passes(Code.MODIFY_LIMIT, lambda: "Not a change of an order.", limit, None, Unit.ORDERS)
    if counted is None:
        return denies(Code.MODIFY_LIMIT, lambda: NOT_COUNTED, limit, None, Unit.ORDERS)
    count = counted.get(order.replaces, 0) + 1
    if count > limit:
        return denies(
            Code.MODIFY_LIMIT,
            lambda: f"This would be change {count} of the order; {limit} are allowed. Cancel it and place another.",
            limit,
            count,
            Unit.ORDERS,
        )
    if is_near(count, limit, leg.limits.soft_limit_percent):
        return warns(Code.WARN_MODIFY, lambda: f"Change {count} of at most {limit}.", limit, count, Unit.ORDERS)
    return passes(Code.MODIFY_LIMIT, lambda: f"Change {count} of at most {limit}.", limit, count, Unit.ORDERS)


def order_id_unused(leg: LegFacts) -> Finding:
    """DUPLICATE_ORDER_ID: an order's own id is used once; a dry run and a card have none yet."""
    own, used = leg.order.client_order_id, leg.book.standing.used_order_ids
    if not own:
        return passes(Code.DUPLICATE_ORDER_ID, lambda: "The order gets an id of its own when it is approved.")
    if used is None:
        return denies(Code.DUPLICATE_ORDER_ID, lambda: NOT_COUNTED, None, own)
    if own in used or any(each.order.client_order_id == own for each in leg.earlier):
        return denies(
            Code.DUPLICATE_ORDER_ID, lambda: "An order with this id went out already: it is not sent twice.", None, own
        )
    return passes(Code.DUPLICATE_ORDER_ID, lambda: "The order's id is new.", None, own)
