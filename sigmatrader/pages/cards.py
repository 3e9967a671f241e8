"""The action card as one template serves it to ticket, panel and trace: a server-made fragment, never a decision."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from broker.selectors import instrument_infos
from execution.domain import CardState
from execution.models import ActionCard, ReconciliationRun
from execution.selectors import cards_of
from execution.shapes import card_shape, run_shape
from risk.selectors import active_policy
from sigmatrader.accounts.models import User
from sigmatrader.audit.models import TraceEvent
from sigmatrader.context import Shell
from sigmatrader.pages.card_view import CardView, Surroundings

PLACES = ("panel", "ticket", "trace")


@require_GET
def card(request: HttpRequest, card_id: uuid.UUID) -> HttpResponse:
    """One card. ``?seen=`` names the state already shown: if it still holds the answer is 204 and nothing moves."""
    if not isinstance(request.user, User):
        raise Http404
    row = cards_of(request.user).filter(pk=card_id).first()
    if row is None:
        raise Http404("There is no such card.")
    view = card_view(row, request=request, now=timezone.now())
    if request.GET.get("seen") == view.mark:
        return HttpResponse(status=204)
    at = request.GET.get("at", "")
    return render(request, "components/card.html", {"card": view, "at": at if at in PLACES else "panel"})


def card_view(row: ActionCard, *, request: HttpRequest, now: datetime) -> CardView:
    """The card with what surrounds it now: switches, policy, names, the reconciliation that followed."""
    shell = Shell(request, now=now)
    shape = card_shape(row)
    run = ReconciliationRun.objects.filter(correlation_id=row.correlation_id).first() if shape["orders"] else None
    symbols = CardView.symbols_in(shape)
    return CardView(
        shape,
        around=Surroundings(
            now=now,
            trading_state=shell.trading.state,
            trading_since=shell.trading.set_at,
            execution_on=shell.flags["ai_execution_enabled"],
            big_from=active_policy().limits.big_order_value,
            names={symbol: info.name for symbol, info in instrument_infos(row.connection, symbols).items()},
            run=run_shape(run) if run else None,
            moved=_moved(row) if row.state == CardState.STALE else {},
        ),
    )


def _moved(row: ActionCard) -> Mapping[str, Any]:
    """The prices that made the card stale, by symbol, as the trace keeps them."""
    events = TraceEvent.objects.filter(correlation_id=row.correlation_id, type="approval.stale").order_by("-seq")
    for event in events:
        if moved := json.loads(event.data).get("moved"):
            return dict(moved)
    return {}
