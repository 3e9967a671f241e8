"""What was authorised and provably not sent: after a login by itself, else on a person's press; always judged anew.

The first verdict was made on prices and books that are old by then. A new one is stored, bound to the same content, and
the door takes nothing else; where it fails, or the price has moved past the card's tolerance, nothing goes and the card
is offered again from the same intent (FAULTS A7, A33).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.selectors import lock_account
from execution import completion, door, follower, gathering, reconciler
from execution.approval import ACTORS, Claim, moved_prices, refuse_while_off
from execution.blocks import AUTH_REQUIRED, block_of
from execution.checks import Refusal
from execution.domain import CardState, IntentState, Origin, PlanDocument
from execution.gathering import MarketView
from execution.lifecycle import IntentEvent
from execution.models import ActionCard, OrderCommand, OrderIntent, TradePlan
from execution.planning import make_plan
from execution.sizing import NotTranslatable
from execution.translation import order_requests, plan_from_json
from risk.domain import Decision
from risk.models import RiskDecision
from risk.services import decide
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import Problem, conflict, not_found
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.recording import recording

_OFFERED_FOR = timedelta(hours=24)
_RELATED = ("plan", "authorization", "connection__owner", "owner")


@dataclass(frozen=True, slots=True)
class _Leg:
    """One leg that may go after all, with what is needed to judge it."""

    row: OrderIntent | OrderCommand
    plan: TradePlan
    document: PlanDocument

    @classmethod
    def of(cls, row: OrderIntent | OrderCommand) -> _Leg:
        plan = row.plan if isinstance(row, OrderIntent) else row.authorization.plan
        return cls(row, plan, plan_from_json(plan.document))

    @property
    def symbols(self) -> set[str]:
        return {leg.symbol for leg in self.document.legs if leg.n == self.row.leg_n}


def send_again(order_id: uuid.UUID | str, user: User, now: datetime, *, claim: Claim | None = None) -> OrderIntent:
    """A person's press on an order that provably never left: judged anew, then sent once, as one attempt more.

    Raises Problem 404; 409 NOT_RESENDABLE, CARD_EXPIRED, CARD_STALE, RISK_DENIED, TRADING_HALTED, FEATURE_DISABLED,
    CONNECTION_INACTIVE, AUTH_REQUIRED, EXECUTION_TOOL_MISSING, TOOL_SCHEMA_CHANGED; 503 NOT_RECONCILED. Nothing was
    sent then, and the order stays as it is.
    """
    intent = OrderIntent.objects.select_related(*_RELATED).filter(pk=order_id, owner=user).first()
    if intent is None:
        raise not_found("order")
    _require_resendable(intent, now=now)
    leg = _Leg.of(intent)
    refuse_while_off(intent.connection, leg.plan, now=now)
    reconciler.ensure_reconciled(intent.connection, now=now)
    view = gathering.look(intent.connection, leg.symbols, now=now, max_age_s=0)
    moved = moved_prices(leg.document, view)
    if moved:
        raise conflict("CARD_STALE", "The price moved past the card's tolerance: price it again. Nothing was sent.",
                       moved=moved)  # fmt: skip
    row, decision = _judge(leg, view, by=user.get_username(), claim=claim)
    if not decision.allowed:
        raise conflict("RISK_DENIED", f"RiskGate denied it: {', '.join(decision.denials)}. Nothing was sent.",
                       denials=list(decision.denials))  # fmt: skip
    sent = door.send_intent(intent.id, decision=row)
    follower.watch(intent.connection_id)
    completion.settle_authorization(intent.authorization_id, now=now)
    return sent


def resume(intent: OrderIntent, *, now: datetime) -> bool:
    """Sends a leg that waited for a login, if the gate passes it on fresh books and prices. True if it went.

    What cannot be read now is tried again with the next sweep, until the approval runs out.
    """
    leg = _Leg.of(intent)
    view = _fresh_look(leg, now=now)
    if view is None:
        return False
    moved = moved_prices(leg.document, view)
    if moved:
        text = "The price moved past the card's tolerance while the broker session waited for a login."
        _let_go(intent, Refusal(IntentEvent.EXPIRED, "CARD_STALE", text), now=now)
        return False
    row, decision = _judge(leg, view, by="recovery")
    if not decision.allowed:
        text = f"After the login RiskGate denied it: {', '.join(decision.denials)}."
        _let_go(intent, Refusal(IntentEvent.DENIED, decision.denials[0], text), now=now)
        return False
    sent = door.send_intent(intent.id, decision=row)
    follower.watch(intent.connection_id)
    completion.settle_authorization(intent.authorization_id, now=now)
    return sent.attempts > 0


def resume_command(command: OrderCommand, *, now: datetime) -> None:
    """The same for a modify that waited; the door tells one whose approval has run out."""
    if command.authorization.expires_at <= now:
        door.send_command(command.id)
        return
    leg = _Leg.of(command)
    view = _fresh_look(leg, now=now)
    if view is None:
        return
    row, _decision = _judge(leg, view, by="recovery")
    door.send_command(command.id, decision=row)  # a denial is the door's to carry out


def offer_waiting(*, now: datetime) -> int:
    """Offers the cards anew whose orders ran out while a login was due, once it is there; returns how many."""
    rows = OrderIntent.objects.filter(
        state=IntentState.EXPIRED.value, denial_code=AUTH_REQUIRED, updated_at__gt=now - _OFFERED_FOR,
        connection__is_active=True,
    ).select_related(*_RELATED)  # fmt: skip
    offered = 0
    for intent in rows[:50]:
        if block_of(intent.connection) is None and _is_readable(intent.connection, now=now):
            offered += _offer(intent, now=now)
    return offered


def _let_go(intent: OrderIntent, refusal: Refusal, *, now: datetime) -> None:
    """Ends a leg that may not go any more; its card is offered again with what holds now."""
    if not door.give_up(intent.id, refusal, now=now):
        return
    completion.settle_authorization(intent.authorization_id, now=now)
    intent.refresh_from_db(fields=["state", "denial_code"])
    if intent.state in (IntentState.DENIED.value, IntentState.EXPIRED.value):
        _offer(intent, now=now)


def _offer(intent: OrderIntent, *, now: datetime) -> bool:
    """One fresh card in place of the old, by whoever claims it first."""
    card = ActionCard.objects.select_related("owner", "connection", "plan").filter(plan_id=intent.plan_id).first()
    if intent.state == IntentState.EXPIRED.value:
        waiting = OrderIntent.objects.filter(plan_id=intent.plan_id, denial_code=AUTH_REQUIRED)
        if not waiting.update(denial_code="CARD_EXPIRED"):
            return False
    if card is None or card.state not in (CardState.EXPIRED.value, CardState.DENIED.value):
        return False
    return _replace(card, intent, now=now)


def _replace(card: ActionCard, intent: OrderIntent, *, now: datetime) -> bool:
    document, origin = plan_from_json(intent.plan.document), Origin(intent.plan.origin)
    why = "Its order could not be sent before a login was due."
    try:
        fresh = make_plan(
            user=card.owner, connection=card.connection, intent=document.intent, origin=origin,
            correlation_id=new_correlation_id(), now=now, actor=ACTORS[origin],
            source={**card.source, "offered_again": why}, message_id=card.message_id, supersedes=card,
        )  # fmt: skip
    except (NotTranslatable, BrokerError, Problem) as exc:
        with recording(now) as record:
            record.event(card.correlation_id, "card.not_offered", {"card": card.id, "reason": str(exc)[:200]})
        return False
    ActionCard.objects.filter(pk=fresh.pk, supersedes__isnull=True).update(supersedes=card)
    with recording(now) as record:
        record.event(card.correlation_id, "card.offered_again", {"card": card.id, "by": fresh.id, "reason": why})
        record.event(fresh.correlation_id, "card.offered_again", {"card": fresh.id, "for": card.id, "reason": why})
    return True


def _require_resendable(intent: OrderIntent, *, now: datetime) -> None:
    if intent.state != IntentState.NOT_SENT.value:
        raise conflict("NOT_RESENDABLE", f"This order is {intent.state}: only one that was not sent can be sent again.",
                       state=intent.state)  # fmt: skip
    if intent.authorization.expires_at <= now:
        raise conflict("CARD_EXPIRED", "The approval's time is over; price it again. Nothing was sent.")


def _fresh_look(leg: _Leg, *, now: datetime) -> MarketView | None:
    """Books and prices of this moment, or None where any of it could not be read."""
    connection = leg.row.connection
    if not _is_readable(connection, now=now):
        return None
    view = gathering.look(connection, leg.symbols, now=now, max_age_s=0)
    whole = view.books is not None and view.books.is_complete and leg.symbols <= set(view.quotes)
    return view if whole else None


def _is_readable(connection: BrokerConnection, *, now: datetime) -> bool:
    try:
        reconciler.ensure_reconciled(connection, now=now)
    except (BrokerError, Problem):
        return False
    return True


def _judge(leg: _Leg, view: MarketView, *, by: str, claim: Claim | None = None) -> tuple[RiskDecision, Decision]:
    """A new verdict on this leg alone: the others of its plan are at the broker, or are judged themselves."""
    row, plan, now = leg.row, leg.plan, view.now
    orders = tuple(order for order in order_requests(leg.document) if order.leg == row.leg_n)
    actor, intent = ACTORS[Origin(plan.origin)], row if isinstance(row, OrderIntent) else None
    with recording(now) as record:
        lock_account(plan.connection_id)  # one verdict of an account at a time: each counts the one before it
        book = gathering.book_for(
            view, actor=actor, margin_by_leg=leg.document.margin_by_leg, orders=orders, judged=intent
        )
        stored, decision = decide(
            orders, book=book, owner=str(plan.owner_id), correlation_id=plan.correlation_id, plan_id=str(plan.id),
            content_hash=plan.content_hash, now=now,
        )  # fmt: skip
        data = {"decision": stored.id, "outcome": stored.outcome, "by": by}
        if intent is not None:
            data |= {"intent": intent.id, "attempt": intent.attempts + 1}
        else:
            data |= {"command": row.id}
        record.event(plan.correlation_id, "order.judged_again", data)
        if claim is not None and decision.allowed:
            claim.commit(correlation_id=plan.correlation_id, subject=f"execution.order:{row.id}")
    return stored, decision
