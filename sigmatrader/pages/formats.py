"""How figures are written for a person: Indian grouping, a true minus, IST. Text only, no Django, no clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")
MINUS = "\u2212"
RUPEE = "\u20b9"
PAISA = Decimal("0.01")

Number = Decimal | int | str | float | None


def decimal_of(value: Number) -> Decimal | None:
    """``value`` as a Decimal; None and text that is no finite number give None."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def grouped(whole: str) -> str:
    """Digits in Indian groups: the last three, then twos (``1539877`` -> ``15,39,877``)."""
    if len(whole) <= 3:
        return whole
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return ",".join([*reversed(pairs), tail])


def plain(value: Number, places: int = 2) -> str:
    """A number with ``places`` decimals and Indian grouping; U+2212 before a negative one. Empty when unknown."""
    number = decimal_of(value)
    if number is None:
        return ""
    number = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    whole, _, fraction = f"{abs(number):f}".partition(".")
    text = grouped(whole) + (f".{fraction}" if fraction else "")
    return f"{MINUS}{text}" if number < 0 else text


def quantity(value: Number) -> str:
    """A whole number grouped (``1,200``)."""
    return plain(value, 0)


def price(value: Number) -> str:
    """A price or amount with two decimals, without the rupee sign; four where it truly has them.

    What a binary fraction leaves behind (``99725.05000000002``) is no decimal of it.
    """
    number = decimal_of(value)
    if number is None:
        return ""
    exact = number.quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)
    return plain(exact, 2 if exact == exact.quantize(PAISA) else 4)


def amount(value: Number) -> str:
    """Money, or an average of prices, in a cell: always two decimals, without the rupee sign."""
    return plain(value)


def rupees(value: Number) -> str:
    """Money with its sign before the rupee sign (``−₹1,380.00``)."""
    text = plain(value)
    return f"{MINUS}{RUPEE}{text[1:]}" if text.startswith(MINUS) else (f"{RUPEE}{text}" if text else "")


def _plus(value: Number, text: str) -> str:
    number = decimal_of(value)
    return f"+{text}" if number is not None and number > 0 else text


def signed(value: Number, places: int = 2) -> str:
    """A gain or loss in a cell: ``+`` or ``−`` always, except for zero."""
    return _plus(value, plain(value, places))


def signed_rupees(value: Number) -> str:
    """A gain or loss on its own, with its rupee sign."""
    return _plus(value, rupees(value))


def signed_percent(value: Number) -> str:
    """A change in percent with two decimals and its sign; empty when unknown."""
    text = signed(value)
    return f"{text}%" if text else ""


def percent(value: Number, places: int = 2) -> str:
    """A share in percent, unsigned unless negative."""
    text = plain(value, places)
    return f"{text}%" if text else ""


def tone(value: Number) -> str:
    """The class of a signed money figure: ``st-up``, ``st-down`` or none. Colour never stands for anything else."""
    number = decimal_of(value)
    if not number:
        return ""
    return "st-up" if number > 0 else "st-down"


def when(value: datetime | str | None) -> datetime | None:
    """A time as a datetime in IST; ISO text is read, what cannot be read is None."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None or value.tzinfo is None:
        return None
    return value.astimezone(IST)


def clock(value: datetime | str | None, *, millis: bool = False) -> str:
    """``10:42:05`` in IST, with milliseconds for timelines."""
    moment = when(value)
    if moment is None:
        return ""
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}" if millis else f"{moment:%H:%M:%S}"


def day(value: datetime | str | None) -> str:
    """``Mon 23 Nov 2026`` in IST."""
    moment = when(value)
    return f"{moment:%a} {moment.day} {moment:%b %Y}" if moment else ""


def relative(seconds: float) -> str:
    """An age in words: ``13 s ago`` up to a minute, then minutes, hours, days."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size} {unit} ago"
    return f"{whole} s ago"


def duration(milliseconds: Number) -> str:
    """``25 ms``, ``1.4 s``, ``23 m 35 s``."""
    number = decimal_of(milliseconds)
    if number is None:
        return ""
    span = timedelta(milliseconds=float(number)).total_seconds()
    if span < 1:
        return f"{int(number)} ms"
    if span < 60:
        return f"{span:.1f} s"
    minutes, rest = divmod(int(span), 60)
    return f"{minutes} m {rest} s"
