"""What is removed when it is old enough, and how the removal is itself put on record.

Apps to the right add their own kinds with ``register`` and can hold traces back with ``register_hold``. Everything of
one run is removed in one transaction with the trace that says so: readers see all of it or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Exists, Model, OuterRef, QuerySet

from sigmatrader.audit import segments
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import (
    DecisionTrace,
    ExceptionRecord,
    IdempotencyRecord,
    Snapshot,
    SnapshotContent,
    SystemEvent,
    TraceClosing,
    TraceLink,
)
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, ExceptionStatus, TraceOutcome

IST = ZoneInfo("Asia/Kolkata")
ACTOR = "retention"
_BATCH = 10_000
_Row = TypeVar("_Row", bound=Model)


class Pruner(Protocol):
    """Removes (or, on a dry run, counts) an app's rows of one kind that ended before ``before`` and are not open."""

    def __call__(self, *, before: datetime, now: datetime, dry_run: bool) -> int: ...


@dataclass(slots=True)
class Pruned:
    """What a run removed, or on a dry run would remove."""

    dry_run: bool
    removed: dict[str, int] = field(default_factory=dict)
    sealed: list[segments.Run] = field(default_factory=list)
    correlation_id: str = ""

    def shape(self) -> dict[str, object]:
        """As ``prune_records --json`` prints it."""
        runs = [{"from_seq": run.from_seq, "to_seq": run.to_seq, "digest": run.digest} for run in self.sealed]
        return {
            "dry_run": self.dry_run, "removed": dict(self.removed), "sealed": runs,
            "correlation_id": self.correlation_id or None,
        }  # fmt: skip


_pruners: dict[str, list[Pruner]] = {}
_holds: list[segments.Hold] = []


def register(kind: str, pruner: Pruner) -> None:
    """Adds a pruner for ``kind``, a name of ``settings.RETENTION_DAYS``. For ``AppConfig.ready``."""
    if kind not in settings.RETENTION_DAYS:
        raise ValueError(f"{kind} has no entry in RETENTION_DAYS")
    if pruner not in _pruners.setdefault(kind, []):
        _pruners[kind].append(pruner)


def register_hold(hold: segments.Hold) -> None:
    """Adds a rule that names, among correlation ids, those whose records must stay (an order still in flight)."""
    if hold not in _holds:
        _holds.append(hold)


def prune(*, now: datetime, dry_run: bool = False) -> Pruned:
    """Applies ``settings.RETENTION_DAYS``. A removal is one transaction with its own trace and system event.

    Raises ``segments.BrokenRun`` before anything is removed when old events do not verify: evidence of tampering stays.
    """
    result = Pruned(dry_run=dry_run)
    result.sealed = segments.removable(before=_before("traces", now), holds=[_open_holds, *_holds])
    if dry_run:
        _count_all(result, now=now)
        return result
    with recording(now) as record:
        with _removal_allowed():
            _remove_all(result, now=now)
        if any(result.removed.values()):
            _say(result, record, now=now)
    return result


def old_snapshots(*, before: datetime) -> QuerySet[Snapshot]:
    """Snapshots past their full term, without the last complete day's one of each account and without what is open."""
    keep: set[object] = set()
    seen: set[tuple[str, object]] = set()
    rows = Snapshot.objects.filter(taken_at__lt=before).order_by("-taken_at", "-id")
    for pk, account, taken_at in rows.values_list("pk", "account", "taken_at").iterator(chunk_size=2000):
        day = (account, taken_at.astimezone(IST).date())
        if day not in seen:
            seen.add(day)
            keep.add(pk)
    wanted = _without_open(rows)
    linked = TraceLink.objects.filter(kind="snapshot", trace__closings__isnull=True).values_list("value", flat=True)
    keep.update(linked)
    gone = [pk for pk in wanted.values_list("pk", flat=True) if pk not in keep and str(pk) not in keep]
    return Snapshot.objects.filter(pk__in=gone[:_BATCH])


def unused_contents() -> QuerySet[SnapshotContent]:
    """Contents that no snapshot refers to any more."""
    return SnapshotContent.objects.filter(~Exists(Snapshot.objects.filter(content=OuterRef("pk"))))


def old_system_events(*, before: datetime) -> QuerySet[SystemEvent]:
    """System events past their term that tell of nothing open."""
    return _without_open(SystemEvent.objects.filter(ts__lt=before))


def expired_keys(*, now: datetime) -> QuerySet[IdempotencyRecord]:
    """Keys past their life. One that led to an order expires with the orders (set when it was committed)."""
    return IdempotencyRecord.objects.filter(expires_at__lt=now)


