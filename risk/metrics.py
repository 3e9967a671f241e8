"""The few figures a card shows before and after: order value, exposure, quantity, weight, free margin."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from risk.account import Account, purse_of
from risk.domain import RequestKind
from risk.legs import HUNDRED, LegFacts
from sigmatrader.audit.canonical import decimal_text

CENT = Decimal("0.01")
Metrics = dict[str, str]


def metrics(legs: Sequence[LegFacts], account: Account) -> tuple[Metrics, Metrics]:
    """(before, after), rupees, units and percent as plain text. What could not be worked out is left out.

    ``position_quantity`` and ``weight_percent`` stand for the plan's instrument; a plan with several has them as
    ``position_quantity NSE:INFY`` and so on.
    """
    trades = [leg for leg in legs if leg.order.kind is not RequestKind.CANCEL]
    before: dict[str, Decimal | int | None] = {
        "order_value": Decimal(0),
        "day_value": account.book.counters.value_today,
        "exposure": account.exposure,
        "capital": account.capital,
        "free_margin": account.free_margin.get(_purse(trades)) if account.book.margins is not None else None,
    }
    after = before | {
        "order_value": _order_value(trades),
        "day_value": _plus(before["day_value"], _order_value(trades)),
        "exposure": trades[-1].exposure_after if trades else account.exposure,
        "free_margin": _less(before["free_margin"], _needed(trades, account)),
    }
    for suffix, group in _by_symbol(trades).items():
        _positions(suffix, group, account, before, after)
    return _text(before), _text(after)


def _positions(
    suffix: str,
    group: Sequence[LegFacts],
    account: Account,
    before: dict[str, Decimal | int | None],
    after: dict[str, Decimal | int | None],
) -> None:
    held = group[0].pool.exposed if group[0].books_known else None
    change = sum(leg.remaining * leg.order.side.sign for leg in group)
    before[f"position_quantity{suffix}"] = held
    after[f"position_quantity{suffix}"] = held + change if held is not None else None
    before[f"weight_percent{suffix}"] = _weight(group[0].position_before, account.capital)
    after[f"weight_percent{suffix}"] = _weight(group[-1].position_after, account.capital)


def _by_symbol(trades: Sequence[LegFacts]) -> dict[str, list[LegFacts]]:
    groups: dict[str, list[LegFacts]] = {}
    for leg in trades:
        groups.setdefault(f" {leg.order.symbol}", []).append(leg)
    return {"": next(iter(groups.values()))} if len(groups) == 1 else groups


def _purse(trades: Sequence[LegFacts]) -> str:
    return purse_of(trades[0].order.symbol) if trades else "equity"


def _order_value(trades: Sequence[LegFacts]) -> Decimal | None:
    values = [leg.value for leg in trades]
    return None if None in values else sum((value for value in values if value is not None), Decimal(0))


def _needed(trades: Sequence[LegFacts], account: Account) -> Decimal | None:
    required = account.book.margin_required
    if any(leg.order.leg not in required for leg in trades):
        return None
    return sum((required[leg.order.leg] for leg in trades), Decimal(0))


def _plus(one: Decimal | int | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _less(one: Decimal | int | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one - other


def _weight(value: Decimal | None, capital: Decimal | None) -> Decimal | None:
    if value is None or capital is None or capital <= 0:
        return None
    return (value * HUNDRED / capital).quantize(CENT)


def _text(figures: dict[str, Decimal | int | None]) -> Metrics:
    return {
        name: decimal_text(value) if isinstance(value, Decimal) else str(value)
        for name, value in figures.items()
        if value is not None
    }
