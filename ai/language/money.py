"""Figures in words a trader reads: Indian grouping, the rupee sign, a true minus. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def grouped(value: Decimal | int, places: int = 0) -> str:
    """``1824500`` -> ``18,24,500``; a negative number takes a true minus sign."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    whole, _, cents = f"{abs(rounded):f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    parts: list[str] = []
    while head:
        parts.insert(0, head[-2:])
        head = head[:-2]
    text = ",".join([*parts, tail]) + (f".{cents}" if cents else "")
    return f"−{text}" if rounded < 0 else text


def rupees(value: Decimal | int) -> str:
    """``₹1,82,450.00``; the sign stands before the rupee sign."""
    text = grouped(value, 2)
    return f"−₹{text[1:]}" if text.startswith("−") else f"₹{text}"


def signed_rupees(value: Decimal | int) -> str:
    """As ``rupees`` with a plus on a gain, for P&L."""
    return rupees(value) if Decimal(value) <= 0 else f"+{rupees(value)}"


def percent(value: Decimal) -> str:
    """Two decimals, signed both ways."""
    text = grouped(value, 2)
    return f"{text}%" if value <= 0 else f"+{text}%"
