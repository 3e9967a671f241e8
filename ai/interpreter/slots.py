"""The parts of one order: which number is the quantity, which the price, the trigger, the amount. Nothing is decided
here that was not said; two readings of one number are kept apart as ``unsure`` and asked back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from ai.interpreter.sentence import PAUSES
from ai.language.lexicon import Tag
from ai.language.tokens import Item


class Role(StrEnum):
    QUANTITY = "quantity"
    AMOUNT = "amount"
    PERCENT = "percent"
    PRICE = "price"
    TRIGGER = "trigger"
    STOP = "stop"
    TARGET = "target"
    CEILING = "ceiling"
    FLOOR = "floor"
    TTL = "ttl"
    KEEP = "keep"
    BARE = "bare"
    UNSURE = "unsure"
    MAYBE_TOTAL = "maybe_total"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with the role its neighbours give it; ``position`` is its place in the sentence."""

    role: Role
    item: Item
    position: int

    @property
    def value(self) -> Decimal:
        assert self.item.number is not None  # only numbers are made into figures
        return self.item.number

    @property
    def spelled(self) -> str:
        """As the trader wrote it, commas and scale words read."""
        return self.item.literal or format(self.value.normalize(), "f")


@dataclass(slots=True)
class Slots:
    """What one order's words say, before any of it is judged."""

    items: Sequence[Item]
    figures: list[Figure] = field(default_factory=list)

    def has(self, *tags: Tag) -> bool:
        return any(item.has(*tags) for item in self.items)

    def of(self, role: Role) -> list[Figure]:
        return [figure for figure in self.figures if figure.role is role]

    @property
    def name(self) -> Item | None:
        return next((item for item in self.items if item.is_name), None)

    @property
    def name_position(self) -> int:
        return next((at for at, item in enumerate(self.items) if item.is_name), -1)


_BEFORE: dict[Tag, Role] = {
    Tag.SL_M: Role.TRIGGER, Tag.SL_ORDER: Role.TRIGGER, Tag.TRIGGER: Role.TRIGGER, Tag.STOP: Role.STOP,
    Tag.TARGET: Role.TARGET, Tag.NOT_ABOVE: Role.CEILING, Tag.NOT_BELOW: Role.FLOOR, Tag.BELOW: Role.CEILING,
    Tag.ABOVE: Role.FLOOR, Tag.AT: Role.PRICE, Tag.LIMIT: Role.PRICE, Tag.PRICE: Role.PRICE,
    Tag.QUANTITY: Role.QUANTITY, Tag.SHARES: Role.QUANTITY, Tag.WORTH: Role.AMOUNT, Tag.TTL: Role.TTL,
    Tag.KEEP: Role.KEEP, Tag.TO: Role.KEEP, Tag.FOR: Role.MAYBE_TOTAL,
}  # fmt: skip
_AFTER: dict[Tag, Role] = {
    Tag.SHARES: Role.QUANTITY, Tag.QUANTITY: Role.QUANTITY, Tag.EACH: Role.QUANTITY, Tag.WORTH: Role.AMOUNT,
    Tag.MINUTES: Role.TTL, Tag.TARGET: Role.TARGET, Tag.AT_AFTER: Role.PRICE, Tag.LIMIT: Role.PRICE,
}  # fmt: skip
_LINKS = frozenset({Tag.OF, Tag.FILLER, Tag.PRICE, Tag.POSSESSIVE})


def read_slots(items: Sequence[Item]) -> Slots:
    """Gives every number its role."""
    slots = Slots(items)
    for at, item in enumerate(items):
        if item.is_number:
            slots.figures.append(Figure(_role(items, at), item, at))
    _settle(slots)
    return slots


def _role(items: Sequence[Item], at: int) -> Role:
    item = items[at]
    if item.percent:
        return Role.PERCENT
    after = items[at + 1] if at + 1 < len(items) else None
    if after and after.has(Tag.SHARES, Tag.QUANTITY, Tag.MINUTES, Tag.WORTH, Tag.EACH):
        return _named(after, _AFTER)
    if _shares_after_name(items, at):
        return Role.QUANTITY
    if side := _beside_pe(items, at):
        return side
    before = _marker_before(items, at)
    if before is Role.MAYBE_TOTAL and after and after.is_name:
        return Role.BARE
    if before is not None:
        return before
    if after and (after.has(Tag.AT_AFTER) or after.has(Tag.LIMIT)) and not _leads_on(items, at + 1):
        return Role.PRICE
    if after and after.has(Tag.NOT_ABOVE) and not _leads_on(items, at + 1):
        return Role.CEILING
    return _by_mark(items, at)


def _beside_pe(items: Sequence[Item], at: int) -> Role | None:
    """ "1490 pe 10" is a price and then shares, "10 pe 1490" the other way round: told only where shares are named."""
    if _is_pe_between(items, at):
        return Role.PRICE if counts_shares(items, at + 2) else Role.UNSURE
    if at >= 2 and _is_pe_between(items, at - 2):
        return Role.UNSURE
    if at >= 1 and _is_pe(items[at - 1]):
        return Role.PRICE
    return None


