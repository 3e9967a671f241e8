"""Whether an order of the day before ended for certain, and what a person can do where it did not (FAULTS A32)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from execution import day_end
from execution.models import Order, OrderIntent
from sigmatrader.audit.models import ExceptionRecord
from tests.execution.api import key, utcnow
from tests.execution.working import ending_of, sole
from tests.support.fake_broker import Outcome, stays_open

MONDAY = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)  # 11:30 in Mumbai


@pytest.mark.parametrize(
    ("is_live", "symbol", "closes"),
    [
        (True, "NSE:INFY", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        (True, "BSE:INFY", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        (True, "NFO:NIFTY26NOV24500CE", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        (True, "MCX:LEADMINI26NOVFUT", datetime(2026, 11, 24, 0, 28, tzinfo=UTC)),
        (False, "NSE:INFY", datetime(2026, 11, 24, 0, 28, tzinfo=UTC)),
    ],
)
def test_when_an_order_could_not_fill_any_more(is_live, symbol, closes):
    row = SimpleNamespace(created_at=MONDAY, symbol=symbol, connection=SimpleNamespace(is_live=is_live))
    assert day_end.closing_time(row) == closes


@pytest.fixture
def resting(make_card, approve, broker, sweep):
    broker.script(Outcome.ACK, statuses=stays_open())
    card = make_card()
    approve(card)
    sweep(6)
    return card


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "seen_before_close", "certain"),
    [
        ({}, timedelta(0), True),
        ({}, timedelta(seconds=1), False),
        ({"variety": "amo"}, timedelta(0), False),
        ({"validity": "TTL"}, timedelta(0), False),
    ],
)
def test_only_a_day_order_seen_after_its_close_is_certain(resting, changes, seen_before_close, certain):
    OrderIntent.objects.update(**changes)
    row = OrderIntent.objects.select_related("connection").get()
    Order.objects.update(last_read=day_end.closing_time(row) - seen_before_close)
    assert day_end.is_certain(row) is certain


@pytest.mark.django_db
def test_each_look_is_noted_to_the_half_minute(resting, sweep):
    first = Order.objects.get().last_read
    sweep(1, step_s=20)
    assert Order.objects.get().last_read == first
    sweep(1, step_s=20)
    assert Order.objects.get().last_read == utcnow()


@pytest.mark.django_db
def test_a_person_closes_what_ended_unseen(resting, broker, sweep, trader, api_for, monkeypatch):
    monkeypatch.setattr(broker, "orders", lambda: ())
    sweep(step_s=24 * 3600)
    assert sole(resting).state == "NEEDS_REVIEW"
    row = ExceptionRecord.objects.get(code="PLACEMENT_UNRESOLVED")
    body = {"action": "close_ended", "note": "it was cancelled at the close"}
    answer = api_for(trader).post(f"/api/exceptions/{row.id}/remediate", body, format="json", **key())
    assert answer.status_code == 200, answer.content
    row.refresh_from_db()
    assert (sole(resting).state, row.status) == ("CANCELLED", "resolved")
    assert list(ending_of(resting)) == ["needs_review"]
    assert len(broker.placed) == 1