def _count_all(result: Pruned, *, now: datetime) -> None:
    result.removed = {
        "snapshots": old_snapshots(before=_before("snapshots", now)).count(),
        "system_events": old_system_events(before=_before("system_events", now)).count(),
        "idempotency_keys": expired_keys(now=now).count(),
        "trace_events": sum(run.events for run in result.sealed),
        "traces": len({cid for run in result.sealed for cid in run.correlation_ids}),
    }
    _run_registered(result, now=now)


def _remove_all(result: Pruned, *, now: datetime) -> None:
    result.removed = {
        "snapshots": _raw_delete(old_snapshots(before=_before("snapshots", now))),
        "snapshot_contents": _remove_unused_contents(),
        "system_events": _raw_delete(old_system_events(before=_before("system_events", now))),
        "idempotency_keys": _raw_delete(expired_keys(now=now)),
        "trace_events": 0,
        "traces": 0,
    }
    for run in result.sealed:
        result.removed["trace_events"] += segments.seal_and_remove(run, now=now)
    gone = {cid for run in result.sealed for cid in run.correlation_ids}
    for part in _parts(sorted(gone)):
        _raw_delete(TraceLink.objects.filter(trace_id__in=part))
        _raw_delete(TraceClosing.objects.filter(trace_id__in=part))
        result.removed["traces"] += _raw_delete(DecisionTrace.objects.filter(correlation_id__in=part))
    _run_registered(result, now=now)


def _remove_unused_contents() -> int:
    """Locks them first and looks again: a snapshot being stored holds the content that it found in use."""
    unused = list(unused_contents().select_for_update(of=("self",)).values_list("pk", flat=True)[:_BATCH])
    return sum(_raw_delete(unused_contents().filter(pk__in=part)) for part in _parts(unused))


def _run_registered(result: Pruned, *, now: datetime) -> None:
    for kind, pruners in _pruners.items():
        count = sum(pruner(before=_before(kind, now), now=now, dry_run=result.dry_run) for pruner in pruners)
        result.removed[kind] = result.removed.get(kind, 0) + count


def _say(result: Pruned, record: Recorder, *, now: datetime) -> None:
    cid = result.correlation_id = new_correlation_id()
    record.open(cid, kind="retention", actor=ACTOR, origin="system")
    for run in result.sealed:
        data = {"from_seq": run.from_seq, "to_seq": run.to_seq, "digest": run.digest, "events": run.events}
        record.event(cid, "retention.sealed", data)
    counts = {kind: count for kind, count in result.removed.items() if count}
    record.event(cid, "retention.removed", {"removed": counts, "days": _days()})
    text = "Removed " + ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items()) + "."
    record.close(cid, TraceOutcome.CHANGED, text)
    record_system_event(
        category=EventCategory.SECURITY, event_type="RETENTION_APPLIED", message=text, actor=ACTOR,
        details=result.shape(), correlation_id=cid, now=now,
    )  # fmt: skip


class _removal_allowed:  # noqa: N801  # reads as a phrase after ``with``
    """Opens the append-only tables for DELETE, in this transaction only (PostgreSQL's trigger looks for it)."""

    def __enter__(self) -> None:
        self._set("on")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._set("off")

    def _set(self, value: str) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('sigmatrader.retention', %s, true)", [value])


def _open_holds(correlation_ids: Iterable[str]) -> set[str]:
    """Traces that are not closed, or on which an exception waits."""
    held: set[str] = set()
    for part in _parts(sorted(correlation_ids)):
        traces = DecisionTrace.objects.filter(correlation_id__in=part)
        held.update(traces.filter(closings__isnull=True).values_list("correlation_id", flat=True))
        held.update(_unresolved().filter(correlation_id__in=part).values_list("correlation_id", flat=True))
    waiting = [str(pk) for pk in _unresolved().values_list("pk", flat=True)]
    for part in _parts(waiting):
        links = TraceLink.objects.filter(kind="exception", value__in=part)
        held.update(links.values_list("trace_id", flat=True))
    return held


def _without_open(rows: QuerySet[_Row]) -> QuerySet[_Row]:
    open_traces = DecisionTrace.objects.filter(closings__isnull=True).values("correlation_id")
    waiting = _unresolved().exclude(correlation_id="").values("correlation_id")
    return rows.exclude(correlation_id__in=open_traces).exclude(correlation_id__in=waiting)


def _unresolved() -> QuerySet[ExceptionRecord]:
    return ExceptionRecord.objects.exclude(status=ExceptionStatus.RESOLVED.value)


def _raw_delete(rows: QuerySet[Any]) -> int:
    removed = rows.order_by()._raw_delete(rows.db)  # the models' own delete refuses, on purpose
    return int(removed or 0)


def _parts(values: list[str], size: int = 500) -> Iterable[list[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _before(kind: str, now: datetime) -> datetime:
    return now - timedelta(days=settings.RETENTION_DAYS[kind])


def _days() -> Mapping[str, int]:
    return dict(settings.RETENTION_DAYS)
