"""The stage of the race: one account, many open cards, and the same look at the market for everyone."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from broker.domain import Books, MarginSegment, MarketState, Quote, SessionPhase


def seen_by_all(connection: Any, *, now: datetime) -> Any:
    """Books of before the race: what the others commit meanwhile is in the database alone."""
    from broker.selectors import instrument_infos
    from execution.gathering import MarketView
    from sigmatrader.audit.models import Snapshot

    million = Decimal(1_000_000)
    purse = MarginSegment(True, million, million, million, million, Decimal(0), Decimal(0))
    books = Books(now, (), (), (), (), (), {"equity": purse})
    symbols = [f"NSE:{name}" for name in NAMES]
    taken = now - timedelta(seconds=1)
    snapshot = Snapshot(account=connection.account, source="paper", as_of=taken, taken_at=taken)
    low, high = Decimal(90), Decimal(110)
    quotes = {name: Quote(name, Decimal(100), now, lower_circuit=low, upper_circuit=high) for name in symbols}
    return MarketView(
        connection=connection, market=MarketState(now=now, phase=SessionPhase.CONTINUOUS, practice=True),
        instruments=instrument_infos(connection, symbols), quotes=quotes, snapshot=snapshot, books=books, now=now,
    )  # fmt: skip


NAMES = [f"RACE{n}" for n in range(20)]


def set_up(cards: int, limits: dict[str, object]) -> str:
    """Migrates nothing; makes the trader, the connection, a policy with ``limits`` and the open cards."""
    from django.utils import timezone

    from broker.domain import OrderType, Product, Side
    from broker.models import BrokerConnection, Instrument
    from execution.domain import IntentKind, OrderInstruction, Origin, TradeIntent
    from execution.inputs import plan_inputs
    from execution.models import ActionCard, TradePlan
    from execution.translation import translate
    from risk.models import RiskDecision
    from risk.policy import default_policy, policy_document
    from risk.services import publish_policy
    from sigmatrader.audit import canonical
    from sigmatrader.audit.ids import new_correlation_id
    from sigmatrader.audit.recording import recording
    from tests.factories import TraderFactory

    now, owner = timezone.now(), TraderFactory()
    connection = BrokerConnection.objects.create(
        owner=owner, name="Race", kind="paper", server_url="http://127.0.0.1:1/mcp", is_active=True, authorized=True,
        created_at=now,
    )  # fmt: skip
    Instrument.objects.bulk_create(
        Instrument(universe="paper", exchange="NSE", tradingsymbol=name, name=name, instrument_token=n, segment="NSE",
                   isin=f"INE{n:09d}", instrument_type="EQ", tick_size=Decimal("0.05"), lot_size=1)
        for n, name in enumerate(NAMES, 1)
    )  # fmt: skip
    document = policy_document(default_policy())
    document["limits"].update(limits)  # type: ignore[attr-defined]
    publish_policy(document, note="race", actor="test", now=now)
    view = seen_by_all(connection, now=now)
    decision = RiskDecision.objects.create(
        account=connection.account, owner=str(owner.pk), correlation_id="race", outcome="allow", policy_version=1,
        policy_hash="", input_hash="", engine_version="2", evaluated_at=now, inputs="{}", document="{}",
    )  # fmt: skip
    stories = [new_correlation_id() for _ in range(cards)]
    with recording(now) as record:
        for story in stories:
            record.open(story, kind="order", actor="race", origin="ticket", account=connection.account)
    for n in range(cards):
        order = OrderInstruction(
            side=Side.BUY, exchange="NSE", tradingsymbol=NAMES[n % len(NAMES)], order_type=OrderType.LIMIT,
            product=Product.CNC, quantity=10 + n // len(NAMES), price=Decimal(100),
        )  # fmt: skip
        intent = TradeIntent(kind=IntentKind.ORDER, orders=(order,), text="race")
        plan_document = translate(intent, inputs=plan_inputs(view, intent))
        plan = TradePlan.objects.create(
            owner=owner, connection=connection, correlation_id=stories[n], origin=Origin.TICKET.value,
            document=canonical.dumps(plan_document), content_hash=canonical.digest(plan_document), decision=decision,
            created_at=now, valid_until=now + timedelta(hours=1),
        )  # fmt: skip
        ActionCard.objects.create(
            owner=owner, connection=connection, plan=plan, kind="trade", state="open", content_hash=plan.content_hash,
            correlation_id=stories[n], title="race", created_at=now, expires_at=now + timedelta(hours=1),
        )  # fmt: skip
    return str(connection.id)


def main(cards: int, limits: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
    import django

    django.setup()
    sys.stdout.write(set_up(cards, json.loads(limits)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
