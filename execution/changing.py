"""Modify and cancel legs. A modify is the whole order as it shall be afterwards: what is missing would be defaulted."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from broker.domain import InstrumentInfo, OrderType, Product, Quote, Side, Validity, Variety
from execution.domain import Changes, Leg, OrderView, SizingStep
from execution.pricing import Priced, Protection, price_order
from execution.sizing import NotTranslatable, step
from risk.domain import RequestKind
from sigmatrader.audit.canonical import decimal_text

WordT = TypeVar("WordT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Changed:
    """The order after the change, before it, and what differs in words."""

    leg: Leg
    before: Leg
    steps: tuple[SizingStep, ...]


def cancel_leg(order: OrderView, *, n: int) -> Leg:
    """The leg that cancels ``order``. Raises NotTranslatable for an order whose words we cannot carry."""
    return _leg(order, RequestKind.CANCEL, n)


def modify_leg(
    order: OrderView, changes: Changes, *, n: int, info: InstrumentInfo, quote: Quote | None, protection: Protection
) -> Changed:
    """The complete order after ``changes``. Raises NotTranslatable when they do not fit the order or change nothing."""
    before = _leg(order, RequestKind.MODIFY, n)
    order_type = changes.order_type or before.order_type
    wanted = Priced(
        order_type,
        _price(order_type.has_limit, changes.price, before.limit_price, "price", order_type),
        _price(order_type.has_trigger, changes.trigger_price, before.trigger_price, "trigger_price", order_type),
    )
    field = "changes.price"
    priced = price_order(wanted, side=before.side, info=info, quote=quote, protection=protection, field=field)
    quantity = _quantity(order, changes)
    leg = _with(before, quantity, priced)
    if _terms(leg) == _terms(before):
        raise NotTranslatable("NOTHING_CHANGES", "The order already stands exactly like that.", "changes")
    return Changed(leg, before, _steps(before, leg) + priced.steps)


def _with(before: Leg, quantity: int, priced: Priced) -> Leg:
    return Leg(
        n=before.n,
        action=before.action,
        symbol=before.symbol,
        side=before.side,
        quantity=quantity,
        order_type=priced.order_type,
        limit_price=priced.limit_price,
        trigger_price=priced.trigger_price,
        product=before.product,
        validity=before.validity,
        variety=before.variety,
        target=before.target,
        broker_order_id=before.broker_order_id,
        converted_from_market=priced.converted,
    )


def _leg(order: OrderView, action: RequestKind, n: int) -> Leg:
    return Leg(
        n=n,
        action=action,
        symbol=order.symbol,
        side=_word(order.side, Side, order),
        quantity=order.quantity,
        order_type=_word(order.order_type, OrderType, order),
        limit_price=order.limit_price or None,  # the broker writes no price as 0
        trigger_price=order.trigger_price or None,
        product=_word(order.product, Product, order),
        validity=_word(order.validity, Validity, order),
        variety=_word(order.variety, Variety, order),
        target=order.id,
        broker_order_id=order.broker_order_id,
    )


def _word(value: str, words: type[WordT], order: OrderView) -> WordT:
    try:
        return words(value)
    except ValueError:
        raise NotTranslatable(
            "ORDER_UNSUPPORTED",
            f"Order {order.broker_order_id} is {value}, which is not handled here: change it in Kite.",
            "order_ids",
        ) from None


def _price(takes: bool, new: Decimal | None, old: Decimal | None, name: str, order_type: OrderType) -> Decimal | None:
    if not takes:
        if new is not None:
            raise NotTranslatable("CONFLICT", f"A {order_type} order has no {name}.", f"changes.{name}")
        return None
    price = new if new is not None else old
    if price is None:
        raise NotTranslatable("PRICE_MISSING", f"A {order_type} order needs a {name}.", f"changes.{name}")
    return price


def _quantity(order: OrderView, changes: Changes) -> int:
    quantity = order.quantity if changes.quantity is None else changes.quantity
    if quantity <= order.filled_quantity:
        raise NotTranslatable(
            "QUANTITY_BELOW_FILLED",
            f"{order.filled_quantity} are filled already: cancel the rest instead of lowering it to {quantity}.",
            "changes.quantity",
        )
    return quantity


def _terms(leg: Leg) -> tuple[int, OrderType, Decimal | None, Decimal | None]:
    return leg.quantity, leg.order_type, leg.limit_price, leg.trigger_price


def _steps(before: Leg, after: Leg) -> tuple[SizingStep, ...]:
    """One line for each thing that changes: ``1500 -> 1490``."""
    names = ("Quantity", "Order type", "Limit price", "Trigger price")
    units = ("units", "", "INR", "INR")
    return tuple(
        step(f"{name} changes", f"{_text(old)} -> {_text(new)}", unit)
        for name, unit, old, new in zip(names, units, _terms(before), _terms(after), strict=True)
        if old != new
    )


def _text(value: object) -> str:
    if value is None:
        return "none"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)
