"""How a story ends: the card follows its orders; once they settle, the books are compared and the trace closed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from broker.models import BrokerConnection
from execution import reconciler
from execution.domain import CardState, CommandState, IntentState
from execution.models import ActionCard, Authorization, OrderCommand, OrderIntent, ReconciliationRun
from execution.reconciliation import RunStatus
from execution.recovery_rules import (
    LegResult,
    card_state,
    card_state_of_commands,
    outcome_of_commands,
    plan_outcome,
)
from risk.wording import rupees
from sigmatrader.audit.models import TraceClosing
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import TraceOutcome

_AT_ONCE = 200
_MOVING = tuple(state.value for state in IntentState if state.is_in_flight)


def settle_card(card_id: uuid.UUID, *, now: datetime | None = None) -> None:
    """Brings one approved card up to date with its orders and, when all have settled, ends its story."""
    authorization = Authorization.objects.select_related("plan__connection__owner").filter(plan__card=card_id).first()
    if authorization is not None:
        settle(authorization, now=now or timezone.now())


def settle_authorization(authorization_id: uuid.UUID, *, now: datetime) -> None:
    """The story of one authorisation, as far as it has come."""
    settle(Authorization.objects.select_related("plan__connection__owner").get(pk=authorization_id), now=now)


def settle_cards_of(connection: BrokerConnection, *, now: datetime) -> int:
    """The same for every story of a connection that has not ended; returns how many there were."""
    return _settle_each(_unfinished().filter(plan__connection=connection), now=now)


def settle_all(*, now: datetime) -> int:
    """The same for every story anywhere, for the sweep."""
    return _settle_each(_unfinished(), now=now)


def correct(authorization_ids: Iterable[uuid.UUID], *, now: datetime) -> None:
    """Ended stories whose orders moved after the verdict get their true end (FAULTS A8)."""
    ended = TraceClosing.objects.filter(trace_id=OuterRef("plan__correlation_id"))
    rows = Authorization.objects.filter(Exists(ended), pk__in=set(authorization_ids))
    _settle_each(rows, now=now)


def settle(authorization: Authorization, *, now: datetime) -> None:
    """One story: the card's state first, then reconciliation and the closing, each at most once."""
    intents = list(OrderIntent.objects.filter(authorization=authorization))
    commands = list(OrderCommand.objects.filter(authorization=authorization))
    _move_card(authorization, intents, commands, now=now)
    outcome = _outcome(intents, commands)
    if outcome is not None:
        _finish(authorization, outcome, intents, commands, now=now)


def _settle_each(rows: QuerySet[Authorization], *, now: datetime) -> int:
    moving = Exists(OrderIntent.objects.filter(authorization=OuterRef("pk"), state__in=_MOVING))
    ready_first = rows.annotate(moving=moving).order_by("moving", "created_at")  # long-resting orders hold up nobody
    found = list(ready_first.select_related("plan__connection__owner")[:_AT_ONCE])
    for authorization in found:
        settle(authorization, now=now)
    return len(found)


def _unfinished() -> QuerySet[Authorization]:
    closed = TraceClosing.objects.filter(trace_id=OuterRef("plan__correlation_id"))
    return Authorization.objects.filter(~Exists(closed))


def _move_card(
    authorization: Authorization, intents: Sequence[OrderIntent], commands: Sequence[OrderCommand], *, now: datetime
) -> None:
    card = ActionCard.objects.filter(plan_id=authorization.plan_id).first()
    if card is None:
        return
    target = _target(intents, commands)
    if target.value == card.state:
        return
    with recording(now) as record:
        moved = ActionCard.objects.filter(pk=card.pk, state=card.state).update(
            state=target.value, version=card.version + 1
        )
        if moved:
            record.event(card.correlation_id, f"card.{target.value}", {"card": card.id, "from": card.state})


def _target(intents: Sequence[OrderIntent], commands: Sequence[OrderCommand]) -> CardState:
    if intents:
        return card_state(_legs(intents))
    return card_state_of_commands([CommandState(command.state) for command in commands])


def _outcome(intents: Sequence[OrderIntent], commands: Sequence[OrderCommand]) -> TraceOutcome | None:
    if intents:
        outcome = plan_outcome(_legs(intents))
        withdrawn = outcome is TraceOutcome.EXPIRED and not any(intent.denial_code for intent in intents)
        return TraceOutcome.CANCELLED if withdrawn else outcome
    cancel = all(command.kind == "cancel" for command in commands)
    return outcome_of_commands([CommandState(command.state) for command in commands], cancel=cancel)


def _finish(
    authorization: Authorization,
    outcome: TraceOutcome,
    intents: Sequence[OrderIntent],
    commands: Sequence[OrderCommand],
    *,
    now: datetime,
) -> None:
    plan = authorization.plan
    cid = plan.correlation_id
    if _is_told(cid, outcome):
        return
    run = None
    if any(intent.attempts for intent in intents) or any(command.fence for command in commands):
        changed = max([row.updated_at for row in intents] + [row.updated_at for row in commands])
        run = _compare_once(authorization, since=changed, now=now)
    with recording(now) as record:
        Authorization.objects.select_for_update(no_key=True).get(pk=authorization.pk)
        if not _is_told(cid, outcome):
            record.close(cid, outcome, _explain(outcome, intents, commands, run))


def _is_told(correlation_id: str, outcome: TraceOutcome) -> bool:
    """True if the story ended like that already. A late arrival ends it once more, and both ends stay."""
    last = TraceClosing.objects.filter(trace_id=correlation_id).order_by("-id").first()
    return last is not None and last.outcome == outcome.value


def _compare_once(authorization: Authorization, *, since: datetime, now: datetime) -> ReconciliationRun:
    """The reconciliation of this story since it last moved; a second finisher finds the first one's."""
    cid = authorization.plan.correlation_id
    known = ReconciliationRun.objects.filter(correlation_id=cid, trigger="after_trade", started_at__gte=since).first()
    if known is not None:
        return known
    return reconciler.reconcile(authorization.plan.connection, trigger="after_trade", correlation_id=cid, now=now)


def _legs(intents: Sequence[OrderIntent]) -> list[LegResult]:
    return [LegResult(IntentState(row.state), row.quantity, row.filled_quantity) for row in intents]


def _explain(
    outcome: TraceOutcome,
    intents: Sequence[OrderIntent],
    commands: Sequence[OrderCommand],
    run: ReconciliationRun | None,
) -> str:
    words = [_leg_words(intent) for intent in intents]
    words += [f"The {command.kind} of {command.order.symbol} is {command.state}." for command in commands]
    if run is not None:
        found = "no differences" if run.delta_count == 0 else f"{run.delta_count} differences"
        words.append(
            f"Reconciled with the broker's books: {found}."
            if run.status not in (reconciler.FAILED, RunStatus.SKIPPED.value)
            else f"Not reconciled: {run.note}"
        )
    return " ".join(words) or outcome.value


def _leg_words(intent: OrderIntent) -> str:
    price = f" at an average of {rupees(intent.average_price)}" if intent.average_price is not None else ""
    reason = f" ({intent.status_message})" if intent.status_message and not intent.filled_quantity else ""
    return (
        f"{intent.side} {intent.quantity} {intent.symbol} is {intent.state}: "
        f"{intent.filled_quantity} filled{price}{reason}."
    )
