"""Removing what is old: whole sealed runs, never what is open, always on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sigmatrader.audit import anchors, retention, segments, services, verification
from sigmatrader.audit.models import (
    ChainSegment,
    DecisionTrace,
    ExceptionNote,
    IdempotencyRecord,
    Snapshot,
    SystemEvent,
    TraceClosing,
    TraceEvent,
    TraceLink,
)
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import EventCategory, ExceptionCode, Severity, TraceOutcome
from tests.audit.test_chain import behind_our_back

pytestmark = pytest.mark.django_db
OLD = timedelta(days=6 * 365)


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SIZE", 6)


@pytest.fixture
def old(make_trace: Callable[..., str], now: datetime) -> list[str]:
    """Six old traces in three runs of two, and two young ones behind them."""
    traces = [make_trace(at=now - OLD) for _ in range(6)]
    return [*traces, make_trace(), make_trace()]


def seqs() -> list[int]:
    return list(TraceEvent.objects.order_by("seq").values_list("seq", flat=True))


def test_old_runs_go_and_the_chain_still_verifies(old: list[str], now: datetime) -> None:
    anchors.write_anchor(now=now)
    result = retention.prune(now=now)
    assert [(run.from_seq, run.to_seq) for run in result.sealed] == [(1, 6), (7, 12), (13, 18)]
    assert (result.removed["trace_events"], result.removed["traces"]) == (18, 6)
    assert seqs()[0] == 19
    assert set(DecisionTrace.objects.values_list("pk", flat=True)) == {*old[6:], result.correlation_id}
    assert not TraceLink.objects.filter(trace_id__in=old[:6]).exists()
    assert not TraceClosing.objects.filter(trace_id__in=old[:6]).exists()
    report = verification.verify().report
    assert (report.ok, report.to_seq, report.anchors_checked) == (True, seqs()[-1], 1)
    assert verification.trace_fault(old[6]) is None


def test_the_removal_is_on_record(old: list[str], now: datetime) -> None:
    hashes = list(TraceEvent.objects.filter(seq__lte=6).order_by("seq").values_list("hash", flat=True))
    result = retention.prune(now=now)
    events = TraceEvent.objects.filter(correlation_id=result.correlation_id).order_by("seq")
    types = [event.type for event in events]
    assert types == ["trace.opened", *["retention.sealed"] * 3, "retention.removed", "trace.closed"]
    expected = {"from_seq": 1, "to_seq": 6, "digest": segments.digest_of(hashes), "events": 6}
    assert json.loads(events[1].data) == expected
    note = SystemEvent.objects.get(event_type="RETENTION_APPLIED")
    assert note.correlation_id == result.correlation_id
    assert note.details["removed"]["traces"] == 6
    assert retention.prune(now=now).removed["traces"] == 0


def test_a_dry_run_counts_and_removes_nothing(old: list[str], now: datetime) -> None:
    before = seqs()
    result = retention.prune(now=now, dry_run=True)
    assert (result.removed["trace_events"], result.removed["traces"], len(result.sealed)) == (18, 6, 3)
    assert (seqs(), ChainSegment.objects.count(), SystemEvent.objects.count()) == (before, 0, 0)


def test_a_run_with_an_open_trace_stays(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace(at=now - OLD)
    make_trace(at=now - OLD, outcome=None)
    make_trace(at=now - OLD)
    for _ in range(3):
        make_trace(at=now - OLD)
    make_trace()
    result = retention.prune(now=now)
    assert [(run.from_seq, run.to_seq) for run in result.sealed] == []
    assert verification.verify().report.ok


def test_a_trace_that_reaches_into_a_run_that_stays_holds_both(make_trace: Callable[..., str], now: datetime) -> None:
    first = [make_trace(at=now - OLD) for _ in range(4)]
    with recording(now) as record:
        record.event(first[3], "late.word")
    make_trace()
    result = retention.prune(now=now)
    assert [(run.from_seq, run.to_seq) for run in result.sealed] == [(1, 6)]


@pytest.mark.parametrize("resolved", [False, True])
def test_a_run_with_an_unresolved_exception_stays(old: list[str], now: datetime, resolved: bool) -> None:
    exception = services.raise_exception(
        code=ExceptionCode.RECON_DELTA, type_="reconciliation", severity=Severity.HIGH, summary="10 more than ours.",
        fingerprint=("x",), correlation_id="", now=now,
    )  # fmt: skip
    with recording(now - OLD) as record:
        record.link(old[2], "exception", exception.pk)
    if resolved:
        services.resolve_exception(exception=exception, actor="asha", note="seen", now=now)
    runs = [(run.from_seq, run.to_seq) for run in retention.prune(now=now).sealed]
    assert runs == ([(1, 6), (7, 12), (13, 18)] if resolved else [(1, 6), (13, 18)])
    assert ExceptionNote.objects.count() == int(resolved)
    assert verification.verify().report.ok


def test_an_app_can_hold_a_trace_back(old: list[str], now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_holds", [])
    retention.register_hold(lambda ids: {old[0]} & set(ids))
    assert [run.from_seq for run in retention.prune(now=now).sealed] == [7, 13]


def test_tampered_evidence_is_not_removed(old: list[str], now: datetime) -> None:
    with behind_our_back() as run:
        run("UPDATE audit_traceevent SET data = '{}' WHERE seq = 8")
    with pytest.raises(segments.BrokenRun, match="event 8"):
        retention.prune(now=now)
    with pytest.raises(CommandError, match="Nothing was removed"):
        call_command("prune_records")
    assert seqs()[0] == 1


def test_a_gap_that_grows_is_found(old: list[str], now: datetime) -> None:
    retention.prune(now=now)
    with behind_our_back() as run:
        run("DELETE FROM audit_traceevent WHERE seq = 19")
        run("UPDATE audit_chainsegment SET to_seq = 19 WHERE to_seq = 18")
    bad = verification.verify().report.first_bad
    assert bad is not None
    assert bad.seq == 13


def store(now: datetime, *, days: int, hours: int = 0, account: str = "7", correlation_id: str = "") -> Any:
    moment = now - timedelta(days=days, hours=hours)
    return services.store_snapshot(
        account=account, source="paper", correlation_id=correlation_id, as_of=moment, taken_at=moment, complete={},
        document={"n": str(moment)},
    ).pk  # fmt: skip


def test_old_snapshots_thin_out_to_the_last_of_a_day(make_trace: Callable[..., str], now: datetime) -> None:
    kept = {
        store(now, days=10),
        store(now, days=10, hours=1),
        store(now, days=100),
        store(now, days=100, hours=1, account="8"),
        store(now, days=100, hours=2, correlation_id=make_trace(outcome=None)),
        store(now, days=101),
    }
    for hours in (1, 3, 4):
        store(now, days=100, hours=hours)
    assert retention.prune(now=now, dry_run=True).removed["snapshots"] == 3
    assert retention.prune(now=now).removed["snapshots"] == 3
    assert set(Snapshot.objects.values_list("pk", flat=True)) == kept


def test_old_system_events_go_but_not_those_of_an_open_trace(make_trace: Callable[..., str], now: datetime) -> None:
    for cid in ("", make_trace(), make_trace(outcome=None)):
        for days in (1, 400):
            services.record_system_event(
                category=EventCategory.SECURITY, event_type="SIGNED_IN", message="asha", correlation_id=cid,
                now=now - timedelta(days=days),
            )  # fmt: skip
    assert retention.prune(now=now).removed["system_events"] == 2
    assert SystemEvent.objects.filter(event_type="SIGNED_IN").count() == 4


def test_expired_keys_go(now: datetime) -> None:
    for place, hours in enumerate((-1, 1)):
        IdempotencyRecord.objects.create(
            scope="user:1", key=f"key-{place}", request_digest="d", recovery_point="done", claimed_at=now,
            expires_at=now + timedelta(hours=hours),
        )  # fmt: skip
    assert retention.prune(now=now).removed["idempotency_keys"] == 1
    assert IdempotencyRecord.objects.get().key == "key-1"


def test_an_app_prunes_its_own_kind(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_pruners", {})
    seen: list[tuple[datetime, bool]] = []

    def pruner(*, before: datetime, now: datetime, dry_run: bool) -> int:
        seen.append((before, dry_run))
        return 4

    retention.register("chat", pruner)
    retention.register("chat", pruner)
    assert retention.prune(now=now).removed["chat"] == 4
    assert seen == [(now - timedelta(days=365), False)]
    with pytest.raises(ValueError, match="RETENTION_DAYS"):
        retention.register("nonsense", pruner)


def test_the_command_prints_what_it_did(old: list[str]) -> None:
    out = StringIO()
    call_command("prune_records", "--dry-run", "--json", stdout=out)
    shape = json.loads(out.getvalue())
    assert (shape["dry_run"], shape["correlation_id"]) == (True, None)
    out = StringIO()
    call_command("prune_records", stdout=out)
    assert "Removed 18 trace events." in out.getvalue()


def test_closing_again_later_keeps_the_run(old: list[str], now: datetime) -> None:
    with recording(now) as record:
        record.close(old[0], TraceOutcome.CANCELLED, "It turned up after all.")
    assert [run.from_seq for run in retention.prune(now=now).sealed] == [7, 13]
