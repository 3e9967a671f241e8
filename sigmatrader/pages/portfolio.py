"""The portfolio: the latest stored books with their age. The broker is asked by the refresh button's API call only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from broker.portfolio import portfolio_shape
from broker.selectors import latest_snapshot
from execution.selectors import latest_run
from sigmatrader.context import Shell
from sigmatrader.pages.people import unchanged, user_of

SLICES = 6
STALE_AFTER_S = 300


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the allocation bar; ``x`` and ``width`` in thousandths of it."""

    name: str
    percent: Decimal
    x: Decimal
    width: Decimal
    tone: str


@require_GET
def portfolio(request: HttpRequest) -> HttpResponse:
    """The page, or its changing part for a poll (204 while the stored books are the same)."""
    user = user_of(request)
    now = timezone.now()
    connection = Shell(request, now=now).connection_row
    snapshot = latest_snapshot(connection) if connection else None
    run = latest_run(user)
    mark = f"{snapshot.pk if snapshot else ''}.{run.pk if run else ''}"
    if unchanged(request, mark):
        return HttpResponse(status=204)
    shape = portfolio_shape(connection, snapshot, now=now) if connection else None
    context = {
        "portfolio": shape, "snapshot": snapshot, "run": run, "mark": mark, "now": now, "stale_after": STALE_AFTER_S,
        "slices": allocation(shape) if shape else [],
    }  # fmt: skip
    template = "pages/portfolio_body.html" if getattr(request, "htmx", False) else "pages/portfolio.html"
    return render(request, template, context)


def allocation(shape: Mapping[str, Any]) -> Sequence[Slice]:
    """The largest holdings, the others together, and cash, as shares of all of it. Empty while any part is not read."""
    cash = shape["totals"].get("cash")
    rows = sorted(shape["holdings"] or (), key=lambda row: row["current_value"] or 0, reverse=True)
    values = [(row["symbol"].rpartition(":")[2], Decimal(row["current_value"] or 0)) for row in rows]
    shown = values if len(values) <= SLICES else values[: SLICES - 1]
    rest = sum((value for _, value in values[len(shown) :]), Decimal(0))
    parts = [(name, value, f"st-a{n}") for n, (name, value) in enumerate(shown, start=1)]
    parts += [(f"{len(values) - len(shown)} others", rest, "st-a6")] if rest else []
    parts += [("Cash", max(Decimal(cash), Decimal(0)), "st-acash")] if cash is not None else []
    return _slices([part for part in parts if part[1] > 0])


def _slices(parts: Sequence[tuple[str, Decimal, str]]) -> Sequence[Slice]:
    total = sum((value for _, value, _ in parts), Decimal(0))
    slices, x = [], Decimal(0)
    for name, value, tone in parts:
        width = (value / total * 1000).quantize(Decimal("0.1"))
        slices.append(Slice(name, value / total * 100, x, max(width - 3, Decimal(1)), tone))
        x += width
    return slices
