"""What it would leave: cover for a sale, size per instrument, gross exposure, open positions and orders."""

from __future__ import annotations

from decimal import Decimal

from broker.domain import Product, Side
from risk.codes import Code, Unit
from risk.domain import Verdict
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import HUNDRED, LegFacts
from risk.wording import name, percent, plural, rupees, shares

PERCENT = Unit.PERCENT
EXIT_PASSES = "This order only reduces what you have: the limit does not hold it back."
UNKNOWN = "It cannot be worked out: a part of your books or a price is missing."


def short_covered(leg: LegFacts) -> Finding:
    """SHORT_NOT_COVERED: a delivery sale out of free shares; a resting sale for the same shares counts against them."""
    order = leg.order
    if order.side is not Side.SELL:
        return passes(Code.SHORT_NOT_COVERED, lambda: "Not a sale.")
    if order.product is not Product.CNC:
        return _intraday_short(leg)
    if not leg.books_known:
        return denies(Code.SHORT_NOT_COVERED, lambda: UNKNOWN, None, leg.remaining, Unit.UNITS)
    free = leg.reducible
    if leg.remaining > free:
        return denies(Code.SHORT_NOT_COVERED, lambda: _uncovered(leg, free), free, leg.remaining, Unit.UNITS)
    return passes(Code.SHORT_NOT_COVERED, lambda: f"{shares(free)} are free to sell.", free, leg.remaining, Unit.UNITS)


def _intraday_short(leg: LegFacts) -> Finding:
    if leg.is_exit or leg.limits.intraday_shorts:
        return passes(
            Code.SHORT_NOT_COVERED, lambda: "The product allows selling first.", None, leg.remaining, Unit.UNITS
        )
    return denies(
        Code.SHORT_NOT_COVERED,
        lambda: f"The policy allows no short sales; {shares(leg.reducible)} could be sold.",
        leg.reducible,
        leg.remaining,
        Unit.UNITS,
    )


def _uncovered(leg: LegFacts, free: int) -> str:
    symbol, key = name(leg.order.symbol), leg.account.pool_key(leg.order.symbol, leg.order.product)
    blocking = [
        row.broker_order_id
        for row in leg.account.working
        if row.side == Side.SELL and leg.account.pool_key(row.symbol, row.product) == key and row is not leg.replaced
    ]
    owned = shares(max(0, leg.pool.quantity))
    text = f"{shares(leg.remaining)} of {symbol} to sell, but {shares(free)} free: you own {owned}"
    if blocking:
        return f"{text} and open sell orders hold the rest. Cancel order {', '.join(blocking)} to free them."
    return f"{text}."


def position_max(leg: LegFacts) -> Finding:
    """POSITION_MAX: one instrument's share of capital, all products and pending orders counted."""
    share = leg.limits.position_percent
    if leg.is_exit:
        return passes(Code.POSITION_MAX, lambda: EXIT_PASSES, share, _weight(leg), Unit.PERCENT)
    if leg.account.capital is None or leg.position_after is None:
        return denies(Code.POSITION_MAX, lambda: UNKNOWN, share, None, Unit.PERCENT)
    after, limit, symbol = leg.position_after, leg.account.capital * share / HUNDRED, name(leg.order.symbol)
    if after > limit:
        return denies(
            Code.POSITION_MAX,
            lambda: (
                f"{symbol} would stand at {rupees(after)}, open orders counted; {percent(share)} of your capital "
                f"is {rupees(limit)}."
            ),
            share,
            _weight(leg),
            Unit.PERCENT,
        )
    if is_near(after, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_POSITION,
            lambda: f"{symbol} would stand at {rupees(after)}; the limit is {rupees(limit)}.",
            share,
            _weight(leg),
            Unit.PERCENT,
        )
    return passes(
        Code.POSITION_MAX,
        lambda: f"{symbol} would stand at {rupees(after)} of at most {rupees(limit)}.",
        share,
        _weight(leg),
        Unit.PERCENT,
    )


def exposure_max(leg: LegFacts) -> Finding:
    """EXPOSURE_MAX: everything held and on its way, added up without netting, against capital."""
    share, capital, after = leg.limits.exposure_percent, leg.account.capital, leg.exposure_after
    if leg.is_exit:
        return passes(Code.EXPOSURE_MAX, lambda: EXIT_PASSES, share, None, Unit.PERCENT)
    if capital is None or after is None:
        return denies(Code.EXPOSURE_MAX, lambda: UNKNOWN, share, None, Unit.PERCENT)
    limit, actual = capital * share / HUNDRED, _share(after, capital)
    if after > limit:
        return denies(
            Code.EXPOSURE_MAX,
            lambda: f"You would be exposed with {rupees(after)}; {percent(share)} of your capital is {rupees(limit)}.",
            share,
            actual,
            Unit.PERCENT,
        )
    if is_near(after, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_EXPOSURE,
            lambda: f"You would be exposed with {rupees(after)} of at most {rupees(limit)}.",
            share,
            actual,
            Unit.PERCENT,
        )
    return passes(
        Code.EXPOSURE_MAX,
        lambda: f"Exposed with {rupees(after)} of at most {rupees(limit)}.",
        share,
        actual,
        Unit.PERCENT,
    )


