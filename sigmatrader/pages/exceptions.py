"""The Exceptions Center: what does not agree, by severity, with what was expected and what the broker says."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from execution.models import ReconciliationRun
from execution.selectors import latest_run
from sigmatrader.accounts.models import User
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.selectors import visible
from sigmatrader.audit.vocabulary import ExceptionStatus, Severity
from sigmatrader.pages.people import user_of

LIMIT = 200
RUNS = 8


@require_GET
def exceptions(request: HttpRequest) -> HttpResponse:
    """The list for one status, grouped by severity, and the last reconciliations."""
    user = user_of(request)
    status = request.GET.get("status", ExceptionStatus.OPEN.value)
    status = status if status in set(ExceptionStatus) else ExceptionStatus.OPEN.value
    query = request.GET.get("q", "").strip()
    rows = _own(user)
    shown = list(_found(rows.filter(status=status), query)[:LIMIT])
    context = {
        "status": status, "query": query, "opened": request.GET.get("open", ""), "now": timezone.now(),
        "tabs": [_tab(rows, word) for word in ExceptionStatus],
        "groups": _by_severity(shown),
        "run": latest_run(user),
        "runs": ReconciliationRun.objects.filter(owner=user, connection__is_active=True)[:RUNS],
    }  # fmt: skip
    template = "pages/exceptions_body.html" if getattr(request, "htmx", False) else "pages/exceptions.html"
    return render(request, template, context)


def _own(user: User) -> QuerySet[ExceptionRecord]:
    return visible(ExceptionRecord.objects.order_by("first_seen", "id"), user)


def _found(rows: QuerySet[ExceptionRecord], query: str) -> QuerySet[ExceptionRecord]:
    if not query:
        return rows
    about = Q(symbol__icontains=query) | Q(code__icontains=query) | Q(summary__icontains=query)
    return rows.filter(about | Q(correlation_id__icontains=query))


def _tab(rows: QuerySet[ExceptionRecord], status: ExceptionStatus) -> dict[str, object]:
    count = rows.filter(status=status.value).count()
    return {"key": status.value, "label": status.value.capitalize(), "count": count}


def _by_severity(rows: Sequence[ExceptionRecord]) -> list[tuple[str, list[ExceptionRecord]]]:
    groups = [(severity.value, [row for row in rows if row.severity == severity.value]) for severity in Severity]
    return [group for group in groups if group[1]]
