"""The audit and exceptions viewer: everything can be seen and followed, nothing added, changed or deleted here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sigmatrader.audit import models, services
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.redaction import redact
from sigmatrader.audit.verification import snapshot_fault, trace_fault

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Inline = admin.TabularInline[Any, Any]
else:
    _Admin = admin.ModelAdmin
    _Inline = admin.TabularInline

ADMIN_PAGES = {"order": "execution_orderintent", "plan": "execution_tradeplan", "card": "execution_actioncard",
               "decision": "risk_riskdecision", "snapshot": "audit_snapshot", "exception": "audit_exceptionrecord",
               "reconciliation": "execution_reconciliationrun", "command": "execution_ordercommand"}  # fmt: skip


class _Looking:
    """Looking only. Permission to look is Django's own (staff with the view permission, or a superuser)."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(_Looking, _Admin):
    """Base of every viewer; apps to the right may use it too. Numbers of rows are not counted twice per page."""

    show_full_result_count = False
    list_per_page = 50
    actions: Any = None

    @admin.display(description="trace", ordering="correlation_id")
    def trace(self, row: Any) -> SafeString | str:
        return trace_link(row.correlation_id)


class ReadOnlyInline(_Looking, _Inline):
    extra = 0
    can_delete = False
    show_change_link = False


def page_link(kind: str, value: str) -> SafeString | str:
    """A link to the admin page of what a trace names, where there is one; else the id as text."""
    try:
        return format_html('<a href="{}">{}</a>', reverse(f"admin:{ADMIN_PAGES[kind]}_change", args=[value]), value)
    except (KeyError, LookupError, ValueError):
        return value


def trace_link(correlation_id: str) -> SafeString | str:
    """A link to the trace of an id."""
    if not correlation_id:
        return "-"
    url = reverse("admin:audit_decisiontrace_change", args=[correlation_id])
    return format_html('<a href="{}">{}</a>', url, correlation_id)


def _list_link(model: str, query: str, text: str) -> SafeString:
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:audit_{model}_changelist"), query, text)


class ClosingInline(ReadOnlyInline):
    model = models.TraceClosing
    fields = ("finished_at", "outcome", "explanation")
    readonly_fields = fields


@admin.register(models.DecisionTrace)
class DecisionTraceAdmin(ReadOnlyAdmin):
    list_display = ("correlation_id", "started_at", "kind", "actor", "origin", "account", "last_outcome")
    list_filter = ("kind", "origin", "closings__outcome", "account")
    search_fields = ("correlation_id__startswith", "client_correlation_id__startswith", "links__value", "actor")
    date_hierarchy = "started_at"
    inlines = (ClosingInline,)
    readonly_fields = ("about", "records", "soundness", "story")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("closings", "links")

    @admin.display(description="outcome")
    def last_outcome(self, row: models.DecisionTrace) -> str:
        closings = list(row.closings.all())
        return closings[-1].outcome if closings else "open"

    @admin.display(description="about")
    def about(self, row: models.DecisionTrace) -> SafeString:
        links = ((link.kind, page_link(link.kind, link.value)) for link in row.links.all())
        return format_html_join(format_html("{}", "; "), "{}: {}", links)

    @admin.display(description="records")
    def records(self, row: models.DecisionTrace) -> SafeString:
        query = f"correlation_id={row.pk}"
        return format_html(
            "{} · {} · {} · {}",
            _list_link("traceevent", query, "events"),
            _list_link("exceptionrecord", query, "exceptions"),
            _list_link("snapshot", query, "snapshots"),
            _list_link("systemevent", query, "system events"),
        )

    @admin.display(description="chain")
    def soundness(self, row: models.DecisionTrace) -> str:
        fault = trace_fault(row.pk)
        return f"broken at event {fault.seq}: {fault.reason}" if fault else "sound"

    @admin.display(description="story")
    def story(self, row: models.DecisionTrace) -> SafeString:
        events = models.TraceEvent.objects.filter(correlation_id=row.pk).order_by("seq")[:200]
        lines = ((event.seq, event.ts.isoformat(), event.type, _shown(event.data)) for event in events)
        return format_html_join("", "<div><b>{}</b> {} <b>{}</b> <code>{}</code></div>", lines)


