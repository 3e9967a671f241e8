"""The kill switch with cancel-all beside it, and reconciliation."""

from __future__ import annotations

import uuid

from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from execution import reconciler, selectors
from execution.api import openapi
from execution.api.base import OrderView
from execution.api.inputs import KillSwitchInput, ReconcileInput
from execution.cancelling import Cancelled, cancel_all, stop_unsent
from execution.models import ReconciliationRun
from execution.shapes import run_shape
from risk.domain import TradingStateName
from risk.services import set_trading_state
from sigmatrader.accounts.services import require_reauthentication
from sigmatrader.audit.api import filters
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import FieldFault, not_found, unprocessable
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.vocabulary import Severity


class KillSwitchView(OrderView):
    """``POST /api/kill-switch``: pulled by any trader at once; released only with a reason and fresh authentication."""

    @openapi.kill_switch
    def post(self, request: Request) -> Response:
        """200 with the state in force and what became of every cancelled order."""
        values = KillSwitchInput.parsed(request.data)
        now = timezone.now()
        row = set_trading_state(
            scope="global", state=TradingStateName(values["state"]), actor=self.user().get_username(), now=now,
            reason=values["reason"], until=values["until"], correlation_id=self.correlation_id,
            before_release=lambda: self._require_release(request, values["reason"]),
        )  # fmt: skip
        cancelled = self._cancel_open() if values["cancel_open"] else []
        body = {
            "trading_state": row.state, "until": row.until, "reason": row.reason, "set_by": row.set_by,
            "set_at": row.set_at, "correlation_id": self.correlation_id,
            "cancelled": [
                {"order_id": c.order_id, "symbol": c.symbol, "result": c.result, "detail": c.detail} for c in cancelled
            ],
        }  # fmt: skip
        return Response(body)

    def _require_release(self, request: Request, reason: str) -> None:
        require_reauthentication(request)
        if not reason.strip():
            message = "Say why trading may go on: releasing the kill switch needs a reason."
            raise unprocessable("REASON_REQUIRED", message, [FieldFault("reason", "REQUIRED", message)])

    def _cancel_open(self) -> list[Cancelled]:
        rows = list(selectors.working_rows(self.user()).select_related("connection", "intent"))
        ids = [new_correlation_id() for _ in rows]
        cancelled = cancel_all(rows, user=self.user(), correlation_ids=ids, now=timezone.now())
        return cancelled + stop_unsent(selectors.unsent(self.user()), user=self.user(), now=timezone.now())


class ReconcileView(OrderView):
    """``POST /api/reconcile``."""

    @openapi.reconcile
    def post(self, request: Request) -> Response:
        """201 with the run."""
        values = ReconcileInput.parsed(request.data or {})
        run = reconciler.reconcile(
            self.connection(values.get("connection")), trigger="request", correlation_id=self.correlation_id,
            now=timezone.now(), actor=self.user().get_username(),
        )  # fmt: skip
        return Response(run_shape(run), status=status.HTTP_201_CREATED)


class RunsView(OrderView):
    """``GET /api/reconciliation/runs``."""

    ordering = ("-started_at", "-id")
    pagination_class = KeysetPagination

    @openapi.runs_list
    def get(self, request: Request) -> Response:
        """The user's runs, newest first."""
        pages = KeysetPagination()
        page = pages.paginate_queryset(ReconciliationRun.objects.filter(owner=self.user()), request, view=self)
        return pages.get_paginated_response([run_shape(run) for run in page])


class RunView(OrderView):
    """``GET /api/reconciliation/runs/{id}``."""

    @openapi.runs_read
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """One run."""
        run = ReconciliationRun.objects.filter(owner=self.user(), pk=run_id).first()
        if run is None:
            raise not_found("reconciliation run")
        return Response(run_shape(run))


class DeltasView(OrderView):
    """``GET /api/reconciliation/deltas?severity=``: the differences of the newest run of the active connection."""

    @openapi.deltas_list
    def get(self, request: Request) -> Response:
        """At most the bounded list of that run, so one page holds it."""
        severity = filters.choice(request, "severity", Severity)
        run = selectors.latest_run(self.user())
        deltas = [d for d in (run.deltas if run else []) if severity is None or d.get("severity") == severity.value]
        return Response({"next": None, "previous": None, "results": deltas})
