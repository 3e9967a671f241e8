"""What a translation is given: a look at account and market, the orders an intent names, the policy's figures."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cached_property

from django.conf import settings
from django.db.models import Q

from broker.domain import InstrumentInfo
from broker.models import BrokerConnection
from execution.domain import IntentKind, IntentState, Leg, OrderView, TradeIntent
from execution.gathering import MarketView
from execution.models import Order, OrderIntent
from execution.translation import Expiry, PlanInputs
from risk.margins import leg_margin
from risk.policy import Policy
from risk.selectors import active_policy

_FINAL_WORDS = ("COMPLETE", "CANCELLED", "REJECTED")


def symbols_of(intent: TradeIntent, connection: BrokerConnection) -> set[str]:
    """The instruments an intent is about, its orders' among them."""
    named = {order.symbol for order in intent.orders}
    return named | {view.symbol for view in _views(intent.order_ids, connection).values()}


def with_family(intent: TradeIntent, connection: BrokerConnection) -> TradeIntent:
    """A cancel of a sliced or iceberg order is one of all its living rows; any other intent stays as it is (A27)."""
    if intent.kind is not IntentKind.CANCEL:
        return intent
    ids = [name for order_id in intent.order_ids for name in _family(order_id, connection)]
    return replace(intent, order_ids=tuple(dict.fromkeys(ids)))


def _family(order_id: str, connection: BrokerConnection) -> list[str]:
    """The rows to cancel for one named order: itself, or parent and slices that are still open, by the broker's ids."""
    named = Q(pk=order_id) | Q(intent_id=order_id) if _is_uuid(order_id) else Q(broker_order_id=order_id)
    rows = list(Order.objects.filter(named, connection=connection, taken_over=False))
    roots = [row.broker_order_id for row in rows if not row.parent_order_id]
    slices = Order.objects.filter(connection=connection, taken_over=False, parent_order_id__in=roots)
    family = {row.pk: row for row in (*rows, *slices)}.values()
    if len(family) < 2:
        return [order_id]
    living = [row for row in family if row.status not in _FINAL_WORDS]
    return [row.broker_order_id for row in sorted(living, key=lambda row: row.broker_order_id)] or [order_id]


def plan_inputs(view: MarketView, intent: TradeIntent) -> PlanInputs:
    """Everything ``translate`` may look at."""
    books = view.books
    return PlanInputs(
        now=view.now,
        connection=view.connection.account,
        connection_kind=view.connection.kind,
        instruments=view.instruments,
        quotes=view.quotes,
        holdings=books.holdings if books else None,
        positions=books.positions_net if books else None,
        open_orders=books.orders if books else None,
        margins=books.margins if books else None,
        margin=_Margins(view.instruments),
        orders=_views(intent.order_ids, view.connection),
        expiry=Expiry(limit_s=settings.CARD_EXPIRY_S["limit"], market_s=settings.CARD_EXPIRY_S["market"]),
    )


class _Margins:
    """The policy's margin rule for legs. A cancel has none to work out, so it never asks for the policy."""

    def __init__(self, instruments: Mapping[str, InstrumentInfo]) -> None:
        self._instruments = instruments

    @cached_property
    def _policy(self) -> Policy:
        return active_policy()

    def __call__(self, leg: Leg, *, price: Decimal, charges: Decimal, held: int) -> Decimal:
        return leg_margin(
            side=leg.side, product=leg.product, quantity=leg.quantity, price=price, charges=charges, held=held,
            policy=self._policy, instrument_type=self._type_of(leg.symbol),
        )  # fmt: skip

    def _type_of(self, symbol: str) -> str:
        info = self._instruments.get(symbol)
        return info.instrument_type if info is not None else "EQ"


def _views(order_ids: Iterable[str], connection: BrokerConnection) -> dict[str, OrderView]:
    """The named orders as they stand, by the id they were named by; what is no order of this connection is absent."""
    ids = [order_id for order_id in order_ids if _is_uuid(order_id)]
    broker_ids = [order_id for order_id in order_ids if order_id not in ids]
    rows = Order.objects.filter(
        Q(pk__in=ids) | Q(intent_id__in=ids) | Q(broker_order_id__in=broker_ids),
        connection=connection,
        taken_over=False,
    ).select_related("intent").order_by("-parent_order_id", "pk")  # fmt: skip  # a parent stands for its children
    found = {}
    for row in rows:
        view = _view(row)
        for name in (str(row.id), str(row.intent_id), row.broker_order_id):
            if name in set(order_ids):
                found[name] = view
    for intent in OrderIntent.objects.filter(pk__in=[i for i in ids if i not in found], connection=connection):
        found[str(intent.id)] = _unconfirmed(intent)
    return found


def _view(row: Order) -> OrderView:
    intent = row.intent
    return OrderView(
        id=str(row.intent_id or row.id), broker_order_id=row.broker_order_id, symbol=row.symbol, side=row.side,
        quantity=row.quantity, filled_quantity=row.filled_quantity, order_type=row.order_type,
        limit_price=row.limit_price, trigger_price=row.trigger_price, product=row.product, validity=row.validity,
        variety=row.variety,
        is_final=row.status in _FINAL_WORDS
        or (intent is not None and IntentState(intent.state).is_terminal),
    )  # fmt: skip


def _unconfirmed(intent: OrderIntent) -> OrderView:
    return OrderView(
        id=str(intent.id), broker_order_id="", symbol=intent.symbol, side=intent.side, quantity=intent.quantity,
        filled_quantity=intent.filled_quantity, order_type=intent.order_type, limit_price=intent.limit_price,
        trigger_price=intent.trigger_price, product=intent.product, validity=intent.validity, variety=intent.variety,
        is_final=IntentState(intent.state).is_terminal,
    )  # fmt: skip


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