@admin.register(models.TraceEvent)
class TraceEventAdmin(ReadOnlyAdmin):
    list_display = ("seq", "ts", "type", "trace")
    list_filter = ("type",)
    search_fields = ("=correlation_id", "=type")
    date_hierarchy = "ts"
    fields = ("seq", "trace", "ts", "type", "shown_data", "prev_hash", "hash")
    readonly_fields = fields

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "correlation_id" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="data")
    def shown_data(self, row: models.TraceEvent) -> SafeString:
        return format_html("<pre>{}</pre>", _shown(row.data))


class NoteInline(ReadOnlyInline):
    model = models.ExceptionNote
    fields = ("ts", "actor", "action", "note")
    readonly_fields = fields


@admin.register(models.ExceptionRecord)
class ExceptionRecordAdmin(ReadOnlyAdmin):
    list_display = ("code", "severity", "status", "symbol", "summary", "count", "last_seen", "assignee", "trace")
    list_filter = ("status", "severity", "code", "type", "account")
    search_fields = ("correlation_id__startswith", "symbol", "subject", "summary", "code")
    date_hierarchy = "last_seen"
    inlines = (NoteInline,)
    readonly_fields = ("trace",)
    actions = ("acknowledge", "resolve")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "correlation_id" or super().lookup_allowed(lookup, value, request)

    @admin.action(description="Acknowledge selected exceptions", permissions=["view"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[models.ExceptionRecord]) -> None:
        self._each(request, rows, "acknowledged")

    @admin.action(description="Resolve selected exceptions", permissions=["view"])
    def resolve(self, request: HttpRequest, rows: QuerySet[models.ExceptionRecord]) -> None:
        self._each(request, rows, "resolved")

    def _each(self, request: HttpRequest, rows: QuerySet[models.ExceptionRecord], done: str) -> None:
        service = {"acknowledged": services.acknowledge_exception, "resolved": services.resolve_exception}[done]
        actor, count = request.user.get_username(), 0
        for exception in rows:
            try:
                service(exception=exception, actor=actor, note="in the admin", now=timezone.now())
                count += 1
            except Problem as problem:
                self.message_user(request, f"{exception}: {problem.text}", level=messages.WARNING)
        self.message_user(request, f"{count} {done}.")


@admin.register(models.Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("id", "taken_at", "as_of", "source", "account", "is_complete", "trace")
    list_filter = ("source", "account")
    search_fields = ("=id", "correlation_id__startswith", "=content__hash", "account")
    date_hierarchy = "taken_at"
    fields = ("id", "account", "source", "trace", "as_of", "taken_at", "complete", "hash", "soundness", "shown")
    readonly_fields = fields

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "correlation_id" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="complete", boolean=True)
    def is_complete(self, row: models.Snapshot) -> bool:
        return bool(row.complete) and all(row.complete.values())

    @admin.display(description="hash check")
    def soundness(self, row: models.Snapshot) -> str:
        return snapshot_fault(row) or "sound"

    @admin.display(description="document")
    def shown(self, row: models.Snapshot) -> SafeString:
        return format_html("<pre>{}</pre>", _shown(row.document))


@admin.register(models.SystemEvent)
class SystemEventAdmin(ReadOnlyAdmin):
    list_display = ("ts", "level", "category", "event_type", "message", "actor", "trace")
    list_filter = ("level", "category", "event_type", "account")
    search_fields = ("correlation_id__startswith", "event_type", "actor", "message")
    date_hierarchy = "ts"
    readonly_fields = ("trace",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "correlation_id" or super().lookup_allowed(lookup, value, request)


@admin.register(models.IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    list_display = ("claimed_at", "recovery_point", "scope", "subject", "response_status", "trace")
    list_filter = ("recovery_point", "response_status")
    search_fields = ("correlation_id__startswith", "=scope", "subject")
    date_hierarchy = "claimed_at"
    fields = ("scope", "recovery_point", "claimed_at", "trace", "subject", "response_status", "expires_at")
    readonly_fields = fields


@admin.register(models.ChainSegment)
class ChainSegmentAdmin(ReadOnlyAdmin):
    list_display = ("from_seq", "to_seq", "sealed_at", "pruned_at", "digest")


@admin.register(models.ChainHead)
class ChainHeadAdmin(ReadOnlyAdmin):
    list_display = ("seq", "hash")


def _shown(text: str) -> str:
    """JSON for reading, without what looks like a secret."""
    try:
        return json.dumps(redact(json.loads(text)), indent=1, ensure_ascii=False)
    except ValueError:
        return text
