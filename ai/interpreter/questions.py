"""Questions: which analysis, or which explanation. They read the books and never make an order."""

from __future__ import annotations

from ai.context import Context
from ai.interpreter.reading import AskBack, ask
from ai.interpreter.replies import Intent, analyze, clarify, explain, not_understood, refuse
from ai.interpreter.sentence import Sentence
from ai.language.lexicon import EXAMPLES, Tag
from broker.domain import split_symbol

_MONEY_MADE = frozenset(
    {"make", "made", "earn", "earned", "kamaya", "kamai", "banaya", "gained", "kamaye", "lost", "lose"}
)


def read_question(sentence: Sentence, *, context: Context) -> Intent:
    """An ``analyze`` or ``explain`` intent, or a question back; an opinion asked for is refused."""
    try:
        about = _about(sentence, context)
    except AskBack as stopped:
        return stopped.intent
    if sentence.any(Tag.ADVICE):
        return refuse(
            "NO_ADVICE",
            "I state figures and rules, not opinions on what to buy or sell. Ask for a quote, your holding, or "
            "the margin.",
            "/",
        )
    if sentence.any(Tag.HELP) and not about:
        return clarify("order", "These are things you can say:", EXAMPLES)
    return _explanation(sentence, context, about) or _analysis(sentence, about) or _fallback(sentence, about)


def _about(sentence: Sentence, context: Context) -> dict[str, object]:
    """``symbol`` where one share is named. Raises AskBack where its name can mean several."""
    names = {item.names for item in sentence.names}
    if any(len(found) > 1 for found in names):
        found = next(found for found in names if len(found) > 1)
        raise ask("symbol", "Which one do you mean?", *(f"{context.catalog.company(s)} ({s})" for s in found[:8]))
    return {"symbol": next(iter(names))[0]} if len(names) == 1 else {}


def _explanation(sentence: Sentence, context: Context, about: dict[str, object]) -> Intent | None:
    if sentence.any(Tag.DENIED) and sentence.any(Tag.WHY):
        return explain("risk_denied", **about, **_orders(sentence, context, about))
    if sentence.any(Tag.REJECTED) and (sentence.any(Tag.WHY, Tag.ORDER, Tag.ORDERS) or about):
        return explain("order_rejected", **about, **_orders(sentence, context, about, status="REJECTED"))
    if sentence.any(Tag.STATUS) and (sentence.any(Tag.ORDER, Tag.ORDERS, Tag.LAST) or _ids(sentence)):
        return explain("order_status", **about, **_orders(sentence, context, about))
    if sentence.any(Tag.ORDER) and sentence.any(Tag.PAST) and not sentence.any(Tag.WHY):
        return explain("order_status", **about, **_orders(sentence, context, about))
    if sentence.any(Tag.WHY) and (sentence.any(Tag.BUY, Tag.SELL, Tag.ORDER) or _traded(sentence)):
        return explain("trade_reason", **about, **_orders(sentence, context, about))
    return None


def _traded(sentence: Sentence) -> bool:
    return any(word in ("bought", "sold", "kharida", "becha", "exited", "shorted") for word in sentence.words)


def _ids(sentence: Sentence) -> list[str]:
    return [item.text for item in sentence.items if item.is_number and len(item.text) >= 6]


def _orders(sentence: Sentence, context: Context, about: dict[str, object], status: str = "") -> dict[str, object]:
    """The orders asked about, newest first: by id, else by share; "last" is the newest one."""
    ids = _ids(sentence)
    rows = [
        order for order in reversed(context.orders or ())
        if (not ids or order.broker_order_id in ids)
        and (not status or order.status == status)
        and (not about or split_symbol(order.symbol)[1] == about["symbol"])
    ]  # fmt: skip
    if not (ids or about or status or sentence.any(Tag.LAST)):
        return {}
    found = [order.broker_order_id for order in rows]
    return {"order_ids": found[:1] if sentence.any(Tag.LAST) else found[:20]}


def _analysis(sentence: Sentence, about: dict[str, object]) -> Intent | None:
    if sentence.any(Tag.WHAT_IF):
        return analyze("what_if", **about)
    for topic, tags in _TOPICS:
        if sentence.any(*tags):
            return analyze(topic, **about)
    if sentence.any(Tag.PNL) or any(word in _MONEY_MADE for word in sentence.words):
        return _pnl(sentence, about)
    return _books(sentence, about)


_TOPICS: tuple[tuple[str, tuple[Tag, ...]], ...] = (
    ("charges", (Tag.CHARGES,)),
    ("concentration", (Tag.CONCENTRATION,)),
    ("allocation", (Tag.ALLOCATION,)),
    ("exposure", (Tag.EXPOSURE,)),
    ("margin", (Tag.MARGIN,)),
    ("portfolio_summary", (Tag.SUMMARY,)),
)


def _pnl(sentence: Sentence, about: dict[str, object]) -> Intent:
    if about:
        return analyze("pnl_symbol", **about)
    return analyze("pnl_total" if sentence.any(Tag.TOTAL) and not sentence.any(Tag.TODAY) else "pnl_day")


def _books(sentence: Sentence, about: dict[str, object]) -> Intent | None:
    if sentence.any(Tag.QUOTE) and about:
        return analyze("quote", **about)
    if sentence.any(Tag.ORDERS) or (sentence.any(Tag.ORDER) and sentence.any(Tag.OPEN, Tag.TODAY, Tag.SHOW, Tag.MY)):
        return analyze("orders", **about)
    if sentence.any(Tag.POSITION):
        return analyze("positions", **about)
    if sentence.any(Tag.HOLDING, Tag.MONEY_IN):
        whole = "portfolio" in sentence.words and sentence.any(Tag.QUESTION) and "how" in sentence.words[:2]
        return analyze("portfolio_summary" if whole else "holdings", **about)
    if about and (sentence.any(Tag.SHOW, Tag.QUESTION) or sentence.asked):
        return analyze("holdings" if sentence.any(Tag.MY) else "quote", **about)
    return None


def _fallback(sentence: Sentence, about: dict[str, object]) -> Intent:
    if about:
        symbol = about["symbol"]
        return clarify(
            "order",
            f"What about {symbol}? For example:",
            [f"price of {symbol}", f"buy 10 {symbol}", f"how many {symbol} do I hold"],
        )
    return not_understood(sentence.unknown)
