"""Every read of the records worth a name. ``visible``: own rows; those of no owner are the staff's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from django.db.models import Case, Exists, IntegerField, Model, OuterRef, Q, QuerySet, Subquery, Value, When

from sigmatrader.audit.models import (
    DecisionTrace,
    ExceptionRecord,
    SystemEvent,
    TraceClosing,
    TraceEvent,
    TraceLink,
)
from sigmatrader.audit.vocabulary import ExceptionStatus, Severity, TraceOutcome


class Person(Protocol):
    """Whoever asks: a signed-in user."""

    @property
    def pk(self) -> Any: ...

    @property
    def is_staff(self) -> bool: ...


_Row = TypeVar("_Row", bound=Model)


def visible(rows: QuerySet[_Row], user: Person) -> QuerySet[_Row]:
    """The rows of ``user``; with those of no owner for staff. Another user's are not there for anybody."""
    own = Q(owner=str(user.pk))
    return rows.filter(own | Q(owner="")) if user.is_staff else rows.filter(own)


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What a list of traces is asked for; empty means any."""

    status: str = ""
    outcome: TraceOutcome | None = None
    symbol: str = ""
    actor: str = ""
    correlation_id: str = ""
    start: datetime | None = None
    end: datetime | None = None
    text: str = ""


def traces() -> QuerySet[DecisionTrace]:
    """All traces, each with ``outcome``, ``explanation`` and ``finished_at`` of its last closing (None while open)."""
    last = TraceClosing.objects.filter(trace=OuterRef("pk")).order_by("-id")
    return DecisionTrace.objects.annotate(
        outcome=Subquery(last.values("outcome")[:1]),
        explanation=Subquery(last.values("explanation")[:1]),
        finished_at=Subquery(last.values("finished_at")[:1]),
    )


def find_traces(user: Person, query: TraceQuery) -> QuerySet[DecisionTrace]:
    """The traces ``user`` may see that answer the query, with their links fetched; newest first."""
    rows = visible(traces(), user).prefetch_related("links")
    if query.status:
        rows = rows.filter(Q(("outcome__isnull", query.status == "open")))
    if query.outcome:
        rows = rows.filter(Q(("outcome", query.outcome.value)))
    if query.symbol:
        rows = rows.filter(Exists(_links_to_symbol(query.symbol)))
    exact = {"actor": query.actor, "correlation_id": query.correlation_id}
    between = {"started_at__gte": query.start, "started_at__lte": query.end}
    rows = rows.filter(**{name: value for name, value in {**exact, **between}.items() if value})
    return rows.filter(_mentions(query.text)) if query.text else rows


def visible_trace(user: Person, correlation_id: str) -> DecisionTrace | None:
    """One trace, if ``user`` may see it."""
    return visible(traces(), user).prefetch_related("links").filter(pk=correlation_id).first()


def trace_events(correlation_id: str) -> QuerySet[TraceEvent]:
    """The events of a trace, oldest first."""
    return TraceEvent.objects.filter(correlation_id=correlation_id).order_by("seq")


def traces_linked_to(kind: str, value: object) -> QuerySet[DecisionTrace]:
    """Traces about this order, plan, card, snapshot, ...; newest first."""
    return traces().filter(links__kind=kind, links__value=str(value))


def find_exceptions(
    user: Person,
    *,
    status: ExceptionStatus | None = None,
    severity: Severity | None = None,
    type_: str = "",
    symbol: str = "",
) -> QuerySet[ExceptionRecord]:
    """The exceptions ``user`` may see; newest sighting first."""
    wanted = {
        "status": status.value if status else "",
        "severity": severity.value if severity else "",
        "type": type_,
        "symbol": symbol,
    }
    rows = visible(ExceptionRecord.objects.all(), user)
    return rows.filter(**{name: value for name, value in wanted.items() if value})


def unresolved_exceptions(user: Person, *, now: datetime) -> QuerySet[ExceptionRecord]:
    """What waits for ``user`` now, worst first: neither resolved nor snoozed beyond ``now``."""
    waiting = ~Q(status=ExceptionStatus.RESOLVED.value) & ~Q(
        status=ExceptionStatus.SNOOZED.value, snoozed_until__gt=now
    )
    rank = Case(
        *[When(severity=severity.value, then=Value(place)) for place, severity in enumerate(Severity)],
        default=Value(len(Severity)),
        output_field=IntegerField(),
    )
    return visible(ExceptionRecord.objects.all(), user).filter(waiting).order_by(rank, "-last_seen", "-id")


def count_unresolved(user: Person, *, now: datetime) -> int:
    """How many wait; for the badge in the header."""
    return unresolved_exceptions(user, now=now).count()


def find_system_events(
    user: Person,
    *,
    filters: Mapping[str, object] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> QuerySet[SystemEvent]:
    """The system events ``user`` may see, newest first. ``filters`` are exact column values; empty ones mean any."""
    between = {"ts__gte": start, "ts__lte": end}
    wanted = {name: value for name, value in {**(filters or {}), **between}.items() if value}
    return visible(SystemEvent.objects.all(), user).filter(**wanted)


def _links_to_symbol(symbol: str) -> QuerySet[TraceLink]:
    """``NSE:INFY`` exactly, or ``INFY`` on any exchange."""
    links = TraceLink.objects.filter(trace=OuterRef("pk"), kind="symbol")
    return links.filter(value=symbol) if ":" in symbol else links.filter(value__iendswith=f":{symbol}")


def _mentions(text: str) -> Q:
    linked = TraceLink.objects.filter(trace=OuterRef("pk"), value__icontains=text)
    return Q(message__icontains=text) | Q(explanation__icontains=text) | Q(kind__icontains=text) | Q(Exists(linked))
