"""A trader with the assistant on, an active paper connection, instruments, a policy and a broker in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from broker.ingestion import load_instruments
from broker.models import BrokerConnection
from risk.services import ensure_default_policy
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from tests.ai.books import holding
from tests.support.fake_broker import FakeBroker, install


@pytest.fixture
def assistant_on(db: None) -> None:
    set_flag(Flag.AI_ASSISTANT_ENABLED, enabled=True, actor="test", now=timezone.now())


@pytest.fixture
def connection(trader: Any) -> BrokerConnection:
    now = timezone.now()
    row = BrokerConnection.objects.create(
        owner=trader, name="Paper", kind="paper", server_url="http://127.0.0.1:1/mcp", is_active=True,
        authorized=True, created_at=now,
    )  # fmt: skip
    load_instruments("paper", now=now)
    ensure_default_policy(now=now)
    return row


@pytest.fixture
def broker(connection: BrokerConnection) -> Iterator[FakeBroker]:
    fake = FakeBroker(
        now=timezone.now(),
        holdings=[holding("NSE:INFY", 40, "1400", "1499.50", "1489.50"), holding("NSE:TCS", 7, "3000", "3420")],
    )
    with install(connection, fake):
        yield fake
