"""A message as items: numbers, names and tagged phrases, with nothing dropped but plain punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ai.language.lexicon import Tag
from ai.language.names import Catalog
from ai.language.tokens import Item, Kind, Token, is_number_start, read_number, read_phrase, tokenize

PAUSES = frozenset(",;\n.")
_SILENT = frozenset(",.;:!?()-")
_VERB_SLIPS: dict[str, Tag] = {
    **dict.fromkeys(("byu", "buyy", "buuy", "bbuy", "bu", "bui", "buj", "biy", "bying", "puchase", "purchse"), Tag.BUY),
    **dict.fromkeys(("sel", "slel", "selll", "seel", "sll", "esll", "selll", "sellng"), Tag.SELL),
}
_LONG_VERBS: dict[str, Tag] = {
    "short": Tag.SHORT, "cancel": Tag.CANCEL, "modify": Tag.MODIFY, "change": Tag.MODIFY, "cover": Tag.COVER,
    "invest": Tag.INVEST, "reduce": Tag.REDUCE, "kharido": Tag.BUY, "becho": Tag.SELL, "purchase": Tag.BUY,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """Items in order; ``words`` are all words in lower case; ``asked`` is True where it ends in a question mark."""

    items: tuple[Item, ...]
    words: tuple[str, ...]
    asked: bool

    def any(self, *tags: Tag) -> bool:
        return any(item.has(*tags) for item in self.items)

    @property
    def names(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.is_name)

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(item.text for item in self.items if item.is_unknown)

    @property
    def first(self) -> Item | None:
        """The first item that is not a courtesy or a pause."""
        return next((i for i in self.items if i.text not in PAUSES and i.tags != {Tag.FILLER}), None)


def parse(text: str, *, catalog: Catalog) -> Sentence:
    """Reads the text into items. Linear in its length but for the bounded look at names."""
    tokens = tokenize(text)
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        item, used = _item(tokens, at, catalog)
        if item is not None:
            items.append(item)
        at += used
    words = tuple(token.low for token in tokens if token.kind is Kind.WORD)
    return Sentence(_with_currency(_with_indian_oil(items, catalog)), words, asked="?" in text)


def _with_indian_oil(items: Sequence[Item], catalog: Catalog) -> list[Item]:
    """IOC is a validity and the symbol of Indian Oil: in an order that names no other share the first one is it."""
    at = next((n for n, item in enumerate(items) if item.has(Tag.IOC)), -1)
    orders = any(item.has(Tag.BUY, Tag.SELL, Tag.SHORT, Tag.INVEST) for item in items)
    if at < 0 or not orders or any(item.is_name for item in items) or not catalog.listing("IOC"):
        return list(items)
    return [*items[:at], Item(text=items[at].text, names=("IOC",)), *items[at + 1 :]]


def _item(tokens: Sequence[Token], at: int, catalog: Catalog) -> tuple[Item | None, int]:
    token = tokens[at]
    if token.kind is Kind.TIME:
        return Item(text=token.text, time=True), 1
    name = catalog.match(tokens, at)
    phrase = read_phrase(tokens, at)
    if name and not name.typo and (phrase is None or name.length >= phrase[1]):
        return _name_item(tokens, at, name.candidates, name.length), name.length
    if is_number_start(token):
        return read_number(tokens, at)
    if phrase is not None:
        return phrase
    if token.kind is Kind.PUNCT:
        return _punctuation(tokens, at)
    if slip := _verb_slip(token.low):
        return Item(text=token.text, tags=frozenset({slip}), typo=True), 1
    if name:
        return replace(_name_item(tokens, at, name.candidates, name.length), typo=True), name.length
    return Item(text=token.text), 1


def _name_item(tokens: Sequence[Token], at: int, names: tuple[str, ...], length: int) -> Item:
    return Item(text=" ".join(token.text for token in tokens[at : at + length]), names=names)


def _punctuation(tokens: Sequence[Token], at: int) -> tuple[Item | None, int]:
    """Pauses stay, since they part orders; a mark with no meaning here is unknown, not dropped."""
    token = tokens[at]
    if token.text in PAUSES:
        return Item(text=token.text, tags=frozenset({Tag.FILLER})), 1
    if token.text in _SILENT:
        return None, 1
    return Item(text=token.text), 1


def _verb_slip(word: str) -> Tag | None:
    if word in _VERB_SLIPS:
        return _VERB_SLIPS[word]
    found = {tag for verb, tag in _LONG_VERBS.items() if _one_apart(word, verb)}
    return found.pop() if len(found) == 1 else None


def _one_apart(word: str, verb: str) -> bool:
    """True for one insertion, deletion, substitution or swap of neighbours between words of five letters and more."""
    if len(word) < 4 or abs(len(word) - len(verb)) > 1:
        return False
    at = next((n for n, (a, b) in enumerate(zip(word, verb, strict=False)) if a != b), min(len(word), len(verb)))
    rest, goal = word[at:], verb[at:]
    return (
        rest[1:] == goal
        or rest == goal[1:]
        or rest[1:] == goal[1:]
        or (rest[:2] == goal[:2][::-1] and rest[2:] == goal[2:])
    )


def _with_currency(items: Sequence[Item]) -> tuple[Item, ...]:
    """A rupee mark before a number belongs to the number; a full stop between them is part of "Rs."."""
    out: list[Item] = []
    for item in items:
        if item.is_number and out:
            if out[-1].text == "." and len(out) > 1 and out[-2].has(Tag.RUPEES):
                out.pop()
            if out[-1].has(Tag.RUPEES):
                out[-1] = replace(item, rupees=True)
                continue
        out.append(item)
    return tuple(out)
