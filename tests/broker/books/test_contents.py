"""Snapshots by content: read side by side, stored once, found again part by part, kept while something refers to it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db import connection as database

from broker import selectors
from broker.domain import Holding
from broker.ingestion import take_snapshot
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from broker.reading import read_books
from broker.snapshots import stored_books
from sigmatrader.audit import retention, verification
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import Snapshot, SnapshotContent
from sigmatrader.audit.recording import recording
from tests.support.fake_broker import FakeBroker

PARTS = ("holdings", "positions", "orders", "trades", "margins")
HOLDING = Holding("NSE:TCS", "INE467B01029", 10, 5, 0, Decimal(100), Decimal(110), Decimal(108))


# --- reading -------------------------------------------------------------------------------------------------------
class Meeting(FakeBroker):
    """Each read waits until all parts are being read: one after another they would never all meet."""

    def __init__(self, parties: int) -> None:
        super().__init__(holdings=[HOLDING])
        self.barrier = threading.Barrier(parties, timeout=5)

    def _read(self, part: str) -> None:
        self.barrier.wait()
        super()._read(part)


def test_all_parts_are_read_at_once(now: datetime) -> None:
    books = read_books(Meeting(6), ["NSE:INFY"], as_of=now)
    assert (books.is_complete, books.as_of, books.faults) == (True, now, {})
    assert [h.symbol for h in books.holdings or ()] == ["NSE:TCS"]
    assert list(books.quotes) == ["NSE:INFY"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_complete_or_absent_with_its_reason(part: str, now: datetime) -> None:
    broker = FakeBroker()
    broker.fail_read(part, BrokerUnavailable("cut"))
    books = read_books(broker, as_of=now)
    assert books.complete == {name: name != part for name in PARTS}
    assert books.faults == {part: "BrokerUnavailable: cut"}


def test_quotes_that_fail_leave_the_books(now: datetime) -> None:
    broker = FakeBroker()
    broker.fail_read("quotes", BrokerAuthExpired("log in"))
    books = read_books(broker, ["NSE:INFY"], as_of=now)
    assert (books.is_complete, books.quotes, books.faults) == (True, {}, {"quotes": "BrokerAuthExpired: log in"})


def test_a_fault_of_ours_is_not_taken_for_the_brokers(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker()
    monkeypatch.setattr(broker, "trades", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read_books(broker, as_of=now)


# --- stored once ---------------------------------------------------------------------------------------------------
def taken(connection: BrokerConnection, now: datetime, minutes: float = 0, **options: Any) -> Snapshot:
    moment = now + timedelta(minutes=minutes)
    return take_snapshot(connection, correlation_id=options.get("correlation_id", ""), now=moment)[0]


def test_what_did_not_change_is_stored_once(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    first, second = taken(connection, now), taken(connection, now, 1)
    assert (Snapshot.objects.count(), SnapshotContent.objects.count()) == (2, 1)
    assert (first.hash, first.document) == (second.hash, second.document)
    again = Snapshot.objects.get(pk=second.pk)
    assert (again.as_of, stored_books(again).as_of) == (now + timedelta(minutes=1),) * 2
    assert stored_books(first).as_of == now
    fake.cash += 1
    third = taken(connection, now, 2)
    assert (SnapshotContent.objects.count(), third.hash == first.hash) == (2, False)
    assert stored_books(Snapshot.objects.get(pk=third.pk)).margins["equity"].cash == Decimal(1000001)  # type: ignore[index]


def test_a_content_is_held_to_its_hash_and_a_time_to_its_trace(
    connection: BrokerConnection, fake: FakeBroker, now: datetime
) -> None:
    trace_id = new_correlation_id()
    with recording(now) as record:
        record.open(trace_id, kind="plan", actor="trader", origin="ticket")
    snapshot = taken(connection, now, correlation_id=trace_id)
    assert verification.snapshot_fault(snapshot) == ""
    snapshot.as_of += timedelta(seconds=1)
    assert verification.snapshot_fault(snapshot) == "its trace recorded another time when it was taken"
    snapshot.content.document = snapshot.document.replace("1000000", "9000000")
    assert verification.snapshot_fault(snapshot) == "the document does not match its hash"


def test_a_content_in_use_cannot_go(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    snapshot = taken(connection, now)
    with pytest.raises(TypeError, match="append-only"):
        SnapshotContent.objects.all().delete()
    with pytest.raises(IntegrityError):
        _delete_content(snapshot.hash)


def _delete_content(content_hash: str) -> None:
    with transaction.atomic(), database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute("SELECT set_config('sigmatrader.retention', 'on', true)")
        cursor.execute("DELETE FROM audit_snapshotcontent WHERE hash = %s", [content_hash])
        database.check_constraints()


def test_retention_keeps_a_content_while_a_snapshot_refers_to_it(
    connection: BrokerConnection, fake: FakeBroker, now: datetime
) -> None:
    fake.cash += 1
    taken(connection, now - timedelta(days=100, minutes=30))
    fake.cash -= 1
    shared = taken(connection, now - timedelta(days=100, minutes=20))
    fake.cash += 2
    last_of_day = taken(connection, now - timedelta(days=100))
    fake.cash -= 2
    young = taken(connection, now)
    assert young.hash == shared.hash
    removed = retention.prune(now=now).removed
    assert (removed["snapshots"], removed["snapshot_contents"]) == (2, 1)
    assert set(Snapshot.objects.values_list("pk", flat=True)) == {last_of_day.pk, young.pk}
    assert set(SnapshotContent.objects.values_list("pk", flat=True)) == {last_of_day.hash, young.hash}


# --- found again ---------------------------------------------------------------------------------------------------
@pytest.fixture
def three(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> list[Snapshot]:
    """Without trades from the first on; complete otherwise, then without orders, then without orders and margins."""
    fake.fail_read("trades", BrokerUnavailable("x"), times=3)
    found = [taken(connection, now)]
    for minute, parts in ((1, ("orders",)), (2, ("orders", "margins"))):
        for part in parts:
            fake.fail_read(part, BrokerUnavailable("x"))
        found.append(taken(connection, now, minute))
    return found


def test_latest_good_is_part_by_part(connection: BrokerConnection, three: list[Snapshot]) -> None:
    first, second, third = three
    good = selectors.latest_good(connection)
    assert good == {"holdings": third, "positions": third, "orders": first, "margins": second}


def test_nothing_read_yet_is_nothing_good(connection: BrokerConnection) -> None:
    assert selectors.latest_good(connection) == {}


def test_the_list_says_where_each_part_is_from(connection: BrokerConnection, three: list[Snapshot]) -> None:
    out = StringIO()
    call_command("snapshot", "list", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert [row["id"] for row in found["snapshots"]] == [str(row.pk) for row in reversed(three)]
    assert found["latest_good"] == {
        "holdings": str(three[2].pk), "positions": str(three[2].pk), "orders": str(three[0].pk), "trades": None,
        "margins": str(three[1].pk),
    }  # fmt: skip


def test_a_changed_price_is_another_content(connection: BrokerConnection, now: datetime, fake: FakeBroker) -> None:
    fake._holdings = [replace(HOLDING, last_price=Decimal(111))]
    first = taken(connection, now)
    fake.prices["NSE:TCS"] = Decimal("3421.00")
    assert taken(connection, now, 1).hash != first.hash
