"""The stored chain: appending, tampering behind the models' back, verification."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, InternalError, connection, transaction

from sigmatrader.audit import anchors, chain, services, verification
from sigmatrader.audit.models import (
    ChainHead,
    DecisionTrace,
    ExceptionRecord,
    SnapshotContent,
    SystemEvent,
    TraceEvent,
    TraceLink,
)
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import TraceOutcome

pytestmark = pytest.mark.django_db


@contextmanager
def behind_our_back() -> Iterator[Callable[..., None]]:
    """SQL as somebody with the database's own rights would run it: no trigger in the way."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%'")
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER {name}")  # rolled back with the test
        yield lambda sql, *values: cursor.execute(sql, values)
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")


def first_bad() -> int | None:
    bad = verification.verify().report.first_bad
    return bad.seq if bad else None


def test_the_migrated_chain_is_empty_and_whole() -> None:
    head = ChainHead.objects.get()
    assert (head.seq, head.hash) == (0, "0" * 64)
    report = verification.verify().report
    assert (report.ok, report.events, report.to_seq) == (True, 0, 0)


def test_events_stand_in_one_line(make_trace: Callable[..., str]) -> None:
    make_trace()
    make_trace()
    events = list(TraceEvent.objects.order_by("seq"))
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.prev_hash for event in events] == ["0" * 64, *[event.hash for event in events[:-1]]]
    head = ChainHead.objects.get()
    assert (head.seq, head.hash) == (6, events[-1].hash)
    assert verification.verify().report.ok


def test_nothing_is_written_when_the_block_fails(now: datetime) -> None:
    def act() -> None:
        with recording(now) as record:
            record.open("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE", kind="plan", actor="asha", origin="ticket")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        act()
    assert (TraceEvent.objects.count(), DecisionTrace.objects.count(), ChainHead.objects.get().seq) == (0, 0, 0)


def test_a_failed_inner_block_leaves_the_outer_one_whole(now: datetime) -> None:
    with recording(now) as record:
        record.event("a", "first")
        with pytest.raises(ValueError, match="inner"), recording(now + timedelta(hours=1)) as inner:  # noqa: PT012
            inner.event("a", "lost")
            raise ValueError("inner")
        with recording(now) as inner:
            inner.event("a", "second")
    assert list(TraceEvent.objects.order_by("seq").values_list("type", "ts")) == [("first", now), ("second", now)]


