"""Cancels and changes of orders that work, named by share, side, id or "last": resolved to rows, never to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ai.context import Context
from ai.interpreter.reading import AskBack, Assumptions, ask
from ai.interpreter.replies import Intent, clarify, not_understood
from ai.interpreter.sentence import Sentence
from ai.interpreter.slots import Figure, Role, read_slots
from ai.language.lexicon import Tag
from ai.language.money import grouped
from ai.language.tokens import Item
from broker.domain import BrokerOrder, split_symbol

_CANCEL_TAGS = frozenset(
    {
        Tag.CANCEL, Tag.ALL, Tag.MY, Tag.ORDER, Tag.ORDERS, Tag.OPEN, Tag.LAST, Tag.BUY, Tag.SELL, Tag.FILLER, Tag.OF,
        Tag.FOR, Tag.POSSESSIVE, Tag.LIMIT, Tag.MARKET, Tag.STOP, Tag.SL_M, Tag.SL_ORDER, Tag.TODAY, Tag.GTT,
        Tag.MONITOR, Tag.NSE, Tag.BSE, Tag.AT, Tag.AND, Tag.PLACE, Tag.SHARES, Tag.AT_AFTER, Tag.TRIGGER,
    }
)  # fmt: skip
_MODIFY_TAGS = _CANCEL_TAGS - {Tag.CANCEL, Tag.ALL} | {
    Tag.MODIFY, Tag.TO, Tag.PRICE, Tag.QUANTITY, Tag.REDUCE, Tag.RUPEES, Tag.KEEP, Tag.QUOTE,
}  # fmt: skip
_FAR = Decimal("0.5")
_ID_DIGITS = 6


def read_cancel(sentence: Sentence, *, context: Context) -> Intent:
    """A ``cancel`` intent, or the question which order."""
    try:
        _account_for(sentence, _CANCEL_TAGS)
        if sentence.any(Tag.GTT):
            return _cancel_gtts(sentence, context)
        if sentence.any(Tag.MONITOR):
            return _cancel_monitors(sentence, context)
        orders = _named_orders(sentence, context)
        if len(orders) > 1 and not (sentence.any(Tag.ALL) or _plural(sentence)):
            raise _which(orders, "cancel")
        return {"kind": "cancel", "order_ids": [order.broker_order_id for order in orders]}
    except AskBack as stopped:
        return stopped.intent


def read_modify(sentence: Sentence, *, context: Context, assumed: Assumptions) -> Intent:
    """A ``modify`` intent of exactly one working order, or the question that is left."""
    try:
        _account_for(sentence, _MODIFY_TAGS)
        orders = _named_orders(sentence, context, with_numbers=False)
        if len(orders) > 1:
            raise _which(orders, "change")
        changes = _changes(sentence, orders[0], assumed)
        return {"kind": "modify", "order_ids": [orders[0].broker_order_id], "changes": changes}
    except AskBack as stopped:
        return stopped.intent


def _account_for(sentence: Sentence, allowed: frozenset[Tag]) -> None:
    strange = [item.text for item in sentence.items if item.is_unknown or (item.tags and not item.tags & allowed)]
    if strange:
        raise AskBack(not_understood(strange))
    if any(item.faulty for item in sentence.items):
        raise ask("changes", "I cannot be sure how to read that number. Say one plain number.")


def _plural(sentence: Sentence) -> bool:
    return any(item.has(Tag.ORDERS) for item in sentence.items)


def _named_orders(sentence: Sentence, context: Context, *, with_numbers: bool = True) -> tuple[BrokerOrder, ...]:
    """The working orders the words fit. Raises AskBack for none, or where the books were not read."""
    if context.orders is None:
        raise ask("order", "The order book could not be read just now, so I cannot tell which order you mean.")
    names = sentence.names
    if any(len(item.names) > 1 for item in names):
        raise ask("symbol", "Which share do you mean?", *[name for item in names for name in item.names][:8])
    wanted = {item.names[0] for item in names}
    by_id = {item.text for item in sentence.items if item.is_number and len(item.text) >= _ID_DIGITS}
    found = [order for order in context.open_orders() if _fits(order, wanted, by_id, sentence)]
    if with_numbers:
        found = [order for order in found if _fits_numbers(order, sentence, by_id)]
    if not found:
        of = f" in {', '.join(sorted(wanted))}" if wanted else ""
        raise AskBack(clarify("order", f"There is no open order{of} that fits.", _described(context.open_orders())))
    if sentence.any(Tag.LAST) and not sentence.any(Tag.ALL):
        return (max(found, key=lambda order: (order.placed_at is not None, order.placed_at or 0)),)
    return tuple(found)


def _fits(order: BrokerOrder, symbols: set[str], ids: set[str], sentence: Sentence) -> bool:
    if ids:
        return order.broker_order_id in ids
    sides = {side for tag, side in ((Tag.BUY, "BUY"), (Tag.SELL, "SELL")) if sentence.any(tag)}
    stops = sentence.any(Tag.STOP, Tag.SL_M, Tag.SL_ORDER) and not sentence.any(Tag.LIMIT)
    return (
        (not symbols or split_symbol(order.symbol)[1] in symbols)
        and (not sides or order.side in sides)
        and (not stops or order.order_type in ("SL", "SL-M"))
    )


def _fits_numbers(order: BrokerOrder, sentence: Sentence, ids: set[str]) -> bool:
    figures = {order.quantity, order.price, order.trigger_price}
    return all(item.number in figures for item in sentence.items if item.is_number and item.text not in ids)


def _which(orders: Sequence[BrokerOrder], verb: str) -> AskBack:
    return AskBack(clarify("order", f"Which order shall I {verb}?", _described(orders)))


def _described(orders: Sequence[BrokerOrder]) -> list[str]:
    return [
        f"{order.side} {order.quantity} {split_symbol(order.symbol)[1]} "
        f"{f'at {order.price}' if order.price else order.order_type} (order {order.broker_order_id})"
        for order in orders[:8]
    ]


def _cancel_gtts(sentence: Sentence, context: Context) -> Intent:
    names = {name for item in sentence.names for name in item.names}
    found = [row.gtt_id for row in context.gtts if not names or split_symbol(row.symbol)[1] in names]
    if not found:
        raise ask("order", "There is no active GTT that fits.")
    if len(found) > 1 and not sentence.any(Tag.ALL):
        raise ask("order", "Which GTT?", *found[:8])
    return {"kind": "cancel", "gtt_ids": found}


def _cancel_monitors(sentence: Sentence, context: Context) -> Intent:
    names = {name for item in sentence.names for name in item.names}
    found = [row.monitor_id for row in context.monitors if not names or row.symbol.rpartition(":")[2] in names]
    if not found:
        raise ask("order", "There is no monitor that fits.")
    if len(found) > 1 and not sentence.any(Tag.ALL):
        raise ask("order", "Which monitor?", *found[:8])
    return {"kind": "cancel", "monitor_ids": found}


@dataclass(slots=True)
class _Changes:
    values: dict[str, object]

    def put(self, name: str, value: object) -> None:
        if name in self.values:
            raise ask("changes", f"There are two values for the {name.replace('_', ' ')}. Which one?")
        self.values[name] = value


def _changes(sentence: Sentence, order: BrokerOrder, assumed: Assumptions) -> dict[str, object]:
    items = [item for item in sentence.items if not (item.is_number and item.text == order.broker_order_id)]
    changes = _Changes({})
    for figure in read_slots(items).figures:
        name = _field_of(figure, items, order)
        value: object = figure.spelled
        if name == "quantity":
            if figure.value % 1 or figure.value <= 0:
                raise ask("changes", "A quantity is a whole number of shares.")
            value = int(figure.value)
        changes.put(name, value)
    if sentence.any(Tag.MARKET) and "price" not in changes.values:
        changes.put("order_type", "MARKET")
    if not changes.values:
        raise ask("changes", "What shall change: price, trigger or quantity, and to what?")
    return changes.values


_ROLES = {Role.TRIGGER: "trigger_price", Role.STOP: "trigger_price", Role.AMOUNT: "price"}


def _field_of(figure: Figure, items: Sequence[Item], order: BrokerOrder) -> str:
    """Which field a number is for; a bare one is the order's own price unless it could as well be a quantity."""
    if figure.item.percent or figure.value <= 0:
        raise ask("changes", "Say the new price, trigger or quantity as a plain number.")
    if any(item.has(Tag.QUANTITY, Tag.SHARES) for item in _near(items, figure.position)):
        return "quantity"
    if figure.role in _ROLES:
        return _ROLES[figure.role]
    named = any(item.has(Tag.PRICE, Tag.LIMIT, Tag.AT) for item in _near(items, figure.position))
    if order.order_type == "SL" and not named:
        raise ask("changes", "Is that the trigger or the limit price?", "trigger", "limit")
    field = "trigger_price" if order.order_type == "SL-M" else "price"
    current = order.trigger_price if order.order_type == "SL-M" else order.price
    if not named and current and abs(figure.value - current) > current * _FAR:
        said = grouped(figure.value)
        raise ask("changes", f"Is {said} the new price or the new quantity?", f"price {said}", f"quantity {said}")
    return field


def _near(items: Sequence[Item], at: int) -> list[Item]:
    """The words around a number up to the next number on each side."""
    near: list[Item] = []
    for step in (-1, 1):
        place = at + step
        while 0 <= place < len(items) and not items[place].is_number:
            if step == 1 and items[place].has(Tag.AND):
                break
            near.append(items[place])
            if step == -1 and items[place].has(Tag.AND):
                break
            place += step
    return near
