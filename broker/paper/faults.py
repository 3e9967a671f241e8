"""Faults on command: what the exchange does wrong with a call, so that its clients can be seen to cope.

``TOOL:KIND[:COUNT[:SECONDS]]``: TOOL is a tool's name, ``place``, ``modify``, ``cancel`` or ``any``; COUNT how many
calls are hit (1; 0 means all until cleared); SECONDS for the kinds that take time. ``now`` in place of a tool acts at
once, for the kinds that need no call.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from broker.paper.config import UnknownOrder

HUGE = 6_500_000
ALWAYS = 0
MAX_COUNT = 1_000_000
MAX_SECONDS = 180.0
SHORT = {"place": "place_order", "modify": "modify_order", "cancel": "cancel_order"}
ANY, NOW = "any", "now"


class FaultKind(StrEnum):
    """The first ten let the exchange do what was asked and spoil the telling; the rest keep the call from it."""

    PLACED_THEN_ERROR = "placed_then_error"
    PLACED_THEN_CUT = "placed_then_cut"
    NEVER_ANSWERED = "never_answered"
    DELAYED_VISIBILITY = "delayed_visibility"
    GARBAGE = "garbage"
    HUGE = "huge"
    SLOW = "slow"
    DUPLICATE_ROWS = "duplicate_rows"
    ERROR = "error"
    CUT = "cut"
    LOST = "lost"
    TOKEN_DEATH = "token_death"  # noqa: S105  # a fault's name
    HTTP_429 = "http_429"
    HTML = "html"
    RESTART = "restart"


DEFAULT_SECONDS = {FaultKind.DELAYED_VISIBILITY: 30.0, FaultKind.SLOW: 2.0}
AT_ONCE = frozenset({FaultKind.TOKEN_DEATH, FaultKind.RESTART, FaultKind.CUT})
PLACES = frozenset({FaultKind.DELAYED_VISIBILITY})


class FaultProblem(ValueError):
    """Not a fault; the text names what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``count`` calls of ``tool`` are hit; 0 is all of them."""

    tool: str
    kind: FaultKind
    count: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.tool}:{self.kind.value}:{self.count}:{self.seconds:g}"


def parse_fault(text: str, tools: Collection[str]) -> Fault:
    """Raises FaultProblem."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 4:
        raise FaultProblem(f"{text!r} is not TOOL:KIND[:COUNT[:SECONDS]]")
    kind = _kind(parts[1])
    tool = _tool(parts[0], tools)
    if tool == NOW and kind not in AT_ONCE:
        raise FaultProblem(f"now takes one of: {', '.join(sorted(AT_ONCE))}")
    if kind in PLACES and tool != "place_order":
        raise FaultProblem(f"{kind.value} is for place alone")
    count = int(_number(parts[2], MAX_COUNT, "COUNT", whole=True)) if len(parts) > 2 else 1
    if len(parts) > 3 and kind not in DEFAULT_SECONDS:
        raise FaultProblem(f"{kind.value} takes no SECONDS; only {', '.join(sorted(DEFAULT_SECONDS))} do")
    seconds = _number(parts[3], MAX_SECONDS, "SECONDS") if len(parts) > 3 else DEFAULT_SECONDS.get(kind, 0.0)
    return Fault(tool, kind, count, seconds)


@dataclass(slots=True)
class FaultBook:
    """The faults that wait for a call, oldest first."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        self.waiting.clear()

    def take(self, tool: str) -> Fault | None:
        """The fault that hits this call of ``tool``, counted."""
        for place, fault in enumerate(self.waiting):
            if fault.tool in (tool, ANY):
                self._count(place, fault)
                return fault
        return None

    def _count(self, place: int, fault: Fault) -> None:
        if fault.count == 1:
            del self.waiting[place]
        elif fault.count != ALWAYS:
            self.waiting[place] = replace(fault, count=fault.count - 1)


@dataclass(slots=True)
class Hidden:
    """Orders that exist but are not shown yet, each until its time by the exchange's clock."""

    _until: dict[str, datetime] = field(default_factory=dict)

    def hide(self, order_id: str, until: datetime) -> None:
        self._until[order_id] = until

    def hide_placed(self, text: str, now: datetime, seconds: float) -> None:
        """``text`` is what place_order answered."""
        self.hide(str(json.loads(text)["order_id"]), now + timedelta(seconds=seconds))

    def is_hidden(self, order_id: object, now: datetime) -> bool:
        until = self._until.get(str(order_id))
        return until is not None and now < until

    def check(self, order_id: object, now: datetime) -> None:
        """Raises UnknownOrder for one that is hidden."""
        if self.is_hidden(order_id, now):
            raise UnknownOrder

    def shown(self, rows: list[object], now: datetime) -> list[object]:
        if not self._until:
            return rows
        return [row for row in rows if not (isinstance(row, dict) and self.is_hidden(row.get("order_id"), now))]


def doubled(text: str) -> str:
    """A list's rows, each twice; anything else as it is."""
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError:
        return text
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        return _dumped({**value, "data": [row for row in value["data"] for _ in range(2)]})
    return _dumped([row for row in value for _ in range(2)]) if isinstance(value, list) else text


def bloated(text: str) -> str:
    """The same JSON behind more blanks than anyone should read."""
    return " " * HUGE + text


def _dumped(value: object) -> str:
    return json.dumps(value, default=float, separators=(",", ":"), ensure_ascii=False)


def _kind(text: str) -> FaultKind:
    try:
        return FaultKind(text)
    except ValueError:
        allowed = ", ".join(kind.value for kind in FaultKind)
        raise FaultProblem(f"{text!r} is no kind of fault; there are: {allowed}") from None


def _tool(text: str, tools: Collection[str]) -> str:
    tool = SHORT.get(text, text)
    if tool not in tools and tool not in (ANY, NOW):
        allowed = ", ".join([*SHORT, ANY, NOW, *sorted(tools)])
        raise FaultProblem(f"{text!r} is no tool; there are: {allowed}")
    return tool


def _number(text: str, most: float, name: str, *, whole: bool = False) -> float:
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        raise FaultProblem(f"{name} must be a number, not {text!r}") from None
    if not 0 <= value <= most:
        raise FaultProblem(f"{name} must be from 0 to {most:g}")
    return value
