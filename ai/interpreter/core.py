"""The order in which a message is read: what it may not do, what it is not, and only then what it asks for."""

from __future__ import annotations

from ai.context import Context
from ai.interpreter.commands import read_cancel, read_modify
from ai.interpreter.guards import control_plane, has_order_verb, is_question, not_an_instruction
from ai.interpreter.lists import read_orders
from ai.interpreter.questions import read_question
from ai.interpreter.reading import Assumptions, Reading
from ai.interpreter.replies import Intent, clarify, not_understood, refuse
from ai.interpreter.sentence import Sentence, parse
from ai.language.lexicon import EXAMPLES, Tag
from ai.language.text import MAX_LENGTH, CleanText, clean

_LONGEST_ORDER = 80  # items: beyond it a text is a paste, not an instruction
_TRADES = (Tag.BUY, Tag.SELL, Tag.SHORT, Tag.EXIT, Tag.COVER, Tag.INVEST, Tag.REDUCE, Tag.KEEP)
_BOOK_WORDS = (
    Tag.SHOW, Tag.HOLDING, Tag.POSITION, Tag.ORDERS, Tag.ORDER, Tag.PNL, Tag.MARGIN, Tag.QUOTE, Tag.CHARGES,
    Tag.ALLOCATION, Tag.CONCENTRATION, Tag.EXPOSURE, Tag.SUMMARY, Tag.HELP, Tag.STATUS, Tag.REJECTED, Tag.MONEY_IN,
)  # fmt: skip


def read(text: str, *, context: Context) -> Reading:
    """The intent in ``text`` and what a rule assumed. Pure: same text and context, same answer; never raises."""
    plain = clean(text[:MAX_LENGTH])
    if plain.hidden:
        return Reading(_hidden(plain))
    sentence = parse(plain.text, catalog=context.catalog)
    assumed = Assumptions()
    intent = control_plane(sentence) or _unreadable(plain, sentence) or _dispatch(sentence, context, assumed)
    return Reading(intent, tuple(assumed.names))


def interpret(text: str, *, context: Context) -> Intent:
    """The validated Intent of the assistant's form, as a document."""
    return read(text, context=context).intent


def _hidden(plain: CleanText) -> Intent:
    return refuse(
        "HIDDEN_CHARACTERS",
        f"The message holds characters that hide or reorder text ({', '.join(plain.hidden[:3])}). Type it "
        f"again plainly.",
    )


def _unreadable(plain: CleanText, sentence: Sentence) -> Intent | None:
    if not sentence.items:
        if plain.quoted:
            return clarify(
                "order", "Text in quotes is read as data, not as an instruction. Say it in your own words.", EXAMPLES
            )
        return not_understood()
    acts = has_order_verb(sentence)
    if plain.foreign and (acts or not is_question(sentence)):
        return clarify(
            "order",
            "Symbols and numbers are read in plain Latin letters and digits only. Please type them so.",
            EXAMPLES,
        )
    if acts and len(sentence.items) > _LONGEST_ORDER:
        return clarify("order", "That is too long to be one instruction. Say the order in one sentence.", EXAMPLES)
    return None


def _dispatch(sentence: Sentence, context: Context, assumed: Assumptions) -> Intent:
    if sentence.any(Tag.WHAT_IF):
        return read_question(sentence, context=context)
    if is_question(sentence):
        return _asked(sentence, context)
    if _commands(sentence):
        return not_an_instruction(sentence) or _command(sentence, context, assumed)
    if sentence.any(Tag.MONITOR, Tag.CONDITION, Tag.LATER) and (stopped := not_an_instruction(sentence)):
        return stopped
    if _numbers_and_name(sentence) and not sentence.any(*(tag for tag in _BOOK_WORDS if tag is not Tag.ORDER)):
        return not_an_instruction(sentence) or read_orders(sentence, context=context, assumed=assumed)
    return read_question(sentence, context=context)


def _commands(sentence: Sentence) -> bool:
    """True if it tells to do something: a verb of action that is no part of a phrase such as "show my buy orders"."""
    first = sentence.first
    if first is not None and first.has(Tag.SHOW) and not sentence.any(Tag.CANCEL):
        return False
    if sentence.any(Tag.CANCEL):
        return True
    if sentence.any(Tag.MODIFY) and (sentence.any(Tag.ORDER, Tag.TO, Tag.PRICE) or sentence.names):
        return True
    if sentence.any(*_TRADES):
        return True
    return sentence.any(Tag.STOP, Tag.SL_M, Tag.SL_ORDER) and sentence.any(Tag.PLACE)


def _command(sentence: Sentence, context: Context, assumed: Assumptions) -> Intent:
    if sentence.any(Tag.CANCEL):
        return read_cancel(sentence, context=context)
    about_order = sentence.any(Tag.ORDER, Tag.ORDERS) and sentence.any(Tag.TO) and sentence.any(Tag.REDUCE)
    if about_order or (sentence.any(Tag.MODIFY) and not _names_trade(sentence)):
        return read_modify(sentence, context=context, assumed=assumed)
    return read_orders(sentence, context=context, assumed=assumed)


def _names_trade(sentence: Sentence) -> bool:
    """A trade verb that is not the adjective of an order ("change my buy order")."""
    items = sentence.items
    for at, item in enumerate(items):
        if item.has(*_TRADES):
            follows = items[at + 1] if at + 1 < len(items) else None
            if follows is None or not follows.has(Tag.ORDER, Tag.ORDERS):
                return True
    return False


def _asked(sentence: Sentence, context: Context) -> Intent:
    """A question is answered or asked back, never acted upon."""
    reads_books = sentence.any(*_BOOK_WORDS, Tag.WHY, Tag.ADVICE, Tag.WHAT_IF) or not _commands(sentence)
    if sentence.any(Tag.POLITE_QUESTION) and _commands(sentence) and not sentence.any(Tag.ADVICE, Tag.WHY):
        reads_books = False
    if reads_books:
        return read_question(sentence, context=context)
    return clarify(
        "order",
        "You asked, so no order was made. Say it as an instruction and it becomes a card to approve.",
        EXAMPLES[:1],
    )


def _numbers_and_name(sentence: Sentence) -> bool:
    return bool(sentence.names) and any(item.is_number for item in sentence.items)
