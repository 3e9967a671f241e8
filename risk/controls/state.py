"""The kill switch and its gentler mode: what may go out in each trading state."""

from __future__ import annotations

from risk.codes import Code, Unit
from risk.domain import TradingStateName
from risk.findings import Finding, denies, passes
from risk.legs import LegFacts
from risk.wording import name, shares


def not_halted(leg: LegFacts) -> Finding:
    """TRADING_HALTED: in HALTED only cancels pass."""
    state = leg.book.trading_state
    if state is not TradingStateName.HALTED:
        return passes(Code.TRADING_HALTED, lambda: "Trading is not halted.", None, state.value)
    return denies(
        Code.TRADING_HALTED,
        lambda: f"Trading is halted{_because(leg)}: only cancels go out until it is released.",
        TradingStateName.ACTIVE.value,
        state.value,
    )


def reducing_allows(leg: LegFacts) -> Finding:
    """TRADING_REDUCING: in REDUCING only cancels and orders that make a position smaller pass."""
    state = leg.book.trading_state
    if state is not TradingStateName.REDUCING or leg.reduces:
        return passes(Code.TRADING_REDUCING, lambda: "The trading state allows it.", None, state.value)
    return denies(
        Code.TRADING_REDUCING,
        lambda: (
            f"Only exits and cancels are allowed now{_because(leg)}: this order would not reduce "
            f"anything you have in {name(leg.order.symbol)}."
        ),
        "exits",
        state.value,
    )


def does_not_flip(leg: LegFacts) -> Finding:
    """REDUCE_WOULD_FLIP: an order that may only reduce must not go through zero, open orders counted."""
    bound = leg.book.trading_state is TradingStateName.REDUCING or leg.order.reduce_only
    if not bound or not leg.reduces or leg.remaining <= leg.reducible:
        return passes(
            Code.REDUCE_WOULD_FLIP,
            lambda: "The order does not go through zero." if leg.reduces else "The order is not on the reducing side.",
            leg.reducible if leg.reduces else None,
            leg.remaining,
            Unit.UNITS,
        )
    return denies(
        Code.REDUCE_WOULD_FLIP,
        lambda: (
            f"{shares(leg.reducible)} of {name(leg.order.symbol)} are left to close, open orders counted: "
            f"{shares(leg.remaining)} would go through zero and open the other side."
        ),
        leg.reducible,
        leg.remaining,
        Unit.UNITS,
    )


def reduce_only_reduces(leg: LegFacts) -> Finding:
    """REDUCE_ONLY_INCREASES: an order marked reduce-only must be on the reducing side."""
    if not leg.order.reduce_only or leg.reduces:
        return passes(Code.REDUCE_ONLY_INCREASES, lambda: "The order keeps what it promises about reducing.")
    return denies(
        Code.REDUCE_ONLY_INCREASES,
        lambda: f"The order may only reduce, but it would add to your position in {name(leg.order.symbol)}.",
        0,
        leg.remaining,
        Unit.UNITS,
    )


def _because(leg: LegFacts) -> str:
    reason = leg.book.trading_state_reason.strip()
    return f" ({reason})" if reason else ""
