"""Which instrument a name means: exact symbol, what traders call it, the company's name or a telling part of it, and
a one-slip typo of exactly one of them. More than one candidate is never decided here. Pure; built once per master.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ai.language.lexicon import ALIASES, GENERIC, PHRASES, SCALES
from ai.language.tokens import Kind, Token
from broker.domain import InstrumentInfo

_WORDS = re.compile(r"[A-Z0-9&]+")
_SERIES = re.compile(r"-(?:[A-Z]{2}|[A-Z]\d)$")
_LEGAL = frozenset({"LTD", "LIMITED"})
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MAX_SPAN = 6
_MIN_TYPO = 5
_EXCHANGES = ("NSE", "BSE")


@dataclass(frozen=True, slots=True)
class NameMatch:
    """Tradingsymbols a span of words can mean, how many tokens it took, and whether it took a slip to read it."""

    candidates: tuple[str, ...]
    length: int
    typo: bool = False


class Catalog:
    """The equities of an instrument master by every name they go by. Immutable once built."""

    def __init__(self, instruments: Iterable[InstrumentInfo]) -> None:
        self._listings: dict[str, dict[str, InstrumentInfo]] = {}
        self._exact: dict[str, set[str]] = {}
        self._parts: dict[str, set[str]] = {}
        for info in instruments:
            if info.is_equity and not info.is_index:
                self._add(info)
        for alias, symbol in ALIASES.items():
            if symbol in self._listings and alias not in self._exact:
                self._exact[alias] = {symbol}

    def listing(self, tradingsymbol: str) -> dict[str, InstrumentInfo]:
        """The instrument by exchange; empty for an unknown symbol."""
        return self._listings.get(tradingsymbol, {})

    def company(self, tradingsymbol: str) -> str:
        """The company's name in title case, or the symbol."""
        for info in self.listing(tradingsymbol).values():
            if info.name:
                return info.name.title() if info.name.isupper() else info.name
        return tradingsymbol

    def match(self, tokens: Sequence[Token], start: int) -> NameMatch | None:
        """The longest name at ``start``: exact readings first, of any length, and only then a slip of one."""
        spans = list(_spans(tokens, start))
        exact = self._exactly(tokens, start, spans)
        if exact is not None and len(exact.candidates) == 1:
            return exact
        slip = self._by_slip(tokens, start, spans, longer_than=exact.length if exact else 0)
        return slip if slip and (exact is None or len(slip.candidates) == 1) else exact

    def _exactly(self, tokens: Sequence[Token], start: int, spans: Sequence[tuple[int, str]]) -> NameMatch | None:
        for length, key in spans:
            if length == 1 and _is_grammar(tokens[start]):
                continue
            if found := self._exact.get(key) or self._parts.get(key):
                return NameMatch(tuple(sorted(found)), length)
        return None

    def _by_slip(
        self, tokens: Sequence[Token], start: int, spans: Sequence[tuple[int, str]], *, longer_than: int
    ) -> NameMatch | None:
        for length, key in spans:
            known = any(_is_grammar(token) for token in tokens[start : start + length])
            if length > longer_than and len(key) >= _MIN_TYPO and not known and (found := self._slips(key)):
                return NameMatch(tuple(sorted(found)), length, typo=True)
        return None

    def _add(self, info: InstrumentInfo) -> None:
        symbol = info.tradingsymbol
        self._listings.setdefault(symbol, {})[info.exchange] = info
        self._exact.setdefault(key_of(symbol), set()).add(symbol)
        if _SERIES.search(symbol):
            return
        words = [word for word in _WORDS.findall(info.name.upper().replace("'", "")) if word not in _LEGAL]
        if words:
            self._exact.setdefault(key_of("".join(words)), set()).add(symbol)
        for part in _parts_of(words):
            self._parts.setdefault(part, set()).add(symbol)

    def _slips(self, key: str) -> set[str]:
        """What is one insertion, deletion, substitution or swap away, symbols and names together."""
        found: set[str] = set()
        for near in _one_slip(key):
            found |= self._exact.get(near, set())
            if len(near) >= _MIN_TYPO:
                found |= self._parts.get(near, set())
        return found


def key_of(text: str) -> str:
    """Letters and digits in upper case; & reads as AND."""
    return "".join(_WORDS.findall(text.upper().replace("'", ""))).replace("&", "AND")


def _parts_of(words: Sequence[str]) -> Iterator[str]:
    """Runs of up to three words, and first with last; never generic words alone."""
    for first in range(len(words)):
        for length in range(1, 4):
            run = words[first : first + length]
            if len(run) == length and not all(word in GENERIC or len(word) < 3 for word in run):
                yield key_of("".join(run))
    if len(words) > 2 and words[0] not in GENERIC:
        yield key_of(words[0] + words[-1])


def _spans(tokens: Sequence[Token], start: int) -> Iterator[tuple[int, str]]:
    """(length, key) of every run of words from ``start``, longest first; stops, & and glued digits may be inside."""
    if tokens[start].kind not in (Kind.WORD, Kind.NUMBER):
        return
    end = start + 1
    while end < len(tokens) and end - start < _MAX_SPAN and _continues(tokens, end):
        end += 1
    for stop in range(end, start, -1):
        if tokens[stop - 1].kind is Kind.PUNCT or (stop - start == 1 and tokens[start].kind is Kind.NUMBER):
            continue
        key = key_of("".join(token.text for token in tokens[start:stop]))
        yield stop - start, _SERIES_EQ.sub("", key)


_SERIES_EQ = re.compile(r"(?<=[A-Z0-9]{2})EQ$")


def _continues(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    if token.kind is Kind.NUMBER:
        return token.glued
    if token.kind is Kind.WORD:
        return tokens[at - 1].kind is not Kind.NUMBER or token.glued
    return token.text == "&" or (token.text in (".", "'", "-") and token.glued)


def _is_grammar(token: Token) -> bool:
    return (token.low,) in PHRASES or token.low in SCALES


def _one_slip(key: str) -> Iterator[str]:
    for at in range(len(key) + 1):
        head, tail = key[:at], key[at:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
