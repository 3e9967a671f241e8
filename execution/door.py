"""The one door: the only place from which an order, a modify or a cancel reaches a broker.

Two short transactions with the network call between them. The first claims the row, checks everything again and
commits SENDING; only then is anything sent, once; the second records what came of it. Nothing here retries
(FAULTS section 0 rules 2, 3, 5, 7).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from broker import budget
from broker.factory import adapter_for
from broker.ports import (
    BrokerAdapter,
    BrokerAuthExpired,
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerUnavailable,
)
from execution import alarms, exits, faults, outcomes
from execution.blocks import AUTH_REQUIRED
from execution.checks import (
    Refusal,
    command_refusal,
    intent_refusal,
    is_fresh_decision,
    needs_fresh_decision,
)
from execution.commands import CommandEvent, apply_command
from execution.domain import CommandState, IntentState
from execution.faults import FaultPoint
from execution.lifecycle import IntentEvent, apply
from execution.models import ActionCard, OrderCommand, OrderIntent
from execution.recovery_rules import SEND_LEASE_S, SENDING_MAX_AGE_S
from execution.requests import modify_of, place_of
from risk.models import RiskDecision
from sigmatrader.audit.recording import Recorder, recording

_READY = (IntentState.PREPARED.value,)
_CLAIM_FIELDS = (
    "state",
    "denial_code",
    "attempts",
    "fence",
    "sending_at",
    "lease_until",
    "next_check_at",
    "updated_at",
)
# The row, and of the others what the checks read: every millisecond here is one the price may move in.
_OWN_FIELDS = tuple(field.name for field in OrderIntent._meta.concrete_fields)
_CLAIMABLE = OrderIntent.objects.select_related("plan", "authorization__decision", "connection").only(
    *_OWN_FIELDS,
    "plan__origin", "plan__content_hash", "plan__document",
    "authorization__content_hash", "authorization__expires_at",
    "authorization__decision__outcome", "authorization__decision__content_hash", "authorization__decision__policy_hash",
    "connection__kind", "connection__is_active", "connection__authorized", "connection__server_url",
    "connection__tools", "connection__tool_faults",
)  # fmt: skip
_AT_BROKER = (
    IntentState.SENDING.value, IntentState.AMBIGUOUS.value, IntentState.ACKED.value, IntentState.WORKING.value,
    IntentState.FILLED.value,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A won claim: which fencing number it bears and when, on the monotonic clock, SENDING was committed."""

    fence: int
    committed: float

    def is_fresh(self) -> bool:
        return time.monotonic() - self.committed < SENDING_MAX_AGE_S


def send_intent(intent_id: uuid.UUID, *, decision: RiskDecision | None = None) -> OrderIntent:
    """Sends one prepared leg at most once and records the outcome.

    Whoever loses the claim gets the row as it is. ``decision`` is a verdict made just now on the same content: without
    one nothing goes that was NOT_SENT or has waited for a login (FAULTS A7, A33). Never raises for what the broker
    does: the outcome is the row's state.
    """
    connection_id = OrderIntent.objects.values_list("connection_id", flat=True).get(pk=intent_id)
    if not _take_token(OrderIntent, intent_id, connection_id):
        return _load_intent(intent_id)
    intent, ticket = _claim_intent(intent_id, decision)
    if ticket is None:
        return intent
    faults.reach(FaultPoint.SENDING)
    adapter = adapter_for(intent.connection)
    if not _holds(OrderIntent, intent.id, ticket):
        outcomes.fenced(intent, now=timezone.now())
        return _load_intent(intent_id)
    _perform(intent, adapter, ticket)
    return _load_intent(intent_id)


def send_command(command_id: uuid.UUID, *, decision: RiskDecision | None = None) -> OrderCommand:
    """Sends one modify or cancel at most once and records the outcome. Never raises for what the broker does.

    ``decision`` is a later verdict on a modify that waited for a login.
    """
    command = _load_command(command_id)
    if not _take_token(OrderCommand, command_id, command.connection_id):
        return command
    ticket = _claim_command(command, decision)
    command = _load_command(command_id)
    if ticket is None:
        return command
    adapter = adapter_for(command.connection)
    if not _holds(OrderCommand, command.id, ticket):
        return command
    order = command.order
    if command.kind == "cancel":
        _settle_command(command, ticket, lambda: adapter.cancel_order(order.broker_order_id, order.variety))
    else:
        _settle_command(command, ticket, lambda: adapter.modify_order(modify_of(command)))
    return _load_command(command_id)


