"""The answers of this app's endpoints, for the OpenAPI document (the dicts themselves come from ``audit.shapes``)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from sigmatrader.audit.vocabulary import (
    EventCategory,
    EventLevel,
    ExceptionCode,
    ExceptionStatus,
    Severity,
    TraceOutcome,
)

Out = serializers.Serializer[Any]


def _words(kind: Any) -> list[str]:
    return [member.value for member in kind]


class TraceEventOut(Out):
    seq = serializers.IntegerField()
    ts = serializers.DateTimeField()
    type = serializers.CharField()
    data = serializers.JSONField()  # type: ignore[assignment]  # a field of that name, taken off the class by DRF
    prev_hash = serializers.CharField()
    hash = serializers.CharField()


class FirstBadOut(Out):
    seq = serializers.IntegerField()
    reason = serializers.CharField()


class ChainOut(Out):
    ok = serializers.BooleanField()
    first_bad = FirstBadOut(allow_null=True)


class TraceSummaryOut(Out):
    correlation_id = serializers.CharField()
    client_correlation_id = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    status = serializers.ChoiceField(["open", "closed"])
    outcome = serializers.ChoiceField(_words(TraceOutcome), allow_null=True)
    actor = serializers.CharField()
    origin = serializers.CharField()
    account = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField(allow_null=True)
    message_hash = serializers.CharField(allow_null=True)
    explanation = serializers.CharField(allow_null=True)
    links = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))


class TraceOut(TraceSummaryOut):
    plan = serializers.JSONField()
    decision = serializers.JSONField()
    authorization = serializers.JSONField()
    orders = serializers.ListField(child=serializers.JSONField())
    commands = serializers.ListField(child=serializers.JSONField())
    reconciliation = serializers.JSONField()
    events = TraceEventOut(many=True)
    chain = ChainOut()


class TraceExportOut(TraceOut):
    redacted = serializers.BooleanField()


class ReplayOut(Out):
    same = serializers.BooleanField()
    differences = serializers.ListField(child=serializers.JSONField())


class SystemEventOut(Out):
    id = serializers.UUIDField()
    ts = serializers.DateTimeField()
    level = serializers.ChoiceField(_words(EventLevel))
    category = serializers.ChoiceField(_words(EventCategory))
    event_type = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()
    actor = serializers.CharField()
    account = serializers.CharField(allow_null=True)
    correlation_id = serializers.CharField(allow_null=True)


class VerifyOut(Out):
    ok = serializers.BooleanField()
    events = serializers.IntegerField()
    from_seq = serializers.IntegerField()
    to_seq = serializers.IntegerField()
    anchors_checked = serializers.IntegerField()
    first_bad = FirstBadOut(allow_null=True)
    duration_ms = serializers.IntegerField()


class RemedyOut(Out):
    action = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]  # as above
    trades = serializers.BooleanField()


class NoteOut(Out):
    ts = serializers.DateTimeField()
    actor = serializers.CharField()
    action = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class ExceptionSummaryOut(Out):
    id = serializers.UUIDField()
    type = serializers.CharField()
    code = serializers.ChoiceField(_words(ExceptionCode))
    severity = serializers.ChoiceField(_words(Severity))
    status = serializers.ChoiceField(_words(ExceptionStatus))
    summary = serializers.CharField()
    expected = serializers.CharField(allow_null=True)
    actual = serializers.CharField(allow_null=True)
    difference = serializers.CharField(allow_null=True)
    symbol = serializers.CharField(allow_null=True)
    subject = serializers.CharField(allow_null=True)
    account = serializers.CharField(allow_null=True)
    first_seen = serializers.DateTimeField()
    last_seen = serializers.DateTimeField()
    count = serializers.IntegerField()
    assignee = serializers.CharField(allow_null=True)
    snoozed_until = serializers.DateTimeField(allow_null=True)
    correlation_id = serializers.CharField(allow_null=True)
    remedies = RemedyOut(many=True)


class ExceptionOut(ExceptionSummaryOut):
    notes = NoteOut(many=True)


class RemediatedOut(Out):
    action = serializers.CharField()
    result = serializers.JSONField()
    exception = ExceptionOut()
