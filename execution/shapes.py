"""Plans, cards, orders, runs as API and templates show them (CONTRACTS section 8): plain dicts of typed values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from broker.domain import BrokerOrderStatus
from execution.blocks import block_of
from execution.domain import CardState, IntentState, Origin, PlanDocument
from execution.lifecycle import event_of_status
from execution.models import ActionCard, Authorization, Order, OrderCommand, OrderIntent, ReconciliationRun, TradePlan
from execution.plan_documents import plan_from_json, plan_wire
from risk.domain import RequestKind
from risk.models import RiskDecision
from risk.shapes import decision_shape
from sigmatrader.audit.models import TraceEvent

Shape = dict[str, object]
_EXTERNAL_STATE = {
    BrokerOrderStatus.COMPLETE.value: IntentState.FILLED,
    BrokerOrderStatus.CANCELLED.value: IntentState.CANCELLED,
    BrokerOrderStatus.REJECTED.value: IntentState.REJECTED,
}


def plan_shape(plan: TradePlan) -> Shape:
    """A plan with its legs, sizing, estimates and the decision it was made with."""
    return {
        "id": str(plan.id),
        "correlation_id": plan.correlation_id,
        "created_at": plan.created_at,
        "valid_until": plan.valid_until,
        "content_hash": plan.content_hash,
        "connection": str(plan.connection_id),
        "origin": plan.origin,
        **plan_wire(plan_from_json(plan.document)),
        "risk": decision_shape(plan.decision),
    }


def preview_shape(document: PlanDocument) -> Shape:
    """A dry run's plan: never stored, so it has no id, and no hash that could be approved."""
    return {"id": None, "valid_until": document.valid_until, "content_hash": None, **plan_wire(document)}


def card_shape(card: ActionCard) -> Shape:
    """A card with everything it shows."""
    plan = card.plan
    return {
        "id": str(card.id),
        "kind": card.kind,
        "version": card.version,
        "content_hash": card.content_hash,
        "correlation_id": card.correlation_id,
        "created_at": card.created_at,
        "expires_at": card.expires_at,
        "title": card.title,
        "plan": plan_shape(plan) if plan else None,
        "risk": decision_shape(_decision_of(plan)) if plan else None,
        "source": card.source,
        "state": card.state,
        "note": card.note,
        "decided_at": card.decided_at,
        "decided_by": card.decided_by,
        "supersedes": str(card.supersedes_id) if card.supersedes_id else None,
        "connection_kind": card.connection.kind,
        "blocked": _blocked(card),
        "orders": [order_shape(intent) for intent in _orders_of(plan)] if plan else [],
        "commands": [command_shape(row) for row in _commands_of(plan)] if plan else [],
    }


def order_shape(row: OrderIntent | Order, *, with_events: bool = False) -> Shape:
    """One order, ours (an intent) or one placed elsewhere (a row of the broker's book)."""
    shape = _own(row) if isinstance(row, OrderIntent) else _external(row)
    if with_events:
        shape["events"] = order_events(row)
    return shape


def command_shape(row: OrderCommand) -> Shape:
    """A modify or cancel on its way."""
    return {
        "id": str(row.id), "kind": row.kind, "state": row.state, "order_id": public_order_id(row.order),
        "detail": row.detail, "changes": row.changes, "created_at": row.created_at, "updated_at": row.updated_at,
    }  # fmt: skip


def authorization_shape(row: Authorization) -> Shape:
    """Who allowed what, and until when."""
    return {
        "id": str(row.id), "kind": row.kind, "actor": row.actor, "content_hash": row.content_hash,
        "decision": str(row.decision_id), "created_at": row.created_at, "expires_at": row.expires_at,
    }  # fmt: skip


def run_shape(run: ReconciliationRun) -> Shape:
    """One reconciliation with its bounded list of differences."""
    return {
        "id": str(run.id), "correlation_id": run.correlation_id, "connection": str(run.connection_id),
        "trigger": run.trigger, "status": run.status, "started_at": run.started_at, "finished_at": run.finished_at,
        "snapshot": run.snapshot_id or None, "snapshot_hash": run.snapshot_hash,
        "checked": {"holdings": run.holdings_checked, "positions": run.positions_checked, "orders": run.orders_checked},
        "delta_count": run.delta_count, "deltas": run.deltas, "note": run.note,
    }  # fmt: skip


