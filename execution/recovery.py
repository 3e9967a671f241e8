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
from execution import approval, completion, day_end, days, door, outcomes, poller, reconciler, resending, tending
from execution.blocks import AUTH_REQUIRED
from execution.commands import CommandEvent
from execution.domain import CardState, CommandState, IntentState
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
    offered_again: int = 0
    connections: list[str] = field(default_factory=list)


def sweep(*, now: datetime | None = None, settle_now: bool = False) -> SweepReport:
    """One pass over all unfinished work. ``settle_now`` polls every open connection, due or not."""
    now = now or timezone.now()
    report = SweepReport()
    report.made_ambiguous = _give_up_leases(now)
    tending.tend(now=now)
    _poll(report, now=now, everything=settle_now)
    report.resumed = _resume(now)
    report.unresolved = day_end.close_the_day(now)
    report.cards_expired = _expire_cards(now)
    report.cards_settled = completion.settle_all(now=now)
    report.offered_again = resending.offer_waiting(now=now)
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
        _resume_intent(intent, now=now)
    waiting = OrderCommand.objects.filter(state=CommandState.PREPARED.value, updated_at__lt=before)
    commands = list(waiting.select_related("order", *related).order_by("kind", "created_at")[:200])  # cancels first
    for command in commands:
        if _may_resume(command, now=now):
            _resume_command(command, now=now)
    return len(intents)


def _resume_intent(intent: OrderIntent, *, now: datetime) -> None:
    """Through the door again; what has waited for a login is judged anew before that."""
    _note_resume(intent.id, now=now)
    if intent.denial_code == AUTH_REQUIRED and intent.authorization.expires_at > now:
        resending.resume(intent, now=now)
    else:
        door.send_intent(intent.id)


def _resume_command(command: OrderCommand, *, now: datetime) -> None:
    if command.kind != "cancel" and command.detail:
        resending.resume_command(command, now=now)
    elif command.kind == "cancel" and days.day_start(now) > command.created_at:
        outcomes.command_lapsed(command, "The order it was to cancel belongs to a day that is over.", now=now)
    else:
        door.send_command(command.id)


def _may_resume(row: OrderIntent | OrderCommand, *, now: datetime) -> bool:
    """Nothing leaves before the account has been reconciled; what has run out goes to the door to be told so.

    A cancel waits for no reconciliation, and for a login only once it has been tried. What waits for a login is left
    alone until there is one.
    """
    waits = row.connection.authorized is False
    if isinstance(row, OrderCommand) and row.kind == "cancel":
        return not (waits and row.detail)
    if row.authorization.expires_at <= now:
        return True
    if waits and (row.denial_code if isinstance(row, OrderIntent) else row.detail):
        return False
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


def _expire_cards(now: datetime) -> int:
    over = ActionCard.objects.filter(state=CardState.OPEN.value, expires_at__lte=now).order_by("id")[:500]
    return sum(approval.expire_card(card, now=now) for card in list(over))


def connections_in_use() -> list[BrokerConnection]:
    """The active connections, for reconciliation on a schedule."""
    return list(BrokerConnection.objects.filter(is_active=True).select_related("owner"))
