"""One order from one stretch of words: side, share, product, then size and prices from their own modules.

Every word must have a place in an order, or the trader is asked (rules 1-5 of the assistant's reading rules).
"""

from __future__ import annotations

from collections.abc import Sequence

from ai.context import Context
from ai.interpreter.prices import Prices, read_prices
from ai.interpreter.products import Stance, read_stance
from ai.interpreter.reading import AskBack, Assumptions, ask
from ai.interpreter.replies import Intent, not_understood
from ai.interpreter.sizing import Size, read_size
from ai.interpreter.slots import Role, Slots, read_slots
from ai.language.lexicon import Tag
from ai.language.tokens import Item

ORDER_TAGS = frozenset(
    {
        Tag.BUY, Tag.SELL, Tag.SHORT, Tag.EXIT, Tag.COVER, Tag.INVEST, Tag.REDUCE, Tag.KEEP, Tag.PLACE, Tag.TO,
        Tag.SHARES, Tag.QUANTITY, Tag.PRICE, Tag.EACH, Tag.AT, Tag.AT_AFTER, Tag.FOR, Tag.NOT_ABOVE, Tag.NOT_BELOW,
        Tag.ABOVE, Tag.BELOW, Tag.LIMIT, Tag.MARKET, Tag.TRIGGER, Tag.STOP, Tag.TARGET, Tag.SL_ORDER, Tag.SL_M,
        Tag.MIS, Tag.CNC, Tag.NRML, Tag.MTF, Tag.NSE, Tag.BSE, Tag.DAY, Tag.IOC, Tag.TTL, Tag.MINUTES, Tag.AMO,
        Tag.ICEBERG, Tag.GTT, Tag.WORTH, Tag.RUPEES, Tag.PERCENT, Tag.OF, Tag.POSSESSIVE, Tag.ALL, Tag.HALF,
        Tag.QUARTER, Tag.MY, Tag.HOLDING, Tag.POSITION, Tag.ORDER, Tag.ORDERS, Tag.AND, Tag.FILLER, Tag.TODAY,
        Tag.VAGUE, Tag.DERIVATIVE, Tag.LOT,
    }
)  # fmt: skip
_OPEN_ENDED = frozenset({Tag.AT, Tag.TRIGGER, Tag.STOP, Tag.TARGET, Tag.NOT_ABOVE, Tag.NOT_BELOW, Tag.ABOVE, Tag.BELOW})


def read_order(items: Sequence[Item], *, context: Context, assumed: Assumptions) -> Intent:
    """One ``order`` intent. Raises AskBack with the question that is left."""
    _refuse_other_markets(items)
    _account_for(items)
    slots = read_slots(items)
    _refuse_faulty(slots)
    symbol, exchange = _instrument(slots, context, assumed)
    stance = read_stance(slots, symbol=symbol, context=context, assumed=assumed)
    prices = read_prices(slots, stance)
    size = read_size(slots, symbol=symbol, exchange=exchange, stance=stance, prices=prices, context=context)
    return _order(symbol, exchange, stance, prices, size, slots)


def _order(symbol: str, exchange: str, stance: Stance, prices: Prices, size: Size, slots: Slots) -> Intent:
    order: Intent = {
        "kind": "order", "side": stance.side, "symbol": symbol, "exchange": exchange, "quantity": size.quantity,
        "order_type": prices.order_type, "price": prices.price, "trigger_price": prices.trigger,
        "product": stance.product, "validity": prices.validity, "variety": _variety(slots),
    }  # fmt: skip
    if size.rule:
        order["quantity_rule"] = size.rule
    if prices.ttl:
        order["validity_ttl"] = prices.ttl
    if prices.exits:
        order["exits"] = prices.exits
    return order


