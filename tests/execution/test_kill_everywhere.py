"""A kill -9 at every database write and at every commit, then recovery: nothing lost, nothing twice, books right.

A write that is killed never happened; a commit that is killed stood. What must hold at the end, wherever it struck:
at most one order at the broker, every intent settled or in review with its exception, ledger equal to the fills,
a reconciliation without differences, and a story with an end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction

from broker import factory
from execution import approval, cancelling, poller, reconciler, recovery
from execution.domain import IntentState
from execution.models import ActionCard, LedgerEntry, OrderCommand, OrderIntent
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import ExceptionRecord, TraceClosing
from tests.execution.api import utcnow
from tests.support.fake_broker import FakeBroker, Outcome, ProcessKilled, stays_open

pytestmark = pytest.mark.django_db
_WRITE = re.compile(r"^(INSERT|UPDATE|DELETE)")
_COMMIT = re.compile(r"^RELEASE")
_STEPS = (3.0, 5.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0, 16.0, 30.0, 31.0, 31.0, 31.0, 61.0)


@contextmanager
def killed_at(count: int) -> Iterator[dict[str, int]]:
    """Dies at the ``count``-th write or commit of this process; nothing it does afterwards reaches the database."""
    seen = {"count": 0}

    def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        write, commit = _WRITE.match(sql), _COMMIT.match(sql)
        seen["count"] += bool(write or commit)
        if (write or commit) and seen["count"] == count:
            if commit:
                execute(sql, params, many, context)
            raise ProcessKilled
        return execute(sql, params, many, context)

    with database.execute_wrapper(wrapper):
        yield seen


class _Undo(Exception):
    """Takes one round's rows back."""


def each_write(action: Callable[[int], bool], *, at_most: int = 150) -> int:
    """``action(k)`` for k = 1, 2, ... until a run is not killed any more, each on the same rows as the first."""
    for count in range(1, at_most):
        try:
            with transaction.atomic():
                died = action(count)
                raise _Undo
        except _Undo:
            if not died:
                return count - 1
    raise AssertionError(f"more than {at_most} writes")


@pytest.fixture
def round_of(connection, make_card, trader, clock, monkeypatch):
    """One round on a broker of its own: a card, and a way to recover."""

    class Round:
        def __init__(self, **script: Any) -> None:
            clock.move_to(FakeBroker().now)
            self.broker = FakeBroker()
            factory._substitutes[connection.account] = self.broker
            if script:
                self.broker.script(**script)
            self.card = make_card()

        def approve(self) -> None:
            approval.approve_card(self.card.id, user=trader, content_hash=self.card.content_hash, now=utcnow())

        def follow(self) -> None:
            for _ in range(7):
                clock.shift(timedelta(seconds=1))
                poller.poll_connection(connection.id, now=utcnow())

        def cancel(self) -> None:
            cancelling.cancel_order(self.intent, user=trader, correlation_id=new_correlation_id(), now=utcnow())

        @property
        def intent(self) -> OrderIntent:
            return OrderIntent.objects.get(plan=self.card.plan)

        def recover(self) -> None:
            for seconds in _STEPS:
                clock.shift(timedelta(seconds=seconds))
                report = recovery.sweep(now=utcnow(), settle_now=True)
                if not (report.still_open or report.made_ambiguous or report.resumed or self._is_moving()):
                    return

        def _is_moving(self) -> bool:
            states = [row.state for row in (*OrderIntent.objects.all(), *OrderCommand.objects.all())]
            return any(state in ("PREPARED", "SENDING", "ACKED", "UNKNOWN") for state in states)

        def check(self) -> None:
            """The end state that must hold wherever it died."""
            assert self.broker.order_count() <= 1
            assert len(self.broker.placed) <= 1
            for intent in OrderIntent.objects.all():
                state = IntentState(intent.state)
                review = ExceptionRecord.objects.filter(subject=f"execution.order:{intent.id}", status="open")
                assert state.is_terminal or (state is IntentState.NEEDS_REVIEW and review.exists()), state
            for command in OrderCommand.objects.all():
                assert command.state in ("DONE", "TOO_LATE", "FAILED", "DENIED"), command.state
            filled = sum(trade.quantity for trade in self.broker.trades())
            assert sum(LedgerEntry.objects.filter(kind="fill").values_list("quantity", flat=True)) == filled
            run = reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow())
            assert (run.status, run.delta_count) == ("ok", 0), run.deltas
            card = ActionCard.objects.get(pk=self.card.pk)
            assert card.state not in ("open", "approved", "executing")
            assert TraceClosing.objects.filter(trace_id=card.correlation_id).exists()

    return Round


def test_approval_killed_at_every_write(round_of, broker):
    broker_states = set()

    def action(count: int) -> bool:
        this = round_of()
        died = True
        with killed_at(count):
            try:
                this.approve()
                died = False
            except ProcessKilled:
                pass
        if not OrderIntent.objects.exists():  # before the commit: the same press works anew
            assert ActionCard.objects.get(pk=this.card.pk).state == "open"
            assert this.broker.sent == []
            this.approve()
        this.recover()
        this.check()
        intent = this.intent
        assert (intent.state == "FILLED") == (this.broker.order_count() == 1), intent.state
        broker_states.add(intent.state)
        return died

    assert each_write(action) > 20
    assert broker_states <= {"FILLED", "NOT_PLACED"}
    assert "FILLED" in broker_states


def test_following_killed_at_every_write(round_of, broker):
    def action(count: int) -> bool:
        this = round_of()
        this.approve()
        died = True
        with killed_at(count):
            try:
                this.follow()
                died = False
            except ProcessKilled:
                pass
        this.recover()
        this.check()
        assert (this.intent.state, this.intent.filled_quantity) == ("FILLED", 10)
        assert this.broker.order_count() == 1
        return died

    assert each_write(action) > 10


def test_cancel_killed_at_every_write(round_of, broker):
    def action(count: int) -> bool:
        this = round_of(outcome=Outcome.ACK, statuses=stays_open())
        this.approve()
        this.follow()
        died = True
        with killed_at(count):
            try:
                this.cancel()
                died = False
            except ProcessKilled:
                pass
        if not OrderCommand.objects.exists():
            this.cancel()
        this.recover()
        cancels = [row for row in this.broker.sent if row.kind == "cancel"]
        assert len(cancels) <= 1
        if not cancels:  # claimed and never sent: known not to have worked, and free to be pressed again
            assert OrderCommand.objects.get().state == "FAILED"
            this.cancel()
            this.recover()
        this.check()
        assert this.intent.state == "CANCELLED"
        return died

    assert each_write(action) > 8
