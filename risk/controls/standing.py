"""How the account stands: broker and books in order, and what the day and the last weeks brought."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from risk.codes import Code, Unit
from risk.controls.position import EXIT_PASSES, UNKNOWN
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import HUNDRED, LegFacts
from risk.wording import percent, plural, rupees

SECOND = timedelta(seconds=1)
CENT = Decimal("0.01")
ZERO = Decimal(0)
NOT_COUNTED = "What was done before is not known, so it cannot be judged."


def broker_connected(leg: LegFacts) -> Finding:
    """BROKER_DISCONNECTED: the session with the broker is up and logged in."""
    standing = leg.book.standing
    if standing.connected:
        return passes(Code.BROKER_DISCONNECTED, lambda: "The broker is connected.", "connected", "connected")
    actual = "unknown" if standing.connected is None else "disconnected"
    note = f" ({standing.connection_note})" if standing.connection_note else ""
    return denies(
        Code.BROKER_DISCONNECTED,
        lambda: f"The broker is not connected{note}: connect, then try again.",
        "connected",
        actual,
    )


def books_reconciled(leg: LegFacts) -> Finding:
    """NOT_RECONCILED: the last comparison of our books with the broker's could be made. An exit is only warned."""
    reconciled = leg.book.standing.reconciled
    if reconciled:
        return passes(Code.NOT_RECONCILED, lambda: "Our books and the broker's were compared.", "reconciled", "yes")
    if reconciled is False and leg.is_exit:
        return warns(
            Code.WARN_NOT_RECONCILED,
            lambda: "The last comparison with the broker's books failed; an exit may go all the same.",
            "reconciled",
            "no",
        )
    return denies(
        Code.NOT_RECONCILED,
        lambda: "The last comparison of our books with the broker's failed. Reconcile, then try again.",
        "reconciled",
        "no" if reconciled is False else "unknown",
    )


def daily_loss(leg: LegFacts) -> Finding:
    """DAILY_LOSS_LIMIT: what today's positions have lost, realised or not, as a share of capital."""
    share, capital, made = leg.limits.daily_loss_percent, leg.account.capital, leg.account.day_pnl
    if capital is None or made is None or capital <= 0:
        if leg.is_exit:
            return passes(Code.DAILY_LOSS_LIMIT, lambda: EXIT_PASSES, share, None, Unit.PERCENT)
        return denies(Code.DAILY_LOSS_LIMIT, lambda: UNKNOWN, share, None, Unit.PERCENT)
    lost, limit = max(-made, ZERO), capital * share / HUNDRED
    actual = (lost * HUNDRED / capital).quantize(CENT)
    if lost >= limit and leg.is_exit:
        return warns(
            Code.WARN_DAILY_LOSS,
            lambda: f"You have lost {rupees(lost)} today; an exit may go all the same.",
            share,
            actual,
            Unit.PERCENT,
        )
    if lost >= limit:
        return denies(
            Code.DAILY_LOSS_LIMIT,
            lambda: (
                f"You have lost {rupees(lost)} today; at {rupees(limit)}, {percent(share)} of your capital, "
                "only exits go on for the day."
            ),
            share,
            actual,
            Unit.PERCENT,
        )
    if is_near(lost, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_DAILY_LOSS,
            lambda: f"You have lost {rupees(lost)} today; at {rupees(limit)} only exits go on.",
            share,
            actual,
            Unit.PERCENT,
        )
    return passes(
        Code.DAILY_LOSS_LIMIT,
        lambda: f"{rupees(lost)} lost today of at most {rupees(limit)}.",
        share,
        actual,
        Unit.PERCENT,
    )


def drawdown(leg: LegFacts) -> Finding:
    """DRAWDOWN_LIMIT: how far the account stands below its highest value of the last days."""
    share, value, peak = leg.limits.drawdown_percent, leg.account.value, leg.book.standing.peak_value
    if leg.is_exit:
        return passes(Code.DRAWDOWN_LIMIT, lambda: EXIT_PASSES, share, None, Unit.PERCENT)
    if value is None or peak is None:
        return denies(Code.DRAWDOWN_LIMIT, lambda: UNKNOWN, share, None, Unit.PERCENT)
    top = max(peak, value)
    below = ((top - value) * HUNDRED / top).quantize(CENT) if top > 0 else ZERO
    if (top - value) * HUNDRED >= share * top and top > value:
        return denies(
            Code.DRAWDOWN_LIMIT,
            lambda: (
                f"Your account is worth {rupees(value)}, {percent(below)} below its highest of the last "
                f"{plural(leg.limits.drawdown_days, 'day')}, {rupees(top)}; at {percent(share)} only exits go on."
            ),
            share,
            below,
            Unit.PERCENT,
        )
    if is_near(below, share, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_DRAWDOWN,
            lambda: f"Your account is {percent(below)} below its highest; at {percent(share)} only exits go on.",
            share,
            below,
            Unit.PERCENT,
        )
    return passes(
        Code.DRAWDOWN_LIMIT,
        lambda: f"{percent(below)} below the highest of at most {percent(share)}.",
        share,
        below,
        Unit.PERCENT,
    )


def cooldown(leg: LegFacts) -> Finding:
    """COOLDOWN: after some losing trades in a row new entries wait a while."""
    limits, standing = leg.limits, leg.book.standing
    streak, last = standing.losses_in_a_row, standing.last_loss_at
    if leg.is_exit:
        return passes(Code.COOLDOWN, lambda: EXIT_PASSES, limits.cooldown_losses, streak, Unit.ORDERS)
    if streak is None or (streak > 0 and last is None):
        return denies(Code.COOLDOWN, lambda: NOT_COUNTED, limits.cooldown_losses, None, Unit.ORDERS)
    if streak < limits.cooldown_losses or last is None:
        return passes(
            Code.COOLDOWN,
            lambda: f"{plural(streak, 'losing trade')} in a row.",
            limits.cooldown_losses,
            streak,
            Unit.ORDERS,
        )
    left = limits.cooldown_s - (leg.now - last) // SECOND
    if left <= 0:
        return passes(
            Code.COOLDOWN, lambda: "The pause after the last loss is over.", limits.cooldown_losses, streak, Unit.ORDERS
        )
    return denies(
        Code.COOLDOWN,
        lambda: (
            f"The last {plural(streak, 'trade')} lost: new entries wait {plural(-(-left // 60), 'minute')} more. "
            "Exits go on."
        ),
        limits.cooldown_losses,
        streak,
        Unit.ORDERS,
    )
