"""Verifies the stored chain, and single traces and snapshots, against the audit key."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Subquery

from sigmatrader.audit import canonical
from sigmatrader.audit.anchors import read_anchors
from sigmatrader.audit.chain import audit_key
from sigmatrader.audit.chain_check import Bad, Head, Report, Row, Segment, check, check_each, check_stretch
from sigmatrader.audit.models import ChainHead, ChainSegment, DecisionTrace, Snapshot, TraceEvent
from sigmatrader.audit.recording import closing_facts, opening_facts
from sigmatrader.audit.services import close_fingerprint, raise_exception, record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, ExceptionCode, Severity

CHUNK = 20_000
LONGEST_WALK = 20_000
_COLUMNS = ("seq", "correlation_id", "ts", "type", "data", "prev_hash", "hash")
_FINGERPRINT = (ExceptionCode.AUDIT_CHAIN_BROKEN.value,)


@dataclass(frozen=True, slots=True)
class Verification:
    """A report with how long it took, in whole milliseconds."""

    report: Report
    duration_ms: int

    def shape(self) -> dict[str, object]:
        """As the API and ``audit_verify --json`` give it."""
        report, bad = self.report, self.report.first_bad
        return {
            "ok": report.ok,
            "events": report.events,
            "from_seq": report.from_seq,
            "to_seq": report.to_seq,
            "anchors_checked": report.anchors_checked,
            "first_bad": {"seq": bad.seq, "reason": bad.reason} if bad else None,
            "duration_ms": self.duration_ms,
        }


def verify(*, from_seq: int = 1, to_seq: int | None = None) -> Verification:
    """Reads the chain (or a part) in chunks and checks every row, the head, the sealed gaps and all anchors."""
    started = time.monotonic()
    segments: tuple[Segment, ...] | None = None
    while True:  # a retention run in between makes a gap that only its new seal explains: read again
        known, segments = segments, _segments()
        report = _verify_once(segments, from_seq=from_seq, to_seq=to_seq)
        if report.ok or segments == known or segments == _segments():
            return Verification(report, round((time.monotonic() - started) * 1000))


def verify_and_report(*, now: datetime, from_seq: int = 1, to_seq: int | None = None) -> Verification:
    """``verify``; what it finds becomes an AUDIT_CHAIN_BROKEN exception and a system event, a whole chain closes it."""
    result = verify(from_seq=from_seq, to_seq=to_seq)
    bad = result.report.first_bad
    if bad is None:
        if from_seq == 1 and to_seq is None:
            close_fingerprint(fingerprint=_FINGERPRINT, note="The whole chain verifies again.", now=now)
        return result
    summary = f"The audit chain is broken at event {bad.seq}: {bad.reason}."
    raise_exception(
        code=ExceptionCode.AUDIT_CHAIN_BROKEN, type_="audit", severity=Severity.CRITICAL, summary=summary,
        fingerprint=_FINGERPRINT, subject=f"audit.traceevent:{bad.seq}", now=now,
        expected="an unbroken chain", actual=f"event {bad.seq}: {bad.reason}",
    )  # fmt: skip
    record_system_event(
        category=EventCategory.SECURITY, event_type="AUDIT_CHAIN_BROKEN", level=EventLevel.ERROR, message=summary,
        details=result.shape(), now=now,
    )  # fmt: skip
    return result


def trace_fault(correlation_id: str) -> Bad | None:
    """What is wrong with one trace: the stretch of the chain it spans, and its row and closings against their events.

    None when it is sound. A deleted end of the whole chain is found by ``verify``, not here.
    """
    events = list(TraceEvent.objects.filter(correlation_id=correlation_id).order_by("seq").values_list(*_COLUMNS))
    trace = DecisionTrace.objects.prefetch_related("closings").filter(pk=correlation_id).first()
    if not events:
        return Bad(0, "it has no events left") if trace else None
    first, last = events[0][0], events[-1][0]
    if last - first < LONGEST_WALK:
        bad = check_stretch(_rows(first, last), key=audit_key(), segments=_segments(), from_seq=first, to_seq=last)
    else:
        bad = check_each(events, key=audit_key())
    return bad or _bad_facts(trace, events)


def snapshot_fault(snapshot: Snapshot) -> str:
    """What is wrong with a stored snapshot: document against hash, hash and time against its trace. Empty: sound.

    A snapshot outside any trace is held to its own hash only, which is not keyed.
    """
    if canonical.text_digest(snapshot.document) != snapshot.hash:
        return "the document does not match its hash"
    taken = TraceEvent.objects.filter(correlation_id=snapshot.correlation_id, type="snapshot.taken")
    for text in taken.values_list("data", flat=True) if snapshot.correlation_id else ():
        data = json.loads(text)
        if str(snapshot.pk) not in map(str, data.values()):
            continue
        if data.get("hash", snapshot.hash) != snapshot.hash:
            return "its trace recorded another hash when it was taken"
        if "as_of" in data and datetime.fromisoformat(data["as_of"]) != snapshot.as_of:
            return "its trace recorded another time when it was taken"
    return ""


def _verify_once(segments: tuple[Segment, ...], *, from_seq: int, to_seq: int | None) -> Report:
    anchors = read_anchors()  # before the head: an anchor written meanwhile must not look like a cut tail
    row = ChainHead.objects.filter(id=1).first()
    head = Head(row.seq, row.hash, row.seal) if row else None
    last = min(to_seq or head.seq, head.seq) if head else to_seq
    report = check(
        _rows(from_seq, last), key=audit_key(), head=head, segments=segments, anchors=anchors,
        from_seq=from_seq, to_seq=to_seq,
    )  # fmt: skip
    beyond = _first_beyond_head() if report.ok and to_seq is None else None
    return replace(report, first_bad=beyond) if beyond else report


def _first_beyond_head() -> Bad | None:
    """An event behind the head: one statement reads both, so that an honest append cannot look like one."""
    head = ChainHead.objects.filter(id=1).values("seq")
    seq = TraceEvent.objects.filter(seq__gt=Subquery(head)).order_by("seq").values_list("seq", flat=True).first()
    return None if seq is None else Bad(seq, "it stands behind the head: it was inserted")


def _rows(first: int, last: int | None) -> Iterator[Row]:
    """Rows from ``first`` to ``last``, a chunk at a time: bounded memory, no cursor or transaction left open."""
    while True:
        chunk = TraceEvent.objects.filter(seq__gte=first, **({} if last is None else {"seq__lte": last}))
        rows = list(chunk.order_by("seq").values_list(*_COLUMNS)[:CHUNK])
        yield from rows
        if len(rows) < CHUNK:
            return
        first = rows[-1][0] + 1


def _segments() -> tuple[Segment, ...]:
    return tuple(
        Segment(
            from_seq=s.from_seq, to_seq=s.to_seq, first_prev_hash=s.first_prev_hash, last_hash=s.last_hash,
            digest=s.digest, is_pruned=s.pruned_at is not None, seal=s.seal,
        )
        for s in ChainSegment.objects.order_by("from_seq")
    )  # fmt: skip


def _bad_facts(trace: DecisionTrace | None, events: Sequence[Row]) -> Bad | None:
    opened = [event for event in events if event[3] == "trace.opened"]
    closed = [event for event in events if event[3] == "trace.closed"]
    if trace is None:
        return Bad(opened[0][0], "the row it opened is missing") if opened else None
    if len(opened) != 1:
        return Bad(events[0][0], f"it was opened {len(opened)} times")
    seq, _, ts, _, data, *_ = opened[0]
    if data != canonical.dumps(opening_facts(trace)) or ts != trace.started_at:
        return Bad(seq, "the trace's row does not match the event that opened it: the row was edited")
    rows = [(c.finished_at, canonical.dumps(closing_facts(c.outcome, c.explanation))) for c in trace.closings.all()]
    if rows != [(event[2], event[4]) for event in closed]:
        return Bad((closed or opened)[0][0], "the trace's closings do not match the events that wrote them")
    return None
