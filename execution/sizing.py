"""How many: from rupees, a percentage or a quantity to keep, to units, with the arithmetic kept as it was done.

Every rule rounds down: money divides by the limit price, else the last price (ASSISTANT section 1, rule 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import TypeVar

from broker.domain import InstrumentInfo, Product, Side
from broker.rounding import floor_to_lot
from execution.domain import OrderInstruction, QuantityRule, RuleType, SizingStep
from sigmatrader.audit.canonical import decimal_text

HUNDRED = Decimal(100)
T = TypeVar("T")


class NotTranslatable(Exception):
    """The intent cannot become a plan: a code for programs, a sentence for the trader, the field at fault."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


@dataclass(frozen=True, slots=True)
class SizingFacts:
    """What sizing may look at. ``holding`` is delivery shares, ``held`` what is held in the order's own product,
    signed; None where the books were not read. ``last_price`` is None without a quote."""

    info: InstrumentInfo
    last_price: Decimal | None
    holding: int | None
    held: int | None


@dataclass(frozen=True, slots=True)
class Sized:
    quantity: int
    steps: tuple[SizingStep, ...]


def size(order: OrderInstruction, facts: SizingFacts, *, at: str = "") -> Sized:
    """The quantity of one order and how it came about. Raises NotTranslatable. A rule wins over a resolved quantity."""
    rule = order.quantity_rule
    if rule is None:
        if order.quantity is None:
            raise NotTranslatable("QUANTITY_MISSING", "Say how many.", f"{at}quantity")
        return Sized(order.quantity, (step("Quantity as said", order.quantity, "units"),))
    sized = _by_rule(order, rule, facts, f"{at}quantity_rule")
    if sized.quantity <= 0:
        raise NotTranslatable("QUANTITY_ZERO", _zero_text(rule, facts), f"{at}quantity_rule")
    return sized


def _by_rule(order: OrderInstruction, rule: QuantityRule, facts: SizingFacts, field: str) -> Sized:
    if rule.type is RuleType.NOTIONAL:
        return _notional(order, rule, facts, field)
    if rule.type is RuleType.REDUCE_TO:
        return _reduce_to(order, rule, facts, field)
    return _percent(order, rule, facts, field)


def _notional(order: OrderInstruction, rule: QuantityRule, facts: SizingFacts, field: str) -> Sized:
    amount = _required(rule.amount, "amount", field)
    price, source = order.price, "limit price"
    if price is None:
        price, source = facts.last_price, "last price"
    if price is None or price <= 0:
        raise NotTranslatable(
            "NO_QUOTE", f"There is no price of {order.symbol} to divide {decimal_text(amount)} rupees by.", field
        )
    units = int((amount / price).to_integral_value(ROUND_FLOOR))
    quantity = floor_to_lot(_not_above(units, amount, price), facts.info.lot_size)
    steps = (
        step("Amount", amount, "INR"),
        step(f"Divided by the {source}", price, "INR"),
        step("Rounded down to whole units", units, "units"),
        *_lot_steps(units, quantity, facts.info),
    )
    return Sized(quantity, steps)


def _not_above(units: int, amount: Decimal, price: Decimal) -> int:
    """A division of 28 digits can round up to a whole unit that was not reached."""
    return units - 1 if units * price > amount else units


def _percent(order: OrderInstruction, rule: QuantityRule, facts: SizingFacts, field: str) -> Sized:
    percent = _required(rule.percent, "percent", field)
    of_holding = rule.type is RuleType.PERCENT_OF_HOLDING
    base = facts.holding if of_holding else facts.held
    what = "holding" if of_holding else f"{order.product} position"
    if base is None:
        raise NotTranslatable(
            "BOOKS_MISSING", f"The {what} of {order.symbol} could not be read from the broker.", field
        )
    if base == 0 or (of_holding and base < 0):
        raise NotTranslatable("NOT_HELD", f"There is no {what} of {order.symbol} to take a percentage of.", field)
    units = int((abs(base) * percent / HUNDRED).to_integral_value(ROUND_FLOOR))
    quantity = floor_to_lot(units, facts.info.lot_size)
    steps = (
        step(f"Your {what}", abs(base), "units"),
        step("Percent of it", percent, "%"),
        step("Rounded down to whole units", units, "units"),
        *_lot_steps(units, quantity, facts.info),
    )
    return Sized(quantity, steps)


def _reduce_to(order: OrderInstruction, rule: QuantityRule, facts: SizingFacts, field: str) -> Sized:
    keep = _required(rule.quantity, "quantity", field)
    what = "holding" if order.product is Product.CNC else f"{order.product} position"
    if facts.held is None:
        raise NotTranslatable(
            "BOOKS_MISSING", f"The {what} of {order.symbol} could not be read from the broker.", field
        )
    held = facts.held if order.side is Side.SELL else -facts.held
    if held <= 0:
        raise NotTranslatable("NOT_HELD", f"There is no {what} of {order.symbol} that a {order.side} reduces.", field)
    if held <= keep:
        raise NotTranslatable(
            "ALREADY_THERE", f"You hold {held} {order.symbol}: that is not above {keep} already.", field
        )
    quantity = floor_to_lot(held - keep, facts.info.lot_size)
    steps = (
        step(f"Your {what}", held, "units"),
        step("To keep", keep, "units"),
        step("Difference", held - keep, "units"),
        *_lot_steps(held - keep, quantity, facts.info),
    )
    return Sized(quantity, steps)


def _lot_steps(units: int, quantity: int, info: InstrumentInfo) -> tuple[SizingStep, ...]:
    return (step(f"Rounded down to lots of {info.lot_size}", quantity, "units"),) if units != quantity else ()


def _zero_text(rule: QuantityRule, facts: SizingFacts) -> str:
    unit = "one share" if facts.info.lot_size == 1 else f"one lot of {facts.info.lot_size}"
    if rule.type is RuleType.NOTIONAL:
        return f"{decimal_text(rule.amount or Decimal(0))} rupees do not buy {unit} of {facts.info.symbol}."
    return f"That comes to less than {unit} of {facts.info.symbol}."


def _required(value: T | None, name: str, field: str) -> T:
    if value is None:
        raise NotTranslatable("QUANTITY_MISSING", f"The quantity rule needs its {name}.", f"{field}.{name}")
    return value


def step(words: str, value: Decimal | int | str, unit: str) -> SizingStep:
    """One shown line."""
    return SizingStep(words, decimal_text(value) if isinstance(value, Decimal) else str(value), unit)