def _refuse_other_markets(items: Sequence[Item]) -> None:
    option = any(item.has(Tag.DERIVATIVE, Tag.LOT) or item.literal == "PE" for item in items)
    put_after_number = any(
        item.text == "put" and any(before.is_number for before in items[:at]) for at, item in enumerate(items)
    )
    if option or put_after_number:
        raise ask(
            "symbol",
            "That reads like an option, future or index. Orders from here are for shares on NSE and BSE; "
            "say the share and how many.",
            "buy 10 INFY at 1500", "sell 5 TCS at market",
        )  # fmt: skip


def _account_for(items: Sequence[Item]) -> None:
    """Every word has a place, or it is asked about."""
    strange = [item.text for item in items if item.is_unknown or (item.tags and not item.tags & ORDER_TAGS)]
    unknown = [item.text for item in items if item.is_unknown]
    if unknown and unknown == strange and not any(item.is_name for item in items):
        raise ask("symbol", f"I know no share called “{' '.join(unknown)}”. Which one do you mean?")
    if strange:
        raise AskBack(not_understood(strange))
    for at, item in enumerate(items):
        counted = at > 0 and items[at - 1].is_number
        if item.has(Tag.VAGUE) and not (item.text == "more" and counted):
            raise ask("quantity", f"“{item.text}” is not a number of shares. How many?")
    _no_dangling(items)


def _no_dangling(items: Sequence[Item]) -> None:
    """A marker such as "at" or "trigger" that no number follows is a price left out."""
    for at, item in enumerate(items):
        own = item.tags & _OPEN_ENDED
        if own and not item.tags & {Tag.FILLER} and not any(later.is_number for later in items[at + 1 :]):
            before = at > 0 and items[at - 1].is_number
            if not before and not any(later.has(Tag.MARKET) for later in items[at + 1 :]):
                raise ask("price", f"At which price is “{item.text}”?")


def _refuse_faulty(slots: Slots) -> None:
    for figure in slots.figures:
        if figure.role is Role.UNSURE:
            raise ask(
                "quantity", "Which number is the price and which the shares? Say, for example, 10 shares at 1490."
            )
        if figure.item.faulty:
            raise ask("quantity", f"I cannot be sure how to read “{figure.item.text}” there. Say one plain number.")


def _instrument(slots: Slots, context: Context, assumed: Assumptions) -> tuple[str, str]:
    names = {item.names for item in slots.items if item.is_name}
    if not names:
        raise ask("symbol", "Which share? Say its symbol or company name.")
    if len(names) > 1 or sum(1 for item in slots.items if item.is_name) > 1:
        raise ask("order", "I see more than one share there. Say each order on its own, with its number of shares.")
    return resolve(next(iter(names)), slots, context, assumed)


def resolve(names: tuple[str, ...], slots: Slots, context: Context, assumed: Assumptions) -> tuple[str, str]:
    """(tradingsymbol, exchange); asks where more than one share can be meant or the exchange does not list it."""
    if len(names) > 1:
        choices = [f"{context.catalog.company(symbol)} ({symbol})" for symbol in names[:8]]
        raise ask("symbol", "Which one do you mean?", *choices)
    symbol = names[0]
    listing = context.catalog.listing(symbol)
    exchange = "BSE" if slots.has(Tag.BSE) else "NSE"
    if slots.has(Tag.BSE) and slots.has(Tag.NSE):
        raise ask("symbol", "On which exchange, NSE or BSE?", f"{symbol} on NSE", f"{symbol} on BSE")
    if exchange not in listing:
        raise ask("symbol", f"{symbol} is not listed on {exchange}.", *(f"{symbol} on {e}" for e in sorted(listing)))
    if any(item.typo for item in slots.items if item.is_name):
        assumed.note("symbol_from_typo")
    return symbol, exchange


def _variety(slots: Slots) -> str:
    for tag, variety in ((Tag.AMO, "amo"), (Tag.ICEBERG, "iceberg"), (Tag.GTT, "gtt")):
        if slots.has(tag):
            return variety
    return "regular"
