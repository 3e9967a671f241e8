"""Which control answers for which code. The order here has no effect on a decision: rows are reported by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from risk.codes import Code
from risk.controls import account, conduct, habits, order, position, price, quantity, standing, state
from risk.findings import Finding
from risk.legs import LegFacts


@dataclass(frozen=True, slots=True)
class LegControl:
    """Runs on every leg that is not a cancel."""

    code: Code
    check: Callable[[LegFacts], Finding]


@dataclass(frozen=True, slots=True)
class PlanControl:
    """Runs once, on all legs together."""

    code: Code
    check: Callable[[Sequence[LegFacts]], Finding]


Control = LegControl | PlanControl

_FIRST: tuple[Control, ...] = (
    LegControl(Code.ORDER_INVALID, order.well_formed),
    LegControl(Code.ACTOR_NOT_AUTHORISED, order.authorised_actor),
    LegControl(Code.SYMBOL_RESTRICTED, order.tradable_symbol),
    LegControl(Code.ORDER_TYPE_UNSUPPORTED, order.supported_form),
    LegControl(Code.MARKET_PROTECTION, order.market_protection),
    LegControl(Code.TRADING_HALTED, state.not_halted),
    LegControl(Code.TRADING_REDUCING, state.reducing_allows),
    LegControl(Code.REDUCE_WOULD_FLIP, state.does_not_flip),
    LegControl(Code.REDUCE_ONLY_INCREASES, state.reduce_only_reduces),
    LegControl(Code.BOOKS_MISSING, account.books_present),
    LegControl(Code.MARKET_CLOSED, account.market_open),
    LegControl(Code.MARKET_DATA_STALE, price.fresh_price),
    LegControl(Code.ORDER_QTY_MAX, quantity.quantity_max),
    LegControl(Code.FREEZE_QTY, quantity.freeze_quantity),
    LegControl(Code.LOT_SIZE, quantity.lot_multiple),
    LegControl(Code.ORDER_VALUE_MIN, quantity.value_min),
    LegControl(Code.ORDER_VALUE_MAX, quantity.value_max),
    LegControl(Code.ORDER_VALUE_DAY, quantity.value_day),
    LegControl(Code.TICK_SIZE, price.tick_size),
    LegControl(Code.PRICE_COLLAR, price.price_collar),
    LegControl(Code.PRICE_BAND, price.price_band),
    LegControl(Code.TRIGGER_PRICE, price.trigger_price),
    LegControl(Code.SHORT_NOT_COVERED, position.short_covered),
    LegControl(Code.POSITION_MAX, position.position_max),
    LegControl(Code.POSITION_COUNT_MAX, position.position_count),
    LegControl(Code.EXPOSURE_MAX, position.exposure_max),
    LegControl(Code.OPEN_VALUE_MAX, position.open_value),
    LegControl(Code.SELF_TRADE, conduct.no_self_trade),
    LegControl(Code.DUPLICATE_ORDER, conduct.no_duplicate),
    LegControl(Code.ORDER_RATE, conduct.order_rate),
    LegControl(Code.ORDER_COUNT_DAY, conduct.order_count),
    LegControl(Code.REJECT_STREAK, conduct.reject_streak),
    LegControl(Code.UNCONFIRMED_ORDERS, conduct.unconfirmed),
    PlanControl(Code.MARGIN_INSUFFICIENT, account.margin_sufficient),
)

_ADDED: tuple[Control, ...] = (
    LegControl(Code.BROKER_DISCONNECTED, standing.broker_connected),
    LegControl(Code.NOT_RECONCILED, standing.books_reconciled),
    LegControl(Code.DAILY_LOSS_LIMIT, standing.daily_loss),
    LegControl(Code.DRAWDOWN_LIMIT, standing.drawdown),
    LegControl(Code.COOLDOWN, standing.cooldown),
    LegControl(Code.FAT_FINGER, habits.fat_finger),
    LegControl(Code.PRICE_DRIFT, habits.price_drift),
    LegControl(Code.REPEAT_EXECUTION, habits.repeat_execution),
    LegControl(Code.MODIFY_LIMIT, habits.modify_limit),
    LegControl(Code.DUPLICATE_ORDER_ID, habits.order_id_unused),
    LegControl(Code.EXPOSURE_MAX, position.exposure_and_sector),
    PlanControl(Code.MARGIN_INSUFFICIENT, account.margin_unreserved),
)
_REPLACED = frozenset(control.code for control in _ADDED)

ENGINE_VERSION = "2"
CONTROLS: tuple[Control, ...] = (*(control for control in _FIRST if control.code not in _REPLACED), *_ADDED)
ENGINES: Mapping[str, tuple[Control, ...]] = {"1": _FIRST, ENGINE_VERSION: CONTROLS}
"""The controls of every engine that has made decisions: one is judged again by those it was made with."""