def _is_pe(item: Item) -> bool:
    return item.has(Tag.AT_AFTER) and not item.has(Tag.AT)


def _is_pe_between(items: Sequence[Item], at: int) -> bool:
    return at + 2 < len(items) and items[at].is_number and _is_pe(items[at + 1]) and items[at + 2].is_number


def _shares_after_name(items: Sequence[Item], at: int) -> bool:
    """ "10 INFY shares": the unit stands behind the name."""
    return at + 2 < len(items) and items[at + 1].is_name and items[at + 2].has(Tag.SHARES)


def counts_shares(items: Sequence[Item], at: int) -> bool:
    """True if the number at ``at`` was said to be shares: "10 shares", "qty 10", "10 INFY shares"."""
    after = items[at + 1] if at + 1 < len(items) else None
    before = items[at - 1] if at else None
    unit = (Tag.SHARES, Tag.QUANTITY)
    return bool((after and after.has(*unit)) or (before and before.has(*unit)) or _shares_after_name(items, at))


def _by_mark(items: Sequence[Item], at: int) -> Role:
    """Money by its look: rupees, or a scaled number that is "of" or "ka" something."""
    item = items[at]
    after = items[at + 1] if at + 1 < len(items) else None
    if (item.scaled or item.rupees) and after and after.has(Tag.OF, Tag.POSSESSIVE):
        return Role.AMOUNT
    if after and after.has(Tag.POSSESSIVE):
        return Role.MAYBE_TOTAL
    return Role.BARE


def _marker_before(items: Sequence[Item], at: int) -> Role | None:
    """The role the marker in front gives; link words such as "of" between the two are passed over."""
    back = at - 1
    while (
        back >= 0 and items[back].text not in PAUSES and items[back].tags and items[back].tags <= _LINKS | {Tag.QUOTE}
    ):
        if items[back].has(Tag.PRICE):
            break
        back -= 1
    if back < 0 or items[back].is_number or items[back].is_name:
        return None
    marker = items[back]
    if _is_pe(marker) or (marker.has(Tag.SHARES, Tag.QUANTITY) and _counted_already(items, back)):
        return None
    return _named(marker, _BEFORE) if marker.has(*_BEFORE) else None


def _counted_already(items: Sequence[Item], at: int) -> bool:
    """True if the unit at ``at`` belongs to a number in front of it ("10 shares", "10 INFY shares")."""
    before = items[max(0, at - 2) : at]
    return bool(before) and (before[-1].is_number or (len(before) == 2 and before[0].is_number and before[1].is_name))


def _leads_on(items: Sequence[Item], at: int) -> bool:
    """True if the marker at ``at`` belongs to the number that follows it."""
    return at + 1 < len(items) and items[at + 1].is_number


def _named(item: Item, table: dict[Tag, Role]) -> Role:
    return next(role for tag, role in table.items() if tag in item.tags)


def _settle(slots: Slots) -> None:
    """Numbers left over: the first is the quantity, the next the price (rule 2); rupees are money."""
    _retag(slots, lambda f: f.role is Role.KEEP and not slots.has(Tag.REDUCE, Tag.KEEP), Role.BARE)
    counted = bool(slots.of(Role.QUANTITY) or slots.of(Role.PERCENT) or slots.has(Tag.ALL, Tag.HALF, Tag.QUARTER))
    if not counted and slots.has(Tag.INVEST) and len(slots.of(Role.BARE)) == 1:
        _retag(slots, lambda f: f.role is Role.BARE, Role.AMOUNT)
    for figure in slots.of(Role.BARE):
        money = figure.item.rupees or (figure.value % 1 != 0)
        after = slots.items[figure.position + 1] if figure.position + 1 < len(slots.items) else None
        if after is not None and after.is_name and not money:
            _set(slots, figure, Role.QUANTITY)  # "10 INFY": shares, whatever else is said; two sizes are asked about
            counted = True
            continue
        if not counted and not slots.of(Role.AMOUNT) and not money:
            _set(slots, figure, Role.QUANTITY)
            counted = True
    _settle_rest(slots, counted or bool(slots.of(Role.AMOUNT)))


def _settle_rest(slots: Slots, counted: bool) -> None:
    for figure in slots.of(Role.BARE):
        if counted:
            _set(slots, figure, Role.PRICE)
        elif figure.item.rupees:
            _set(slots, figure, Role.AMOUNT)
            counted = True
        else:
            _set(slots, figure, Role.PRICE)
    if not counted:
        _retag(slots, lambda f: f.role is Role.MAYBE_TOTAL, Role.AMOUNT)


def _retag(slots: Slots, test: Callable[[Figure], bool], role: Role) -> None:
    for figure in list(slots.figures):
        if test(figure):
            _set(slots, figure, role)


def _set(slots: Slots, figure: Figure, role: Role) -> None:
    slots.figures[slots.figures.index(figure)] = Figure(role, figure.item, figure.position)
