"""Decisions, policies and trading states for reading. Changes go through the API, the pages and the commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from risk.codec import decode_decision
from risk.models import RiskDecision, RiskPolicy, TradingState

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin  # not generic at run time


class ReadOnlyAdmin(_ModelAdmin):
    """Nothing is added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(RiskDecision)
class RiskDecisionAdmin(ReadOnlyAdmin):
    list_display = ("evaluated_at", "outcome", "denied_by", "account", "policy_version", "correlation_id")
    list_filter = ("outcome", "policy_version", "account")
    search_fields = ("correlation_id", "plan_id", "input_hash")
    date_hierarchy = "evaluated_at"
    fields = (
        "outcome", "evaluated_at", "account", "owner", "correlation_id", "plan_id", "content_hash", "controls_table",
        "alternatives_list", "policy_version", "policy_hash", "input_hash", "engine_version", "inputs_text",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="denied by")
    def denied_by(self, row: RiskDecision) -> str:
        return ", ".join(row.denials)

    @admin.display(description="controls")
    def controls_table(self, row: RiskDecision) -> SafeString:
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (c.leg if c.leg is not None else "plan", c.code, c.verdict.value, _figure(c.limit, c.unit),
                 _figure(c.actual, c.unit), c.message)
                for c in decode_decision(row.document).controls
            ),
        )  # fmt: skip
        head = "<tr><th>Leg</th><th>Control</th><th>Verdict</th><th>Limit</th><th>Actual</th><th>In words</th></tr>"
        return format_html("<table><thead>{}</thead><tbody>{}</tbody></table>", SafeString(head), rows)

    @admin.display(description="what would pass")
    def alternatives_list(self, row: RiskDecision) -> str:
        return "; ".join(found.change for found in decode_decision(row.document).alternatives) or "nothing was offered"

    @admin.display(description="inputs")
    def inputs_text(self, row: RiskDecision) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(json.loads(row.inputs), indent=2, ensure_ascii=False))


@admin.register(RiskPolicy)
class RiskPolicyAdmin(ReadOnlyAdmin):
    list_display = ("version", "published_at", "published_by", "note", "hash")
    search_fields = ("note", "hash")
    date_hierarchy = "published_at"
    fields = ("version", "published_at", "published_by", "note", "hash", "document_text")
    readonly_fields = fields

    @admin.display(description="document")
    def document_text(self, row: RiskPolicy) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(json.loads(row.document), indent=2, ensure_ascii=False))


@admin.register(TradingState)
class TradingStateAdmin(ReadOnlyAdmin):
    list_display = ("scope", "state", "until", "reason", "set_by", "set_at")
    list_filter = ("state",)
    search_fields = ("scope", "reason")
    readonly_fields = ("scope", "state", "until", "reason", "set_by", "set_at", "version")


def _figure(value: str | None, unit: str) -> str:
    return "" if value is None else f"{value} {unit}".strip()
