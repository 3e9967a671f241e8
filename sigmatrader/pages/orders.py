"""Orders of the day with their states, their story row by row, and the day's trades. Reads our own tables only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from execution.models import Order, OrderIntent
from execution.selectors import todays_fills, todays_orders
from execution.shapes import order_events, order_shape
from sigmatrader.accounts.models import User
from sigmatrader.context import Shell
from sigmatrader.pages import formats
from sigmatrader.pages.card_parts import order_row
from sigmatrader.pages.people import unchanged, user_of

TABS = (("today", "Today"), ("open", "Open"), ("done", "Done"))
EVENT_WORDS = {
    "authorization.given": "Approved", "send.started": "Sent once", "send.unknown": "No answer",
    "send.not_sent": "Not sent",
    "order.prepared": "Prepared", "order.acked": "Taken by the broker", "lookup.hit": "Found by its tag",
    "lookup.miss": "Looked up, not there",
    "lookup.invalid": "Looked up, book unusable", "fill.booked": "Fill booked", "status.ignored": "On its way",
    "egress.denied": "Denied at the door", "egress.fenced": "Another sender had it", "external.seen": "First seen",
}  # fmt: skip
TOLD = (
    ("status", "", str), ("filled", "", formats.quantity), ("filled_quantity", "", formats.quantity),
    ("quantity", "", formats.quantity), ("price", "at", formats.price), ("average_price", "at", formats.price),
    ("status_message", "", str), ("message", "", str), ("reason", "", str), ("detail", "", str), ("code", "", str),
    ("lookups", "look-up", str),
)  # fmt: skip
WARN_EVENTS = {"send.unknown", "lookup.miss", "lookup.invalid"}


@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    """The page, or its changing part for a poll (204 while nothing changed)."""
    user = user_of(request)
    now = timezone.now()
    tab = request.GET.get("tab", "today")
    query = request.GET.get("q", "").strip()
    rows = [order_row(order_shape(row)) | {"row": row} for row in todays_orders(user, now=now)]
    shown = [row for row in rows if _in_tab(row, tab) and _matches(row, query)]
    mark = _mark(rows, request.GET.get("open", ""), tab, query)
    if unchanged(request, mark):
        return HttpResponse(status=204)
    _unfold(shown, request.GET.get("open", ""))
    context = {
        "orders": shown, "tab": tab, "query": query, "opened": request.GET.get("open", ""), "mark": mark, "now": now,
        "tabs": [{"key": key, "label": label, "count": sum(_in_tab(row, key) for row in rows)} for key, label in TABS],
        "trades": trades(user, now=now), "last_prices": last_prices(request, now=now), "any": bool(rows),
    }  # fmt: skip
    template = "pages/orders_body.html" if getattr(request, "htmx", False) else "pages/orders.html"
    return render(request, template, context)


def trades(user: User, *, now: datetime) -> Sequence[Any]:
    """The day's fills, newest first."""
    return list(todays_fills(user, now=now)[:100])


def last_prices(request: HttpRequest, *, now: datetime) -> dict[str, Decimal]:
    """Last prices as of the latest stored books, by symbol: quotes where some were read, else what a book row says."""
    row = Shell(request, now=now).snapshot
    if row is None:
        return {}
    document = json.loads(row.document)
    rows = [*(document.get("holdings") or ()), *((document.get("positions") or {}).get("net") or ())]
    rows += [{**quote, "symbol": symbol} for symbol, quote in (document.get("quotes") or {}).items()]
    return {row["symbol"]: Decimal(str(row["last_price"])) for row in rows if row.get("last_price")}


def timeline(row: OrderIntent | Order) -> list[dict[str, Any]]:
    """An order's events in the trader's words, oldest first."""
    return [_step(event) for event in order_events(row)]


def _step(event: dict[str, Any]) -> dict[str, Any]:
    name = str(event["event"])
    word = EVENT_WORDS.get(name) or str(event["to"] or name.replace("order.", "").replace(".", " "))
    detail = event["detail"]
    facts = detail if isinstance(detail, str) else " · ".join(fact for fact in _facts(detail) if fact != word)
    warn = name in WARN_EVENTS or event["to"] == "AMBIGUOUS"
    return {"ts": event["ts"], "word": word, "facts": facts[:70], "warn": warn}


def _facts(detail: dict[str, Any]) -> list[str]:
    known = [(word, form(detail[name])) for name, word, form in TOLD if detail.get(name) not in (None, "", 0, "0")]
    return [f"{word} {text}".strip() for word, text in known]


def _unfold(rows: Sequence[dict[str, Any]], opened: str) -> None:
    for row in rows:
        if row["id"] == opened:
            row["timeline"] = timeline(row["row"])
            row["ticket"] = json.dumps(_for_ticket(row), default=str)


def _for_ticket(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "symbol": row["symbol"], "side": row["side"], "quantity": row["quantity"],
        "order_type": row["order_type"], "price": row["limit_price"], "trigger_price": row["trigger_price"],
        "product": row["product"], "validity": row["validity"],
    }  # fmt: skip


def _in_tab(row: dict[str, Any], tab: str) -> bool:
    return tab == "today" or (tab == "open") == bool(row["is_working"])


def _matches(row: dict[str, Any], query: str) -> bool:
    text = " ".join(str(row[name] or "") for name in ("symbol", "state", "tag", "broker_order_id", "side", "product"))
    return query.casefold() in text.casefold()


def _mark(rows: Sequence[dict[str, Any]], *more: str) -> str:
    facts = [(row["id"], row["state"], row["filled_quantity"], str(row["average_price"])) for row in rows]
    return hashlib.sha256(json.dumps([facts, more]).encode()).hexdigest()[:16]
