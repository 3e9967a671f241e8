"""Paths of this app; ``both`` is in ``routes``, where other apps' urls take it from as well."""

from __future__ import annotations

from django.urls import URLPattern

from sigmatrader.audit.api import exception_views, views
from sigmatrader.audit.api.routes import both

__all__ = ["both", "urlpatterns"]

_EXCEPTION = "api/exceptions/<str:exception_id>"
_TRACE = "api/traces/<str:correlation_id>"

urlpatterns: list[URLPattern] = [
    *both("api/traces", views.TraceList.as_view(), "trace-list"),
    *both(_TRACE, views.TraceDetail.as_view(), "trace-detail"),
    *both(f"{_TRACE}/export", views.TraceExport.as_view(), "trace-export"),
    *both(f"{_TRACE}/replay", views.TraceReplay.as_view(), "trace-replay"),
    *both("api/audit/events", views.SystemEventList.as_view(), "system-event-list"),
    *both("api/audit/verify", views.Verify.as_view(), "audit-verify"),
    *both("api/exceptions", exception_views.ExceptionList.as_view(), "exception-list"),
    *both(_EXCEPTION, exception_views.ExceptionDetail.as_view(), "exception-detail"),
    *both(f"{_EXCEPTION}/acknowledge", exception_views.Acknowledge.as_view(), "exception-acknowledge"),
    *both(f"{_EXCEPTION}/snooze", exception_views.Snooze.as_view(), "exception-snooze"),
    *both(f"{_EXCEPTION}/resolve", exception_views.Resolve.as_view(), "exception-resolve"),
    *both(f"{_EXCEPTION}/reopen", exception_views.Reopen.as_view(), "exception-reopen"),
    *both(f"{_EXCEPTION}/assign", exception_views.Assign.as_view(), "exception-assign"),
    *both(f"{_EXCEPTION}/remediate", exception_views.Remediate.as_view(), "exception-remediate"),
]
