"""The door and the rate budget: what finds it spent stays prepared and unsent; exits have a reserve."""

from __future__ import annotations

from typing import Any

import pytest

from broker import budget
from broker.budget import Kind
from execution import exits
from execution.models import OrderIntent
from tests.execution.api import utcnow
from tests.execution.conftest import buy

pytestmark = pytest.mark.django_db


@pytest.fixture
def spent(settings: Any, connection: Any) -> None:
    """Everything but the reserve is used up in this second."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "orders": {"second": 2, "minute": 400, "day": 5000}}
    settings.RATE_RESERVE = {"second": 1}
    assert budget.take(connection.pk, Kind.ORDERS, now=utcnow()).ok


def test_an_order_that_is_no_exit_waits_unsent(make_card: Any, spent: None, approve: Any, broker: Any) -> None:
    card = make_card(buy())
    approve(card)
    intent = OrderIntent.objects.get(plan=card.plan)
    assert (intent.state, intent.attempts, broker.sent) == ("PREPARED", 0, [])
    assert not exits.may_use_reserve(OrderIntent, intent.pk)


def test_an_order_takes_a_token_and_goes(make_card: Any, approve: Any, broker: Any, connection: Any) -> None:
    approve(make_card(buy()))
    assert len(broker.placed) == 1
    row = connection.rate_budgets.get(kind="orders")
    assert (len(row.sent), row.day_count) == (1, 1)
