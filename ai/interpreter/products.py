"""Side and product: what the trader said, and for an exit what the books hold (rule 3)."""

from __future__ import annotations

from dataclasses import dataclass

from ai.context import Context
from ai.interpreter.reading import Assumptions, ask
from ai.interpreter.slots import Slots
from ai.language.lexicon import Tag
from broker.domain import Position

_SIDES = (
    (Tag.SHORT, "SELL"), (Tag.EXIT, "EXIT"), (Tag.COVER, "COVER"), (Tag.REDUCE, "SELL"), (Tag.KEEP, "SELL"),
    (Tag.BUY, "BUY"), (Tag.INVEST, "BUY"), (Tag.SELL, "SELL"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stance:
    """Side and product of an order, and what it closes: ``open_quantity`` of a position, or of holdings."""

    side: str
    product: str
    closes: bool = False
    short_entry: bool = False
    open_quantity: int | None = None
    of_position: bool = False
    protective: bool = False


def read_stance(slots: Slots, *, symbol: str, context: Context, assumed: Assumptions) -> Stance:
    """Raises AskBack where side or product conflict, or an exit has nothing to close or two things it may close."""
    word = _side_word(slots, symbol)
    named = _named_product(slots)
    intraday = tuple(row for row in context.positions_of(symbol) if row.product != "CNC")
    if word in ("EXIT", "COVER", "PROTECT") or slots.has(Tag.POSITION):
        return _closing(slots, word, named, intraday, symbol, context)
    if slots.has(Tag.SHORT):
        return _short(named, assumed)
    if word == "BUY":
        return _buying(slots, named, intraday, assumed)
    return _selling(slots, named, intraday, symbol, context, assumed)


def _side_word(slots: Slots, symbol: str) -> str:
    said = {word for tag, word in _SIDES if slots.has(tag)}
    if slots.has(Tag.SHORT):
        said.discard("SELL") if slots.has(Tag.SELL) and "SELL" not in said else None
    if len(said) > 1:
        raise ask("side", "Buy or sell? Both are in that.", f"buy {symbol}", f"sell {symbol}")
    if said:
        return said.pop()
    if slots.has(Tag.STOP, Tag.SL_ORDER, Tag.SL_M):
        return "PROTECT"
    raise ask("side", f"Buy or sell {symbol}?", f"buy {symbol}", f"sell {symbol}")


def _named_product(slots: Slots) -> str | None:
    said = [product for tag, product in ((Tag.MIS, "MIS"), (Tag.CNC, "CNC")) if slots.has(tag)]
    if slots.has(Tag.NRML, Tag.MTF):
        raise ask("product", "Shares are bought for delivery (CNC) or intraday (MIS). Which one?", "CNC", "MIS")
    if len(said) > 1:
        raise ask("product", "Delivery (CNC) or intraday (MIS)? Both are in that.", "CNC", "MIS")
    return said[0] if said else None


def _closing(
    slots: Slots, word: str, named: str | None, intraday: tuple[Position, ...], symbol: str, context: Context
) -> Stance:
    held = context.held(symbol) or 0
    rows = [row for row in intraday if named in (None, row.product)]
    if slots.has(Tag.HOLDING) or named == "CNC":
        rows = []
    takes_holding = held > 0 and named in (None, "CNC") and not slots.has(Tag.POSITION) and word != "COVER"
    if len(rows) + takes_holding > 1:
        raise ask("product", f"You have {symbol} both in delivery and intraday. Which one?", "CNC", "MIS")
    if rows:
        return _of_position(word, rows[0], symbol, protective=word == "PROTECT")
    if held > 0 and named in (None, "CNC") and word != "COVER" and word != "BUY":
        return Stance("SELL", "CNC", closes=True, open_quantity=held, protective=word == "PROTECT")
    raise ask("order", f"There is no open position in {symbol} to close." if word != "PROTECT" else
              f"You hold no {symbol} for that stop to protect. Say buy or sell, and how many.")  # fmt: skip


def _of_position(word: str, row: Position, symbol: str, *, protective: bool) -> Stance:
    side = "SELL" if row.quantity > 0 else "BUY"
    if (word == "COVER" and side == "SELL") or (word in ("BUY", "SELL") and word != side):
        raise ask("side", f"Your {symbol} position is {'long' if side == 'SELL' else 'short'}. Buy or sell?")
    return Stance(
        side, row.product, closes=True, open_quantity=abs(row.quantity), of_position=True, protective=protective
    )


def _short(named: str | None, assumed: Assumptions) -> Stance:
    if named == "CNC":
        raise ask("product", "A share cannot be sold short for delivery. Intraday (MIS)?", "MIS")
    if named is None:
        assumed.note("product")
    return Stance("SELL", "MIS", short_entry=True)


def _buying(slots: Slots, named: str | None, intraday: tuple[Position, ...], assumed: Assumptions) -> Stance:
    if named is None:
        shorts = [row for row in intraday if row.quantity < 0]
        if len(shorts) == 1:
            return Stance("BUY", shorts[0].product, closes=True, open_quantity=-shorts[0].quantity, of_position=True)
        assumed.note("product")
    return Stance("BUY", named or "CNC")


def _selling(
    slots: Slots, named: str | None, intraday: tuple[Position, ...], symbol: str, context: Context, assumed: Assumptions
) -> Stance:
    held = context.held(symbol)
    longs = [row for row in intraday if row.quantity > 0 and named in (None, row.product)]
    if named == "MIS" or (named is None and not held and longs):
        if longs:
            return Stance("SELL", longs[0].product, closes=True, open_quantity=longs[0].quantity, of_position=True)
        return Stance("SELL", "MIS", short_entry=True)
    if named is None and held and longs:
        raise ask("product", f"You have {symbol} both in delivery and intraday. Which one?", "CNC", "MIS")
    if held == 0:
        raise ask("product", f"You hold no {symbol}. To sell it short today, say intraday.", f"short {symbol} intraday")
    if named is None:
        assumed.note("product")
    return Stance("SELL", "CNC", closes=True, open_quantity=held)