def test_a_forged_head_stops_the_action(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace()
    ChainHead.objects.update(seq=2, hash=TraceEvent.objects.get(seq=2).hash)
    with pytest.raises(chain.AuditUnavailable), recording(now) as record:
        record.open("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE", kind="plan", actor="asha", origin="ticket")
    assert not DecisionTrace.objects.filter(pk="01KAQ5Y3M7Q2V9ZB1T4C8N6XWE").exists()


def test_a_missing_head_stops_the_action_unless_the_chain_is_empty(make_trace: Callable[..., str]) -> None:
    ChainHead.objects.all().delete()
    make_trace()
    assert ChainHead.objects.get().seq == 3
    ChainHead.objects.all().delete()
    with pytest.raises(chain.AuditUnavailable):
        make_trace()
    assert first_bad() == 4


def test_an_event_in_the_way_stops_the_action(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace()
    TraceEvent.objects.create(seq=4, correlation_id="x", ts=now, type="t", data="{}", prev_hash="p", hash="h")
    with pytest.raises(chain.AuditUnavailable):
        make_trace()
    assert first_bad() == 4


TAMPERINGS = {
    "data": ("UPDATE audit_traceevent SET data = '{\"quantity\":1000}' WHERE seq = 5", 5),
    "type": ("UPDATE audit_traceevent SET type = 'plan.madE' WHERE seq = 5", 5),
    "trace": ("UPDATE audit_traceevent SET correlation_id = 'other' WHERE seq = 5", 5),
    "time": ("UPDATE audit_traceevent SET ts = '2026-11-23 05:00:01+00:00' WHERE seq = 5", 5),
    "previous": ("UPDATE audit_traceevent SET prev_hash = 'x' WHERE seq = 5", 5),
    "hash": ("UPDATE audit_traceevent SET hash = 'x' WHERE seq = 5", 5),
    "number": ("UPDATE audit_traceevent SET seq = 50 WHERE seq = 5", 5),
    "deleted": ("DELETE FROM audit_traceevent WHERE seq = 5", 5),
    "beginning": ("DELETE FROM audit_traceevent WHERE seq < 3", 1),
    "tail": ("DELETE FROM audit_traceevent WHERE seq > 6", 7),
    "all": ("DELETE FROM audit_traceevent", 1),
    "inserted": (
        "INSERT INTO audit_traceevent (seq, correlation_id, ts, type, data, prev_hash, hash) "
        "SELECT 10, correlation_id, ts, type, data, hash, 'x' FROM audit_traceevent WHERE seq = 9",
        10,
    ),
    "head": ("UPDATE audit_chainhead SET seq = 8", 8),
    "no head": ("DELETE FROM audit_chainhead", 10),
}


@pytest.mark.parametrize(("sql", "seq"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_verification_names_the_first_bad_row(make_trace: Callable[..., str], sql: str, seq: int) -> None:
    for _ in range(3):
        make_trace()
    assert first_bad() is None
    with behind_our_back() as run:
        run(sql)
    assert first_bad() == seq


def test_a_swap_is_named(make_trace: Callable[..., str]) -> None:
    for _ in range(3):
        make_trace()
    with behind_our_back() as run:
        run("UPDATE audit_traceevent SET seq = 100 WHERE seq = 4")
        run("UPDATE audit_traceevent SET seq = 4 WHERE seq = 7")
        run("UPDATE audit_traceevent SET seq = 7 WHERE seq = 100")
    assert first_bad() == 4


def test_a_cut_tail_with_the_head_put_back_is_found_by_an_anchor(
    make_trace: Callable[..., str], now: datetime, anchor_dir: Path
) -> None:
    make_trace()
    old = ChainHead.objects.values("seq", "hash", "seal").get()
    make_trace()
    assert anchors.write_anchor(now=now) is not None
    with behind_our_back() as run:
        run("DELETE FROM audit_traceevent WHERE seq > 3")
    ChainHead.objects.update(**old)
    bad = verification.verify().report.first_bad
    assert bad is not None
    assert (bad.seq, bad.reason) == (4, "it is missing: an anchor outside the database saw the chain reach 6")
    make_trace()  # written over, so that the number is there again
    assert first_bad() == 6


def test_an_anchor_is_private_and_not_written_twice(
    make_trace: Callable[..., str], now: datetime, anchor_dir: Path
) -> None:
    assert anchors.write_anchor(now=now) is None
    make_trace()
    anchor = anchors.write_anchor(now=now)
    assert anchor is not None
    assert anchors.write_anchor(now=now + timedelta(hours=1)) is None
    file = anchor_dir / "anchors-2026-11.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {
        "ts": "2026-11-23T05:00:00+00:00", "seq": 3, "hash": ChainHead.objects.get().hash, "mac": anchor.mac,
    }  # fmt: skip
    make_trace()
    anchors.write_anchor(now=now + timedelta(days=30))
    assert [found.seq for found in anchors.read_anchors()] == [3, 6]
    assert verification.verify().report.anchors_checked == 2


@pytest.mark.parametrize("line", ["nonsense", '{"seq": 1}', "[1]", '{"ts":"t","seq":true,"hash":"h","mac":"m"}'])
def test_an_anchor_that_is_none_of_ours_is_found(
    make_trace: Callable[..., str], now: datetime, anchor_dir: Path, line: str
) -> None:
    make_trace()
    anchors.write_anchor(now=now)
    with (anchor_dir / "anchors-2026-11.jsonl").open("a") as file:
        file.write(line + "\n")
    assert not verification.verify().report.ok


def test_no_anchor_vouches_for_a_forged_head(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace()
    ChainHead.objects.update(seal="0" * 64)
    with pytest.raises(chain.AuditUnavailable):
        anchors.write_anchor(now=now)
    assert anchors.read_anchors() == []


def test_chunks_join(make_trace: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CHUNK", 2)
    for _ in range(3):
        make_trace()
    report = verification.verify().report
    assert (report.ok, report.events) == (True, 9)
    assert verification.verify(from_seq=4, to_seq=6).report.events == 3


def test_another_key_fits_nothing(make_trace: Callable[..., str], settings: Any) -> None:
    make_trace()
    settings.AUDIT_KEY = "another key"
    assert first_bad() == 1


def test_what_is_found_waits_for_a_person_once(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace()
    seal = ChainHead.objects.get().seal
    ChainHead.objects.update(seal="0" * 64)
    for _ in range(2):
        verification.verify_and_report(now=now)
    found = ExceptionRecord.objects.get()
    assert (found.code, found.severity, found.count) == ("AUDIT_CHAIN_BROKEN", "critical", 2)
    assert SystemEvent.objects.filter(event_type="AUDIT_CHAIN_BROKEN", level="ERROR").count() == 2
    ChainHead.objects.update(seal=seal)
    verification.verify_and_report(now=now)
    assert ExceptionRecord.objects.get().status == "resolved"


# --- single records ------------------------------------------------------------------------------------------------
def test_a_sound_trace_is_sound(make_trace: Callable[..., str], now: datetime) -> None:
    cid = make_trace(client_correlation_id="c" * 36)
    assert verification.trace_fault(cid) is None
    with recording(now) as record:
        record.close(cid, TraceOutcome.CANCELLED, "It was cancelled after all.")
    assert verification.trace_fault(cid) is None
    assert verification.trace_fault("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE") is None


TRACE_TAMPERINGS = (
    "UPDATE audit_decisiontrace SET message = 'buy 1000 INFY' WHERE correlation_id = %s",
    "UPDATE audit_decisiontrace SET actor = 'mallory' WHERE correlation_id = %s",
    "UPDATE audit_decisiontrace SET owner = 'mallory' WHERE correlation_id = %s",
    "UPDATE audit_decisiontrace SET started_at = '2026-11-23 05:00:01+00:00' WHERE correlation_id = %s",
    "UPDATE audit_traceclosing SET outcome = 'denied' WHERE trace_id = %s",
    "UPDATE audit_traceclosing SET explanation = 'All well.' WHERE trace_id = %s",
    "DELETE FROM audit_traceclosing WHERE trace_id = %s",
    "UPDATE audit_traceevent SET data = '{}' WHERE type = 'plan.made' AND correlation_id = %s",
    "DELETE FROM audit_traceevent WHERE type = 'plan.made' AND correlation_id = %s",
    "DELETE FROM audit_traceevent WHERE type = 'trace.closed' AND correlation_id = %s",
    "DELETE FROM audit_traceevent WHERE correlation_id = %s",
)


@pytest.mark.parametrize("sql", TRACE_TAMPERINGS)
def test_an_edit_shows_on_its_trace(make_trace: Callable[..., str], sql: str) -> None:
    cid, other = make_trace(), make_trace()
    with behind_our_back() as run:
        run(sql, cid)
    assert verification.trace_fault(cid) is not None
    assert verification.trace_fault(other) is None


def test_an_edited_snapshot_shows(now: datetime, make_trace: Callable[..., str]) -> None:
    cid = make_trace(outcome=None)
    snapshot = services.store_snapshot(
        account="7", source="paper", correlation_id=cid, as_of=now, taken_at=now,
        complete={"holdings": True}, document={"holdings": [{"symbol": "NSE:INFY", "quantity": 10}]},
    )  # fmt: skip
    with recording(now) as record:
        record.event(cid, "snapshot.taken", {"snapshot": snapshot.pk, "hash": snapshot.hash})
    assert verification.snapshot_fault(snapshot) == ""
    snapshot.content.document = snapshot.document.replace("10", "11")
    assert verification.snapshot_fault(snapshot) == "the document does not match its hash"
    snapshot.content = SnapshotContent(
        hash=services.canonical.text_digest(snapshot.document), document=snapshot.document
    )
    assert verification.snapshot_fault(snapshot) == "its trace recorded another hash when it was taken"


# --- append-only ---------------------------------------------------------------------------------------------------
def test_models_refuse_changes(make_trace: Callable[..., str]) -> None:
    trace = DecisionTrace.objects.get(pk=make_trace())
    for act in (
        trace.save,
        trace.delete,
        TraceEvent.objects.all().delete,
        lambda: TraceEvent.objects.update(data="{}"),
        lambda: TraceLink.objects.get().save(),
    ):
        with pytest.raises(TypeError, match="append-only"):
            act()


KEYS = {"decisiontrace": "correlation_id", "traceevent": "seq", "snapshotcontent": "hash"}
TABLES = (
    "snapshot", "snapshotcontent", "decisiontrace", "tracelink", "traceclosing", "traceevent", "systemevent",
    "exceptionnote",
)  # fmt: skip


@pytest.fixture
def one_of_each(make_trace: Callable[..., str], now: datetime) -> None:
    make_trace()
    services.store_snapshot(
        account="7", source="paper", correlation_id="", as_of=now, taken_at=now, complete={}, document={}
    )
    exception = services.raise_exception(
        code=services.ExceptionCode.EXTERNAL_ORDER, type_="order", severity=services.Severity.LOW, summary="Elsewhere.",
        fingerprint=("x",), now=now,
    )  # fmt: skip
    services.acknowledge_exception(exception=exception, actor="asha", now=now)
    services.record_system_event(
        category=services.EventCategory.SECURITY, event_type="SIGNED_IN", message="asha", now=now
    )


@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_updates(one_of_each: None, table: str) -> None:
    key = KEYS.get(table, "id")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM audit_{table}")
        assert cursor.fetchone()[0] > 0
        with pytest.raises((IntegrityError, InternalError), match="append-only"), transaction.atomic():
            cursor.execute(f"UPDATE audit_{table} SET {key} = {key}")


@pytest.mark.postgres
@pytest.mark.parametrize("table", TABLES)
def test_postgres_refuses_deletes_outside_retention(one_of_each: None, table: str) -> None:
    with connection.cursor() as cursor:
        with pytest.raises((IntegrityError, InternalError), match="append-only"), transaction.atomic():
            cursor.execute(f"DELETE FROM audit_{table}")
        with transaction.atomic():
            cursor.execute("SELECT set_config('sigmatrader.retention', 'on', true)")
            with pytest.raises((IntegrityError, InternalError), match="append-only"), transaction.atomic():
                cursor.execute(f"UPDATE audit_{table} SET {KEYS.get(table, 'id')} = {KEYS.get(table, 'id')}")


# --- commands ------------------------------------------------------------------------------------------------------
def run(name: str, *args: str) -> str:
    out = StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def test_the_verify_command_says_whole_or_names_the_row(make_trace: Callable[..., str]) -> None:
    make_trace()
    assert run("audit_verify").startswith("Whole: 3 events from 1 to 3, 0 anchors agree, ")
    shape = json.loads(run("audit_verify", "--json"))
    assert shape.pop("duration_ms") >= 0
    assert shape == {"ok": True, "events": 3, "from_seq": 1, "to_seq": 3, "anchors_checked": 0, "first_bad": None}
    with behind_our_back() as sql:
        sql("DELETE FROM audit_traceevent WHERE seq = 2")
    with pytest.raises(CommandError, match="broken at event 2: it is missing"):
        run("audit_verify")
    out = StringIO()
    with pytest.raises(SystemExit) as stop:
        call_command("audit_verify", "--json", stdout=out)
    assert stop.value.code == 1
    assert json.loads(out.getvalue())["first_bad"]["seq"] == 2


def test_the_anchor_command(make_trace: Callable[..., str]) -> None:
    assert run("audit_anchor") == "Nothing new since the last anchor.\n"
    make_trace()
    assert json.loads(run("audit_anchor", "--json"))["seq"] == 3
    assert json.loads(run("audit_anchor", "--json")) == {"written": False}
    ChainHead.objects.update(seal="0" * 64)
    with pytest.raises(CommandError, match="No anchor was written"):
        run("audit_anchor")
