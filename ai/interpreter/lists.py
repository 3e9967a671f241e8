"""Several orders in one message: cut between the shares, the verb carried on, "each" shared out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ai.context import Context
from ai.interpreter.orders import read_order
from ai.interpreter.reading import AskBack, Assumptions, ask
from ai.interpreter.replies import Intent
from ai.interpreter.sentence import PAUSES, Sentence
from ai.language.lexicon import Tag
from ai.language.tokens import Item
from broker.domain import split_symbol

MAX_ORDERS = 20
_VERBS = (Tag.BUY, Tag.SELL, Tag.SHORT, Tag.EXIT, Tag.COVER, Tag.INVEST, Tag.REDUCE)


def read_orders(sentence: Sentence, *, context: Context, assumed: Assumptions) -> Intent:
    """An ``order``, an ``orders`` list, or the question that is left."""
    try:
        segments = _whole_book(sentence, context) or _segments(sentence.items)
        if len(segments) > MAX_ORDERS:
            raise ask("order", f"At most {MAX_ORDERS} orders in one message.")
        orders = [read_order(segment, context=context, assumed=assumed) for segment in segments]
    except AskBack as stopped:
        return stopped.intent
    return orders[0] if len(orders) == 1 else {"kind": "orders", "orders": orders}


def _whole_book(sentence: Sentence, context: Context) -> list[list[Item]] | None:
    """ "Exit all positions": one closing order a position."""
    if sentence.names or not (sentence.any(Tag.EXIT) and sentence.any(Tag.ALL) and sentence.any(Tag.POSITION)):
        return None
    rows = [row for row in context.positions or () if row.quantity and row.product != "CNC"]
    if not rows:
        raise ask("order", "There is no open intraday position to close.")
    symbols = [split_symbol(row.symbol)[1] for row in rows]
    if any(not context.catalog.listing(symbol) for symbol in symbols):
        raise ask("symbol", "Only share positions can be closed from here. Name the share.", *symbols[:8])
    rest = [item for item in sentence.items if not item.has(Tag.ALL)]
    return [[*rest, Item(text=symbol, names=(symbol,))] for symbol in symbols]


def _segments(items: Sequence[Item]) -> list[list[Item]]:
    """One stretch of items a share; the verb of a stretch without its own is the one before."""
    names = [at for at, item in enumerate(items) if item.is_name]
    if len({items[at].names for at in names}) < 2:
        return [list(items)]
    if any(item.has(Tag.EACH) for item in items):
        shared = [item for item in items if not item.is_name and not item.has(Tag.AND) and item.text not in PAUSES]
        return [_beside_number(shared, items[at]) for at in names]
    cuts = [0]
    for left, right in pairwise(names):
        cuts.append(_cut(items, cuts[-1], left, right))
    cuts.append(len(items))
    segments = [list(items[start:end]) for start, end in pairwise(cuts)]
    return _with_verbs(segments)


def _beside_number(shared: Sequence[Item], name: Item) -> list[Item]:
    return [*shared, name]


def _cut(items: Sequence[Item], start: int, left: int, right: int) -> int:
    """Where one order ends and the next begins. Raises AskBack where no word or comma says it.

    A verb between two shares begins the second order, unless the first has none yet ("infy 10 le lo aur tcs 5").
    """
    between = range(left + 1, right)
    verbs = [at for at in between if items[at].has(*_VERBS)]
    joints = [at for at in between if items[at].has(Tag.AND) or items[at].text in PAUSES]
    verb_first = any(item.has(*_VERBS) for item in items[start:left])
    if verbs and (verb_first or not joints or joints[-1] < verbs[0]):
        return verbs[0] if verb_first or not joints else joints[-1]
    if not joints:
        raise ask("order", "I see two shares there. Put “and” between the orders, each with its own number of shares.")
    return joints[-1]


def _with_verbs(segments: list[list[Item]]) -> list[list[Item]]:
    verb: Item | None = None
    for segment in segments:
        own = next((item for item in segment if item.has(*_VERBS)), None)
        if own is None and verb is not None:
            segment.insert(0, verb)
        verb = own or verb
    return segments
