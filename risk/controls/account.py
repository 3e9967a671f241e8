"""Is there anything to judge by and to pay with: market hours, books, margin."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from broker.domain import Variety
from risk.account import purse_of
from risk.codes import Code, Unit
from risk.domain import RequestKind
from risk.findings import Finding, denies, is_near, passes, warns
from risk.legs import LegFacts, age_s
from risk.wording import listed, plural, rupees


def market_open(leg: LegFacts) -> Finding:
    """MARKET_CLOSED: the session is in a phase the policy trades in; an AMO is for when it is not."""
    market, phases = leg.book.market, leg.policy.allowed.phases
    phase = market.phase.value
    if phase in phases or leg.order.variety is Variety.AMO:
        return passes(
            Code.MARKET_CLOSED,
            lambda: "The practice session is open." if market.practice else "The market is open.",
            listed(phases),
            phase,
        )
    return denies(
        Code.MARKET_CLOSED,
        lambda: f"The market is not in continuous trading now ({phase})." + (f" {market.note}" if market.note else ""),
        listed(phases),
        phase,
    )


def books_present(leg: LegFacts) -> Finding:
    """BOOKS_MISSING: holdings, positions, orders and margins were all read, a short while ago."""
    book, limit = leg.book, leg.limits.snapshot_age_s
    parts = {
        "holdings": book.holdings,
        "positions": book.positions,
        "orders": book.open_orders,
        "margins": book.margins,
    }
    missing = tuple(part for part, value in parts.items() if value is None)
    if missing:
        return denies(
            Code.BOOKS_MISSING,
            lambda: (
                f"Your {' and '.join(missing)} could not be read from the broker, so nothing can be judged by them."
            ),
            "all parts",
            f"{', '.join(missing)} missing",
        )
    if book.books_as_of is None:
        return denies(Code.BOOKS_MISSING, lambda: "It is not known how old your books are.", limit, None, Unit.SECONDS)
    age = age_s(book.books_as_of, now=leg.now, limit=limit)
    if abs(age) > limit:
        return denies(
            Code.BOOKS_MISSING,
            lambda: f"Your books are {plural(age, 'second')} old; at most {limit} s are allowed. Refresh them.",
            limit,
            age,
            Unit.SECONDS,
        )
    return passes(Code.BOOKS_MISSING, lambda: f"All books are here, {age} s old.", limit, age, Unit.SECONDS)


def margin_sufficient(legs: Sequence[LegFacts]) -> Finding:
    """MARGIN_INSUFFICIENT: free margin pays for all legs together, each purse for its own."""
    trades = [leg for leg in legs if leg.order.kind is not RequestKind.CANCEL]
    if not trades:
        return passes(Code.MARGIN_INSUFFICIENT, lambda: "Cancels need no margin.")
    book, account = trades[0].book, trades[0].account
    if book.margins is None or any(leg.order.leg not in book.margin_required for leg in trades):
        return denies(
            Code.MARGIN_INSUFFICIENT,
            lambda: "Your free margin, or what this needs of it, is not known.",
            None,
            None,
            Unit.RUPEES,
        )
    needs: dict[str, Decimal] = {}
    for leg in trades:
        purse = purse_of(leg.order.symbol)
        needs[purse] = needs.get(purse, Decimal(0)) + max(Decimal(0), book.margin_required[leg.order.leg])
    tightest = min(needs, key=lambda purse: account.free_margin.get(purse, Decimal(0)) - needs[purse])
    free, need = account.free_margin.get(tightest, Decimal(0)), needs[tightest]
    return _margin(free, need, trades[0].limits.soft_limit_percent)


def margin_unreserved(legs: Sequence[LegFacts]) -> Finding:
    """MARGIN_INSUFFICIENT: free margin pays for all legs together, each purse for its own.

    What is committed to orders that the broker's books cannot show yet is no longer free.
    """
    trades = [leg for leg in legs if leg.order.kind is not RequestKind.CANCEL]
    if not trades:
        return passes(Code.MARGIN_INSUFFICIENT, lambda: "Cancels need no margin.")
    book, account, reserved = trades[0].book, trades[0].account, trades[0].book.standing.reserved_margin
    if book.margins is None or reserved is None or any(leg.order.leg not in book.margin_required for leg in trades):
        return denies(
            Code.MARGIN_INSUFFICIENT,
            lambda: "Your free margin, or what this needs of it, is not known.",
            None,
            None,
            Unit.RUPEES,
        )
    needs: dict[str, Decimal] = {}
    for leg in trades:
        purse = purse_of(leg.order.symbol)
        needs[purse] = needs.get(purse, Decimal(0)) + max(Decimal(0), book.margin_required[leg.order.leg])
    free = {purse: account.free_margin.get(purse, Decimal(0)) - reserved.get(purse, Decimal(0)) for purse in needs}
    tightest = min(needs, key=lambda purse: free[purse] - needs[purse])
    return _margin(free[tightest], needs[tightest], trades[0].limits.soft_limit_percent)


def _margin(free: Decimal, need: Decimal, soft_limit_percent: Decimal) -> Finding:
    if need == 0:
        return passes(Code.MARGIN_INSUFFICIENT, lambda: "This needs no margin.", free, need, Unit.RUPEES)
    if need > free:
        return denies(
            Code.MARGIN_INSUFFICIENT,
            lambda: (
                f"This needs {rupees(need)}, charges included; {rupees(free)} is free: {rupees(need - free)} short."
            ),
            free,
            need,
            Unit.RUPEES,
        )
    if is_near(need, free, soft_limit_percent):
        return warns(
            Code.WARN_MARGIN,
            lambda: f"This takes {rupees(need)} of the {rupees(free)} that are free.",
            free,
            need,
            Unit.RUPEES,
        )
    return passes(
        Code.MARGIN_INSUFFICIENT, lambda: f"{rupees(need)} of {rupees(free)} free margin.", free, need, Unit.RUPEES
    )
