"""The sweep: finds every piece of unfinished work in the database and takes the one safe next step with it.

Safe to run at any time, twice, and in several processes: every step is a conditional claim. Queues are hints; this is
what finds work again after any of them, or any process, is lost (FAULTS 0.1, A2-A11, A32).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from broker.models import BrokerConnection
from execution import alarms, approval, completion, days, door, outcomes, poller, reconciler
from execution.commands import CommandEvent
from execution.domain import CardState, CommandState, IntentState
from execution.lifecycle import IntentEvent, apply
from execution.models import ActionCard, OrderCommand, OrderIntent
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.recording import recording

RESUME_AFTER_S = 2.0  # whoever took the approval sends at once; after this the sweep does it


@dataclass(slots=True)
class SweepReport:
    """What one sweep did, as counts."""

    resumed: int = 0
    made_ambiguous: int = 0
    polled_connections: int = 0
    still_open: int = 0
    cards_expired: int = 0
    cards_settled: int = 0
    unresolved: int = 0
    connections: list[str] = field(default_factory=list)


def sweep(*, now: datetime | None = None, settle_now: bool = False) -> SweepReport:
    """One pass over all unfinished work. ``settle_now`` polls every open connection, due or not."""
    now = now or timezone.now()
    report = SweepReport()
    report.made_ambiguous = _give_up_leases(now)
    _poll(report, now=now, everything=settle_now)
    report.resumed = _resume(now)
    report.unresolved = _close_the_day(now)
    report.cards_expired = _expire_cards(now)
    report.cards_settled = completion.settle_all(now=now)
    return report


def _give_up_leases(now: datetime) -> int:
    """A send whose lease ran out may have left: it becomes AMBIGUOUS and is looked up (FAULTS A3, A4, A9)."""
    count = 0
    lapsed = Q(state=IntentState.SENDING.value, lease_until__lt=now)
    for intent_id in list(OrderIntent.objects.filter(lapsed).order_by("id").values_list("id", flat=True)):
        with recording(now) as record:
            row = OrderIntent.objects.select_for_update(no_key=True).filter(lapsed, pk=intent_id).first()
            if row is not None:
                record.event(row.correlation_id, "recovery.lookup", {"intent": row.id, "sending_at": row.sending_at})
                outcomes.make_ambiguous(record, row, text="The sender did not come back.", now=now)
                count += 1
    lost = OrderCommand.objects.filter(state=CommandState.SENDING.value, lease_until__lt=now)
    for command in lost:
        outcomes.command_moved(
            command, command.fence, CommandEvent.OUTCOME_UNKNOWN, "The sender did not come back.", now=now
        )
        count += 1
    return count


def _resume(now: datetime) -> int:
    """What was committed and never sent goes through the door again, which checks everything anew (FAULTS A2)."""
    before = now - timedelta(seconds=RESUME_AFTER_S)
    due = Q(state=IntentState.PREPARED.value, updated_at__lt=before)
    related = ("connection__owner", "authorization")
    found = list(OrderIntent.objects.filter(due).select_related(*related).order_by("created_at", "leg_n")[:200])
    intents = [intent for intent in found if _may_resume(intent, now=now)]
    for intent in intents:
        _note_resume(intent.id, now=now)
        door.send_intent(intent.id)
    waiting = OrderCommand.objects.filter(state=CommandState.PREPARED.value, updated_at__lt=before)
    commands = list(waiting.select_related(*related).order_by("kind", "created_at")[:200])  # cancels first
    for command in commands:
        if command.kind == "cancel" or _may_resume(command, now=now):
            door.send_command(command.id)
    return len(intents)


def _may_resume(row: OrderIntent | OrderCommand, *, now: datetime) -> bool:
    """Nothing leaves before the account has been reconciled; what has run out goes to the door to be told so."""
    if row.authorization.expires_at <= now:
        return True
    try:
        reconciler.ensure_reconciled(row.connection, now=now)
    except Problem:
        return False
    return True


def _note_resume(intent_id: uuid.UUID, *, now: datetime) -> None:
    with recording(now) as record:
        row = OrderIntent.objects.get(pk=intent_id)
        if row.state == IntentState.PREPARED.value:
            record.event(row.correlation_id, "recovery.resumed", {"intent": row.id})


def _poll(report: SweepReport, *, now: datetime, everything: bool) -> None:
    due = Q() if everything else Q(next_check_at__lte=now)
    late = Q(state__in=[IntentState.NOT_PLACED.value, IntentState.NEEDS_REVIEW.value], watch_until__gt=now)
    ids = set(OrderIntent.objects.filter(due, state__in=poller.IN_FLIGHT).values_list("connection_id", flat=True))
    ids |= set(OrderIntent.objects.filter(late).values_list("connection_id", flat=True))
    ids |= set(
        OrderCommand.objects.filter(
            due, state__in=[CommandState.ACKED.value, CommandState.UNKNOWN.value], next_check_at__isnull=False
        ).values_list("connection_id", flat=True)
    )
    for connection_id in sorted(ids):
        report.still_open += poller.poll_connection(connection_id, now=now)
        report.polled_connections += 1
        report.connections.append(str(connection_id))


def _close_the_day(now: datetime) -> int:
    """What is still unknown when the broker's day is over can no longer be looked up: a person decides (FAULTS A32).

    What was open in the last book of its day and is gone from the next one ended with its day, fills kept (CONTROLS
    section 3). A row that was just found has its next look ahead; one that was not is still due.
    """
    count = 0
    gone = Q(state__in=[IntentState.ACKED.value, IntentState.WORKING.value], created_at__lt=days.day_start(now))
    gone &= Q(next_check_at__lte=now)
    for intent_id in list(OrderIntent.objects.filter(gone).values_list("id", flat=True)):
        with recording(now) as record:
            row = OrderIntent.objects.select_for_update(no_key=True).filter(gone, pk=intent_id).first()
            if row is not None:
                before = row.state
                row.state = apply(IntentState(before), IntentEvent.CANCELLED).value
                row.next_check_at, row.updated_at, row.status_message = None, now, "It ended with its trading day."
                row.save()
                data = {"intent": row.id, "from": before, "to": row.state, "filled": row.filled_quantity}
                record.event(row.correlation_id, "order.cancelled", {**data, "reason": "end of day"})
    open_yesterday = Q(state=IntentState.AMBIGUOUS.value, created_at__lt=days.day_start(now))
    for intent_id in list(OrderIntent.objects.filter(open_yesterday).values_list("id", flat=True)):
        with recording(now) as record:
            row = OrderIntent.objects.select_for_update(no_key=True).filter(open_yesterday, pk=intent_id).first()
            if row is None:
                continue
            row.state = apply(IntentState(row.state), IntentEvent.UNRESOLVED).value
            row.next_check_at, row.updated_at = None, now
            row.save()
            record.event(row.correlation_id, "order.needs_review", {"intent": row.id, "to": row.state})
            alarms.unresolved(row, now=now)
            count += 1
    return count


def _expire_cards(now: datetime) -> int:
    over = ActionCard.objects.filter(state=CardState.OPEN.value, expires_at__lte=now).order_by("id")[:500]
    return sum(approval.expire_card(card, now=now) for card in list(over))


def connections_in_use() -> list[BrokerConnection]:
    """The active connections, for reconciliation on a schedule."""
    return list(BrokerConnection.objects.filter(is_active=True).select_related("owner"))
