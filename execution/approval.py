"""The trader's word on a card: approve or decline. One conditional update decides; everything follows from it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from django.conf import settings

from broker.factory import require_available
from broker.models import BrokerConnection
from broker.selectors import lock_account
from execution import completion, door, faults, follower, gathering, reconciler
from execution.blocks import block_of
from execution.domain import AuthorizationKind, CardState, IntentState, Origin, PlanDocument
from execution.faults import FaultPoint
from execution.gathering import MarketView
from execution.intents import prepare
from execution.models import ActionCard, Authorization, OrderCommand, OrderIntent, TradePlan
from execution.shapes import card_shape
from execution.translation import order_requests, plan_from_json
from risk.domain import Actor, Decision, RequestKind, TradingStateName
from risk.models import RiskDecision
from risk.selectors import trading_state_for
from risk.services import decide
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import Problem, conflict, not_found
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.vocabulary import TraceOutcome

ACTORS = {Origin.TICKET: Actor.TRADER, Origin.ASSISTANT: Actor.ASSISTANT, Origin.MONITOR: Actor.MONITOR}


class Claim(Protocol):
    """What an idempotent request lends to the transaction that commits its order."""

    def commit(self, *, correlation_id: str, subject: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Approval:
    """What an approval led to: ``intents`` are new orders, ``commands`` modifies and cancels."""

    card: ActionCard
    intents: tuple[OrderIntent, ...]
    commands: tuple[OrderCommand, ...]


class _LostRace(Exception):
    """Another press decided this card between our look and our commit."""


def owned_card(card_id: uuid.UUID | str, user: User) -> ActionCard:
    """The user's card with its plan and decision; Problem 404 for anyone else's."""
    found = ActionCard.objects.select_related("plan", "connection")
    card = found.filter(pk=card_id, owner=user).first()
    if card is None:
        raise not_found("card")
    return card


def approve_card(
    card_or_id: ActionCard | uuid.UUID | str,
    *,
    user: User,
    content_hash: str,
    now: datetime,
    claim: Claim | None = None,
) -> Approval:
    """Authorises exactly the content the trader saw, then sends it. A card given whole was read just now.

    Fresh prices and books are read and judged once more; approval, decision and intents commit together and the send
    comes after that commit. Raises Problem 404, or 409 NOT_APPROVED, CARD_STALE, CARD_EXPIRED, ALREADY_DECIDED,
    TRADING_HALTED, RISK_DENIED, FEATURE_DISABLED, AUTH_REQUIRED, EXECUTION_TOOL_MISSING, TOOL_SCHEMA_CHANGED: nothing
    was sent then.
    """
    card = card_or_id if isinstance(card_or_id, ActionCard) else owned_card(card_or_id, user)
    if card.owner_id != user.pk:
        raise not_found("card")
    _require_open(card, content_hash, now=now)
    plan = _plan_of(card)
    document = plan_from_json(plan.document)
    _require_execution_on(card, plan, document, now=now)
    view = _look(card, document, now=now)
    _require_price(card, document, view)
    try:
        approval, decision = _authorize(card, plan, document, view, user=user, claim=claim)
    except _LostRace:
        raise _already_decided(owned_card(card.id, user)) from None
    if not (decision.allowed or _only_cancels(document)):
        raise _denied(owned_card(card.id, user), decision)
    return send(approval)


def send(approval: Approval) -> Approval:
    """Sends what an approval committed, leg by leg, and has the rest watched."""
    faults.reach(FaultPoint.COMMITTED)
    for intent in approval.intents:
        door.send_intent(intent.id)
    for command in approval.commands:
        door.send_command(command.id)
    follower.watch(approval.card.connection_id)
    done = current(approval)
    if not done.commands and all(IntentState(intent.state).is_in_flight for intent in done.intents):
        return done  # the usual case: the broker has it, and the follower sees to the rest
    completion.settle_card(approval.card.id)
    return current(approval)


def current(approval: Approval) -> Approval:
    """The same approval as the database has it now."""
    card = ActionCard.objects.select_related("plan", "connection").get(pk=approval.card.pk)
    return approval_of(card)


def approval_of(card: ActionCard) -> Approval:
    """What an approved card led to."""
    plan = _plan_of(card)
    return Approval(
        card=card,
        intents=tuple(plan.order_intents.order_by("leg_n")),
        commands=tuple(OrderCommand.objects.filter(authorization__plan=plan).order_by("leg_n")),
    )


def decline_card(card_id: uuid.UUID | str, *, user: User, reason: str, now: datetime) -> ActionCard:
    """The trader does not want it. Raises Problem 404, 409 CARD_EXPIRED or ALREADY_DECIDED."""
    card = owned_card(card_id, user)
    with recording(now) as record:
        if not _move(card, CardState.DECLINED, now=now, by=user.get_username(), note=reason):
            raise _already_decided(owned_card(card_id, user))
        record.event(
            card.correlation_id, "card.declined", {"card": card.id, "by": user.get_username(), "reason": reason}
        )
        record.close(card.correlation_id, TraceOutcome.DECLINED, "Declined by the trader. Nothing was sent.")
    return owned_card(card_id, user)


def expire_card(card: ActionCard, *, now: datetime) -> bool:
    """Marks an open card whose time is over; True if this call did it."""
    with recording(now) as record:
        if not _move(card, CardState.EXPIRED, now=now, by="clock"):
            return False
        record.event(card.correlation_id, "card.expired", {"card": card.id, "expires_at": card.expires_at})
        record.close(card.correlation_id, TraceOutcome.EXPIRED, "Nobody approved it in time. Nothing was sent.")
    return True


def _look(card: ActionCard, document: PlanDocument, *, now: datetime) -> MarketView:
    """Books and prices read now, once the account is reconciled; a cancel waits for neither (FAULTS 0.7)."""
    symbols = {leg.symbol for leg in document.legs}
    if _only_cancels(document):
        return gathering.stored_look(card.connection, symbols, now=now)
    reconciler.ensure_reconciled(card.connection, now=now)
    return gathering.look(card.connection, symbols, now=now)


def _authorize(
    card: ActionCard,
    plan: TradePlan,
    document: PlanDocument,
    view: MarketView,
    *,
    user: User,
    claim: Claim | None,
) -> tuple[Approval, Decision]:
    actor, orders, now = ACTORS[Origin(plan.origin)], order_requests(document, plan_id=plan.id), view.now
    with recording(now) as record:
        lock_account(card.connection_id)  # one approval of an account at a time: each counts the one before it
        book = gathering.book_for(view, actor=actor, margin_by_leg=document.margin_by_leg, orders=orders)
        row, decision = decide(
            orders, book=book, owner=str(card.owner_id), correlation_id=card.correlation_id,
            plan_id=str(plan.id), content_hash=plan.content_hash, now=now,
        )  # fmt: skip
        allowed = decision.allowed or _only_cancels(document)
        target = CardState.APPROVED if allowed else CardState.DENIED
        if not _move(card, target, now=now, by=user.get_username(), unexpired=True):
            raise _LostRace
        if not allowed:
            _record_denial(record, card, row)
            return Approval(card, (), ()), decision
        authorization = grant(record, plan, row, kind=AuthorizationKind.APPROVE, actor=user.get_username(), now=now,
                              expires_at=card.expires_at)  # fmt: skip
        intents, commands = prepare(record, authorization, document, now=now)
        if claim is not None:
            claim.commit(correlation_id=card.correlation_id, subject=f"execution.card:{card.id}")
        faults.reach(FaultPoint.BEFORE_COMMIT)
    return Approval(card, intents, commands), decision


def grant(
    record: Recorder,
    plan: TradePlan,
    decision: RiskDecision,
    *,
    kind: AuthorizationKind,
    actor: str,
    now: datetime,
    expires_at: datetime,
) -> Authorization:
    """The row without which nothing is sent. The database allows one per plan."""
    row = Authorization.objects.create(
        plan=plan, kind=kind.value, actor=actor, content_hash=plan.content_hash, decision=decision,
        created_at=now, expires_at=expires_at,
    )  # fmt: skip
    record.event(
        plan.correlation_id,
        "authorization.given",
        {"authorization": row.id, "kind": kind, "actor": actor, "content_hash": plan.content_hash,
         "decision": decision.id, "expires_at": expires_at},
    )  # fmt: skip
    return row


def _move(
    card: ActionCard, state: CardState, *, now: datetime, by: str, note: str = "", unexpired: bool = False
) -> bool:
    open_card = ActionCard.objects.filter(pk=card.pk, state=CardState.OPEN.value, content_hash=card.content_hash)
    if unexpired:
        open_card = open_card.filter(expires_at__gt=now)
    changed = open_card.update(state=state.value, version=card.version + 1, decided_at=now, decided_by=by, note=note)
    return changed == 1


def _require_open(card: ActionCard, content_hash: str, *, now: datetime) -> None:
    if not content_hash:
        raise conflict("NOT_APPROVED", "Send the content_hash of the card you were shown; nothing was sent.")
    if card.plan is None or content_hash != card.content_hash:
        with recording(now) as record:
            record.event(card.correlation_id, "approval.stale", {"shown": content_hash[:64], "card": card.content_hash})
        raise conflict("CARD_STALE", "What you were shown is not what this card holds now. Look at it again.",
                       card=str(card.id), content_hash=card.content_hash)  # fmt: skip
    if card.state == CardState.OPEN.value and card.expires_at <= now:
        expire_card(card, now=now)
        card.refresh_from_db()
    if card.state != CardState.OPEN.value:
        with recording(now) as record:
            record.event(card.correlation_id, "approval.duplicate", {"card": card.id, "state": card.state})
        raise _already_decided(card)


def refuse_while_off(connection: BrokerConnection, plan: TradePlan, *, now: datetime) -> None:
    """Raises Problem 409 where nothing may be sent on this connection now: a flag, the kill switch, a login that is
    due, order tools that are missing or changed. The story keeps the last three."""
    require_available(connection.kind)
    if Origin(plan.origin) in (Origin.ASSISTANT, Origin.MONITOR):
        require_flag(Flag.AI_EXECUTION_ENABLED)
    if not connection.is_active:
        raise conflict("CONNECTION_INACTIVE", "This card was made for a connection that is no longer the active one.")
    state, reason = trading_state_for(connection.account, now=now)
    if state is TradingStateName.HALTED:
        raise conflict("TRADING_HALTED", f"Trading is halted: {reason or 'kill switch'}. Release it first.")
    block = block_of(connection)
    if block is not None:
        with recording(now) as record:
            record.event(plan.correlation_id, "approval.blocked", {"plan": plan.id, "code": block.code})
        raise conflict(block.code, f"{block.sentence} Nothing was sent.", ways_out=list(block.ways_out))


def _require_execution_on(card: ActionCard, plan: TradePlan, document: PlanDocument, *, now: datetime) -> None:
    if _only_cancels(document):
        require_available(card.connection.kind)
        return  # no flag, trading state or active connection holds a cancel back (FAULTS 0.7)
    refuse_while_off(card.connection, plan, now=now)


def _only_cancels(document: PlanDocument) -> bool:
    return all(leg.action is RequestKind.CANCEL for leg in document.legs)


def _require_price(card: ActionCard, document: PlanDocument, view: MarketView) -> None:
    """A price that moved past the card's tolerance makes the card stale (ASSISTANT section 3)."""
    moved = moved_prices(document, view)
    if moved:
        _make_stale(card, moved, now=view.now)
        raise conflict("CARD_STALE", f"The price moved more than {_tolerance()} % since this card: price it again.",
                       card=str(card.id), moved=moved)  # fmt: skip