def order_events(row: OrderIntent | Order) -> list[Shape]:
    """An order's history, oldest first, from the trace."""
    if isinstance(row, Order):
        return [{"ts": row.first_seen, "event": "external.seen", "from": None, "to": row.status, "detail": ""}]
    events = TraceEvent.objects.filter(correlation_id=row.correlation_id).order_by("seq")
    return [shape for event in events if (shape := _event_of(event, str(row.id))) is not None]


def public_order_id(order: Order) -> str:
    """The id the API names an order by: our intent's when it is ours, else the row's own."""
    return str(order.intent_id or order.id)


def _event_of(event: TraceEvent, intent_id: str) -> Shape | None:
    data = json.loads(event.data)
    if data.get("intent") != intent_id:
        return None
    detail = {key: value for key, value in data.items() if key not in ("intent", "from", "to")}
    return {"ts": event.ts, "event": event.type, "from": data.get("from"), "to": data.get("to"), "detail": detail}


def _own(row: OrderIntent) -> Shape:
    return {
        "id": str(row.id), "correlation_id": row.correlation_id, "intent_id": str(row.id),
        "client_order_id": row.client_order_id, "tag": row.tag, "broker_order_id": row.broker_order_id or None,
        "state": row.state, "broker_status": row.broker_status or None, "symbol": row.symbol, "side": row.side,
        "quantity": row.quantity, "filled_quantity": row.filled_quantity, "average_price": row.average_price,
        "order_type": row.order_type, "limit_price": row.limit_price, "trigger_price": row.trigger_price,
        "product": row.product, "validity": row.validity, "variety": row.variety,
        "status_message": row.status_message or None, "denial_code": row.denial_code or None,
        "created_at": row.created_at, "updated_at": row.updated_at, "origin": row.origin,
        "look_ups": row.lookups if row.state == IntentState.AMBIGUOUS.value else 0,
        "next_check_at": row.next_check_at, "sending_at": row.sending_at,
        "can_send_again": can_send_again(row, now=timezone.now()),
    }  # fmt: skip


def _external(row: Order) -> Shape:
    return {
        "id": str(row.id), "correlation_id": None, "intent_id": None, "client_order_id": None, "tag": row.tag or None,
        "broker_order_id": row.broker_order_id, "state": external_state(row).value, "broker_status": row.status,
        "symbol": row.symbol, "side": row.side, "quantity": row.quantity, "filled_quantity": row.filled_quantity,
        "average_price": row.average_price, "order_type": row.order_type, "limit_price": row.limit_price,
        "trigger_price": row.trigger_price, "product": row.product, "validity": row.validity, "variety": row.variety,
        "status_message": row.status_message or None, "denial_code": None,
        "created_at": row.placed_at or row.first_seen,
        "updated_at": row.last_read, "origin": Origin.EXTERNAL.value, "look_ups": 0, "next_check_at": None,
        "sending_at": None, "can_send_again": False,
    }  # fmt: skip


def external_state(row: Order) -> IntentState:
    """The broker's word of an order placed elsewhere, as one of our states."""
    if row.status in _EXTERNAL_STATE:
        return _EXTERNAL_STATE[row.status]
    event = event_of_status(row.status, filled=row.filled_quantity)
    return IntentState.ACKED if event is None else IntentState.WORKING


def _decision_of(plan: TradePlan) -> RiskDecision:
    """The newest verdict on this plan: the one at approval once there is one."""
    return RiskDecision.objects.filter(plan_id=str(plan.id)).order_by("-evaluated_at", "-id").first() or plan.decision


def can_send_again(intent: OrderIntent, *, now: datetime) -> bool:
    """Whether a person may press: provably not sent, and its approval has not run out (FAULTS A7)."""
    return intent.state == IntentState.NOT_SENT.value and intent.authorization.expires_at > now


def _blocked(card: ActionCard) -> Shape | None:
    """Why an open card could not be sent if it were approved now, and the ways out; a cancel is always tried."""
    if card.state != CardState.OPEN.value or card.plan is None:
        return None
    if all(leg["action"] == RequestKind.CANCEL.value for leg in json.loads(card.plan.document)["legs"]):
        return None
    block = block_of(card.connection)
    return block.document() if block is not None else None


def _orders_of(plan: TradePlan) -> Iterable[OrderIntent]:
    return plan.order_intents.select_related("authorization").order_by("leg_n")


def _commands_of(plan: TradePlan) -> Iterable[OrderCommand]:
    return OrderCommand.objects.filter(authorization__plan=plan).select_related("order").order_by("leg_n")