def _perform(intent: OrderIntent, adapter: BrokerAdapter, ticket: _Ticket) -> None:
    try:
        broker_order_id = adapter.place_order(place_of(intent))
        faults.reach(FaultPoint.ANSWERED)
    except (BrokerUnavailable, BrokerAuthExpired) as exc:
        outcomes.not_sent(intent, ticket.fence, exc, now=timezone.now())
    except BrokerRejected as exc:
        outcomes.rejected(intent, ticket.fence, exc, now=timezone.now())
    except BrokerOutcomeUnknown as exc:
        outcomes.unknown(intent, ticket.fence, exc.text, now=timezone.now())
    else:
        outcomes.acked(intent, ticket.fence, broker_order_id, now=timezone.now())
        faults.reach(FaultPoint.ACKED)


def _settle_command(command: OrderCommand, ticket: _Ticket, call: Callable[[], str]) -> None:
    try:
        call()
    except BrokerAuthExpired as exc:
        outcomes.command_needs_login(command, ticket.fence, exc.text, now=timezone.now())
    except BrokerUnavailable as exc:
        outcomes.command_moved(command, ticket.fence, CommandEvent.NOT_SENT, exc.text, now=timezone.now())
    except BrokerRejected as exc:
        outcomes.command_moved(command, ticket.fence, CommandEvent.REFUSED, exc.text, now=timezone.now())
    except BrokerOutcomeUnknown as exc:
        outcomes.command_moved(command, ticket.fence, CommandEvent.OUTCOME_UNKNOWN, exc.text, now=timezone.now())
    else:
        outcomes.command_moved(command, ticket.fence, CommandEvent.ACKED, "", now=timezone.now())


def _take_token(model: type[OrderIntent] | type[OrderCommand], pk: uuid.UUID, connection_id: uuid.UUID) -> bool:
    """Takes the rate tokens before SENDING, so that nobody waits inside it (FAULTS A37)."""
    now = timezone.now()
    kind = budget.Kind.ORDERS if model is OrderIntent else budget.Kind.CHANGES
    if budget.take(connection_id, kind, now=now).ok:
        return True
    if exits.may_use_reserve(model, pk) and budget.take(connection_id, kind, now=now, exit=True).ok:
        return True
    outcomes.throttled(model, pk, now=now)
    return False


def _claim_intent(intent_id: uuid.UUID, decision: RiskDecision | None) -> tuple[OrderIntent, _Ticket | None]:
    """The row as it stands after the claim, and the ticket if this call won it."""
    now = timezone.now()
    ready = (*_READY, IntentState.NOT_SENT.value) if decision is not None else _READY
    with recording(now) as record:
        row = _CLAIMABLE.select_for_update(of=("self",), no_key=True).get(pk=intent_id)
        if row.state not in ready:
            record.event(row.correlation_id, "task.duplicate_ignored", {"intent": row.id, "state": row.state})
            return row, None
        refusal = intent_refusal(row, now=now, decision=decision)
        if refusal is None and not _is_judged(row, decision, now=now):
            return row, None  # it keeps waiting: whoever finds it judges it anew
        if refusal is not None:
            _refuse(record, row, refusal, now=now)
            return row, None
        fence = _to_sending(record, row, now=now)
    return row, _Ticket(fence=fence, committed=time.monotonic())


def _is_judged(row: OrderIntent, decision: RiskDecision | None, *, now: datetime) -> bool:
    return not needs_fresh_decision(row) or (decision is not None and is_fresh_decision(row, decision, now=now))


def _to_sending(record: Recorder, row: OrderIntent, *, now: datetime) -> int:
    before = row.state
    row.state = apply(IntentState(row.state), IntentEvent.CLAIMED).value
    row.denial_code = ""
    row.attempts += 1
    row.fence += 1
    row.sending_at = now
    row.lease_until = now + timedelta(seconds=SEND_LEASE_S)
    row.next_check_at = row.lease_until
    row.updated_at = now
    row.save(update_fields=_CLAIM_FIELDS)
    ActionCard.objects.filter(plan_id=row.plan_id, state="approved").update(state="executing")
    data = {
        "intent": row.id,
        "from": before,
        "to": row.state,
        "attempt": row.attempts,
        "fence": row.fence,
        "tag": row.tag,
    }
    record.event(row.correlation_id, "send.started", data)
    return row.fence


