"""A trace's events as a tree on one clock: chapters, what belongs under them, and where something failed. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from sigmatrader.pages import formats

FACTS_SHOWN = 3

CHAPTERS = {
    "trace.opened": ("Opened", "point"), "message.received": ("Message", "message"), "intent.read": ("Read", "book-2"),
    "plan.made": ("Plan", "list-details"), "risk.decided": ("RiskGate", "shield-check"),
    "authorization.given": ("Approved", "user-check"), "send.started": ("Broker", "send"),
    "snapshot.taken": ("Books read", "database"), "reconcile.ok": ("Reconciled", "checks"),
    "reconcile.deltas": ("Reconciled with differences", "scale"), "trading_state.set": ("Kill switch", "hand-stop"),
    "flag.set": ("Switch", "settings"), "policy.published": ("Policy", "shield-check"),
    "trace.closed": ("Closed", "flag"),
}  # fmt: skip
STEPS = {
    "order.acked": "Taken by the broker", "status.change": "Status", "status.ignored": "Status seen",
    "send.unknown": "No answer", "lookup.hit": "Found by its tag", "lookup.miss": "Looked up, not there",
}  # fmt: skip
FAILURES = {
    "send.unknown", "send.not_sent", "egress.denied", "order.rejected", "order.denied", "order.not_placed",
    "order.needs_review", "card.denied", "card.failed", "reconcile.deltas", "lookup.invalid",
}  # fmt: skip
LEADING = ("outcome", "state", "to", "text", "side", "quantity", "symbol", "explanation", "reason", "status", "actor",
           "tag", "broker_order_id", "detail", "differences", "code")  # fmt: skip


class Event(Protocol):
    """What the tree needs of a stored event; ``data`` is JSON text."""

    seq: int
    ts: datetime
    type: str
    data: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Node:
    """One row of the tree. ``depth`` 0 is a chapter; ``failures_below`` marks a failure on its parent."""

    seq: int
    ts: datetime
    type: str
    title: str
    icon: str
    summary: str
    depth: int
    failed: bool
    data: dict[str, Any]
    prev_hash: str
    hash: str
    sound: bool
    failures_below: int = 0


def tree_of(events: Sequence[Event], *, broken: Collection[int] = ()) -> list[Node]:
    """Events in order, chapters at depth 0 and the rest below the chapter before them."""
    nodes: list[Node] = []
    parent = -1
    for event in events:
        node = _node(event, broken=broken, first=not nodes)
        if node.depth == 0:
            parent = len(nodes)
        elif node.failed:
            nodes[parent] = replace(nodes[parent], failures_below=nodes[parent].failures_below + 1)
        nodes.append(node)
    return nodes


def _node(event: Event, *, broken: Collection[int], first: bool) -> Node:
    data = json.loads(event.data)
    title, icon = CHAPTERS.get(event.type, (STEPS.get(event.type) or _plain(event.type), ""))
    failed = event.type in FAILURES or (event.type == "risk.decided" and data.get("outcome") == "deny")
    return Node(
        seq=event.seq, ts=event.ts, type=event.type, title=title, icon=icon, summary=told(event.type, data),
        depth=0 if first or event.type in CHAPTERS else 1, failed=failed, data=data, prev_hash=event.prev_hash,
        hash=event.hash, sound=event.seq not in broken,
    )  # fmt: skip


def _plain(type_: str) -> str:
    return type_.replace(".", " ").replace("_", " ").capitalize()


def told(type_: str, data: dict[str, Any]) -> str:
    """One line for an event: its own sentence where it has one, else its plainest facts."""
    teller = TELLERS.get(type_)
    return teller(data) if teller else summary_of(data)


def _verdict(data: dict[str, Any]) -> str:
    verdict = "PASS" if data.get("outcome") == "allow" else "DENY"
    return " · ".join([verdict, *map(str, data.get("denials") or data.get("warnings") or ())])


def _plan(data: dict[str, Any]) -> str:
    return " · ".join(_leg(leg) for leg in data.get("legs", ()))


def _prepared(data: dict[str, Any]) -> str:
    leg = data.get("leg")
    return f"{_leg(leg)} · tag {data.get('tag', '')}" if isinstance(leg, dict) else f"tag {data.get('tag', '')}"


def _status(data: dict[str, Any]) -> str:
    filled = f"{formats.quantity(data['filled'])} filled" if data.get("filled") else ""
    at = f"at {formats.rupees(data['average_price'])}" if data.get("average_price") else ""
    said = f"broker says {data['status']}" if data.get("status") else ""
    fill = " ".join(part for part in (filled, at) if part)
    return " · ".join(part for part in (str(data.get("to") or ""), fill, said, str(data.get("message") or "")) if part)


def _fill(data: dict[str, Any]) -> str:
    words = f"{formats.quantity(data.get('quantity'))} at {formats.rupees(data.get('price'))}".strip()
    return f"{words} · trade {data['trade_id']}" if data.get("trade_id") else words


def _sent(data: dict[str, Any]) -> str:
    return f"sent once · tag {data.get('tag', '')}"


def _opened(data: dict[str, Any]) -> str:
    words = f"“{data['message']}”" if data.get("message") else ""
    return " · ".join(part for part in (words, str(data.get("origin") or ""), f"by {data.get('actor', '')}") if part)


def _received(data: dict[str, Any]) -> str:
    return f"mode {data.get('mode', '')} · {data.get('length', '')} characters"


def _books(data: dict[str, Any]) -> str:
    complete = data.get("complete") or {}
    missing = [name for name, read in complete.items() if not read]
    words = ", ".join(name for name, read in complete.items() if read)
    return f"{words} · not read: {', '.join(missing)}" if missing else words


def _reconciled(data: dict[str, Any]) -> str:
    count = int(data.get("delta_count") or 0)
    return f"{count} difference{'' if count == 1 else 's'}"


def _acked(data: dict[str, Any]) -> str:
    return f"order {data.get('broker_order_id', '')}"


def _read(data: dict[str, Any]) -> str:
    intent, assumed = data.get("intent"), data.get("assumed") or ()
    if not isinstance(intent, dict):
        return summary_of(data)
    names = ("kind", "topic", "side", "quantity", "symbol", "order_type", "price", "product")
    words = " ".join(str(intent[name]) for name in names if intent.get(name))
    return f"{words} · assumed {', '.join(map(str, assumed))}" if assumed else words


def _leg(leg: dict[str, Any]) -> str:
    shown = {**leg, "limit_price": formats.rupees(leg.get("limit_price"))}
    names = ("side", "quantity", "symbol", "order_type", "limit_price", "product", "validity")
    return " ".join(str(shown[name]) for name in names if shown.get(name))


def summary_of(data: dict[str, Any]) -> str:
    """The few plain facts of an event worth a line, the telling ones first; long ids stay in the detail."""
    names = [name for name in LEADING if name in data] + [name for name in data if name not in LEADING]
    facts = [str(data[name]) for name in names if _is_short(data[name])]
    return " · ".join(facts[:FACTS_SHOWN])


def _is_short(value: Any) -> bool:
    text = str(value)
    is_id = len(text) in (26, 36, 64) and " " not in text
    is_time = len(text) >= 20 and text[4:5] == "-" and text[10:11] == "T"
    return isinstance(value, str) and text != "" and not is_id and not is_time and len(text) <= 120


TELLERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "trace.opened": _opened, "message.received": _received, "snapshot.taken": _books, "reconcile.ok": _reconciled,
    "reconcile.deltas": _reconciled, "intent.read": _read, "plan.made": _plan, "risk.decided": _verdict,
    "order.prepared": _prepared, "send.started": _sent, "order.acked": _acked, "status.change": _status,
    "status.ignored": _status, "fill.booked": _fill,
}  # fmt: skip
