"""A login that is due: sends wait, cancels are tried first, and after it everything goes on by itself (FAULTS A33)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from execution import approval, cancelling, door, outcomes
from execution.models import ActionCard, OrderCommand, OrderIntent
from risk.models import RiskDecision
from sigmatrader.audit.models import ExceptionRecord, TraceEvent
from tests.execution.api import key, problem, utcnow
from tests.execution.conftest import buy
from tests.execution.working import ending_of, sent, sole, words, words_of
from tests.support.fake_broker import Outcome

pytestmark = pytest.mark.django_db
DUE = BrokerAuthExpired("Please log in first using the login tool")


@pytest.fixture
def logged_out(connection, broker):
    """The broker wants a login: its profile is refused until ``log_in``."""
    broker.fail_read("profile", DUE, times=1000)
    outcomes.require_login(connection, owner=str(connection.owner_id), now=utcnow())


@pytest.fixture
def log_in(broker):
    return lambda: broker._failures["profile"].clear()


@pytest.fixture
def waiting(make_card, approve, connection, broker, monkeypatch):
    """An approved order whose send met a login that is due."""

    def make(intent=None):
        card = make_card(intent)
        monkeypatch.setattr(approval, "send", lambda done: done)
        (row,) = approve(card).intents
        monkeypatch.undo()
        broker.fail_read("profile", DUE, times=1000)
        outcomes.require_login(connection, owner=str(connection.owner_id), now=utcnow())
        assert door.send_intent(row.id).state == "PREPARED"
        return card

    return make


def test_an_order_waits_and_is_told_once(waiting, broker, sweep):
    card = waiting()
    sweep(5)
    row = sole(card)
    assert (row.state, row.denial_code, row.attempts) == ("PREPARED", "AUTH_REQUIRED", 0)
    assert words_of(card).count("egress.waiting") == 1
    assert "recovery.resumed" not in words_of(card)
    card.refresh_from_db()
    assert card.state == "approved"
    assert broker.sent == []


def test_after_the_login_it_goes_on_a_new_decision(waiting, broker, sweep, log_in):
    card = waiting()
    log_in()
    sweep(1)
    assert len(broker.placed) == 1
    sweep(6)
    row = sole(card)
    assert (row.state, row.attempts, row.denial_code) == ("FILLED", 1, "")
    decisions = RiskDecision.objects.filter(plan_id=str(card.plan_id)).order_by("evaluated_at")
    assert [(d.outcome, d.content_hash) for d in decisions] == [("allow", card.content_hash)] * 3
    assert decisions[2].evaluated_at > decisions[1].evaluated_at
    told = words_of(card)
    assert told.index("egress.waiting") < told.index("order.judged_again") < told.index("send.started")
    assert list(ending_of(card)) == ["filled"]
    assert ActionCard.objects.count() == 1
    assert len(broker.placed) == 1


def test_a_price_that_moved_away_sends_nothing_and_offers_the_card_again(waiting, broker, sweep, log_in):
    card = waiting()
    broker.prices["NSE:INFY"] = Decimal("1530")
    log_in()
    sweep(3)
    row = sole(card)
    assert row.state == "EXPIRED"
    assert "moved past" in row.status_message
    fresh = ActionCard.objects.exclude(pk=card.pk).get()
    card.refresh_from_db()
    assert (card.state, fresh.state, fresh.supersedes_id) == ("superseded", "open", card.pk)
    assert fresh.source["offered_again"]
    assert "card.offered_again" in words_of(card)
    assert "card.offered_again" in words_of(fresh)
    assert list(ending_of(card)) == ["expired"]
    assert broker.sent == []


def test_a_denial_by_the_gate_sends_nothing_and_shows_its_reasons(waiting, broker, sweep, log_in):
    card = waiting()
    broker.cash = Decimal(100)
    log_in()
    sweep(3)
    row = sole(card)
    assert (row.state, row.denial_code) == ("DENIED", "POSITION_MAX")
    assert "MARGIN_INSUFFICIENT" in row.status_message
    fresh = ActionCard.objects.exclude(pk=card.pk).get()
    assert (fresh.kind, fresh.state, fresh.supersedes_id) == ("veto", "denied", card.pk)
    assert list(ending_of(card)) == ["denied"]
    assert broker.sent == []


def test_one_that_ran_out_is_offered_once_after_the_login(waiting, broker, sweep, log_in):
    card = waiting()
    sweep(1, step_s=400)
    row = sole(card)
    assert (row.state, row.denial_code) == ("EXPIRED", "AUTH_REQUIRED")
    sweep(2)
    assert ActionCard.objects.count() == 1
    broker.now = utcnow()
    log_in()
    sweep(3)
    fresh = ActionCard.objects.exclude(pk=card.pk).get()
    assert (fresh.state, fresh.supersedes_id) == ("open", card.pk)
    assert sole(card).denial_code == "CARD_EXPIRED"
    assert broker.sent == []


def test_one_withdrawn_while_it_waited_is_not_offered(waiting, trader, broker, sweep, log_in):
    card = waiting()
    cancelling.cancel_order(sole(card), user=trader, correlation_id=card.correlation_id, now=utcnow())
    log_in()
    sweep(2)
    assert (sole(card).state, list(ending_of(card))) == ("EXPIRED", ["cancelled"])
    assert ActionCard.objects.count() == 1
    assert broker.sent == []


def test_books_that_cannot_be_read_yet_let_it_wait_on(waiting, broker, sweep, log_in):
    card = waiting()
    log_in()
    broker.fail_read("quotes", BrokerUnavailable("busy"), times=2)
    sweep(1)
    assert (sole(card).state, broker.sent) == ("PREPARED", [])
    sweep(2)
    assert len(broker.placed) == 1


def test_the_door_sends_nothing_that_waited_without_a_verdict_of_now(waiting, connection, broker, clock):
    card = waiting()
    BrokerConnection.objects.update(authorized=True)
    assert door.send_intent(sole(card).id).state == "PREPARED"
    old = RiskDecision.objects.filter(plan_id=str(card.plan_id)).latest("evaluated_at")
    clock.shift(31)
    assert door.send_intent(sole(card).id, decision=old).state == "PREPARED"
    assert broker.sent == []


def test_the_door_takes_no_verdict_on_another_plan(waiting, make_card, broker):
    card = waiting()
    other = make_card(buy(5)).plan.decision
    BrokerConnection.objects.update(authorized=True)
    row = door.send_intent(sole(card).id, decision=other)
    assert (row.state, row.denial_code) == ("DENIED", "APPROVAL_MISSING")
    assert broker.sent == []


def test_approving_answers_what_to_do(make_card, trader_api, broker, logged_out):
    card = make_card()
    body = {"content_hash": card.content_hash}
    refused = trader_api.post(f"/api/ai/cards/{card.id}/approve", body, format="json", **key())
    said = problem(refused, 409, "AUTH_REQUIRED")
    assert said["ways_out"] == ["Authorize the connection in Settings; what waits goes on by itself after the login."]
    shown = trader_api.get(f"/api/ai/cards/{card.id}").json()
    assert (shown["state"], shown["blocked"]["code"]) == ("open", "AUTH_REQUIRED")
    assert "approval.blocked" in words_of(card)
    assert not OrderIntent.objects.exists()
    assert broker.sent == []


def test_a_cancel_is_tried_first_and_waits_for_the_login(working, cancel, broker, sweep, follow, log_in, logged_out):
    BrokerConnection.objects.update(authorized=True)
    order = working()
    BrokerConnection.objects.update(authorized=False)
    broker.script(Outcome.AUTH_EXPIRED, kind="cancel")
    broker.fail_read("orders", DUE, times=1000)
    assert cancel(order["id"]).json()["command"]["state"] == "PREPARED"
    sweep(3)
    command = OrderCommand.objects.get()
    assert (command.state, command.fence) == ("PREPARED", 1)
    assert sent(broker, "cancel") == []
    broker._failures["orders"].clear()
    log_in()
    sweep(1)
    assert len(sent(broker, "cancel")) == 1
    follow()
    command.refresh_from_db()
    assert (command.state, OrderIntent.objects.get().state) == ("DONE", "CANCELLED")
    assert words(command).count("cancel.login_needed") == 1
    assert len(sent(broker, "cancel")) == 1


def test_a_cancel_that_waited_past_its_day_lapses(working, cancel, broker, sweep, logged_out):
    BrokerConnection.objects.update(authorized=True)
    order = working()
    broker.script(Outcome.AUTH_EXPIRED, kind="cancel")
    assert cancel(order["id"]).json()["command"]["state"] == "PREPARED"
    BrokerConnection.objects.update(authorized=True)
    sweep(1, step_s=24 * 3600)
    command = OrderCommand.objects.get()
    assert (command.state, command.detail) == ("DENIED", "The order it was to cancel belongs to a day that is over.")
    assert sent(broker, "cancel") == []


def test_a_modify_waits_and_goes_on_a_new_decision(
    working, modify, trader, broker, sweep, monkeypatch, logged_out, log_in
):
    BrokerConnection.objects.update(authorized=True)
    card = modify(working()["id"], price="1499")
    monkeypatch.setattr(approval, "send", lambda done: done)
    approval.approve_card(card["id"], user=trader, content_hash=card["content_hash"], now=utcnow())
    monkeypatch.undo()
    BrokerConnection.objects.update(authorized=False)
    command = OrderCommand.objects.get()
    broker.fail_read("orders", DUE, times=1000)
    sweep(2)
    command.refresh_from_db()
    assert (command.state, sent(broker, "modify")) == ("PREPARED", [])
    broker._failures["orders"].clear()
    broker.now = utcnow()
    log_in()
    sweep(5)
    command.refresh_from_db()
    assert (command.state, command.detail, len(sent(broker, "modify"))) == ("DONE", "", 1)
    assert "order.judged_again" in words(command)


def test_an_unknown_outcome_settles_after_the_login(make_card, approve, connection, broker, sweep, log_in):
    broker.script(Outcome.UNKNOWN_ACCEPTED)
    card = make_card()
    approve(card)
    broker.fail_read("profile", DUE, times=1000)
    broker.fail_read("orders", DUE, times=1000)
    sweep(3)
    connection.refresh_from_db()
    assert (sole(card).state, sole(card).lookups, connection.authorized) == ("AMBIGUOUS", 0, False)
    assert ExceptionRecord.objects.get(code="TOKEN_EXPIRED").count == 1
    broker._failures["orders"].clear()
    log_in()
    sweep(6)
    connection.refresh_from_db()
    assert (sole(card).state, connection.authorized) == ("FILLED", True)
    assert ExceptionRecord.objects.get(code="TOKEN_EXPIRED").status == "resolved"
    assert len(broker.placed) == 1


def test_the_notice_ends_with_a_login_made_elsewhere(connection, broker, sweep, logged_out):
    BrokerConnection.objects.update(authorized=True)
    sweep(1)
    row = ExceptionRecord.objects.get(code="TOKEN_EXPIRED")
    assert (row.status, row.count) == ("resolved", 1)
    assert broker.reads.get("profile", 0) == 0


def test_nobody_is_asked_for_a_profile_while_nothing_waits(connection, broker, sweep, logged_out):
    sweep(3)
    assert broker.reads.get("profile", 0) == 0
    assert ExceptionRecord.objects.get(code="TOKEN_EXPIRED").status == "open"


def test_a_modify_whose_time_ran_out_while_it_waited_is_denied(
    working, modify, trader, broker, sweep, monkeypatch, logged_out
):
    BrokerConnection.objects.update(authorized=True)
    card = modify(working()["id"], price="1499")
    monkeypatch.setattr(approval, "send", lambda done: done)
    approval.approve_card(card["id"], user=trader, content_hash=card["content_hash"], now=utcnow())
    monkeypatch.undo()
    BrokerConnection.objects.update(authorized=False)
    broker.fail_read("orders", DUE, times=1000)
    sweep(1)
    sweep(1, step_s=400)
    command = OrderCommand.objects.get()
    assert (command.state, command.detail) == (
        "DENIED", "The approval's time was over before the change was sent.",
    )  # fmt: skip
    assert sent(broker, "modify") == []


def test_a_leg_beside_one_at_the_broker_that_runs_out_needs_a_person(waiting, broker, sweep, make_card):
    card = waiting()
    row = sole(card)
    twin = OrderIntent.objects.get(pk=row.pk)
    twin.pk, twin.leg_n, twin.tag, twin.client_order_id, twin.state = None, 2, "TWIN", "twin-2", "ACKED"
    twin.denial_code, twin.broker_order_id, twin.next_check_at = "", "9", utcnow() + timedelta(days=1)
    twin.save(force_insert=True)
    sweep(1, step_s=400, settle_now=False)
    row.refresh_from_db()
    assert row.state == "NEEDS_REVIEW"
    assert TraceEvent.objects.filter(correlation_id=card.correlation_id, type="plan.partial").count() == 1
    assert ActionCard.objects.count() == 1
    assert broker.sent == []
