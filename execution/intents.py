"""From an authorised plan to rows that can be sent: one OrderIntent per new order, one OrderCommand per change."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from execution.domain import CommandState, IntentState, Leg, PlanDocument
from execution.models import Authorization, Order, OrderCommand, OrderIntent
from execution.plan_documents import client_order_id
from execution.tags import tag_for
from risk.domain import RequestKind
from sigmatrader.audit.api.problems import conflict
from sigmatrader.audit.recording import Recorder


def prepare(
    record: Recorder, authorization: Authorization, document: PlanDocument, *, now: datetime
) -> tuple[tuple[OrderIntent, ...], tuple[OrderCommand, ...]]:
    """Writes every leg as PREPARED, inside the caller's recording. Raises Problem 409 if an order to change is gone."""
    intents = [_intent(record, authorization, leg, now=now) for leg in document.legs if leg.action is RequestKind.PLACE]
    commands = [
        _command(record, authorization, leg, now=now) for leg in document.legs if leg.action is not RequestKind.PLACE
    ]
    return tuple(intents), tuple(commands)


def _intent(record: Recorder, authorization: Authorization, leg: Leg, *, now: datetime) -> OrderIntent:
    plan = authorization.plan
    intent_id = uuid.uuid4()
    price = leg.limit_price if leg.limit_price is not None else leg.trigger_price
    intent = OrderIntent.objects.create(
        id=intent_id, owner_id=plan.owner_id, connection_id=plan.connection_id, plan=plan, authorization=authorization,
        correlation_id=plan.correlation_id, leg_n=leg.n, origin=plan.origin,
        client_order_id=client_order_id(plan.id, leg.n),
        tag=tag_for(intent_id, settings.SECRET_KEY.encode()),
        symbol=leg.symbol, side=leg.side.value, quantity=leg.quantity, order_type=leg.order_type.value,
        product=leg.product.value, validity=leg.validity.value, variety=leg.variety.value,
        limit_price=leg.limit_price, trigger_price=leg.trigger_price, order_value=(price or 0) * leg.quantity,
        state=IntentState.PREPARED.value, next_check_at=now, created_at=now, updated_at=now,
    )  # fmt: skip
    record.link(plan.correlation_id, "order", intent.id)
    record.event(
        plan.correlation_id,
        "order.prepared",
        {"intent": intent.id, "leg": leg, "tag": intent.tag, "client_order_id": intent.client_order_id},
    )
    return intent


def _command(record: Recorder, authorization: Authorization, leg: Leg, *, now: datetime) -> OrderCommand:
    plan = authorization.plan
    order = Order.objects.filter(
        Q(intent_id=leg.target) | Q(pk=leg.target), connection_id=plan.connection_id,
        broker_order_id=leg.broker_order_id,
    ).first()  # fmt: skip
    if order is None:
        raise conflict("ORDER_NOT_FOUND", "The order to change is not in the broker's book as we last read it.")
    command = OrderCommand.objects.create(
        connection_id=plan.connection_id, order=order, authorization=authorization, correlation_id=plan.correlation_id,
        kind=leg.action.value, leg_n=leg.n, changes=_changes(leg), state=CommandState.PREPARED.value,
        next_check_at=now, created_at=now, updated_at=now,
    )  # fmt: skip
    record.link(plan.correlation_id, "command", command.id)
    if order.intent_id:
        record.link(plan.correlation_id, "order", order.intent_id)
    record.event(
        plan.correlation_id, f"{command.kind}.prepared", {"command": command.id, "order": order.id, "leg": leg}
    )
    return command


def _changes(leg: Leg) -> dict[str, object]:
    if leg.action is RequestKind.CANCEL:
        return {}
    return {
        "quantity": leg.quantity,
        "order_type": leg.order_type.value,
        "validity": leg.validity.value,
        "limit_price": None if leg.limit_price is None else str(leg.limit_price),
        "trigger_price": None if leg.trigger_price is None else str(leg.trigger_price),
    }
