"""What someone types to find an instrument: words of a symbol or name, or a derivative's phrase. Pure.

``nifty 24500 ce``, ``banknifty 52000 pe 25 nov``, ``reliance nov fut``, ``nifty 25 nov 26 24500 call`` name an
underlying and what is written on it; anything else is words.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("JAN", "JANUARY"), ("FEB", "FEBRUARY"), ("MAR", "MARCH"), ("APR", "APRIL"), ("MAY",), ("JUN", "JUNE"),
            ("JUL", "JULY"), ("AUG", "AUGUST"), ("SEP", "SEPT", "SEPTEMBER"), ("OCT", "OCTOBER"),
            ("NOV", "NOVEMBER"), ("DEC", "DECEMBER"),
        ),
        start=1,
    )
    for name in names
}  # fmt: skip
_TYPES = {
    "CE": ("CE",), "CALL": ("CE",), "CALLS": ("CE",), "PE": ("PE",), "PUT": ("PE",), "PUTS": ("PE",),
    "FUT": ("FUT",), "FUTURE": ("FUT",), "FUTURES": ("FUT",), "OPT": ("CE", "PE"), "OPTION": ("CE", "PE"),
    "OPTIONS": ("CE", "PE"),
}  # fmt: skip
_NOISE = frozenset({"EXPIRY", "EXPIRING", "STRIKE", "OF", "THE", "FOR"})
_SPLIT = re.compile(
    r"^(\d+(?:\.\d+)?)(CE|PE|ST|ND|RD|TH)$|^(\d{1,2})([A-Z]{3,9})(\d{2}|\d{4})?$|^([A-Z]{3,9})(\d{2}|\d{4})$"
)
_NUMBER = re.compile(r"^\d{1,9}(\.\d{1,4})?$")
MAX_WORDS = 12
DAYS = 31


@dataclass(frozen=True, slots=True)
class Phrase:
    """What is written on ``underlying`` (words as typed): types among FUT, CE, PE; what was not said is None."""

    underlying: tuple[str, ...]
    types: tuple[str, ...]
    strike: Decimal | None = None
    day: int | None = None
    month: int | None = None
    year: int | None = None

    def readings(self) -> tuple[Phrase, ...]:
        """This, and ``nov 26`` read as a year where no such day turns up."""
        if self.day is None or self.month is None or self.year is not None:
            return (self,)
        return (self, replace(self, day=None, year=2000 + self.day))

    def expiries(self, today: date) -> tuple[str, str]:
        """First and last expiry meant, as ISO dates, never before ``today``. A month without a year is the next one."""
        if self.month is None:
            return today.isoformat(), "9999-12-31"
        year = self.year or (today.year if self.month >= today.month else today.year + 1)
        last = monthrange(year, self.month)[1]
        if self.day is not None:
            wanted = date(year, self.month, min(self.day, last))
            if self.year is None and wanted < today:
                wanted = date(year + 1, self.month, min(self.day, monthrange(year + 1, self.month)[1]))
            return max(wanted, today).isoformat(), wanted.isoformat()
        return max(date(year, self.month, 1), today).isoformat(), date(year, self.month, last).isoformat()


def words_of(query: str) -> tuple[str, ...]:
    """Upper-case words, at most twelve; an exchange in front (``NFO:``) is left out."""
    text = query.upper().strip()
    head, colon, rest = text.partition(":")
    return tuple((rest if colon and head.isalpha() else text).replace(",", " ").split()[:MAX_WORDS])


def phrase_of(query: str) -> Phrase | None:
    """The derivative a query names, or None: it says a type and an underlying."""
    found = Phrase((), ())
    tokens = _tokens(words_of(query))
    for place, token in enumerate(tokens):
        found = _read(found, token, tokens[place - 1] if place else "", tokens[place + 1 : place + 2])
    return found if found.types and found.underlying else None


def _tokens(words: tuple[str, ...]) -> list[str]:
    """``24500CE`` is two words, and so are ``25NOV``, ``25TH`` and ``NOV26``; a symbol such as BEL30 stays whole."""
    tokens: list[str] = []
    for word in words:
        found = _SPLIT.match(word)
        parts = [part for part in found.groups() if part] if found else [word]
        names = [part for part in parts if part.isalpha()]
        known = all(name in _MONTHS or name in _TYPES or name in ("ST", "ND", "RD", "TH") for name in names)
        tokens += [part for part in parts if part not in ("ST", "ND", "RD", "TH")] if known else [word]
    return tokens


def _read(found: Phrase, token: str, before: str, after: list[str]) -> Phrase:
    if token in _NOISE and found.underlying:
        return found
    if token in _TYPES and found.underlying:
        return replace(found, types=_TYPES[token])
    if token in _MONTHS and found.underlying:
        return replace(found, month=_MONTHS[token])
    if _NUMBER.match(token) and found.underlying:
        return _with_number(found, token, before in _MONTHS, bool(after) and after[0] in _MONTHS)
    is_new = not found.types and found.strike is None and found.month is None
    return replace(found, underlying=(*found.underlying, token)) if is_new else found


def _with_number(found: Phrase, token: str, after_month: bool, before_month: bool) -> Phrase:
    """A number beside a month is its day or year, any other the strike."""
    whole = int(token) if token.isdigit() else 0
    if before_month and 1 <= whole <= DAYS and found.day is None:
        return replace(found, day=whole)
    if after_month and found.year is None and len(token) == 4 and token.startswith("20"):
        return replace(found, year=whole)
    if after_month and found.day is not None and found.year is None and len(token) == 2:
        return replace(found, year=2000 + whole)
    if after_month and found.day is None and 1 <= whole <= DAYS:
        return replace(found, day=whole)
    return replace(found, strike=Decimal(token)) if found.strike is None else found
