"""The order path in the admin: read-only, searchable by correlation id, linked to its trace."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from execution.models import (
    ActionCard,
    Authorization,
    Fill,
    LedgerEntry,
    Order,
    OrderCommand,
    OrderIntent,
    ReconciliationRun,
    TradePlan,
)


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Nothing of the order path is changed here: the services change it, through the gate and the door."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Never; viewing stays."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Never."""
        return False


@admin.register(TradePlan)
class TradePlanAdmin(_ReadOnly):
    list_display = ("created_at", "owner", "connection", "origin", "content_hash", "correlation_id")
    list_filter = ("origin", "connection")
    list_select_related = ("owner", "connection")
    search_fields = ("correlation_id", "content_hash")
    date_hierarchy = "created_at"


@admin.register(ActionCard)
class ActionCardAdmin(_ReadOnly):
    list_display = ("created_at", "title", "kind", "state", "owner", "connection", "correlation_id")
    list_filter = ("state", "kind", "connection")
    list_select_related = ("owner", "connection")
    search_fields = ("correlation_id", "title", "content_hash")
    date_hierarchy = "created_at"


@admin.register(Authorization)
class AuthorizationAdmin(_ReadOnly):
    list_display = ("created_at", "kind", "actor", "content_hash", "expires_at")
    list_filter = ("kind",)
    search_fields = ("content_hash", "plan__correlation_id", "actor")
    date_hierarchy = "created_at"


@admin.register(OrderIntent)
class OrderIntentAdmin(_ReadOnly):
    list_display = ("created_at", "side", "quantity", "symbol", "state", "filled_quantity", "tag", "broker_order_id",
                    "origin", "correlation_id")  # fmt: skip
    list_filter = ("state", "origin", "connection", "product")
    search_fields = ("correlation_id", "tag", "broker_order_id", "symbol", "client_order_id")
    date_hierarchy = "created_at"


@admin.register(OrderCommand)
class OrderCommandAdmin(_ReadOnly):
    list_display = ("created_at", "kind", "state", "order", "correlation_id")
    list_filter = ("kind", "state", "connection")
    list_select_related = ("order",)
    search_fields = ("correlation_id", "order__broker_order_id")
    date_hierarchy = "created_at"


@admin.register(Order)
class OrderAdmin(_ReadOnly):
    list_display = (
        "first_seen",
        "broker_order_id",
        "side",
        "quantity",
        "symbol",
        "status",
        "filled_quantity",
        "intent",
    )
    list_filter = ("status", "connection", "taken_over")
    list_select_related = ("intent",)
    search_fields = ("broker_order_id", "tag", "symbol", "intent__correlation_id")
    date_hierarchy = "first_seen"


@admin.register(Fill)
class FillAdmin(_ReadOnly):
    list_display = ("filled_at", "side", "quantity", "symbol", "price", "trade_id", "broker_order_id", "synthetic")
    list_filter = ("connection", "side", "synthetic")
    search_fields = ("trade_id", "broker_order_id", "symbol", "intent__correlation_id")
    date_hierarchy = "filled_at"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(_ReadOnly):
    list_display = ("ts", "kind", "symbol", "product", "quantity", "price", "note")
    list_filter = ("kind", "connection", "product")
    search_fields = ("symbol", "snapshot_hash")
    date_hierarchy = "ts"


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(_ReadOnly):
    list_display = ("started_at", "connection", "trigger", "status", "delta_count", "correlation_id")
    list_filter = ("status", "trigger", "connection")
    list_select_related = ("connection",)
    search_fields = ("correlation_id", "snapshot_hash")
    date_hierarchy = "started_at"
