"""Paths of the assistant's API (CONTRACTS section 7); cards are served by ``execution``."""

from __future__ import annotations

from django.urls import URLPattern

from ai.api import views
from sigmatrader.audit.api.urls import both

urlpatterns: list[URLPattern] = [
    *both("api/ai/threads", views.ThreadsView.as_view(), "threads"),
    *both("api/ai/threads/<uuid:thread_id>", views.ThreadView.as_view(), "thread"),
    *both("api/ai/threads/<uuid:thread_id>/messages", views.MessagesView.as_view(), "messages"),
    *both("api/ai/threads/<uuid:thread_id>/events", views.EventsView.as_view(), "thread-events"),
    *both("api/ai/threads/<uuid:thread_id>/stop", views.StopView.as_view(), "thread-stop"),
]
