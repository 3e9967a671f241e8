"""The parts a card is shown from: small values for the templates, and figures written in the unit they name. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from execution.domain import CardState, CommandState, IntentState, Origin
from sigmatrader.pages import formats

Shape = Mapping[str, Any]
CHANGE = " -> "
BAD_ORDERS = {IntentState.REJECTED, IntentState.DENIED, IntentState.NOT_PLACED, IntentState.EXPIRED}


@dataclass(frozen=True, slots=True)
class Badge:
    word: str
    kind: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that stands out on a card: what happened, what it means, the next step."""

    title: str
    text: str
    kind: str = ""
    icon: str = "alert-triangle"
    href: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Off:
    """Why Approve cannot be pressed, and where that is changed."""

    reason: str
    href: str
    icon: str


@dataclass(frozen=True, slots=True)
class BeforeAfterRow:
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AlternativeRow:
    """A change the gate has found to pass; ``changes`` is what the button puts into the intent, as JSON."""

    title: str
    detail: str
    button: str
    changes: str


BADGES = {
    CardState.DENIED: Badge("denied", "stop", "ban"),
    CardState.FAILED: Badge("failed", "stop", "x"),
    CardState.STALE: Badge("stale", "warn", "alert-triangle"),
    CardState.DONE: Badge("done", "", "check"),
    CardState.APPROVED: Badge("approved", "acc"),
    CardState.EXECUTING: Badge("executing", "acc"),
}
CANCELLED = Badge("cancelled", "plain", "ban")
ORIGIN_READERS = {Origin.TICKET.value: "Order ticket", Origin.MONITOR.value: "Monitor"}


def order_row(order: Shape) -> dict[str, Any]:
    """An order's shape with what templates ask of its state."""
    state = IntentState(order["state"])
    is_working = state.is_in_flight or state is IntentState.PREPARED
    return {
        **order,
        "rest": order["quantity"] - order["filled_quantity"],
        "is_bad": state in BAD_ORDERS,
        "is_working": is_working,
        "is_ambiguous": state is IntentState.AMBIGUOUS,
    }


COMMAND_WORDS = {
    CommandState.PREPARED: "is about to be sent", CommandState.SENDING: "sent, no answer yet",
    CommandState.ACKED: "taken by the broker", CommandState.DONE: "done", CommandState.FAILED: "refused by the broker",
    CommandState.TOO_LATE: "came too late", CommandState.UNKNOWN: "is looked up with the broker",
    CommandState.NOT_SENT: "was not sent", CommandState.DENIED: "denied at the door",
}  # fmt: skip
REFUSED_COMMANDS = {CommandState.FAILED, CommandState.NOT_SENT, CommandState.DENIED}
COMMAND_FIELDS = (
    ("quantity", "quantity", formats.quantity), ("limit_price", "limit", formats.rupees),
    ("trigger_price", "trigger", formats.rupees),
)  # fmt: skip


def command_row(command: Shape) -> dict[str, Any]:
    """A modify or cancel with what became of it in words, and what it changes."""
    state = CommandState(command["state"])
    asked = command.get("changes") or {}
    changes = [f"{word} {form(asked[name])}" for name, word, form in COMMAND_FIELDS if asked.get(name)]
    return {
        "title": str(command["kind"]).capitalize(),
        "words": COMMAND_WORDS[state],
        "changes": " · ".join(changes),
        "detail": command.get("detail") or "",
        "updated_at": command.get("updated_at"),
        "is_bad": state in REFUSED_COMMANDS,
        "is_done": state is CommandState.DONE,
    }


def rule_row(row: Shape) -> Shape:
    """A control's row with its figures written for a person, in the unit it names."""
    return {
        **row,
        "actual": figure(row.get("actual"), row.get("unit")),
        "limit": figure(row.get("limit"), row.get("unit")),
    }


def figure(value: Any, unit: Any) -> str:
    """A limit or an actual: rupees, percent and counts get their form, words stay as they are. "1 -> 2" is a change."""
    if isinstance(value, str) and CHANGE in value:
        before, after = value.split(CHANGE, 1)
        return f"{figure(before, unit)} → {figure(after, unit)}"
    number = formats.decimal_of(value)
    if number is None:
        return str(value or "")
    if unit in ("rupees", "INR", "₹"):
        return formats.rupees(number)
    if unit in ("percent", "%"):
        return formats.percent(number)
    text = formats.quantity(number) if number == number.to_integral_value() else formats.price(number)
    return f"{text} s" if unit in ("seconds", "s") else text


def alternative_row(row: Shape) -> AlternativeRow | None:
    """The button for one alternative; none for a change that no button can make."""
    quantity, limit = row.get("quantity"), row.get("limit_price")
    if quantity:
        count = formats.quantity(quantity)
        return AlternativeRow(
            f"{count} would pass", "", f"Make a card for {count}", json.dumps({"quantity": int(quantity)})
        )
    if limit:
        price = formats.rupees(limit)
        return AlternativeRow(
            f"A limit of {price} would pass", "", f"Make a card at {price}", json.dumps({"price": str(limit)})
        )
    return None
