"""The last pages: problem+json below /api, a page elsewhere."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from sigmatrader.audit.api import handler


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Nothing is there."""
    if request.path.startswith("/api/"):
        return handler.handler404(request, exception)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Something went wrong that nobody foresaw; Django has logged it."""
    return handler.handler500(request) if request.path.startswith("/api/") else defaults.server_error(request)
