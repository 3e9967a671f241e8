"""An answer that comes after its sender was given up, and a row that claims to be two of our orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from broker.ports import BrokerUnavailable
from execution import outcomes, poller, recovery
from execution.models import OrderIntent
from risk.models import TradingState
from sigmatrader.audit.models import ExceptionRecord
from tests.execution.api import utcnow
from tests.execution.conftest import buy
from tests.support.fake_broker import Outcome, ProcessKilled, stays_open

pytestmark = pytest.mark.django_db


@pytest.fixture
def lost(make_card, approve, broker, clock):
    """A send whose lease ran out while its process waited for the answer."""
    broker.script(Outcome.CRASH_BEFORE)
    with pytest.raises(ProcessKilled):
        approve(make_card())
    clock.shift(timedelta(seconds=9))
    broker.fail_read("orders", BrokerUnavailable("cut"))
    recovery.sweep(now=utcnow())
    intent = OrderIntent.objects.get()
    assert intent.state == "AMBIGUOUS"
    return intent


def test_a_late_answer_closes_what_was_open(lost):
    outcomes.acked(lost, lost.fence, "260000000000001", now=utcnow())
    lost.refresh_from_db()
    assert (lost.state, lost.broker_order_id) == ("ACKED", "260000000000001")
    assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "resolved"
    assert not ExceptionRecord.objects.filter(code="LATE_ARRIVAL").exists()


def test_a_late_answer_after_the_verdict_is_told(lost):
    OrderIntent.objects.update(state="NOT_PLACED")
    outcomes.acked(lost, lost.fence, "260000000000001", now=utcnow())
    assert ExceptionRecord.objects.get(code="LATE_ARRIVAL").severity == "critical"


def test_one_row_with_the_tags_of_two_orders_stops_the_account_and_nothing_else(
    make_card, approve, broker, connection, clock, monkeypatch
):
    for symbol, price in (("INFY", "1500"), ("ITC", "428"), ("TCS", "3420")):
        broker.script(Outcome.ACK if symbol != "ITC" else Outcome.UNKNOWN_NOT_ACCEPTED, statuses=stays_open())
        approve(make_card(buy(5, price, symbol=symbol)))
    infy, itc, tcs = _by_symbol()
    real = broker.orders

    def mixed():
        rows = real()
        return tuple(replace(row, tags=(row.tag, itc.tag)) if row.tag == infy.tag else row for row in rows)

    monkeypatch.setattr(broker, "orders", mixed)
    for _ in range(6):
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(connection.id, now=utcnow())
    for row in (infy, itc, tcs):
        row.refresh_from_db()
    assert (infy.state, itc.state, tcs.state) == ("WORKING", "AMBIGUOUS", "WORKING")
    assert ExceptionRecord.objects.get(code="DUPLICATE_TAG").severity == "critical"
    assert TradingState.objects.get(scope=connection.account).state == "HALTED"


def _by_symbol():
    return tuple(OrderIntent.objects.get(symbol=f"NSE:{name}") for name in ("INFY", "ITC", "TCS"))
