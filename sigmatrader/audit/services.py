"""Every write to the shared records that is not the chain itself: system events, snapshots, exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import Problem, conflict, unprocessable
from sigmatrader.audit.models import (
    DecisionTrace,
    ExceptionNote,
    ExceptionRecord,
    Snapshot,
    SnapshotContent,
    SystemEvent,
)
from sigmatrader.audit.recording import recording
from sigmatrader.audit.redaction import without_secrets
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, ExceptionCode, ExceptionStatus, Severity

_RANK = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}
_UNRESOLVED = (ExceptionStatus.OPEN, ExceptionStatus.ACKNOWLEDGED, ExceptionStatus.SNOOZED)
RULE = "rule"


def record_system_event(
    *,
    category: EventCategory,
    event_type: str,
    message: str,
    now: datetime,
    level: EventLevel = EventLevel.INFO,
    details: Mapping[str, object] | None = None,
    actor: str = "",
    owner: str = "",
    account: str = "",
    correlation_id: str = "",
) -> SystemEvent:
    """Writes one line of the operator's log. Secret-named details are masked, line breaks in the message encoded."""
    return SystemEvent.objects.create(
        ts=now,
        level=level.value,
        category=category.value,
        event_type=event_type,
        message=_one_line(message),
        details=_storable(without_secrets(canonical.plain(details or {}))),
        actor=_one_line(actor)[:150],
        owner=owner,
        account=account,
        correlation_id=correlation_id,
    )


def store_snapshot(
    *,
    account: str,
    source: str,
    correlation_id: str,
    as_of: datetime,
    taken_at: datetime,
    complete: Mapping[str, bool],
    document: Mapping[str, object],
) -> Snapshot:
    """Stores one read of the broker's books: its canonical document once under its hash, and a row that refers to it.

    ``document`` says neither when it was read nor for when it is true, else no two reads were ever identical. Raises
    TypeError for a float in it.
    """
    text = canonical.dumps(document)
    with transaction.atomic():
        return Snapshot.objects.create(
            account=account,
            source=source,
            correlation_id=correlation_id,
            as_of=as_of,
            taken_at=taken_at,
            complete=dict(complete),
            content=_content(text),
        )


def _content(text: str) -> SnapshotContent:
    """The one row of this text, held until the transaction ends, so that retention cannot take it away meanwhile."""
    digest = canonical.text_digest(text)
    held = SnapshotContent.objects.select_for_update(no_key=True).filter(pk=digest).values_list("pk")
    while not held.exists():
        SnapshotContent.objects.bulk_create([SnapshotContent(hash=digest, document=text)], ignore_conflicts=True)
    return SnapshotContent(hash=digest, document=text)


# --- exceptions --------------------------------------------------------------------------------------------------
def raise_exception(
    *,
    code: ExceptionCode,
    type_: str,
    severity: Severity,
    summary: str,
    fingerprint: Sequence[str],
    now: datetime,
    account: str = "",
    owner: str = "",
    expected: str = "",
    actual: str = "",
    difference: str = "",
    symbol: str = "",
    subject: str = "",
    correlation_id: str = "",
    remedies: Sequence[Mapping[str, object]] = (),
) -> ExceptionRecord:
    """The open exception for this cause: made, or seen once more (count, last_seen, latest figures, worst severity).

    ``fingerprint`` names the cause, e.g. ``(code, account, order id)``. A snooze that has run out ends here. With a
    ``correlation_id`` the trace gets an ``exception.raised`` event and a link.
    """
    digest = fingerprint_digest(fingerprint)
    facts: dict[str, object] = {
        "summary": summary, "expected": expected, "actual": actual, "difference": difference,
        "remedies": [dict(remedy) for remedy in remedies],
    }  # fmt: skip
    fresh = {
        **facts, "code": code.value, "type": type_, "severity": severity.value, "account": account, "owner": owner,
        "symbol": symbol, "subject": subject, "correlation_id": correlation_id, "first_seen": now, "last_seen": now,
    }  # fmt: skip
    with recording(now) as record:
        found = _see_again(digest, facts, severity=severity, now=now) or _create(digest, fresh)
        found = found or _see_again(digest, facts, severity=severity, now=now)
        if found is None:  # resolved between the two looks: the cause is new again
            found = ExceptionRecord.objects.create(fingerprint=digest, **fresh)
        if correlation_id:
            data = {"exception": found.pk, "code": code, "severity": severity, "summary": summary, "count": found.count}
            record.event(correlation_id, "exception.raised", data)
            if DecisionTrace.objects.filter(correlation_id=correlation_id).exists():
                record.link(correlation_id, "exception", found.pk)
    return found


def acknowledge_exception(*, exception: ExceptionRecord, actor: str, note: str = "", now: datetime) -> ExceptionRecord:
    """Somebody has seen it. From open or snoozed; raises Problem 409 otherwise."""
    return _move(
        exception, (ExceptionStatus.OPEN, ExceptionStatus.SNOOZED), ExceptionStatus.ACKNOWLEDGED,
        action="acknowledge", actor=actor, note=note, now=now, changes={"snoozed_until": None},
    )  # fmt: skip


def snooze_exception(
    *, exception: ExceptionRecord, actor: str, until: datetime, note: str = "", now: datetime
) -> ExceptionRecord:
    """Puts it aside until then. Raises Problem 422 for a time that has passed, 409 when resolved."""
    if until <= now:
        raise unprocessable("BAD_RANGE", "until must lie in the future.")
    return _move(
        exception, _UNRESOLVED, ExceptionStatus.SNOOZED,
        action="snooze", actor=actor, note=note, now=now, changes={"snoozed_until": until},
    )  # fmt: skip