def _refuse(record: Recorder, row: OrderIntent, refusal: Refusal, *, now: datetime) -> None:
    if refusal.waits:
        _wait(record, row, refusal, now=now)
        return
    before, partial = row.state, _is_rest_of_plan(row)
    waited = row.denial_code == AUTH_REQUIRED and refusal.event is IntentEvent.EXPIRED
    row.state = apply(IntentState(row.state), IntentEvent.UNRESOLVED if partial else refusal.event).value
    row.denial_code = AUTH_REQUIRED if waited else refusal.code  # what its card is offered again for
    row.status_message = refusal.text[:500]
    row.next_check_at = None
    row.updated_at = now
    row.save()
    data = {"intent": row.id, "from": before, "to": row.state, "code": refusal.code, "detail": refusal.text}
    record.event(row.correlation_id, refusal.word, data)
    if partial:
        record.event(row.correlation_id, "plan.partial", {"intent": row.id, "leg": row.leg_n, "code": refusal.code})
        alarms.partial_plan(row, refusal.text, now=now)


def give_up(intent_id: uuid.UUID, refusal: Refusal, *, now: datetime) -> bool:
    """Ends a leg that was never sent and may not go any more; True if this call did it."""
    with recording(now) as record:
        row = _CLAIMABLE.select_for_update(of=("self",), no_key=True).get(pk=intent_id)
        if row.state not in _READY:
            return False
        _refuse(record, row, refusal, now=now)
    return True


def _wait(record: Recorder, row: OrderIntent | OrderCommand, refusal: Refusal, *, now: datetime) -> None:
    """It stays as it is until a person has logged in; told once, however often it is looked at (FAULTS A33)."""
    known = row.denial_code if isinstance(row, OrderIntent) else row.detail
    if known:
        return
    row.next_check_at, row.updated_at = None, now
    if isinstance(row, OrderIntent):
        row.denial_code, row.status_message = refusal.code, refusal.text[:500]
        row.save(update_fields=["denial_code", "status_message", "next_check_at", "updated_at"])
        data: dict[str, object] = {"intent": row.id}
    else:
        row.detail = refusal.text[:500]
        row.save(update_fields=["detail", "next_check_at", "updated_at"])
        data = {"command": row.id}
    record.event(row.correlation_id, refusal.word, {**data, "state": row.state, "code": refusal.code})


def _is_rest_of_plan(row: OrderIntent) -> bool:
    """True if another leg of the plan is, or may be, at the broker: a person decides on the rest (FAULTS A18)."""
    others = OrderIntent.objects.filter(plan_id=row.plan_id, state__in=_AT_BROKER).exclude(pk=row.pk)
    return others.exists()


def _claim_command(command: OrderCommand, decision: RiskDecision | None) -> _Ticket | None:
    now = timezone.now()
    with recording(now) as record:
        row = OrderCommand.objects.select_for_update(of=("self",), no_key=True).select_related(
            "order", "authorization__plan", "authorization__decision", "connection"
        ).get(pk=command.pk)  # fmt: skip
        if row.state != CommandState.PREPARED.value:
            return None
        refusal = command_refusal(row, now=now, decision=decision)
        if refusal is not None and refusal.waits:
            _wait(record, row, refusal, now=now)
            return None
        if refusal is None and row.detail and row.kind != "cancel" and decision is None:
            return None  # it waited for a login: whoever finds it judges it anew
        row.updated_at = now
        if refusal is not None:
            row.state = apply_command(CommandState.PREPARED, CommandEvent.DENIED).value
            row.detail, row.next_check_at = refusal.text[:500], None
            row.save()
            record.event(
                row.correlation_id, refusal.word, {"command": row.id, "code": refusal.code, "detail": refusal.text}
            )
            return None
        row.state = apply_command(CommandState.PREPARED, CommandEvent.CLAIMED).value
        row.fence += 1
        row.sending_at = now
        row.lease_until = row.next_check_at = now + timedelta(seconds=SEND_LEASE_S)
        row.save()
        ActionCard.objects.filter(plan_id=row.authorization.plan_id, state="approved").update(state="executing")
        record.event(row.correlation_id, "send.started", {"command": row.id, "kind": row.kind, "fence": row.fence})
        fence = row.fence
    return _Ticket(fence=fence, committed=time.monotonic())


def _holds(model: type[OrderIntent] | type[OrderCommand], pk: uuid.UUID, ticket: _Ticket) -> bool:
    """The last look before the write: still ours, still SENDING, and committed less than five seconds ago."""
    mine = model.objects.filter(pk=pk, state="SENDING", fence=ticket.fence).exists()
    return mine and ticket.is_fresh()


def _load_intent(pk: uuid.UUID) -> OrderIntent:
    return OrderIntent.objects.select_related("connection", "plan").get(pk=pk)


def _load_command(pk: uuid.UUID) -> OrderCommand:
    return OrderCommand.objects.select_related("connection", "order", "authorization").get(pk=pk)
