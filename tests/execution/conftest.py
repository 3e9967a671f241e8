"""A trader with an active paper connection, instruments, a policy and a scriptable broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from broker.domain import Exchange, OrderType, Product, Side
from broker.models import BrokerConnection, Instrument
from execution import approval, planning
from execution.domain import IntentKind, OrderInstruction, Origin, TradeIntent
from execution.models import ActionCard
from risk.services import ensure_default_policy
from sigmatrader.audit.ids import new_correlation_id
from tests.execution.working import approve_card, cancel, follow, modify, sweep, working  # noqa: F401  # fixtures for all
from tests.support.fake_broker import START, FakeBroker, install


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still at the fake broker's start until moved."""
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def connection(trader: Any) -> BrokerConnection:
    row = BrokerConnection.objects.create(
        owner=trader,
        name="Paper",
        kind="paper",
        server_url="http://127.0.0.1:1/mcp",
        is_active=True,
        authorized=True,
        created_at=START,
    )
    for token, (symbol, name) in enumerate([("INFY", "INFOSYS"), ("TCS", "TATA CONSULTANCY"), ("ITC", "ITC")], 1):
        Instrument.objects.create(
            universe="paper",
            exchange="NSE",
            tradingsymbol=symbol,
            name=name,
            instrument_token=token,
            isin=f"INE00000000{token}",
            segment="NSE",
            instrument_type="EQ",
            tick_size=Decimal("0.05"),
            lot_size=1,
        )
    ensure_default_policy(now=START)
    return row


@pytest.fixture
def broker(connection: BrokerConnection, clock: time_machine.Traveller) -> Iterator[FakeBroker]:
    fake = FakeBroker()
    with install(connection, fake):
        yield fake


def buy(quantity: int = 10, price: str | None = "1500", *, symbol: str = "INFY", side: Side = Side.BUY) -> TradeIntent:
    """An equity intent as ticket or interpreter makes it."""
    order = OrderInstruction(
        side=side,
        exchange=Exchange.NSE.value,
        tradingsymbol=symbol,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        product=Product.CNC,
        quantity=quantity,
        price=Decimal(price) if price else None,
    )
    return TradeIntent(kind=IntentKind.ORDER, orders=(order,), text=f"{side.value.lower()} {quantity} {symbol}")


@pytest.fixture
def make_card(trader: Any, connection: BrokerConnection, broker: FakeBroker) -> Callable[..., ActionCard]:
    """``make_card(intent, origin=...)`` at the present moment."""

    def make(intent: TradeIntent | None = None, *, origin: Origin = Origin.TICKET) -> ActionCard:
        return planning.make_plan(
            user=trader,
            connection=connection,
            intent=intent or buy(),
            origin=origin,
            correlation_id=new_correlation_id(),
            now=datetime.now(UTC),
        )

    return make


@pytest.fixture
def approve(trader: Any) -> Callable[[ActionCard], approval.Approval]:
    """Approves a card as the trader who was shown it."""

    def press(card: ActionCard, *, content_hash: str | None = None) -> approval.Approval:
        shown = card.content_hash if content_hash is None else content_hash
        return approval.approve_card(card.id, user=trader, content_hash=shown, now=datetime.now(UTC))

    return press