def exposure_and_sector(leg: LegFacts) -> Finding:
    """EXPOSURE_MAX: everything held and on its way, added up without netting, against capital; and its sector's share.

    What has no sector stands alone, so that its own position limit is what holds it.
    """
    finding = exposure_max(leg)
    if finding.denies or leg.is_exit:
        return finding
    share, capital, after = leg.limits.sector_percent, leg.account.capital, _sector_after(leg)
    if capital is None or after is None:
        return denies(Code.EXPOSURE_MAX, lambda: "The sectors of what you hold are not known.", share, None, PERCENT)
    limit = capital * share / HUNDRED

    def say() -> str:
        return f"{rupees(after)} of your money would be in {leg.account.sector(leg.order.symbol)}"

    if after > limit:
        return denies(
            Code.EXPOSURE_MAX,
            lambda: f"{say()}; {percent(share)} of your capital is {rupees(limit)}.",
            share,
            _share(after, capital),
            PERCENT,
        )
    if finding.verdict is Verdict.PASS and is_near(after, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_EXPOSURE, lambda: f"{say()} of at most {rupees(limit)}.", share, _share(after, capital), PERCENT
        )
    return finding


def _sector_after(leg: LegFacts) -> Decimal | None:
    """Rupees in the leg's sector once it and those before it are open."""
    account, sector = leg.account, leg.account.sector(leg.order.symbol)
    if account.sector_exposure is None or account.exposure is None or sector is None:
        return None
    total, before = account.sector_exposure.get(sector, Decimal(0)), account.exposure
    for each in (*leg.earlier, leg):
        if each.exposure_after is None:
            return None
        if account.sector(each.order.symbol) == sector:
            total += each.exposure_after - before
        before = each.exposure_after
    return total


def position_count(leg: LegFacts) -> Finding:
    """POSITION_COUNT_MAX: open positions, entries on their way counted; delivery holdings are not positions."""
    limit, count = leg.limits.open_positions_max, leg.account.open_positions
    if leg.is_exit:
        return passes(Code.POSITION_COUNT_MAX, lambda: EXIT_PASSES, limit, count, Unit.POSITIONS)
    if count is None:
        return denies(Code.POSITION_COUNT_MAX, lambda: UNKNOWN, limit, None, Unit.POSITIONS)
    new = {
        each.account.pool_key(each.order.symbol, each.order.product)
        for each in (*leg.earlier, leg)
        if each.order.kind != "cancel" and each.order.product is not Product.CNC and each.pool.worst() == 0
    }
    after = count + len(new)
    if after > limit and leg.order.product is not Product.CNC and leg.pool.worst() == 0:
        return denies(
            Code.POSITION_COUNT_MAX,
            lambda: f"This would be open position number {after}; {limit} are allowed.",
            limit,
            after,
            Unit.POSITIONS,
        )
    if is_near(after, limit, leg.limits.soft_limit_percent):
        return warns(
            Code.WARN_POSITION_COUNT,
            lambda: f"{plural(after, 'open position')} of at most {limit}.",
            limit,
            after,
            Unit.POSITIONS,
        )
    return passes(
        Code.POSITION_COUNT_MAX,
        lambda: f"{plural(after, 'open position')} of at most {limit}.",
        limit,
        after,
        Unit.POSITIONS,
    )


def open_value(leg: LegFacts) -> Finding:
    """OPEN_VALUE_MAX: number of open orders, and the exposure all unexecuted entries would add."""
    limits, account = leg.limits, leg.account
    if leg.is_exit:
        return passes(Code.OPEN_VALUE_MAX, lambda: EXIT_PASSES, limits.open_value_max, None, Unit.RUPEES)
    if account.pending_value is None or leg.exposure_after is None or account.exposure is None:
        return denies(Code.OPEN_VALUE_MAX, lambda: UNKNOWN, limits.open_value_max, None, Unit.RUPEES)
    count = len(account.working) + sum(1 for each in (*leg.earlier, leg) if each.order.kind == "place")
    if count > limits.open_orders_max:
        return denies(
            Code.OPEN_VALUE_MAX,
            lambda: f"You would have {plural(count, 'open order')}; {limits.open_orders_max} are allowed.",
            limits.open_orders_max,
            count,
            Unit.ORDERS,
        )
    value = account.pending_value + max(Decimal(0), leg.exposure_after - account.exposure)
    return _open_value(value, limits.open_value_max, limits.soft_limit_percent)


def _open_value(value: Decimal, limit: Decimal, soft_limit_percent: Decimal) -> Finding:
    if value > limit:
        return denies(
            Code.OPEN_VALUE_MAX,
            lambda: f"Open orders would add {rupees(value)} if all filled; {rupees(limit)} is allowed.",
            limit,
            value,
            Unit.RUPEES,
        )
    if is_near(value, limit, soft_limit_percent):
        return warns(
            Code.WARN_OPEN_VALUE,
            lambda: f"Open orders would add {rupees(value)} of at most {rupees(limit)}.",
            limit,
            value,
            Unit.RUPEES,
        )
    return passes(
        Code.OPEN_VALUE_MAX,
        lambda: f"Open orders would add {rupees(value)} of at most {rupees(limit)}.",
        limit,
        value,
        Unit.RUPEES,
    )


def _weight(leg: LegFacts) -> Decimal | None:
    if leg.account.capital is None or leg.position_after is None:
        return None
    return _share(leg.position_after, leg.account.capital)


def _share(value: Decimal, capital: Decimal) -> Decimal | None:
    return (value * HUNDRED / capital).quantize(Decimal("0.01")) if capital > 0 else None
