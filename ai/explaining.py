"""Explanations from the record: what the broker said, what RiskGate found, why an order exists. Pure.

The broker's words are shown as a quotation: they are data, whatever they say (FAULTS I2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai.answers import IST, Answer
from ai.language.money import grouped, rupees
from broker.domain import BrokerOrder, split_symbol

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found for a question: rows of the broker's book, a denial, and the words an order came from."""

    orders: Sequence[BrokerOrder] | None = ()
    order_source: str = ""
    denial: Row | None = None
    words: str = ""
    origin: str = ""
    made_at: str = ""
    trace: str = ""


def explain(intent: Row, found: Evidence) -> Answer:
    """The answer to an ``explain`` intent."""
    said = Answer()
    {"order_rejected": _rejected, "order_status": _status, "risk_denied": _denied, "trade_reason": _reason}.get(
        str(intent["topic"]), _nothing
    )(said, found)
    return said


def _rejected(said: Answer, found: Evidence) -> None:
    if found.orders is None:
        said.say("The order book could not be read from the broker this time.")
        return
    rows = [order for order in found.orders if order.status == "REJECTED"]
    if not rows and found.denial is not None:
        said.say("No order of today was rejected by the broker. RiskGate did deny one before it was sent:")
        _denied(said, found)
        return
    if not rows:
        said.say("No order of today that fits was rejected.")
    for order in rows[:3]:
        said.say(
            f"{_described(said, order, found)} was rejected by the broker{_when(order)}. Its words: “{_quoted(order)}”."
        )


def _status(said: Answer, found: Evidence) -> None:
    if found.orders is None:
        said.say("The order book could not be read from the broker this time.")
        return
    if not found.orders:
        said.say("No order of today fits.")
    for order in found.orders[:3]:
        name, source = f"order {order.broker_order_id}", found.order_source
        filled = said.cite(f"{name} filled", order.filled_quantity, "SHARES", source)
        state = f"{order.status}{_when(order)}"
        line = f"{_described(said, order, found)}: {state}, {filled} of {grouped(order.quantity)} filled"
        if order.average_price and order.filled_quantity:
            line += f" at {said.cite(f'{name} average price', order.average_price, 'INR', source)} on average"
        said.say(f"{line}.")


def _denied(said: Answer, found: Evidence) -> None:
    if found.denial is None:
        said.say("RiskGate has denied nothing that fits.")
        return
    source = f"decision:{found.denial['id']}"
    for control in found.denial["controls"]:
        if control["verdict"] == "deny":
            said.facts.append(
                {
                    "text": str(control["code"]),
                    "value": str(control["actual"]),
                    "unit": str(control["unit"]),
                    "source": source,
                    "verified": True,
                }
            )
            said.say(f"{control['code']}: {control['message']}")
    said.say(f"Decided by policy version {found.denial['policy_version']}; nothing was sent.")


def _reason(said: Answer, found: Evidence) -> None:
    if not found.trace:
        said.say("No order that fits was made from here, so its reason is not on record.")
        return
    words = f" from your words “{found.words}”" if found.words else ""
    said.say(f"It was made by the {found.origin}{words} at {found.made_at} IST. The whole story is in its trace.")
    said.facts.append(
        {"text": "Trace", "value": found.trace, "unit": "TRACE", "source": f"trace:{found.trace}", "verified": True}
    )


def _nothing(said: Answer, found: Evidence) -> None:
    said.say("I explain rejected and denied orders, the state of an order, and why one was made.")


def _described(said: Answer, order: BrokerOrder, found: Evidence) -> str:
    said.facts.append(
        {
            "text": "Order",
            "value": order.broker_order_id,
            "unit": "ORDER",
            "source": found.order_source,
            "verified": True,
        }
    )
    price = f" at {rupees(order.price)}" if order.price else f" {order.order_type}"
    return f"{order.side} {grouped(order.quantity)} {split_symbol(order.symbol)[1]}{price}"


def _when(order: BrokerOrder) -> str:
    moment = order.updated_at or order.placed_at
    return f" at {moment.astimezone(IST):%H:%M:%S} IST" if moment else ""


def _quoted(order: BrokerOrder) -> str:
    return order.status_message.strip()[:300] or "no reason given"
