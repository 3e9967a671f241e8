"""An order that rests, and the presses that change it, for the tests of cancels and modifies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from execution import poller, recovery
from execution.models import OrderIntent
from sigmatrader.audit.models import TraceClosing, TraceEvent
from tests.execution.api import key, placed, utcnow
from tests.support.fake_broker import Outcome, stays_open


@pytest.fixture
def follow(connection, clock):
    def run(times=6, step_s=1.0):
        for _ in range(times):
            clock.shift(timedelta(seconds=step_s))
            poller.poll_connection(connection.id, now=utcnow())

    return run


@pytest.fixture
def working(trader_api, broker, follow):
    """An order of ours that rests at the exchange."""

    def make(statuses=None, **changes):
        broker.script(Outcome.ACK, statuses=statuses or stays_open())
        order = placed(trader_api, **changes)
        follow(5)
        assert OrderIntent.objects.get(pk=order["id"]).state == "WORKING"
        return order

    return make


@pytest.fixture
def cancel(trader_api):
    return lambda order_id, **headers: trader_api.post(
        f"/api/orders/{order_id}/cancel", {}, format="json", **(headers or key())
    )


@pytest.fixture
def modify(trader_api):
    def make(order_id, **changes):
        response = trader_api.post(f"/api/orders/{order_id}/modify", changes, format="json", **key())
        assert response.status_code == 201, response.content
        return response.json()

    return make


@pytest.fixture
def approve_card(trader_api):
    def press(card):
        body = {"content_hash": card["content_hash"]}
        return trader_api.post(f"/api/ai/cards/{card['id']}/approve", body, format="json", **key())

    return press


def sent(broker, kind):
    return [row for row in broker.sent if row.kind == kind]


def words(command):
    return list(
        TraceEvent.objects.filter(correlation_id=command.correlation_id).order_by("seq").values_list("type", flat=True)
    )


def outcome(command):
    return TraceClosing.objects.filter(trace_id=command.correlation_id).latest("id").outcome


@pytest.fixture
def sweep(clock):
    """Sweeps ``times`` times, ``step_s`` apart, polling all that is open."""

    def run(times=1, step_s=3.0, *, settle_now=True):
        report = None
        for _ in range(times):
            clock.shift(timedelta(seconds=step_s))
            report = recovery.sweep(now=utcnow(), settle_now=settle_now)
        return report

    return run


def sole(card):
    return OrderIntent.objects.get(plan=card.plan)


def words_of(card):
    return list(
        TraceEvent.objects.filter(correlation_id=card.correlation_id).order_by("seq").values_list("type", flat=True)
    )


def ending_of(card):
    return TraceClosing.objects.filter(trace_id=card.correlation_id).order_by("id").values_list("outcome", flat=True)
