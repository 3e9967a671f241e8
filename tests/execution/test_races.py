"""Threads that press, sweep and poll at once, each on its own database connection: one order, one of everything."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections

from execution import approval, cancelling, door, poller, reconciler, recovery
from execution.models import (
    ActionCard,
    Authorization,
    Fill,
    LedgerEntry,
    LedgerOpening,
    Order,
    OrderCommand,
    OrderIntent,
)
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import TraceClosing, TraceEvent
from tests.execution.api import key, utcnow
from tests.execution.values import holding
from tests.support.fake_broker import Outcome, stays_open

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(count: int, action: Callable[[int], Any]) -> list[Any]:
    """Runs ``action(n)`` in ``count`` threads that start together; the results, an exception being one."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(n: int) -> None:
        barrier.wait()
        try:
            results[n] = action(n)
        except Exception as exc:  # noqa: BLE001  # what came of each is the test's business
            results[n] = exc
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    return results


def raise_unexpected(results: list[Any], *allowed: type[BaseException]) -> None:
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, allowed):
            raise result


@pytest.fixture
def resting(make_card, approve, broker, clock, connection):
    """A working order of ours."""
    broker.script(Outcome.ACK, statuses=stays_open())
    (intent,) = approve(make_card()).intents
    for _ in range(5):
        clock.shift(1)
        poller.poll_connection(connection.id, now=utcnow())
    return OrderIntent.objects.get(pk=intent.pk)


def test_twenty_approvals_with_different_keys_make_one_order(make_card, trader, api_for, broker):
    card = make_card()
    clients = [api_for(trader) for _ in range(20)]

    def press(n: int) -> tuple[int, str]:
        body = {"content_hash": card.content_hash}
        answer = clients[n].post(f"/api/ai/cards/{card.id}/approve", body, format="json", **key())
        return answer.status_code, answer.json().get("code", "")

    results = at_once(20, press)
    raise_unexpected(results)
    assert Counter(results) == {(202, ""): 1, (409, "ALREADY_DECIDED"): 19}
    assert (len(broker.sent), OrderIntent.objects.count(), Authorization.objects.count()) == (1, 1, 1)


def test_twenty_presses_with_one_key_make_one_order(make_card, trader, api_for, broker):
    card, header = make_card(), key()
    clients = [api_for(trader) for _ in range(20)]

    def press(n: int) -> int:
        body = {"content_hash": card.content_hash}
        answer = clients[n].post(f"/api/ai/cards/{card.id}/approve", body, format="json", **header)
        assert answer.status_code == 202 or answer.json()["code"] == "IN_PROGRESS", answer.content
        return answer.status_code

    results = at_once(20, press)
    raise_unexpected(results)
    assert 202 in results
    assert (len(broker.sent), Authorization.objects.count()) == (1, 1)


def test_approve_against_decline(make_card, trader, broker):
    card = make_card()

    def decide(n: int) -> str:
        if n % 2:
            return approval.decline_card(card.id, user=trader, reason="", now=utcnow()).state
        return approval.approve_card(card.id, user=trader, content_hash=card.content_hash, now=utcnow()).card.state

    results = at_once(6, decide)
    raise_unexpected(results, Problem)
    assert len([row for row in results if isinstance(row, str)]) == 1
    state = ActionCard.objects.get(pk=card.pk).state
    assert len(broker.sent) == (0 if state == "declined" else 1)


def test_the_sweep_against_the_sender(make_card, approve, broker, monkeypatch, clock):
    monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)
    (intent,) = approve(make_card()).intents
    monkeypatch.undo()
    clock.shift(3)
    raise_unexpected(at_once(8, lambda n: recovery.sweep(now=utcnow()) if n % 2 else door.send_intent(intent.id)))
    assert len(broker.sent) == 1
    assert OrderIntent.objects.get().attempts == 1


def test_several_pollers_book_each_fill_once(make_card, approve, broker, clock, connection):
    approve(make_card())
    for _ in range(6):
        clock.shift(1)
        raise_unexpected(at_once(4, lambda n: poller.poll_connection(connection.id, now=utcnow())))
    intent = OrderIntent.objects.get()
    assert (intent.state, intent.filled_quantity) == ("FILLED", 10)
    assert (Fill.objects.count(), LedgerEntry.objects.filter(kind="fill").count(), Order.objects.count()) == (1, 1, 1)
    assert TraceClosing.objects.filter(trace_id=intent.correlation_id).count() == 1


def test_pollers_against_reconciliations_with_orders_made_elsewhere(
    make_card, approve, broker, clock, connection, resting
):
    from dataclasses import replace

    row = broker.orders()[0]
    broker.foreign_orders = [replace(row, broker_order_id=f"90{n}", tag="", tags=()) for n in range(5)]
    clock.shift(1)

    def work(n: int) -> object:
        if n % 2:
            return poller.poll_connection(connection.id, now=utcnow())
        return reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow()).status

    raise_unexpected(at_once(6, work))
    assert Order.objects.filter(intent__isnull=True).count() == 5


def test_cancel_pressed_twice(resting, trader, broker, clock, connection):
    def press(n: int) -> str:
        command = cancelling.cancel_order(resting, user=trader, correlation_id=new_correlation_id(), now=utcnow())
        assert command is not None
        return command.state

    results = at_once(2, press)
    raise_unexpected(results, Problem)
    for _ in range(3):
        clock.shift(1)
        poller.poll_connection(connection.id, now=utcnow())
    assert OrderIntent.objects.get().state == "CANCELLED"
    assert set(OrderCommand.objects.values_list("state", flat=True)) == {"DONE"}
    for command in OrderCommand.objects.all():
        assert command.fence == 1


def test_one_command_is_sent_once_by_many_senders(resting, trader, broker, monkeypatch):
    monkeypatch.setattr(cancelling.door, "send_command", lambda command_id: OrderCommand.objects.get(pk=command_id))
    command = cancelling.cancel_order(resting, user=trader, correlation_id=new_correlation_id(), now=utcnow())
    monkeypatch.undo()
    raise_unexpected(at_once(6, lambda n: door.send_command(command.id).state))
    assert len([row for row in broker.sent if row.kind == "cancel"]) == 1


def test_two_reconciliations_open_the_ledger_once(connection, broker):
    broker._holdings = [holding(40)]
    results = at_once(
        4, lambda n: reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow()).status
    )
    assert results == ["ok"] * 4
    assert LedgerOpening.objects.count() == 1
    assert LedgerEntry.objects.count() == 1
    assert TraceEvent.objects.filter(type="ledger.opened").count() == 1


def test_these_threads_do_have_connections_of_their_own():
    """What this file rests on: a thread is another session to the database."""
    mine = id(database.connection)
    others = at_once(2, lambda n: (database.ensure_connection(), id(database.connection))[1])
    assert mine not in others
