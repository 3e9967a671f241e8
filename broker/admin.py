"""Connections and instruments, to look at. Secrets are not shown; changes go through services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from broker.models import BrokerConnection, Instrument


class ReadOnly(admin.ModelAdmin[Any]):
    """No adding, changing or deleting here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(BrokerConnection)
class BrokerConnectionAdmin(ReadOnly):
    list_display = ["name", "kind", "owner", "is_active", "last_status", "authorized", "last_checked_at", "server_url"]
    list_filter = ["kind", "is_active", "last_status", "authorized"]
    list_select_related = ["owner"]
    search_fields = ["name", "server_url", "id"]
    date_hierarchy = "created_at"
    exclude = ["mcp_session", "api_key", "api_secret", "access_token"]


@admin.register(Instrument)
class InstrumentAdmin(ReadOnly):
    list_display = ["tradingsymbol", "exchange", "name", "tick_size", "lot_size", "segment", "sector", "universe"]
    list_filter = ["universe", "exchange", "segment", "sector"]
    search_fields = ["tradingsymbol", "name", "isin"]
