"""The sweep and the fault table: what becomes of work whose process was lost (FAULTS section A)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.domain import OrderType, Product, Side
from execution import approval, door, poller, recovery
from execution.domain import IntentKind, OrderInstruction, TradeIntent
from execution.models import Fill, LedgerEntry, OrderIntent
from risk.domain import TradingStateName
from risk.services import set_trading_state
from sigmatrader.audit.models import ExceptionRecord
from tests.execution.api import utcnow
from tests.execution.working import ending_of, sole, words_of
from tests.support.fake_broker import Outcome, ProcessKilled

pytestmark = pytest.mark.django_db


@pytest.fixture
def committed(make_card, approve, monkeypatch):
    """Approves without sending, as a kill right after the commit leaves it."""

    def make(intent=None):
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
        card = make_card(intent)
        approve(card)
        monkeypatch.undo()
        return card

    return make


class TestSweep:
    def test_nothing_to_do_touches_no_broker(self, connection, broker, sweep):
        report = sweep()
        assert (report.resumed, report.polled_connections, report.cards_expired) == (0, 0, 0)
        assert broker.reads == {}

    def test_twice_is_the_same_as_once(self, committed, broker, sweep):
        card = committed()
        sweep()
        state = sole(card).state
        recovery.sweep(now=utcnow())
        assert len(broker.sent) == 1
        assert sole(card).state == state

    def test_it_leaves_a_fresh_commit_to_its_sender(self, committed, broker):
        committed()
        assert recovery.sweep(now=utcnow()).resumed == 0
        assert broker.sent == []

    def test_what_was_sent_is_not_resumed(self, make_card, approve, broker, sweep):
        approve(make_card())
        assert sweep().resumed == 0
        assert len(broker.sent) == 1

    def test_cards_whose_time_is_over(self, make_card, connection, broker, sweep):
        card = make_card()
        assert sweep(step_s=301).cards_expired == 1
        card.refresh_from_db()
        assert card.state == "expired"
        assert list(ending_of(card)) == ["expired"]
        assert sweep().cards_expired == 0

    def test_one_connection_that_cannot_be_read_does_not_stop_the_sweep(
        self, make_card, approve, connection, broker, sweep, monkeypatch
    ):
        from sigmatrader.audit.api.problems import conflict

        approve(make_card())

        def off(row):
            raise conflict("FEATURE_DISABLED", "off")

        monkeypatch.setattr(poller.factory, "reader_for", off)
        report = sweep()
        assert (report.polled_connections, report.still_open) == (1, 1)


class TestKilled:
    def test_a1_before_the_commit_nothing_is_left(self, make_card, approve, broker, monkeypatch):
        card = make_card()
        self.die_at(monkeypatch, "before_commit")
        with pytest.raises(ProcessKilled):
            approve(card)
        assert not OrderIntent.objects.exists()
        assert broker.sent == []
        monkeypatch.undo()
        assert [intent.state for intent in approve(card).intents] == ["ACKED"]

    @pytest.mark.parametrize("reason", ["halted", "expired"])
    def test_a2_not_resumed_when_it_no_longer_holds(self, committed, broker, sweep, reason):
        card = committed()
        if reason == "halted":
            set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow())
        sweep(step_s=3 if reason == "halted" else 301)
        assert sole(card).state == {"halted": "DENIED", "expired": "EXPIRED"}[reason]
        assert list(ending_of(card)) == [{"halted": "denied", "expired": "expired"}[reason]]
        assert broker.sent == []

    @pytest.mark.parametrize(
        ("point", "state", "orders", "sent"),
        [("committed", "FILLED", 1, 1), ("sending", "NOT_PLACED", 0, 0), ("answered", "FILLED", 1, 1),
         ("acked", "FILLED", 1, 1)],
    )  # fmt: skip
    def test_a2_a3_a9_a10(self, make_card, approve, broker, sweep, monkeypatch, point, state, orders, sent):
        card = make_card()
        self.die_at(monkeypatch, point)
        with pytest.raises(ProcessKilled):
            approve(card)
        monkeypatch.undo()
        sweep(4)
        sweep(8, step_s=5)
        sweep(12, step_s=30)
        assert (sole(card).state, broker.order_count(), len(broker.sent)) == (state, orders, sent)
        assert list(ending_of(card)) == [{"FILLED": "filled", "NOT_PLACED": "not_placed"}[state]]
        found = words_of(card)
        if point == "sending":
            assert found.count("lookup.miss") == 11
            assert ExceptionRecord.objects.get(code="PLACEMENT_NOT_FOUND").status == "open"
            assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "resolved"
        if point == "answered":
            assert "recovery.lookup" in found
            assert "lookup.hit" in found

    def test_a10_the_sweep_polls_within_ten_seconds(self, make_card, approve, broker, sweep):
        approve(make_card())
        reads = broker.reads["orders"]
        sweep(step_s=5, settle_now=False)
        assert broker.reads["orders"] > reads

    def test_a11_a_send_delivered_five_times_acts_once(self, committed, broker):
        card = committed()
        for _ in range(5):
            door.send_intent(sole(card).id)
        assert len(broker.sent) == 1
        assert words_of(card).count("task.duplicate_ignored") == 4

    def test_a20_a_poller_that_dies_is_followed_by_another(self, make_card, approve, broker, sweep, monkeypatch):
        card = make_card()
        approve(card)

        def die(*_args, **_kwargs):
            raise ProcessKilled

        monkeypatch.setattr(poller.book_sync, "store_orders", die)
        with pytest.raises(ProcessKilled):
            sweep()
        monkeypatch.undo()
        sweep(8, settle_now=False)
        assert sole(card).state == "FILLED"
        assert Fill.objects.count() == LedgerEntry.objects.filter(kind="fill").count() == 1

    def test_a8_late_arrival_corrects_card_and_story(self, make_card, approve, broker, sweep):
        broker.script(Outcome.UNKNOWN_LATE, late_reads=30)
        card = make_card()
        approve(card)
        sweep(14, step_s=20)
        card.refresh_from_db()
        assert (sole(card).state, card.state) == ("NOT_PLACED", "failed")
        sweep(24, step_s=5)
        card.refresh_from_db()
        assert (sole(card).state, card.state) == ("FILLED", "done")
        assert list(ending_of(card)) == ["not_placed", "filled"]
        assert ExceptionRecord.objects.get(code="LATE_ARRIVAL").severity == "critical"
        assert len(broker.sent) == 1

    @staticmethod
    def die_at(monkeypatch, name):
        def reach(point):
            if point.value == name:
                raise ProcessKilled

        monkeypatch.setattr("execution.faults.reach", reach)


class TestSeveralLegs:
    @pytest.fixture
    def half_sent(self, make_card, approve, monkeypatch, broker):
        """Killed between the first leg and the second (FAULTS A18)."""
        legs = tuple(
            OrderInstruction(side=Side.BUY, exchange="NSE", tradingsymbol=symbol, order_type=OrderType.LIMIT,
                             product=Product.CNC, quantity=quantity, price=Decimal(price))
            for symbol, quantity, price in (("INFY", 5, "1500"), ("ITC", 10, "430"))
        )  # fmt: skip
        card = make_card(TradeIntent(kind=IntentKind.ORDERS, orders=legs, text="both"))
        send, calls = door.send_intent, []

        def dying(intent_id):
            calls.append(intent_id)
            if len(calls) == 2:
                raise ProcessKilled
            return send(intent_id)

        monkeypatch.setattr(approval.door, "send_intent", dying)
        with pytest.raises(ProcessKilled):
            approve(card)
        monkeypatch.undo()
        assert [row.symbol for row in broker.placed] == ["NSE:INFY"]
        return card

    def states(self, card):
        return list(OrderIntent.objects.filter(plan=card.plan).order_by("leg_n").values_list("state", flat=True))

    def test_the_rest_is_resumed_while_it_holds(self, half_sent, broker, sweep):
        sweep(10)
        assert self.states(half_sent) == ["FILLED", "FILLED"]
        assert [row.symbol for row in broker.placed] == ["NSE:INFY", "NSE:ITC"]
        assert list(ending_of(half_sent)) == ["filled"]

    @pytest.mark.parametrize("reason", ["halted", "expired"])
    def test_else_a_person_decides_on_it(self, half_sent, broker, sweep, trader_api, reason):
        if reason == "halted":
            set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow())
        sweep(step_s=3 if reason == "halted" else 301)
        sweep(10)
        assert self.states(half_sent) == ["FILLED", "NEEDS_REVIEW"]
        assert len(broker.placed) == 1
        assert list(ending_of(half_sent)) == ["needs_review"]
        assert "plan.partial" in words_of(half_sent)
        exception = ExceptionRecord.objects.get(code="PARTIAL_PLAN")
        assert (exception.status, exception.severity) == ("open", "high")
        path = f"/api/exceptions/{exception.pk}/remediate"
        assert trader_api.post(path, {"action": "close_not_placed"}, format="json").status_code == 200
        assert self.states(half_sent) == ["FILLED", "NOT_PLACED"]
        exception.refresh_from_db()
        assert exception.status == "resolved"