def moved_prices(document: PlanDocument, view: MarketView) -> dict[str, dict[str, Decimal]]:
    """The symbols whose price is farther from the plan's than a card may wait for, then and now."""
    return {
        symbol: {"then": then, "now": quote.last_price}
        for symbol, then in document.reference_prices.items()
        if (quote := view.quotes.get(symbol)) is not None and _moved_percent(then, quote.last_price) > _tolerance()
    }


def _tolerance() -> Decimal:
    return Decimal(settings.CARD_PRICE_TOLERANCE_PERCENT["equity"])


def _make_stale(card: ActionCard, moved: Mapping[str, object], *, now: datetime) -> None:
    with recording(now) as record:
        if _move(card, CardState.STALE, now=now, by="price"):
            record.event(card.correlation_id, "approval.stale", {"card": card.content_hash, "moved": moved})
            record.close(
                card.correlation_id,
                TraceOutcome.EXPIRED,
                "The price moved past the card's tolerance. Nothing was sent.",
            )


def _moved_percent(then: Decimal, now: Decimal) -> Decimal:
    return abs(now - then) / then * 100 if then else Decimal(0)


def _record_denial(record: Recorder, card: ActionCard, row: RiskDecision) -> None:
    words = ", ".join(row.denials)
    record.event(card.correlation_id, "card.denied", {"card": card.id, "denials": row.denials})
    record.close(
        card.correlation_id, TraceOutcome.DENIED, f"RiskGate denied it at approval: {words}. Nothing was sent."
    )


def _already_decided(card: ActionCard) -> Problem:
    code = "CARD_EXPIRED" if card.state == CardState.EXPIRED.value else "ALREADY_DECIDED"
    text = {
        "CARD_EXPIRED": "This card's time is over; price it again. Nothing was sent.",
        "ALREADY_DECIDED": f"This card was decided already: it is {card.state}.",
    }[code]
    if card.state == CardState.STALE.value:
        code, text = "CARD_STALE", "The price moved since this card was made; price it again. Nothing was sent."
    return conflict(code, text, card=card_shape(card), state=card.state)


def _denied(card: ActionCard, decision: Decision) -> Problem:
    return conflict(
        "RISK_DENIED",
        f"RiskGate denied it: {', '.join(decision.denials)}. Nothing was sent.",
        card=str(card.id),
        denials=list(decision.denials),
    )


def _plan_of(card: ActionCard) -> TradePlan:
    if card.plan is None:
        raise conflict("NOT_APPROVED", "This card holds nothing that could be sent.")
    return card.plan
