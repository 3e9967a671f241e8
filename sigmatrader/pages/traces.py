"""Decision traces: the list with its filters, and one story on one clock with its hashes recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from execution.selectors import cards_of
from sigmatrader.accounts.models import User
from sigmatrader.audit import chain
from sigmatrader.audit.models import DecisionTrace, TraceClosing, TraceEvent, TraceLink
from sigmatrader.audit.vocabulary import TraceOutcome
from sigmatrader.pages import formats
from sigmatrader.pages.cards import card_view
from sigmatrader.pages.people import user_of
from sigmatrader.pages.trace_tree import Node, tree_of

PAGE = 50
BACKGROUND = ("schedule", "system", "settings")
KIND_WORDS = {
    "reconcile": "Books compared with the broker", "takeover": "Books taken over as they stand",
    "connection": "Broker connection", "user": "Account", "trading_state": "Kill switch", "flag": "Switch",
    "policy": "Risk policy", "token": "API token", "snapshot": "Books read",
}  # fmt: skip


@require_GET
def traces(request: HttpRequest) -> HttpResponse:
    """One page of the user's traces, newest first."""
    rows = _filtered(_own(user_of(request)), request)
    before = formats.when(request.GET.get("before", "").replace(" ", "+"))
    page = list((rows.filter(started_at__lt=before) if before else rows)[: PAGE + 1])
    context = {
        "traces": page[:PAGE], "more": page[PAGE - 1].started_at.isoformat() if len(page) > PAGE else "",
        "outcomes": [outcome.value for outcome in TraceOutcome], "asked": request.GET, "now": timezone.now(),
        "all": request.GET.get("all") == "1", "kind_words": KIND_WORDS,
        "filtered": any(request.GET.get(name) for name in ("q", "outcome", "symbol", "from", "to")),
    }  # fmt: skip
    template = "pages/traces_body.html" if getattr(request, "htmx", False) else "pages/traces.html"
    return render(request, template, context)


@require_GET
def trace(request: HttpRequest, correlation_id: str) -> HttpResponse:
    """One trace, whole: events as a tree, links, the card, and whether every stored hash still matches."""
    user = user_of(request)
    row = _own(user).filter(correlation_id=correlation_id).first()
    if row is None:
        raise Http404("There is no such trace.")
    events = list(TraceEvent.objects.filter(correlation_id=correlation_id).order_by("seq")[:2000])
    broken = broken_seqs(events)
    nodes = tree_of(events, broken=broken)
    card = cards_of(user).filter(correlation_id=correlation_id).first()
    context = {
        "trace": row, "nodes": nodes, "selected": _selected(nodes, request.GET.get("event", "")), "events": events,
        "broken": broken, "head": events[-1] if events else None, "failures": sum(node.failed for node in nodes),
        "card": card_view(card, request=request, now=timezone.now()) if card else None, "at": "trace",
        "kind_words": KIND_WORDS,
        "took": formats.duration((events[-1].ts - row.started_at) / timedelta(milliseconds=1)) if events else "",
    }  # fmt: skip
    return render(request, "pages/trace.html", context)


def broken_seqs(events: Sequence[TraceEvent]) -> set[int]:
    """The events whose stored hash is not the one their content gives under the audit key."""
    key = chain.audit_key()
    return {event.seq for event in events if _recomputed(key, event) != event.hash}


def _recomputed(key: bytes, event: TraceEvent) -> str:
    pending = chain.PendingEvent(event.correlation_id, event.ts, event.type, event.data)
    return chain.event_hash(key, seq=event.seq, event=pending, prev_hash=event.prev_hash)


def _own(user: User) -> QuerySet[DecisionTrace]:
    """The user's traces with how each ended so far (the last closing counts) and the symbols it is about."""
    closings = TraceClosing.objects.filter(trace=OuterRef("pk")).order_by("-id")
    last = {name: Subquery(closings.values(name)[:1]) for name in ("outcome", "finished_at", "explanation")}
    symbols = Prefetch("links", queryset=TraceLink.objects.filter(kind="symbol"), to_attr="symbols")
    rows: QuerySet[DecisionTrace] = DecisionTrace.objects.filter(owner=str(user.pk)).annotate(**last)
    return rows.prefetch_related(symbols)


def _filtered(rows: QuerySet[DecisionTrace], request: HttpRequest) -> QuerySet[DecisionTrace]:
    """The asked rows; without ``all=1`` those of the trader's own doing, or routine would bury them."""
    asked = request.GET
    if asked.get("all") != "1":
        rows = rows.exclude(origin__in=BACKGROUND)
    if query := asked.get("q", "").strip():
        rows = rows.filter(
            Q(message__icontains=query) | Q(correlation_id__istartswith=query) | Q(links__value__icontains=query)
        ).distinct()
    if outcome := asked.get("outcome", ""):
        rows = rows.filter(**({"outcome__isnull": True} if outcome == "running" else {"outcome": outcome}))
    if since := _day(asked.get("from", "")):
        rows = rows.filter(started_at__gte=since)
    if until := _day(asked.get("to", "")):
        rows = rows.filter(started_at__lt=until + timedelta(days=1))
    return rows


def _day(text: str) -> datetime | None:
    return formats.when(f"{text}T00:00:00+05:30") if text else None


def _selected(nodes: Sequence[Node], asked: str) -> Any:
    chosen = [node for node in nodes if str(node.seq) == asked]
    return chosen[0] if chosen else (nodes[-1] if nodes else None)
