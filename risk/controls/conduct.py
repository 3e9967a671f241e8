"""How the trading behaves: against oneself, twice the same, too fast, too often refused, too much unconfirmed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from broker.domain import OrderType, Side
from risk.account import rests_in_book, same_terms
from risk.codes import Code, Unit
from risk.domain import OrderRequest, RequestKind
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import LegFacts
from risk.wording import name, plural

SECOND = timedelta(seconds=1)


def no_self_trade(leg: LegFacts) -> Finding:
    """SELF_TRADE: the order would meet one's own resting order on the other side at a price both accept."""
    order = leg.order
    if order.order_type.has_trigger:
        return passes(Code.SELF_TRADE, lambda: "A stop waits outside the order book.")
    if leg.book.open_orders is None:
        return denies(Code.SELF_TRADE, lambda: "Your open orders are not known.")
    for row in leg.account.working_in.get(order.symbol, ()):
        if row.side == order.side.opposite and rests_in_book(row) and _crosses(order, row.price or None):
            return _self_trade(f"your own open {row.side} order {row.broker_order_id}", row.broker_order_id)
    for other in (each.order for each in leg.earlier):
        opposite = other.symbol == order.symbol and other.side is order.side.opposite
        waits = other.order_type.has_trigger or other.kind is RequestKind.CANCEL
        if opposite and not waits and _crosses(order, other.limit_price):
            return _self_trade(f"leg {other.leg} of this plan", f"leg {other.leg}")
    return passes(Code.SELF_TRADE, lambda: "No order of your own stands on the other side.")


def _self_trade(what: str, actual: str) -> Finding:
    return denies(
        Code.SELF_TRADE,
        lambda: f"This would trade with {what}, which the exchange does not allow. Cancel that one first.",
        None,
        actual,
    )


def _crosses(order: OrderRequest, other: Decimal | None) -> bool:
    if order.limit_price is None or order.order_type is OrderType.MARKET or other is None:
        return True
    return order.limit_price >= other if order.side is Side.BUY else order.limit_price <= other


def no_duplicate(leg: LegFacts) -> Finding:
    """DUPLICATE_ORDER: the same terms again within a few seconds, or twice in one plan."""
    order, window = leg.order, leg.limits.duplicate_window_s
    if order.kind is RequestKind.MODIFY:
        return passes(Code.DUPLICATE_ORDER, lambda: "A modify is not a new order.", None, None, Unit.ORDERS)
    terms = _terms(order) if leg.earlier else ()
    if any(each.order.symbol == order.symbol and _terms(each.order) == terms for each in leg.earlier):
        return denies(Code.DUPLICATE_ORDER, lambda: "The plan has the same order twice.", 0, 1, Unit.ORDERS)
    seen = max(leg.book.counters.same_order_recent, _recent_at_broker(leg))
    if seen > 0:
        return denies(
            Code.DUPLICATE_ORDER,
            lambda: (
                f"The same order for {name(order.symbol)} went out within the last {window} s. "
                "If you mean it, wait and place it again."
            ),
            0,
            seen,
            Unit.ORDERS,
        )
    return passes(Code.DUPLICATE_ORDER, lambda: f"Not seen within the last {window} s.", 0, 0, Unit.ORDERS)


def _recent_at_broker(leg: LegFacts) -> int:
    order, window = leg.order, leg.limits.duplicate_window_s
    return sum(
        1
        for row in leg.account.working_in.get(order.symbol, ())
        if row.placed_at is not None
        and abs(leg.now - row.placed_at) <= window * SECOND
        and row.price == (order.limit_price or 0)
        and same_terms(
            row,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            order_type=order.order_type,
            product=order.product,
        )
    )


def _terms(order: OrderRequest) -> tuple[object, ...]:
    return (
        order.kind, order.symbol, order.side, order.quantity, order.order_type,
        order.product, order.limit_price, order.trigger_price,
    )  # fmt: skip