def resolve_exception(*, exception: ExceptionRecord, actor: str, note: str = "", now: datetime) -> ExceptionRecord:
    """It is settled. Raises Problem 409 when it was already."""
    return _move(
        exception, _UNRESOLVED, ExceptionStatus.RESOLVED,
        action="resolve", actor=actor, note=note, now=now, changes={"snoozed_until": None},
    )  # fmt: skip


def reopen_exception(*, exception: ExceptionRecord, actor: str, note: str = "", now: datetime) -> ExceptionRecord:
    """It was not settled after all. Raises Problem 409 when it is not resolved or its cause is open again elsewhere."""
    try:
        with transaction.atomic():
            return _move(
                exception, (ExceptionStatus.RESOLVED,), ExceptionStatus.OPEN,
                action="reopen", actor=actor, note=note, now=now,
            )  # fmt: skip
    except IntegrityError:
        raise conflict("ALREADY_OPEN", "Another open exception has the same cause: work on that one.") from None


def assign_exception(
    *, exception: ExceptionRecord, assignee: str, actor: str, note: str = "", now: datetime
) -> ExceptionRecord:
    """Says who looks after it; an empty assignee takes it back. Raises Problem 409 when resolved."""
    return _move(
        exception, _UNRESOLVED, None,
        action="assign", actor=actor, note=note or f"to {assignee or 'nobody'}", now=now,
        changes={"assignee": assignee},
    )  # fmt: skip


def note_exception(*, exception: ExceptionRecord, action: str, actor: str, note: str, now: datetime) -> ExceptionNote:
    """Adds to its history without changing its state (a remedy that was started, a person's remark)."""
    return ExceptionNote.objects.create(exception=exception, ts=now, actor=actor[:150], action=action[:20], note=note)


def close_fingerprint(*, fingerprint: Sequence[str], note: str, actor: str = RULE, now: datetime) -> bool:
    """Resolves the open exception of this cause, if there is one; says whether there was."""
    found = ExceptionRecord.objects.filter(fingerprint=fingerprint_digest(fingerprint)).exclude(
        status=ExceptionStatus.RESOLVED.value
    )
    exception = found.first()
    if exception is None:
        return False
    return resolve_if_open(exception=exception, actor=actor, note=note, now=now)


def resolve_if_open(*, exception: ExceptionRecord, actor: str, note: str, now: datetime) -> bool:
    """``resolve_exception`` for rules: that a person was quicker is no fault. Says whether this call did it."""
    try:
        resolve_exception(exception=exception, actor=actor, note=note, now=now)
    except Problem:
        return False
    return True


def fingerprint_digest(parts: Sequence[str]) -> str:
    """The stored form of a fingerprint."""
    return canonical.digest(list(parts))


def _create(digest: str, fresh: Mapping[str, object]) -> ExceptionRecord | None:
    try:
        with transaction.atomic():
            return ExceptionRecord.objects.create(fingerprint=digest, **fresh)
    except IntegrityError:
        return None


def _see_again(
    digest: str, facts: Mapping[str, object], *, severity: Severity, now: datetime
) -> ExceptionRecord | None:
    """Counts one more on the unresolved record of this cause. A repetition without figures keeps the earlier ones."""
    unresolved = ExceptionRecord.objects.filter(fingerprint=digest).exclude(status=ExceptionStatus.RESOLVED.value)
    known = {name: value for name, value in facts.items() if value}
    if not unresolved.update(count=F("count") + 1, last_seen=now, **known):
        return None
    unresolved.filter(status=ExceptionStatus.SNOOZED.value, snoozed_until__lte=now).update(
        status=ExceptionStatus.OPEN.value, snoozed_until=None
    )
    milder = [name.value for name, rank in _RANK.items() if rank < _RANK[severity]]
    unresolved.filter(severity__in=milder).update(severity=severity.value)
    return unresolved.first()


def _move(
    exception: ExceptionRecord,
    sources: Sequence[ExceptionStatus],
    target: ExceptionStatus | None,
    *,
    action: str,
    actor: str,
    note: str,
    now: datetime,
    changes: Mapping[str, object] | None = None,
) -> ExceptionRecord:
    values: dict[str, object] = {**(changes or {}), **({"status": target.value} if target else {})}
    with recording(now) as record:
        moved = ExceptionRecord.objects.filter(pk=exception.pk, status__in=[s.value for s in sources]).update(**values)
        exception.refresh_from_db()
        if not moved:
            state = exception.status
            raise conflict("BAD_STATE", f"It is {state}: {action} is not possible.", exception_status=state)
        note_exception(exception=exception, action=action, actor=actor, note=note, now=now)
        if exception.correlation_id:
            data = {"exception": exception.pk, "code": exception.code, "by": actor, "note": note}
            record.event(exception.correlation_id, f"exception.{_PAST[action]}", data)
    return exception


_PAST = {
    "acknowledge": "acknowledged",
    "snooze": "snoozed",
    "resolve": "resolved",
    "reopen": "reopened",
    "assign": "assigned",
}


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace("\x00", "\\0")


def _storable(value: object) -> object:
    """PostgreSQL's jsonb takes no NUL character."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_storable(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value
