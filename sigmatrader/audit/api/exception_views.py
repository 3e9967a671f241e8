"""The Exceptions Center's endpoints: reading, the five things a person does to an exception, and its remedies."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sigmatrader.audit import registry, services, shapes
from sigmatrader.audit.api import serializers_out as out
from sigmatrader.audit.api.filters import choice, words
from sigmatrader.audit.api.handler import correlation_of
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import FieldFault, conflict, not_found, unprocessable
from sigmatrader.audit.api.schema import problems, query
from sigmatrader.audit.api.serializers import StrictSerializer
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.selectors import find_exceptions, visible
from sigmatrader.audit.vocabulary import ExceptionStatus, Severity


class NoteIn(StrictSerializer):
    """A remark, kept in the exception's history."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=2000, default="")


class SnoozeIn(NoteIn):
    until = serializers.DateTimeField(help_text="A time in the future, with its offset.")


class AssignIn(NoteIn):
    assignee = serializers.CharField(allow_blank=True, max_length=150, help_text="A user name; empty for nobody.")


class RemediateIn(NoteIn):
    action = serializers.CharField(max_length=60, help_text="One of the actions the exception lists.")


class ExceptionList(APIView):
    """Exceptions that concern you, newest sighting first."""

    ordering = ("-last_seen", "-id")
    pagination_class = KeysetPagination

    @extend_schema(
        operation_id="exceptions_list",
        parameters=[
            query("status", "", enum=[s.value for s in ExceptionStatus]),
            query("severity", "", enum=[s.value for s in Severity]),
            query("type", "Exactly this one."),
            query("symbol", "Exactly this one, as NSE:INFY."),
        ],
        responses={200: out.ExceptionSummaryOut(many=True), **problems(422)},
    )
    def get(self, request: Request) -> Response:
        rows = find_exceptions(
            request.user,
            status=choice(request, "status", ExceptionStatus),
            severity=choice(request, "severity", Severity),
            type_=words(request, "type"),
            symbol=words(request, "symbol"),
        )
        page = KeysetPagination()
        shown = page.paginate_queryset(rows, request, view=self)
        return page.get_paginated_response([shapes.exception_shape(row) for row in shown])


class ExceptionDetail(APIView):
    """One exception with its history."""

    @extend_schema(operation_id="exceptions_read", responses={200: out.ExceptionOut, **problems(404)})
    def get(self, request: Request, exception_id: str) -> Response:
        return _answer(_exception(request, exception_id))


class _Act(APIView):
    """What the five acts share: parse, find the caller's own exception, call the service, answer with the exception."""

    input: type[StrictSerializer] = NoteIn
    service: Callable[..., ExceptionRecord]

    def act(self, request: Request, exception_id: str) -> Response:
        values = self.input.parsed(request.data)
        exception = _exception(request, exception_id)
        actor, now = request.user.get_username(), timezone.now()
        return _answer(type(self).service(exception=exception, actor=actor, now=now, **values))


def _act_schema(name: str, body: type[StrictSerializer]) -> Callable[[Any], Any]:
    return extend_schema(
        operation_id=f"exceptions_{name}", request=body,
        responses={200: out.ExceptionOut, **problems(400, 404, 409, 422, codes={409: "BAD_STATE."})},
    )  # fmt: skip


class Acknowledge(_Act):
    """Says that you have seen it."""

    service = staticmethod(services.acknowledge_exception)

    @_act_schema("acknowledge", NoteIn)
    def post(self, request: Request, exception_id: str) -> Response:
        return self.act(request, exception_id)


class Snooze(_Act):
    """Puts it aside until a time."""

    input = SnoozeIn
    service = staticmethod(services.snooze_exception)

    @_act_schema("snooze", SnoozeIn)
    def post(self, request: Request, exception_id: str) -> Response:
        return self.act(request, exception_id)


class Resolve(_Act):
    """Says that it is settled."""

    service = staticmethod(services.resolve_exception)

    @_act_schema("resolve", NoteIn)
    def post(self, request: Request, exception_id: str) -> Response:
        return self.act(request, exception_id)


class Reopen(_Act):
    """Says that it is not settled after all."""

    service = staticmethod(services.reopen_exception)

    @_act_schema("reopen", NoteIn)
    def post(self, request: Request, exception_id: str) -> Response:
        return self.act(request, exception_id)


class Assign(_Act):
    """Says who looks after it."""

    input = AssignIn
    service = staticmethod(services.assign_exception)

    @_act_schema("assign", AssignIn)
    def post(self, request: Request, exception_id: str) -> Response:
        return self.act(request, exception_id)


class Remediate(APIView):
    """Applies one of the remedies the exception lists; one that would trade makes a card to approve."""

    @extend_schema(
        operation_id="exceptions_remediate",
        request=RemediateIn,
        responses={200: out.RemediatedOut, **problems(400, 404, 409, 422, codes={422: "UNKNOWN_ACTION."})},
    )
    def post(self, request: Request, exception_id: str) -> Response:
        values = RemediateIn.parsed(request.data)
        exception = _exception(request, exception_id)
        if exception.status == ExceptionStatus.RESOLVED.value:
            raise conflict("BAD_STATE", "It is resolved: reopen it first.", exception_status=exception.status)
        remedy = _remedy(exception, values["action"])
        now = timezone.now()
        wish = registry.RemedyRequest(exception, request.user, correlation_of(request), now)
        result = remedy(wish)
        services.note_exception(
            exception=exception, action="remediate", actor=request.user.get_username(), now=now,
            note=": ".join(filter(None, [values["action"], values["note"]])),
        )  # fmt: skip
        exception.refresh_from_db()
        shape = shapes.exception_shape(exception, with_notes=True)
        return Response({"action": values["action"], "result": result, "exception": shape})


def _remedy(exception: ExceptionRecord, action: str) -> registry.Remedy:
    listed = [str(remedy["action"]) for remedy in shapes.remedies_of(exception)]
    remedy = registry.remedy_for(action) if action in listed else None
    if remedy is None:
        allowed = [name for name in listed if registry.remedy_for(name)]
        message = f"This exception can be remedied by: {', '.join(allowed) or 'nothing; resolve it by hand'}."
        raise unprocessable("UNKNOWN_ACTION", message, [FieldFault("action", "UNKNOWN_ACTION", message)])
    return remedy


def _exception(request: Request, exception_id: str) -> ExceptionRecord:
    try:
        wanted = uuid.UUID(exception_id)
    except ValueError:
        raise not_found("exception") from None
    found = visible(ExceptionRecord.objects.all(), request.user).filter(pk=wanted).first()
    if found is None:
        raise not_found("exception")
    return found


def _answer(exception: ExceptionRecord) -> Response:
    return Response(shapes.exception_shape(exception, with_notes=True))
