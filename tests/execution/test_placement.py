"""The order path above a scriptable broker: what is sent, how often, and what is on record afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker.ports import BrokerUnavailable
from execution import approval, door, poller, recovery
from execution.domain import CardState, IntentState, Origin
from execution.models import ActionCard, Authorization, Fill, LedgerEntry, Order, OrderIntent, ReconciliationRun
from risk.domain import TradingStateName
from risk.models import TradingState
from risk.services import set_trading_state
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import DecisionTrace, ExceptionRecord, TraceClosing, TraceEvent
from tests.execution.conftest import buy
from tests.support.fake_broker import Outcome, ProcessKilled, Step, fills, partial, rejected, stays_open

pytestmark = pytest.mark.django_db


def utcnow() -> datetime:
    return datetime.now(UTC)


def events_of(card: ActionCard) -> list[str]:
    return list(
        TraceEvent.objects.filter(correlation_id=card.correlation_id).order_by("seq").values_list("type", flat=True)
    )


def outcome_of(card: ActionCard) -> str:
    return TraceClosing.objects.filter(trace_id=card.correlation_id).latest("id").outcome


def follow(connection: Any, clock: Any, *, times: int = 8, step_s: float = 0.6) -> None:
    for _ in range(times):
        clock.shift(timedelta(seconds=step_s))
        poller.poll_connection(connection.id, now=utcnow())


def sole_intent(card: ActionCard) -> OrderIntent:
    return OrderIntent.objects.get(plan=card.plan)


class TestHappyPath:
    def test_sentence_to_reconciled_fill(self, make_card, approve, connection, broker, clock, trader):
        card = make_card()
        assert (card.state, card.kind, card.title) == ("open", "trade", "BUY 10 INFY at 1500")
        assert broker.sent == []

        result = approve(card)

        assert [row.state for row in result.intents] == ["ACKED"]
        follow(connection, clock)
        intent = sole_intent(card)
        assert (intent.state, intent.filled_quantity, intent.average_price) == ("FILLED", 10, Decimal("1499.5000"))
        assert len(broker.sent) == 1
        assert broker.placed[0].tag == intent.tag
        card.refresh_from_db()
        assert card.state == "done"
        assert outcome_of(card) == "filled"
        run = ReconciliationRun.objects.get(correlation_id=card.correlation_id)
        assert (run.status, run.delta_count) == ("ok", 0)
        assert Fill.objects.get().quantity == 10
        assert LedgerEntry.objects.get(kind="fill").quantity == 10
        words = events_of(card)
        order = [
            "trace.opened", "plan.made", "risk.decided", "card.open", "authorization.given", "order.prepared",
            "send.started", "order.acked", "status.change", "fill.booked", "card.done", "reconcile.ok", "trace.closed",
        ]  # fmt: skip
        positions = [words.index(word) for word in order]
        assert positions == sorted(positions)

    def test_partial_fills_add_up(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.ACK, statuses=partial(4, 7, 10))
        card = make_card()
        approve(card)
        seen = []
        for _ in range(9):
            clock.shift(timedelta(seconds=0.6))
            poller.poll_connection(connection.id, now=utcnow())
            seen.append(sole_intent(card).filled_quantity)
        assert sorted(set(seen)) == [0, 4, 7, 10]
        assert seen == sorted(seen)
        assert sum(Fill.objects.values_list("quantity", flat=True)) == 10
        assert outcome_of(card) == "filled"

    def test_delayed_statuses_keep_the_card_executing(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.ACK, statuses=(*stays_open()[:1] * 6, *fills(10)))
        card = make_card()
        approve(card)
        follow(connection, clock, times=3)
        card.refresh_from_db()
        assert (card.state, sole_intent(card).state) == ("executing", "ACKED")
        follow(connection, clock, times=10)
        card.refresh_from_db()
        assert card.state == "done"

    def test_market_becomes_a_marketable_limit_inside_the_band(self, make_card, approve, broker):
        card = make_card(buy(price=None))
        approve(card)
        sent = broker.placed[0]
        assert (sent.order_type.value, sent.limit_price) == ("LIMIT", Decimal("1514.45"))


class TestRefusals:
    def test_veto_card_is_born_denied_and_nothing_is_sent(self, make_card, approve, broker, trader):
        card = make_card(buy(200))
        assert (card.kind, card.state) == ("veto", "denied")
        assert "ORDER_VALUE_MAX" in card.plan.decision.denials
        assert outcome_of(card) == "denied"
        with pytest.raises(Problem) as refused:
            approve(card)
        assert (refused.value.status_code, refused.value.code) == (409, "ALREADY_DECIDED")
        assert broker.sent == []
        assert not Authorization.objects.exists()

    def test_approval_binds_to_the_hash_that_was_shown(self, make_card, approve, broker):
        card = make_card()
        with pytest.raises(Problem) as refused:
            approve(card, content_hash="0" * 64)
        assert refused.value.code == "CARD_STALE"
        assert broker.sent == []
        card.refresh_from_db()
        assert card.state == "open"
        assert events_of(card)[-1] == "approval.stale"

    def test_no_hash_is_not_approved(self, make_card, approve, broker):
        with pytest.raises(Problem) as refused:
            approve(make_card(), content_hash="")
        assert refused.value.code == "NOT_APPROVED"
        assert broker.sent == []

    def test_expired_card(self, make_card, approve, broker, clock):
        card = make_card()
        clock.shift(timedelta(seconds=301))
        with pytest.raises(Problem) as refused:
            approve(card)
        assert refused.value.code == "CARD_EXPIRED"
        assert broker.sent == []
        assert outcome_of(card) == "expired"

    def test_price_that_moved_makes_the_card_stale(self, make_card, approve, broker):
        card = make_card()
        broker.prices["NSE:INFY"] = Decimal("1507.50")
        with pytest.raises(Problem) as refused:
            approve(card)
        assert refused.value.code == "CARD_STALE"
        card.refresh_from_db()
        assert card.state == "stale"
        assert broker.sent == []

    def test_price_inside_the_tolerance_goes(self, make_card, approve, broker):
        card = make_card()
        broker.prices["NSE:INFY"] = Decimal("1506.90")
        approve(card)
        assert len(broker.sent) == 1

    def test_second_press_is_already_decided(self, make_card, approve, broker):
        card = make_card()
        approve(card)
        with pytest.raises(Problem) as refused:
            approve(card)
        assert refused.value.code == "ALREADY_DECIDED"
        assert len(broker.sent) == 1
        assert Authorization.objects.count() == 1

    def test_other_traders_card_does_not_exist(self, make_card, other_trader, broker):
        card = make_card()
        with pytest.raises(Problem) as refused:
            approval.approve_card(card.id, user=other_trader, content_hash=card.content_hash, now=utcnow())
        assert refused.value.status_code == 404
        assert broker.sent == []

    def test_kill_switch_before_approval(self, make_card, approve, broker):
        card = make_card()
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="trader", now=utcnow(), reason="enough")
        with pytest.raises(Problem) as refused:
            approve(card)
        assert refused.value.code == "TRADING_HALTED"
        assert broker.sent == []

    def test_gate_denies_at_approval_on_fresh_books(self, make_card, approve, broker):
        card = make_card()
        broker.cash = Decimal("100")
        from django.utils import timezone  # noqa: F401

        recovery_age = timedelta(seconds=31)
        broker.now += recovery_age
        import time_machine

        with time_machine.travel(utcnow() + recovery_age, tick=False), pytest.raises(Problem) as refused:
            approve(card)
        assert refused.value.code == "RISK_DENIED"
        assert "MARGIN_INSUFFICIENT" in refused.value.extra["denials"]
        card.refresh_from_db()
        assert (card.state, outcome_of(card)) == ("denied", "denied")
        assert broker.sent == []

    def test_decline(self, make_card, broker, trader):
        card = make_card()
        declined = approval.decline_card(card.id, user=trader, reason="changed my mind", now=utcnow())
        assert (declined.state, declined.note) == ("declined", "changed my mind")
        assert outcome_of(card) == "declined"
        assert broker.sent == []


class TestTheDoor:
    """What changes between approval and send is found at the last moment (FAULTS A16, A19)."""

    @pytest.fixture
    def committed(self, make_card, approve, monkeypatch):
        """An approved card whose intent is committed and not sent: as after a kill between the two."""
        sends = []
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: sends.append(intent_id))
        card = make_card()
        approve(card)
        monkeypatch.undo()
        assert len(sends) == 1
        return card

    def test_sweep_resumes_what_was_never_sent(self, committed, broker, clock):
        clock.shift(timedelta(seconds=3))
        report = recovery.sweep(now=utcnow())
        assert report.resumed == 1
        assert len(broker.sent) == 1
        assert "recovery.resumed" in events_of(committed)

    def test_halt_after_approval_denies(self, committed, broker, clock):
        set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow(), reason="x")
        intent = door.send_intent(sole_intent(committed).id)
        assert (intent.state, intent.denial_code) == ("DENIED", "TRADING_HALTED")
        assert broker.sent == []
        assert "egress.denied" in events_of(committed)

    def test_reducing_after_approval_denies_an_entry(self, committed, broker):
        set_trading_state(scope="global", state=TradingStateName.REDUCING, actor="t", now=utcnow(), reason="x")
        intent = door.send_intent(sole_intent(committed).id)
        assert (intent.state, intent.denial_code) == ("DENIED", "TRADING_REDUCING")
        assert broker.sent == []

    def test_new_policy_after_approval_denies(self, committed, broker):
        from risk.policy import default_policy, policy_document
        from risk.services import publish_policy

        document = policy_document(default_policy())
        document["limits"]["order_value_max"] = "100000"
        publish_policy(document, note="tighter", actor="staff", now=utcnow())
        intent = door.send_intent(sole_intent(committed).id)
        assert (intent.state, intent.denial_code) == ("DENIED", "POLICY_CHANGED")
        assert broker.sent == []

    def test_expiry_before_the_send_expires(self, committed, broker, clock):
        clock.shift(timedelta(minutes=6))
        recovery.sweep(now=utcnow())
        assert sole_intent(committed).state == "EXPIRED"
        assert broker.sent == []
        assert outcome_of(committed) == "expired"

    def test_changed_content_is_not_sent(self, committed, broker):
        plan = committed.plan
        type(plan).objects.filter(pk=plan.pk).update(document=plan.document.replace('"quantity":10', '"quantity":99'))
        intent = door.send_intent(sole_intent(committed).id)
        assert (intent.state, intent.denial_code) == ("DENIED", "APPROVAL_STALE")
        assert broker.sent == []

    def test_inactive_connection_is_not_sent_to(self, committed, broker, connection):
        type(connection).objects.filter(pk=connection.pk).update(is_active=False)
        intent = door.send_intent(sole_intent(committed).id)
        assert intent.denial_code == "CONNECTION_INACTIVE"
        assert broker.sent == []

    def test_holder_that_slept_does_not_send(self, committed, broker, monkeypatch):
        ticks = iter([100.0, 106.0])
        monkeypatch.setattr(door.time, "monotonic", lambda: next(ticks))
        intent = door.send_intent(sole_intent(committed).id)
        assert intent.state == "SENDING"
        assert broker.sent == []
        assert events_of(committed)[-1] == "egress.fenced"

    def test_second_sender_loses_the_claim(self, committed, broker):
        intent_id = sole_intent(committed).id
        door.send_intent(intent_id)
        again = door.send_intent(intent_id)
        assert again.state == "ACKED"
        assert len(broker.sent) == 1
        assert "task.duplicate_ignored" in events_of(committed)

    def test_flag_switched_off_after_approval_of_an_assistants_card(self, make_card, approve, broker, monkeypatch):
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="t", now=utcnow())
        card = make_card(origin=Origin.ASSISTANT)
        monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
        approve(card)
        monkeypatch.undo()
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor="t", now=utcnow())
        intent = door.send_intent(sole_intent(card).id)
        assert (intent.state, intent.denial_code) == ("DENIED", "FEATURE_DISABLED")
        assert broker.sent == []

    def test_assistants_card_needs_the_flag_to_be_approved_and_the_tickets_does_not(self, make_card, approve, broker):
        set_flag(Flag.AI_EXECUTION_ENABLED, enabled=False, actor="t", now=utcnow())
        with pytest.raises(Problem) as refused:
            approve(make_card(origin=Origin.ASSISTANT))
        assert refused.value.code == "FEATURE_DISABLED"
        assert broker.sent == []
        approve(make_card())
        assert len(broker.sent) == 1


class TestUnknownOutcomes:
    def test_lost_answer_is_adopted_by_tag(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.UNKNOWN_ACCEPTED)
        card = make_card()
        (intent,) = approve(card).intents
        assert intent.state == "AMBIGUOUS"
        assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "open"
        follow(connection, clock)
        intent = sole_intent(card)
        assert intent.state == "FILLED"
        assert len(broker.sent) == 1
        assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "resolved"
        assert "lookup.hit" in events_of(card)
        assert outcome_of(card) == "filled"

    def test_not_accepted_is_given_up_after_eleven_look_ups_and_never_sent_again(
        self, make_card, approve, connection, broker, clock
    ):
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        card = make_card()
        approve(card)
        for second in (0.5, 1, 2, 4, 8, 15, 30, 60, 90, 120):
            clock.move_to(card.created_at + timedelta(seconds=second + 0.01))
            poller.poll_connection(connection.id, now=utcnow())
        assert sole_intent(card).state == "AMBIGUOUS"
        clock.move_to(card.created_at + timedelta(seconds=181))
        recovery.sweep(now=utcnow())
        intent = sole_intent(card)
        assert (intent.state, intent.lookups) == ("NOT_PLACED", 11)
        assert events_of(card).count("lookup.miss") == 11
        assert len(broker.sent) == 1
        assert broker.order_count() == 0
        assert outcome_of(card) == "not_placed"
        assert ExceptionRecord.objects.filter(code="PLACEMENT_NOT_FOUND", status="open").count() == 1

    def test_a_failed_read_is_no_miss(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.UNKNOWN_NOT_ACCEPTED)
        card = make_card()
        approve(card)
        broker.fail_read("orders", BrokerUnavailable("cut"), times=1)
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(connection.id, now=utcnow())
        assert sole_intent(card).lookups == 0
        assert events_of(card)[-1] == "lookup.invalid"

    def test_order_that_turns_up_after_the_verdict(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.UNKNOWN_LATE, late_reads=11)
        card = make_card()
        approve(card)
        for second in (0.5, 1, 2, 4, 8, 15, 30, 60, 90, 120, 181):
            clock.move_to(card.created_at + timedelta(seconds=second + 0.01))
            poller.poll_connection(connection.id, now=utcnow())
        assert outcome_of(card) == "not_placed"
        broker.run_to_end()
        follow(connection, clock, times=6, step_s=2)
        assert sole_intent(card).state == "FILLED"
        assert ExceptionRecord.objects.get(code="LATE_ARRIVAL").severity == "critical"
        assert len(broker.sent) == 1

    def test_killed_after_sending_is_settled_by_tag(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.CRASH_AFTER)
        card = make_card()
        with pytest.raises(ProcessKilled):
            approve(card)
        assert sole_intent(card).state == "SENDING"
        clock.shift(timedelta(seconds=31))
        report = recovery.sweep(now=utcnow())
        assert report.made_ambiguous == 1
        follow(connection, clock)
        assert sole_intent(card).state == "FILLED"
        assert len(broker.sent) == 1

    def test_killed_before_the_bytes_left_is_not_sent_again(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.CRASH_BEFORE)
        card = make_card()
        with pytest.raises(ProcessKilled):
            approve(card)
        start = utcnow()
        for second in (31, 32, 33, 35, 39, 46, 61, 91, 121, 151, 181, 212):
            clock.move_to(start + timedelta(seconds=second))
            recovery.sweep(now=utcnow(), settle_now=True)
        assert sole_intent(card).state == "NOT_PLACED"
        assert broker.order_count() == 0
        assert broker.sent == []

    def test_provably_not_sent(self, make_card, approve, broker):
        broker.script(Outcome.UNAVAILABLE)
        card = make_card()
        (intent,) = approve(card).intents
        assert intent.state == "NOT_SENT"
        assert broker.sent == []
        card.refresh_from_db()
        assert card.state == "failed"

    def test_expired_login_pauses_sends_with_one_notice(self, make_card, approve, connection, broker):
        broker.script(Outcome.AUTH_EXPIRED)
        approve(make_card())
        connection.refresh_from_db()
        assert connection.authorized is False
        assert ExceptionRecord.objects.filter(code="TOKEN_EXPIRED").count() == 1
        second = make_card(buy(5))
        with pytest.raises(Problem) as refused:
            approve(second)
        assert (refused.value.status_code, refused.value.code) == (409, "AUTH_REQUIRED")
        second.refresh_from_db()
        assert second.state == "open"
        assert ExceptionRecord.objects.get(code="TOKEN_EXPIRED").count == 1
        assert broker.sent == []


class TestBrokersWord:
    def test_rejection_after_the_ack(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.ACK, statuses=rejected("Insufficient funds"))
        card = make_card()
        approve(card)
        follow(connection, clock, times=4)
        intent = sole_intent(card)
        assert (intent.state, intent.status_message) == ("REJECTED", "Insufficient funds")
        card.refresh_from_db()
        assert (card.state, outcome_of(card)) == ("failed", "rejected")
        assert ExceptionRecord.objects.filter(code="ORDER_REJECTED").count() == 1
        assert len(broker.sent) == 1

    def test_rejection_at_entry(self, make_card, approve, broker):
        broker.script(Outcome.REJECT, text="refused")
        card = make_card()
        (intent,) = approve(card).intents
        assert intent.state == "REJECTED"
        assert outcome_of(card) == "rejected"

    def test_unknown_status_word_stays_in_flight(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.ACK, statuses=(Step("SOMETHING NEW"), *fills(10)))
        card = make_card()
        approve(card)
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(connection.id, now=utcnow())
        assert sole_intent(card).state == "ACKED"
        assert ExceptionRecord.objects.filter(code="BROKER_SCHEMA").count() == 1
        follow(connection, clock)
        assert sole_intent(card).state == "FILLED"

    def test_cancelled_with_a_partial_fill_keeps_it(self, make_card, approve, connection, broker, clock):
        broker.script(Outcome.ACK, statuses=(*stays_open(), Step("OPEN", 4), Step("CANCELLED", 4, "", 6)))
        card = make_card()
        approve(card)
        follow(connection, clock)
        intent = sole_intent(card)
        assert (intent.state, intent.filled_quantity) == ("CANCELLED", 4)
        card.refresh_from_db()
        assert (card.state, outcome_of(card)) == ("partly_filled", "partly_filled")
        assert LedgerEntry.objects.get(kind="fill").quantity == 4

    def test_an_order_that_is_not_what_was_sent_pulls_the_brake(self, make_card, approve, connection, broker, clock):
        card = make_card()
        approve(card)
        from dataclasses import replace

        live = next(iter(broker._orders.values()))
        live.request = replace(live.request, product=type(live.request.product)("MIS"))
        follow(connection, clock, times=1)
        assert ExceptionRecord.objects.get(code="ORDER_MISMATCH").severity == "critical"
        assert TradingState.objects.get(scope=str(connection.id)).state == "REDUCING"

    def test_orders_placed_elsewhere_are_recorded_and_left_alone(self, make_card, approve, connection, broker, clock):
        card = make_card()
        from dataclasses import replace

        approve(card)
        broker.foreign_orders = [
            replace(broker.orders()[0], broker_order_id="999", tag="", tags=(), symbol="NSE:TCS", status="OPEN")
        ]
        follow(connection, clock)
        row = Order.objects.get(broker_order_id="999")
        assert row.intent is None
        assert ExceptionRecord.objects.get(code="EXTERNAL_ORDER").severity == "low"
        assert len(broker.sent) == 1


class TestTraces:
    def test_every_action_has_one_trace_with_one_outcome(self, make_card, approve, connection, broker, clock):
        card = make_card()
        approve(card)
        follow(connection, clock)
        trace = DecisionTrace.objects.get(correlation_id=card.correlation_id)
        assert TraceClosing.objects.filter(trace=trace).count() == 1
        kinds = set(trace.links.values_list("kind", flat=True))
        assert {"plan", "card", "decision", "symbol", "order"} <= kinds

    def test_state_is_rolled_back_when_the_trace_cannot_be_written(self, make_card, approve, broker, monkeypatch):
        from sigmatrader.audit import chain

        card = make_card()

        def broken(events):
            raise RuntimeError("disk full")

        monkeypatch.setattr(chain, "append", broken)
        with pytest.raises(Exception, match=r"disk full|chain|trace"):
            approve(card)
        monkeypatch.undo()
        card.refresh_from_db()
        assert card.state == "open"
        assert broker.sent == []
        assert not OrderIntent.objects.exists()

    def test_the_event_data_is_canonical_json(self, make_card):
        card = make_card()
        for event in TraceEvent.objects.filter(correlation_id=card.correlation_id):
            again = json.dumps(json.loads(event.data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert again == event.data


def test_correlation_ids_are_stable(make_card, approve, connection, broker, clock):
    card = make_card()
    result = approve(card)
    follow(connection, clock)
    ids = {card.correlation_id, card.plan.correlation_id, card.plan.decision.correlation_id}
    ids |= {intent.correlation_id for intent in result.intents}
    assert ids == {card.correlation_id}
    assert new_correlation_id() not in ids
    assert CardState(ActionCard.objects.get(pk=card.pk).state) is CardState.DONE
    assert IntentState(sole_intent(card).state) is IntentState.FILLED
