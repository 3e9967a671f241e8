"""Traces, system events and the verdict on the chain: reading only, except for the replay, which stores nothing."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sigmatrader.audit import registry, shapes
from sigmatrader.audit.api import serializers_out as out
from sigmatrader.audit.api.filters import choice, number, time_range, words
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import FieldFault, Problem, conflict, not_found, unprocessable
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.api.schema import PERIOD, problems, query
from sigmatrader.audit.chain_check import MAX_SEQ
from sigmatrader.audit.models import DecisionTrace
from sigmatrader.audit.selectors import TraceQuery, find_system_events, find_traces, visible_trace
from sigmatrader.audit.verification import verify_and_report
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, TraceOutcome


class TraceList(APIView):
    """Your decision traces, newest first."""

    ordering = ("-started_at", "-correlation_id")
    pagination_class = KeysetPagination

    @extend_schema(
        operation_id="traces_list",
        parameters=[
            query("status", "", enum=("open", "closed")),
            query("outcome", "How it ended.", enum=[o.value for o in TraceOutcome]),
            query("symbol", "NSE:INFY, or INFY on any exchange."),
            query("actor", "Who acted."),
            query("correlation_id", "Exactly this one."),
            *PERIOD,
            query("q", "Text in message, explanation, kind or anything the trace is linked to."),
        ],
        responses={200: out.TraceSummaryOut(many=True), **problems(422)},
    )
    def get(self, request: Request) -> Response:
        page = KeysetPagination()
        rows = page.paginate_queryset(find_traces(request.user, _trace_query(request)), request, view=self)
        return page.get_paginated_response([shapes.trace_summary(row) for row in rows])


class TraceDetail(APIView):
    """One trace, whole."""

    @extend_schema(operation_id="traces_read", responses={200: out.TraceOut, **problems(404)})
    def get(self, request: Request, correlation_id: str) -> Response:
        return Response(shapes.trace_shape(_trace(request, correlation_id)))


class TraceExport(APIView):
    """One trace for handing on: secrets, tokens and long ids masked; no message where it is kept as a hash."""

    @extend_schema(operation_id="traces_export", responses={200: out.TraceExportOut, **problems(404)})
    def get(self, request: Request, correlation_id: str) -> HttpResponse:
        trace = _trace(request, correlation_id)
        response = HttpResponse(json_text(shapes.trace_export(trace)), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="trace-{trace.correlation_id}.json"'
        return response


class TraceReplay(APIView):
    """Recomputes the decisions of a trace from their stored inputs and says what differs. Changes nothing."""

    viewer_writes = True

    @extend_schema(
        operation_id="traces_replay", request=None,
        responses={200: out.ReplayOut, **problems(404, 409, codes={409: "NOT_REPLAYABLE: nothing was decided here."})},
    )  # fmt: skip
    def post(self, request: Request, correlation_id: str) -> Response:
        trace = _trace(request, correlation_id)
        try:
            differences = registry.replay(trace.correlation_id)
        except LookupError:
            raise conflict("NOT_REPLAYABLE", "This trace holds no decision that could be computed again.") from None
        return Response({"same": not differences, "differences": differences})


class SystemEventList(APIView):
    """System events, newest first. Subclass with ``fixed`` for a view of some categories."""

    ordering = ("-ts", "-id")
    pagination_class = KeysetPagination
    fixed: dict[str, object] = {}

    @extend_schema(
        operation_id="audit_events_list",
        parameters=[
            query("category", "", enum=[c.value for c in EventCategory]),
            query("level", "", enum=[level.value for level in EventLevel]),
            query("correlation_id", "Exactly this one."),
            query("event_type", "Exactly this one."),
            *PERIOD,
        ],
        responses={200: out.SystemEventOut(many=True), **problems(422)},
    )
    def get(self, request: Request) -> Response:
        start, end = time_range(request)
        category, level = choice(request, "category", EventCategory), choice(request, "level", EventLevel)
        filters = {
            "category": category and category.value,
            "level": level and level.value,
            "correlation_id": words(request, "correlation_id"),
            "event_type": words(request, "event_type"),
        }
        rows = find_system_events(request.user, filters=filters, start=start, end=end).filter(**self.fixed)
        page = KeysetPagination()
        shown = page.paginate_queryset(rows, request, view=self)
        return page.get_paginated_response([shapes.system_event_shape(row) for row in shown])


class Verify(APIView):
    """Verifies the chain, or the part from ``from`` to ``to`` (event numbers), and names the first bad event."""

    @extend_schema(
        operation_id="audit_verify",
        parameters=[query("from", "First event.", type_=int), query("to", "Last event.", type_=int)],
        responses={200: out.VerifyOut, **problems(422)},
    )
    def get(self, request: Request) -> Response:
        first = number(request, "from", lowest=1, highest=MAX_SEQ) or 1
        last = number(request, "to", lowest=1, highest=MAX_SEQ)
        if last is not None and last < first:
            fault = FieldFault("from", "BAD_RANGE", "from is greater than to: swap them.")
            raise unprocessable("BAD_RANGE", fault.message, [fault])
        return Response(verify_and_report(now=timezone.now(), from_seq=first, to_seq=last).shape())


def _trace(request: Request, correlation_id: str) -> DecisionTrace:
    trace = visible_trace(request.user, correlation_id) if "\x00" not in correlation_id else None
    if trace is None:
        raise not_found("trace")
    return trace


def _trace_query(request: Request) -> TraceQuery:
    start, end = time_range(request)
    status = words(request, "status")
    if status not in ("", "open", "closed"):
        raise _bad_status()
    return TraceQuery(
        status=status,
        outcome=choice(request, "outcome", TraceOutcome),
        symbol=words(request, "symbol"),
        actor=words(request, "actor"),
        correlation_id=words(request, "correlation_id"),
        start=start,
        end=end,
        text=words(request, "q"),
    )


def _bad_status() -> Problem:
    message = "status must be one of open, closed."
    return unprocessable("BAD_FILTER", message, [FieldFault("status", "BAD_FILTER", message)])
