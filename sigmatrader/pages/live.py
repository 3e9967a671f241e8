"""What changes around a page while it stands open: kill switch, counts, switches. One small poll tells every tab."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from sigmatrader.context import Shell
from sigmatrader.pages.people import user_of


@require_GET
def live(request: HttpRequest) -> HttpResponse:
    """The parts of the shell that moved, each in its own place; 204 while ``?seen=`` still holds."""
    user_of(request)
    shell = Shell(request, now=timezone.now())
    if request.GET.get("seen") == shell.mark:
        return HttpResponse(status=204)
    return render(request, "components/live.html", {"shell": shell, "oob": True})
