"""Figures as an Indian trader writes them: lakhs and crores grouped, rupees with a sign, words that agree."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from sigmatrader.audit.canonical import decimal_text

CENT = Decimal("0.01")
GROUP = 3


def grouped(whole: int) -> str:
    """``182450`` -> ``1,82,450``."""
    digits = str(abs(whole))
    head, tail = digits[:-GROUP], digits[-GROUP:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return ("-" if whole < 0 else "") + ",".join([*pairs, tail])


def rupees(amount: Decimal) -> str:
    """``₹1,82,450`` or, where there are paise, ``₹1,82,450.50``."""
    rounded = amount.quantize(CENT, ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    whole, _, paise = format(abs(rounded), "f").partition(".")
    return f"{sign}₹{grouped(int(whole))}" + ("" if paise == "00" else f".{paise}")


def percent(value: Decimal) -> str:
    """Percent to two places: ``5%``, ``12.34%``."""
    return f"{decimal_text(value.quantize(CENT, ROUND_HALF_UP))}%"


def plural(count: int, one: str) -> str:
    """``1 order``, ``2 orders``, ``1,200 shares``."""
    return f"{grouped(count)} {one}" + ("" if abs(count) == 1 else "s")


def shares(count: int) -> str:
    return plural(count, "share")


def listed(words: tuple[str, ...]) -> str:
    """``A``, ``A or B``, ``A, B or C``; ``none`` for nothing."""
    if not words:
        return "none"
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def name(symbol: str) -> str:
    """The trader's name of an instrument: ``NSE:INFY`` -> ``INFY``."""
    return symbol.rpartition(":")[2] or symbol