def order_rate(leg: LegFacts) -> Finding:
    """ORDER_RATE: attempts per second and minute. The legs of one plan go out in turn, paced by the door."""
    counters, limits = leg.book.counters, leg.limits
    second, minute = counters.orders_last_second + 1, counters.orders_last_minute + leg.place + 1
    if second > limits.orders_per_second:
        return denies(
            Code.ORDER_RATE,
            lambda: f"{plural(second, 'order')} within one second; {limits.orders_per_second} are allowed.",
            limits.orders_per_second,
            second,
            Unit.ORDERS,
        )
    if minute > limits.orders_per_minute:
        return denies(
            Code.ORDER_RATE,
            lambda: f"{plural(minute, 'order')} within one minute; {limits.orders_per_minute} are allowed.",
            limits.orders_per_minute,
            minute,
            Unit.ORDERS,
        )
    return passes(
        Code.ORDER_RATE,
        lambda: f"{plural(minute, 'order')} within one minute of {limits.orders_per_minute}.",
        limits.orders_per_minute,
        minute,
        Unit.ORDERS,
    )


def order_count(leg: LegFacts) -> Finding:
    """ORDER_COUNT_DAY: attempts today; a part of the broker's daily allowance is kept for exits."""
    limits, count = leg.limits, leg.book.counters.orders_today + leg.place + 1
    limit = limits.exit_orders_per_day if leg.is_exit else limits.orders_per_day
    if count > limit:
        return denies(
            Code.ORDER_COUNT_DAY,
            lambda: (
                f"This would be order {count} of today; {limit} are allowed"
                + (", exits included." if leg.is_exit else ", so that exits stay possible.")
            ),
            limit,
            count,
            Unit.ORDERS,
        )
    if is_near(count, limit, limits.soft_limit_percent):
        return warns(Code.WARN_ORDER_COUNT, lambda: f"Order {count} of today's {limit}.", limit, count, Unit.ORDERS)
    return passes(Code.ORDER_COUNT_DAY, lambda: f"Order {count} of today's {limit}.", limit, count, Unit.ORDERS)


def reject_streak(leg: LegFacts) -> Finding:
    """REJECT_STREAK: after a few refusals in a short time something is wrong; exits still go."""
    limits, count = leg.limits, leg.book.counters.rejects_recent
    minutes = plural(limits.rejects_window_s // 60, "minute")
    if count < limits.rejects_max:
        return passes(
            Code.REJECT_STREAK,
            lambda: f"{plural(count, 'rejection')} in {minutes}; {limits.rejects_max} stop new orders.",
            limits.rejects_max,
            count,
            Unit.ORDERS,
        )
    if leg.is_exit:
        return warns(
            Code.WARN_REJECT_STREAK,
            lambda: f"{plural(count, 'order')} rejected in {minutes}; an exit may go all the same.",
            limits.rejects_max,
            count,
            Unit.ORDERS,
        )
    return denies(
        Code.REJECT_STREAK,
        lambda: (
            f"The broker rejected {plural(count, 'order')} in {minutes}: new orders wait until that is past. "
            "Look at why they were rejected."
        ),
        limits.rejects_max,
        count,
        Unit.ORDERS,
    )


def unconfirmed(leg: LegFacts) -> Finding:
    """UNCONFIRMED_ORDERS: sent orders whose outcome is not known count before more are sent; exits still go."""
    limit, count = leg.limits.unconfirmed_max, leg.book.counters.unconfirmed
    if count < limit:
        return passes(
            Code.UNCONFIRMED_ORDERS, lambda: f"{plural(count, 'order')} unconfirmed.", limit, count, Unit.ORDERS
        )
    if leg.is_exit:
        return warns(
            Code.WARN_UNCONFIRMED,
            lambda: f"{plural(count, 'order')} unconfirmed: make sure this exit is not among them.",
            limit,
            count,
            Unit.ORDERS,
        )
    return denies(
        Code.UNCONFIRMED_ORDERS,
        lambda: f"{plural(count, 'order')} have no confirmed outcome yet; from {limit} on new orders wait.",
        limit,
        count,
        Unit.ORDERS,
    )
