"""Tokens and numbers: one linear scan, then numbers with their unit, then the words of the lexicon, longest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ai.language.lexicon import NUMBER_WORDS, PHRASES, SCALES, Tag

_TOKEN = re.compile(
    r"(?P<time>\d{1,2}:\d{2})(?![\d:])|(?P<num>\d+(?:,\d+)*(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z](?:[A-Za-z0-9]|[&'/_-](?=[A-Za-z0-9]))*)|(?P<punct>\S)"
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})*,\d{3}")
_MAX_PHRASE = max(len(phrase) for phrase in PHRASES)
_MAX_DIGITS = 13


class Kind(StrEnum):
    NUMBER = "number"
    TIME = "time"
    WORD = "word"
    PUNCT = "punct"


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the text; ``glued`` says that it follows the one before without a space."""

    kind: Kind
    text: str
    glued: bool = False

    @property
    def low(self) -> str:
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of the sentence: a number, a phrase with its tags, a name (put in by the name matcher), or neither."""

    text: str
    tags: frozenset[Tag] = frozenset()
    number: Decimal | None = None
    names: tuple[str, ...] = ()
    exchange: str = ""
    typo: bool = False
    scaled: bool = False
    rupees: bool = False
    percent: bool = False
    faulty: bool = False
    time: bool = False
    literal: str = ""

    def has(self, *tags: Tag) -> bool:
        return any(tag in self.tags for tag in tags)

    @property
    def is_number(self) -> bool:
        return self.number is not None

    @property
    def is_name(self) -> bool:
        return bool(self.names)

    @property
    def is_unknown(self) -> bool:
        return not (self.tags or self.is_number or self.names or self.time)


def tokenize(text: str) -> tuple[Token, ...]:
    """Splits at once; every visible character ends up in exactly one token."""
    tokens: list[Token] = []
    end = -1
    for match in _TOKEN.finditer(text):
        kind = {"num": Kind.NUMBER, "time": Kind.TIME, "word": Kind.WORD}.get(str(match.lastgroup), Kind.PUNCT)
        tokens.append(Token(kind, match.group(), glued=match.start() == end))
        end = match.end()
    return tuple(tokens)


def read_number(tokens: Sequence[Token], start: int) -> tuple[Item, int]:
    """The number at ``start`` with scale words and rupee or percent marks after it, and how many tokens it took.

    A number whose reading is not certain (10-15, 1,50, -5, 1.2.3) is ``faulty``: it is asked back, never used.
    """
    token, used = tokens[start], 1
    if token.kind is Kind.WORD:
        value, used = _in_words(tokens, start)
        literal = ""
    else:
        value, literal = Decimal(token.text.replace(",", "")), token.text.replace(",", "")
    faulty = _is_faulty(tokens, start)
    scaled = False
    while start + used < len(tokens) and (scale := SCALES.get(tokens[start + used].low)):
        value, literal, scaled, used = value * scale, "", True, used + 1
    rupees, percent, marks = _marks(tokens, start + used)
    faulty = faulty or _tail_is_faulty(tokens, start + used + marks)
    item = Item(
        text=token.text, number=value, scaled=scaled, rupees=rupees, percent=percent, faulty=faulty, literal=literal
    )
    return item, used + marks


def is_number_start(token: Token) -> bool:
    return token.kind is Kind.NUMBER or (token.kind is Kind.WORD and token.low in NUMBER_WORDS)


def read_phrase(tokens: Sequence[Token], start: int) -> tuple[Item, int] | None:
    """The longest phrase of the lexicon at ``start``."""
    for length in range(min(_MAX_PHRASE, len(tokens) - start), 0, -1):
        words = tuple(token.low for token in tokens[start : start + length])
        if tags := PHRASES.get(words):
            spelled = " ".join(token.text for token in tokens[start : start + length])
            return Item(text=" ".join(words), tags=tags, literal=spelled), length
    return None


def _in_words(tokens: Sequence[Token], start: int) -> tuple[Decimal, int]:
    value, used = NUMBER_WORDS[tokens[start].low], 1
    if value >= 20 and start + 1 < len(tokens):
        unit = NUMBER_WORDS.get(tokens[start + 1].low, 0)
        if 0 < unit < 10:
            value, used = value + unit, 2
    return Decimal(value), used


def _is_faulty(tokens: Sequence[Token], start: int) -> bool:
    text = tokens[start].text
    whole = text.partition(".")[0]
    if ("," in whole and not _GROUPED.fullmatch(whole)) or len(text) > _MAX_DIGITS:
        return True
    before = tokens[start - 1] if start else None
    return bool(before and tokens[start].glued and before.text in (".", "-", "+", "*", "#", "^", "="))


def _tail_is_faulty(tokens: Sequence[Token], after: int) -> bool:
    """A range, a ratio or a second point right behind the number."""
    if after >= len(tokens):
        return False
    follows = tokens[after]
    more = after + 1 < len(tokens) and tokens[after + 1].kind is Kind.NUMBER
    if follows.text in ("-", "/", "*", "^", "+", "~"):
        return more
    return follows.text in (".", ",", "'") and follows.glued and more and tokens[after + 1].glued


def _marks(tokens: Sequence[Token], at: int) -> tuple[bool, bool, int]:
    """(rupees, percent, tokens taken) of the marks behind a number: Rs, ₹, /-, %, percent."""
    if tokens[at : at + 2] and [t.text for t in tokens[at : at + 2]] == ["/", "-"]:
        return True, False, 2
    if at < len(tokens):
        tags = PHRASES.get((tokens[at].low,), frozenset())
        if Tag.PERCENT in tags:
            return False, True, 1
        if Tag.RUPEES in tags:
            return True, False, 1
        if tokens[at].low == "per" and at + 1 < len(tokens) and tokens[at + 1].low == "cent":
            return False, True, 2
    return False, False, 0
