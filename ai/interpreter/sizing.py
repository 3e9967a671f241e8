"""How many shares: said, or by a rule the trader said (rupees, a share of what is held, down to a number)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from ai.context import Context
from ai.interpreter.prices import Prices
from ai.interpreter.products import Stance
from ai.interpreter.reading import ask
from ai.interpreter.slots import Figure, Role, Slots, counts_shares
from ai.language.lexicon import Tag
from ai.language.money import grouped
from broker.domain import symbol_of

_HUNDRED = Decimal(100)
_NEAR_PRICE = Decimal("0.2")
_COULD_BE_PRICE = 100  # with no last price known


@dataclass(frozen=True, slots=True)
class Size:
    """Resolved shares (None where a price to divide by was not read) and the rule that made them."""

    quantity: int | None
    rule: dict[str, object] | None = None


def read_size(slots: Slots, *, symbol: str, exchange: str, stance: Stance, prices: Prices, context: Context) -> Size:
    """Raises AskBack where no number, two numbers, or more than is held was said."""
    figures = slots.of(Role.QUANTITY)
    fractions = _fractions(slots)
    amounts = slots.of(Role.AMOUNT)
    keeps = slots.of(Role.KEEP)
    if len(figures) + len(fractions) + len(amounts) + len(keeps) > 1:
        raise ask("quantity", f"How many {symbol}? There are two sizes in that.")
    if figures:
        size = Size(_whole(figures[0], slots, symbol, exchange, context))
    elif keeps:
        size = _reduce_to(keeps[0], stance, symbol)
    elif fractions:
        size = _fraction(fractions[0], stance, symbol)
    elif amounts:
        size = _notional(amounts[0], symbol_of(exchange, symbol), prices, context)
    elif stance.closes and slots.has(Tag.EXIT, Tag.COVER):
        size = _fraction(_HUNDRED, stance, symbol)
    else:
        raise ask("quantity", f"How many {symbol}?")
    _within(size, stance, symbol)
    return size


def _fractions(slots: Slots) -> list[Decimal]:
    said = [figure.value for figure in slots.of(Role.PERCENT)]
    for tag, share in ((Tag.ALL, _HUNDRED), (Tag.HALF, Decimal(50)), (Tag.QUARTER, Decimal(25))):
        if slots.has(tag):
            said.append(share)
    return said


def _whole(figure: Figure, slots: Slots, symbol: str, exchange: str, context: Context) -> int:
    at, value = figure.position, figure.value
    unit = counts_shares(slots.items, at)
    if value % 1 or value <= 0:
        raise ask("quantity", f"“{figure.item.text}” is not a whole number of shares. How many {symbol}?")
    if figure.item.scaled and not unit:
        said = grouped(value)
        raise ask("quantity", f"{said} shares, or ₹{said} worth?", f"{said} shares", f"₹{said} worth")
    last = context.last_price(symbol_of(exchange, symbol))
    alone = len(slots.figures) == 1 and at > slots.name_position and not unit
    near = abs(value - last) <= last * _NEAR_PRICE if last else value >= _COULD_BE_PRICE
    if alone and near:
        raise ask(
            "quantity", f"Is {figure.spelled} the price of {symbol}, or the number of shares?",
            f"{figure.spelled} shares of {symbol}", f"{symbol} at {figure.spelled}",
        )  # fmt: skip
    return int(value)


def _fraction(percent: Decimal, stance: Stance, symbol: str) -> Size:
    if not stance.closes:
        raise ask("quantity", f"How many {symbol}? A share of a holding says how many to sell, not to buy.")
    if not 0 < percent <= _HUNDRED:
        raise ask("quantity", "A percentage of a holding is between 0 and 100.")
    kind = "percent_of_position" if stance.of_position else "percent_of_holding"
    rule: dict[str, object] = {"type": kind, "percent": _plain(percent)}
    if stance.open_quantity is None:
        return Size(None, rule)
    quantity = int((stance.open_quantity * percent / _HUNDRED).to_integral_value(ROUND_FLOOR))
    if quantity == 0:
        raise ask(
            "quantity", f"{_plain(percent)}% of {stance.open_quantity} {symbol} is less than one share. How many?"
        )
    return Size(quantity, rule)


def _reduce_to(figure: Figure, stance: Stance, symbol: str) -> Size:
    keep = figure.value
    if not stance.closes or stance.open_quantity is None:
        raise ask("quantity", f"How many {symbol} shall be sold?")
    if keep % 1 or keep < 0 or keep >= stance.open_quantity:
        raise ask("quantity", f"You have {stance.open_quantity} {symbol}. Down to how many?")
    return Size(stance.open_quantity - int(keep), {"type": "reduce_to", "quantity": int(keep)})


def _notional(figure: Figure, symbol: str, prices: Prices, context: Context) -> Size:
    amount = figure.value
    if amount <= 0:
        raise ask("quantity", "The amount must be above zero.")
    rule: dict[str, object] = {"type": "notional", "amount": _plain(amount)}
    price = Decimal(prices.price) if prices.price else context.last_price(symbol)
    if not price:
        return Size(None, rule)
    quantity = int((amount / price).to_integral_value(ROUND_FLOOR))
    if quantity == 0:
        raise ask("quantity", f"₹{grouped(amount)} is less than one share at {price}. How many?")
    return Size(quantity, rule)


def _within(size: Size, stance: Stance, symbol: str) -> None:
    if not stance.closes or stance.open_quantity is None or size.quantity is None:
        return
    if size.quantity > stance.open_quantity and stance.side == "BUY":
        raise ask(
            "product", f"You are short {stance.open_quantity} {symbol}; {size.quantity} is more than covers it. "
            "Intraday or delivery?",
            "MIS", "CNC",
        )  # fmt: skip
    if size.quantity > stance.open_quantity:
        have = "Your position is" if stance.of_position else "You hold"
        raise ask(
            "quantity", f"{have} {stance.open_quantity} {symbol}, {size.quantity} is more. How many?",
            f"{stance.open_quantity}",
        )  # fmt: skip


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
