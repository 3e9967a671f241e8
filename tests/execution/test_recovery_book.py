"""What the broker's book may say, and when a day ends: odd rows, slices, twins, misses (FAULTS A21-A32)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from broker.domain import Product
from broker.ports import BrokerUnavailable
from execution.models import ActionCard
from risk.domain import TradingStateName
from risk.models import TradingState
from risk.services import set_trading_state
from sigmatrader.audit.models import ExceptionRecord, TraceEvent
from tests.execution.api import utcnow
from tests.execution.conftest import buy
from tests.execution.working import ending_of, sole, words_of
from tests.support.fake_broker import ARRIVAL, Outcome, Step, stays_open

pytestmark = pytest.mark.django_db


class TestBrokersBook:
    def test_a21_older_rows_change_nothing(self, make_card, approve, broker, sweep, monkeypatch):
        broker.script(Outcome.ACK, statuses=(*ARRIVAL, Step("OPEN", 4), Step("OPEN", 7)))
        card = make_card()
        approve(card)
        sweep(4)
        old = broker.orders()[0]
        sweep(3)
        assert sole(card).filled_quantity == 7
        monkeypatch.setattr(broker, "orders", lambda: (old,))
        sweep(2)
        assert (sole(card).state, sole(card).filled_quantity) == ("WORKING", 7)
        assert not ExceptionRecord.objects.filter(code="STATUS_REGRESSION").exists()

    def test_a27_slices_are_one_order(self, make_card, approve, broker, sweep, monkeypatch):
        broker.script(Outcome.ACK, statuses=stays_open())
        card = make_card()
        approve(card)
        row = broker.orders()[0]
        children = tuple(
            replace(row, broker_order_id=f"{row.broker_order_id}{n}", parent_order_id=row.broker_order_id, quantity=5,
                    filled_quantity=5, pending_quantity=0, status="COMPLETE", average_price=Decimal(1500))
            for n in (1, 2)
        )  # fmt: skip
        monkeypatch.setattr(broker, "orders", lambda: children)
        sweep(2)
        intent = sole(card)
        assert (intent.state, intent.filled_quantity) == ("FILLED", 10)
        assert not ExceptionRecord.objects.filter(code__in=["DUPLICATE_TAG", "ORDER_MISMATCH"]).exists()
        assert len(broker.sent) == 1

    def test_a28_two_orders_with_one_tag_halt_the_account_once(
        self, make_card, approve, broker, sweep, monkeypatch, connection
    ):
        broker.script(Outcome.UNKNOWN_ACCEPTED, statuses=stays_open())
        card = make_card()
        approve(card)
        row = broker.orders()[0]
        twins = (row, replace(row, broker_order_id="999", symbol="NSE:TCS"))
        monkeypatch.setattr(broker, "orders", lambda: twins)
        sweep(3)
        assert TradingState.objects.get(scope=connection.account).state == "HALTED"
        assert ExceptionRecord.objects.get(code="DUPLICATE_TAG").severity == "critical"
        assert TraceEvent.objects.filter(type="trading_state.set").count() == 1

    def test_a_mismatch_does_not_loosen_a_halt(self, make_card, approve, broker, sweep, connection):
        card = make_card()
        approve(card)
        set_trading_state(scope=connection.account, state=TradingStateName.HALTED, actor="t", now=utcnow())
        live = next(iter(broker._orders.values()))
        live.request = replace(live.request, product=Product.MIS)
        sweep()
        assert ExceptionRecord.objects.filter(code="ORDER_MISMATCH").exists()
        assert TradingState.objects.get(scope=connection.account).state == "HALTED"

    def test_a31_a_read_that_failed_is_no_miss(self, make_card, approve, broker, sweep):
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        card = make_card()
        approve(card)
        broker.fail_read("orders", BrokerUnavailable("cut"), times=3)
        sweep(3)
        assert sole(card).lookups == 0
        assert words_of(card).count("lookup.invalid") == 3


class TestEndOfDay:
    def test_a32_what_is_unknown_at_the_days_end_needs_a_person(self, make_card, approve, broker, sweep, clock):
        clock.move_to(utcnow().replace(hour=0, minute=29, second=50) + timedelta(days=1))  # 05:59:50 in Mumbai
        broker.now = utcnow()
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        card = make_card()
        approve(card)
        sweep(3, step_s=1)
        assert sole(card).state == "AMBIGUOUS"
        sweep(step_s=30)
        assert sole(card).state == "NEEDS_REVIEW"
        assert ExceptionRecord.objects.get(code="PLACEMENT_UNRESOLVED").severity == "critical"
        assert list(ending_of(card)) == ["needs_review"]
        assert words_of(card).count("lookup.miss") == sole(card).lookups
        assert len(broker.sent) == 1

    def test_what_nobody_looked_at_before_its_close_needs_a_person(
        self, make_card, approve, broker, sweep, clock, monkeypatch
    ):
        broker.script(Outcome.ACK, statuses=(*ARRIVAL, Step("OPEN", 4)))
        card = make_card()
        approve(card)
        sweep(6)
        assert (sole(card).state, sole(card).filled_quantity) == ("WORKING", 4)
        monkeypatch.setattr(broker, "orders", lambda: ())
        sweep(step_s=24 * 3600)
        intent = sole(card)
        assert (intent.state, intent.filled_quantity) == ("NEEDS_REVIEW", 4)
        raised = ExceptionRecord.objects.get(code="PLACEMENT_UNRESOLVED")
        assert (raised.severity, raised.expected) == ("critical", "a filled, cancelled or rejected order")
        assert raised.actual == "4 filled when last seen; what became of 6 is not known"
        assert [remedy["action"] for remedy in raised.remedies] == ["close_ended"]
        assert list(ending_of(card)) == ["needs_review"]

    def test_what_was_open_at_its_close_ends_with_its_day_and_keeps_its_fills(
        self, make_card, approve, broker, sweep, clock, monkeypatch
    ):
        broker.script(Outcome.ACK, statuses=(*ARRIVAL, Step("OPEN", 4)))
        card = make_card()
        approve(card)
        sweep(6)
        clock.move_to(utcnow().replace(hour=0, minute=29) + timedelta(days=1))  # 05:59 in Mumbai: a minute to the roll
        sweep()
        monkeypatch.setattr(broker, "orders", lambda: ())
        sweep(step_s=3600)
        intent = sole(card)
        assert (intent.state, intent.filled_quantity) == ("CANCELLED", 4)
        assert intent.status_message == "It ended with its trading day."
        assert list(ending_of(card)) == ["partly_filled"]
        assert not ExceptionRecord.objects.filter(code="PLACEMENT_UNRESOLVED").exists()

    def test_an_order_the_new_book_still_has_goes_on(self, make_card, approve, broker, sweep):
        broker.script(Outcome.ACK, statuses=stays_open())
        card = make_card()
        approve(card)
        sweep(6)
        sweep(2, step_s=24 * 3600)
        assert sole(card).state == "WORKING"


class TestLimitsSeeWhatWasJustSent:
    def test_orders_sent_since_the_books_were_read_count(self, make_card, approve, broker):
        """Two orders within the age the books may have: the second is judged with the first in the book."""
        approve(make_card(buy(120)))
        second = make_card(buy(120))
        assert second.state == "denied"
        assert "POSITION_MAX" in second.plan.decision.denials
        assert ActionCard.objects.count() == 2
        assert len(broker.sent) == 1
