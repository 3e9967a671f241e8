"""An approved order through the one door to Kite Connect's double: what the records say, and what reached Kite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from broker import factory
from broker.adapters.kite_connect import KiteConnectAdapter
from broker.adapters.kite_connect_terms import Credentials, Options
from broker.models import BrokerConnection
from execution import poller
from execution.domain import Origin
from execution.models import ActionCard, OrderIntent
from sigmatrader.audit.models import ExceptionRecord, TraceEvent
from tests.broker.connect.double import ACCESS_TOKEN, API_KEY, KiteRest, error
from tests.execution import conftest as trading
from tests.execution.conftest import buy

pytestmark = pytest.mark.django_db
connection, clock, make_card, approve = (
    trading.connection,
    trading.clock,
    trading.make_card,
    trading.approve,
)  # fixtures


@pytest.fixture
def broker(connection: BrokerConnection, clock: time_machine.Traveller, kite: KiteRest) -> Iterator[KiteConnectAdapter]:
    adapter = KiteConnectAdapter(
        Credentials(API_KEY, ACCESS_TOKEN), Options(root=kite.root, timeout_s=2.0, autoslice=True)
    )
    with factory.substituted(connection.account, adapter):
        yield adapter
    adapter.close()


@pytest.fixture
def sent(make_card: Callable[..., ActionCard], approve: Callable[..., Any]) -> Callable[[], OrderIntent]:
    def send() -> OrderIntent:
        card = make_card(buy(3), origin=Origin.TICKET)
        approve(card)
        return OrderIntent.objects.get(plan=card.plan)

    return send


def events(intent: OrderIntent) -> list[str]:
    rows = TraceEvent.objects.filter(correlation_id=intent.correlation_id).order_by("seq")
    return list(rows.values_list("type", flat=True))


def test_it_is_acked_and_filled(
    sent: Callable[[], OrderIntent], kite: KiteRest, connection: BrokerConnection, clock: time_machine.Traveller
) -> None:
    intent = sent()
    assert (intent.state, intent.broker_order_id) == ("ACKED", kite.orders[0]["order_id"])
    assert kite.orders[0]["tag"] == intent.tag
    for _ in range(4):
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(connection.pk, now=datetime.now(UTC))
    intent.refresh_from_db()
    assert (intent.state, intent.filled_quantity, intent.average_price) == ("FILLED", 3, Decimal("1499.5"))
    assert len(kite.sent("POST", "/orders/regular")) == 1


def test_slices_keep_their_parent_in_the_records(sent: Callable[[], OrderIntent], kite: KiteRest) -> None:
    data = {"order_id": "1911", "children": [{"order_id": "1912"}, {"order_id": "1913"}]}
    kite.say("POST", "/orders/regular", body={"status": "success", "data": data})
    intent = sent()
    assert (intent.state, intent.broker_order_id) == ("ACKED", "1911")


@pytest.mark.parametrize(
    ("status", "kind", "text", "state", "event"),
    [
        (400, "MarginException", "Insufficient funds.", "REJECTED", "order.rejected"),
        (428, "HoldingException", "3 quantity needs authorisation at depository", "REJECTED", "order.rejected"),
        (400, "OrderException", "Order request timed out. Please check the order book.", "AMBIGUOUS", "send.unknown"),
        (429, "NetworkException", "Too many requests", "AMBIGUOUS", "send.unknown"),
        (503, "NetworkException", "Service unavailable", "AMBIGUOUS", "send.unknown"),
        (403, "TokenException", "Incorrect `api_key` or `access_token`.", "NOT_SENT", "send.not_sent"),
    ],
)
def test_a_refusal_ends_in_its_state(
    sent: Callable[[], OrderIntent], kite: KiteRest, status: int, kind: str, text: str, state: str, event: str
) -> None:
    kite.say("POST", "/orders/regular", status, error(kind, text), times=2)
    intent = sent()
    assert (intent.state, event in events(intent)) == (state, True)
    assert len(kite.sent("POST", "/orders/regular")) == 1
    if state == "REJECTED":
        assert text in ExceptionRecord.objects.get(code="ORDER_REJECTED").actual


def test_a_lost_answer_is_adopted_by_its_tag(
    sent: Callable[[], OrderIntent], kite: KiteRest, connection: BrokerConnection, clock: time_machine.Traveller
) -> None:
    from execution import recovery

    kite.say("POST", "/orders/regular", cut=True, takes=True)
    intent = sent()
    assert intent.state == "AMBIGUOUS"
    for _ in range(6):
        clock.shift(timedelta(seconds=2))
        recovery.sweep(now=datetime.now(UTC))
    intent.refresh_from_db()
    assert (intent.broker_order_id, intent.state) == (kite.orders[0]["order_id"], "FILLED")
    assert len(kite.sent("POST", "/orders/regular")) == 1
