"""Conversations in the admin: to look at, never to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from ai.models import ChatMessage, ChatThread

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
else:
    Admin = admin.ModelAdmin  # Django's own class takes no parameter at run time


class ReadOnlyAdmin(Admin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(ChatThread)
class ChatThreadAdmin(ReadOnlyAdmin):
    list_display = ("title", "owner", "created_at", "updated_at", "deleted_at")
    list_select_related = ("owner",)
    date_hierarchy = "updated_at"
    search_fields = ("title", "id", "owner__username")


@admin.register(ChatMessage)
class ChatMessageAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "role", "mode", "state", "provider", "text", "correlation_id")
    list_filter = ("role", "mode", "state", "provider")
    date_hierarchy = "created_at"
    search_fields = ("correlation_id", "text")
