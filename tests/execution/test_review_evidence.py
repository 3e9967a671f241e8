"""Nothing is concluded from what was not read, and nothing changes without its trace."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from broker.domain import Holding
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from execution import approval, completion, door, poller, reconciler
from execution.models import LedgerEntry, OrderIntent
from sigmatrader.audit import services
from sigmatrader.audit.models import ExceptionRecord, TraceClosing
from sigmatrader.audit.recording import Recorder
from sigmatrader.audit.vocabulary import ExceptionCode, Severity
from tests.execution.api import INTENT, utcnow
from tests.execution.conftest import buy
from tests.support.fake_broker import Outcome, ProcessKilled, stays_open

pytestmark = pytest.mark.django_db


@pytest.fixture
def intent_of():
    return lambda card: OrderIntent.objects.get(plan=card.plan)


def test_a_session_that_ended_overnight_cancels_nothing(make_card, approve, broker, sweep, intent_of):
    """Every morning a log-in is needed first: a book that could not be read says nothing of yesterday's orders."""
    broker.script(Outcome.ACK, statuses=stays_open())
    card = make_card()
    approve(card)
    sweep(6)
    broker.fail_read("orders", BrokerAuthExpired("Please log in first"), times=9)
    sweep(step_s=24 * 3600, settle_now=False)
    assert intent_of(card).state == "WORKING"
    assert ExceptionRecord.objects.filter(code="TOKEN_EXPIRED").count() == 1


def test_books_that_could_not_be_read_are_not_called_equal(make_card, approve, broker, sweep, monkeypatch):
    def down(*args, **values):
        raise BrokerUnavailable("down")

    card = make_card()
    approve(card)
    monkeypatch.setattr(reconciler, "take_snapshot", down)
    sweep(8)
    words = TraceClosing.objects.filter(trace_id=card.correlation_id).latest("id").explanation
    assert "Not reconciled: The broker could not be read" in words
    assert "no differences" not in words


def test_a_card_that_was_replaced_ends_its_story(make_card, trader_api, broker):
    card = make_card()
    body = {"intent": INTENT, "supersedes": str(card.id)}
    assert trader_api.post("/api/plans", body, format="json").status_code == 201
    assert TraceClosing.objects.get(trace_id=card.correlation_id).outcome == "declined"


def test_a_remedy_and_its_trace_are_one_commit(connection, broker, trader_api, monkeypatch):
    reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow())
    broker._holdings = [
        Holding("NSE:INFY", "INE000000001", 7, 0, 0, Decimal(1400), Decimal(1500), Decimal(1490))
    ]  # fmt: skip
    reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow())
    delta = ExceptionRecord.objects.get(code="RECON_DELTA")
    before, really_open = LedgerEntry.objects.count(), Recorder.open

    def killed(self, correlation_id, **values):
        if values["kind"] == "remedy":
            raise ProcessKilled
        return really_open(self, correlation_id, **values)

    monkeypatch.setattr(Recorder, "open", killed)
    path, body = f"/api/exceptions/{delta.pk}/remediate", {"action": "accept_difference"}
    with pytest.raises(ProcessKilled):
        trader_api.post(path, body, format="json")
    assert LedgerEntry.objects.count() == before
    monkeypatch.undo()
    assert trader_api.post(path, body, format="json").status_code == 200
    assert LedgerEntry.objects.count() == before + 1


def test_a_person_may_be_quicker_than_a_rule(now, db, monkeypatch):
    services.raise_exception(
        code=ExceptionCode.PLACEMENT_UNKNOWN, type_="placement", severity=Severity.HIGH, summary="?",
        fingerprint=("one",), now=now,
    )  # fmt: skip
    resolve = services.resolve_exception

    def too_late(*, exception, **values):
        ExceptionRecord.objects.update(status="resolved")
        return resolve(exception=exception, **values)

    monkeypatch.setattr(services, "resolve_exception", too_late)
    assert services.close_fingerprint(fingerprint=("one",), note="found", now=now) is False


def test_looks_are_counted_as_far_as_the_column_goes(make_card, approve, broker, clock, intent_of):
    broker.script(Outcome.ACK, statuses=stays_open())
    card = make_card()
    approve(card)
    for lookups in (None, None, None, None, None, 32_767, None):
        if lookups is not None:
            OrderIntent.objects.update(lookups=lookups)
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(card.connection_id, now=utcnow())
    assert (intent_of(card).state, intent_of(card).lookups) == ("WORKING", 32_767)


def test_orders_that_rest_hold_up_no_other_story(make_card, approve, broker, sweep, monkeypatch):
    """However many rest, those that have ended are told first."""
    broker.script(Outcome.ACK, statuses=stays_open())
    resting = make_card()
    approve(resting)
    sweep(1)
    done = make_card(buy(5, "428", symbol="ITC"))
    approve(done)
    monkeypatch.setattr(completion, "_AT_ONCE", 1)
    sweep(8)
    assert TraceClosing.objects.get(trace_id=done.correlation_id).outcome == "filled"
    assert not TraceClosing.objects.filter(trace_id=resting.correlation_id).exists()


def test_a_row_that_is_not_the_approved_leg_is_not_sent(make_card, approve, broker, monkeypatch, intent_of):
    card = make_card()
    monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
    approve(card)
    monkeypatch.undo()
    OrderIntent.objects.update(quantity=1000)
    sent = door.send_intent(intent_of(card).id)
    assert (sent.state, sent.denial_code) == ("DENIED", "APPROVAL_STALE")
    assert broker.placed == []
