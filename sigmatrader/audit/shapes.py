"""The documents that leave: plain dicts in the forms the API promises, good for templates too."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sigmatrader.audit import registry
from sigmatrader.audit.models import DecisionTrace, ExceptionRecord, SystemEvent, TraceEvent
from sigmatrader.audit.redaction import redact
from sigmatrader.audit.selectors import trace_events, traces
from sigmatrader.audit.verification import trace_fault


def trace_summary(trace: DecisionTrace) -> dict[str, object]:
    """A trace as lists show it. Takes a row of ``selectors.traces`` (others are read anew)."""
    row = trace if hasattr(trace, "outcome") else traces().get(pk=trace.pk)
    links: dict[str, list[str]] = {}
    for link in sorted(row.links.all(), key=lambda item: item.pk):
        links.setdefault(link.kind, []).append(link.value)
    outcome = getattr(row, "outcome", None)
    return {
        "correlation_id": row.correlation_id,
        "client_correlation_id": row.client_correlation_id or None,
        "kind": row.kind,
        "status": "closed" if outcome else "open",
        "outcome": outcome,
        "actor": row.actor,
        "origin": row.origin,
        "account": row.account or None,
        "started_at": row.started_at,
        "finished_at": getattr(row, "finished_at", None),
        "message": row.message or None,
        "message_hash": row.message_hash or None,
        "explanation": getattr(row, "explanation", None) or None,
        "links": links,
    }


def trace_shape(trace: DecisionTrace) -> dict[str, object]:
    """A whole trace: summary, the sections other apps fill, events, and whether its stretch of the chain is sound."""
    fault = trace_fault(trace.correlation_id)
    return {
        **trace_summary(trace),
        **registry.sections_of(trace.correlation_id),
        "events": [event_shape(event) for event in trace_events(trace.correlation_id)],
        "chain": {"ok": fault is None, "first_bad": {"seq": fault.seq, "reason": fault.reason} if fault else None},
    }


def trace_export(trace: DecisionTrace) -> dict[str, object]:
    """``trace_shape`` for handing on: no message where it is kept as a hash, secrets and long ids masked."""
    shape = trace_shape(trace)
    if shape["message_hash"]:
        shape["message"] = None
    exported = redact(shape)
    assert isinstance(exported, dict)
    return {**exported, "redacted": True}


def event_shape(event: TraceEvent) -> dict[str, object]:
    """One event of a trace."""
    return {
        "seq": event.seq, "ts": event.ts, "type": event.type, "data": _data(event.data),
        "prev_hash": event.prev_hash, "hash": event.hash,
    }  # fmt: skip


def system_event_shape(event: SystemEvent) -> dict[str, object]:
    """One line of the operator's log."""
    return {
        "id": event.pk, "ts": event.ts, "level": event.level, "category": event.category,
        "event_type": event.event_type, "message": event.message, "details": event.details, "actor": event.actor,
        "account": event.account or None, "correlation_id": event.correlation_id or None,
    }  # fmt: skip


def exception_shape(exception: ExceptionRecord, *, with_notes: bool = False) -> dict[str, object]:
    """An exception; its history with ``with_notes``."""
    shape: dict[str, object] = {
        "id": exception.pk,
        "type": exception.type,
        "code": exception.code,
        "severity": exception.severity,
        "status": exception.status,
        "summary": exception.summary,
        "expected": exception.expected or None,
        "actual": exception.actual or None,
        "difference": exception.difference or None,
        "symbol": exception.symbol or None,
        "subject": exception.subject or None,
        "account": exception.account or None,
        "first_seen": exception.first_seen,
        "last_seen": exception.last_seen,
        "count": exception.count,
        "assignee": exception.assignee or None,
        "snoozed_until": exception.snoozed_until,
        "correlation_id": exception.correlation_id or None,
        "remedies": remedies_of(exception),
    }
    if with_notes:
        notes = exception.notes.order_by("id")
        shape["notes"] = [{"ts": n.ts, "actor": n.actor, "action": n.action, "note": n.note} for n in notes]
    return shape


def remedies_of(exception: ExceptionRecord) -> list[dict[str, object]]:
    """``[{action, label, trades}]`` with whatever else the writer gave."""
    listed: Sequence[object] = exception.remedies if isinstance(exception.remedies, list) else []
    blank: dict[str, object] = {"label": "", "trades": False}
    return [{**blank, **remedy} for remedy in listed if isinstance(remedy, dict) and remedy.get("action")]


def _data(text: str) -> object:
    """An event's data; one that somebody made unreadable is shown as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return {"unreadable": text}
