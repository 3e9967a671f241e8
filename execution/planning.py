"""From an intent to a card: look, translate, judge, and write plan, decision and card in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.domain import split_symbol
from broker.models import BrokerConnection
from execution import gathering
from execution.domain import CardKind, CardState, Origin, PlanDocument, TradeIntent
from execution.inputs import plan_inputs, symbols_of, with_family
from execution.models import ActionCard, TradePlan
from execution.translation import order_requests, translate
from execution.wire import intent_document
from risk import gate
from risk.domain import Actor, Decision
from risk.models import RiskDecision
from risk.selectors import active_policy
from risk.services import decide
from sigmatrader.accounts.models import User
from sigmatrader.audit import canonical
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.vocabulary import TraceOutcome


@dataclass(frozen=True, slots=True)
class Preview:
    """A dry run: what the plan would be and what the gate says of it. Nothing was stored or reserved."""

    document: PlanDocument
    decision: Decision


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a plan, through what, and in which story it belongs."""

    user: User
    connection: BrokerConnection
    origin: Origin
    correlation_id: str
    actor: Actor = Actor.TRADER
    client_correlation_id: str = ""


def preview(intent: TradeIntent, *, connection: BrokerConnection, actor: Actor, now: datetime) -> Preview:
    """What would happen. Reads, judges, stores nothing. Raises NotTranslatable."""
    intent = with_family(intent, connection)
    view = gathering.look(connection, symbols_of(intent, connection), now=now)
    document = translate(intent, inputs=plan_inputs(view, intent))
    book = gathering.book_for(view, actor=actor, margin_by_leg=document.margin_by_leg, orders=order_requests(document))
    decision = gate.evaluate(order_requests(document), book=book, policy=active_policy(), now=now)
    return Preview(document=document, decision=decision)


def make_plan(
    *,
    user: User,
    connection: BrokerConnection,
    intent: TradeIntent,
    origin: Origin,
    correlation_id: str,
    now: datetime,
    actor: Actor = Actor.TRADER,
    source: Mapping[str, object] | None = None,
    message_id: str = "",
    supersedes: ActionCard | None = None,
    client_correlation_id: str = "",
) -> ActionCard:
    """A plan judged by RiskGate, on a card: open to approve, or a veto card born denied.

    Writes plan, decision, card and their trace in one transaction after all reading is done. Raises NotTranslatable,
    having written nothing.
    """
    asked = Asked(user, connection, origin, correlation_id, actor, client_correlation_id)
    intent = with_family(intent, connection)
    view = gathering.look(connection, symbols_of(intent, connection), now=now)
    document = translate(intent, inputs=plan_inputs(view, intent))
    book = gathering.book_for(view, actor=actor, margin_by_leg=document.margin_by_leg, orders=order_requests(document))
    with recording(now) as record:
        open_trace(record, asked, kind=intent.kind.value, message=intent.text)
        plan = TradePlan(
            owner=user, connection=connection, correlation_id=correlation_id, origin=origin.value,
            document=canonical.dumps(document), content_hash=canonical.digest(document),
            snapshot_hash=gathering.snapshot_hash(view), created_at=now, valid_until=document.valid_until,
        )  # fmt: skip
        _record_plan(record, plan, document)
        row, decision = decide(
            order_requests(document), book=book, owner=str(user.pk), correlation_id=correlation_id,
            plan_id=str(plan.id), content_hash=plan.content_hash, now=now,
        )  # fmt: skip
        plan.decision = row
        plan.save(force_insert=True)
        record.link(correlation_id, "decision", row.id)
        card = _make_card(plan, document, allowed=decision.allowed, source=source or {}, message_id=message_id, now=now)
        _supersede(record, supersedes, card, now=now)
        _record_card(record, card, row)
    return card


def open_trace(record: Recorder, asked: Asked, *, kind: str, message: str = "") -> None:
    """Opens the story under its correlation id, or joins the one the message opened."""
    record.open(
        asked.correlation_id, kind=kind, actor=asked.user.get_username(), origin=asked.origin.value,
        account=asked.connection.account, owner=str(asked.user.pk), message=message,
        client_correlation_id=asked.client_correlation_id,
    )  # fmt: skip


def title_of(document: PlanDocument) -> str:
    """``BUY 10 INFY at 1500``: the first leg in words, and how many more there are."""
    leg = document.legs[0]
    verb = leg.action.value.upper() if leg.action.value != "place" else leg.side.value
    price = f" at {canonical.decimal_text(leg.limit_price)}" if leg.limit_price is not None else ""
    more = f" and {len(document.legs) - 1} more" if len(document.legs) > 1 else ""
    return f"{verb} {leg.quantity} {split_symbol(leg.symbol)[1]}{price}{more}"


def _make_card(
    plan: TradePlan,
    document: PlanDocument,
    *,
    allowed: bool,
    source: Mapping[str, object],
    message_id: str,
    now: datetime,
) -> ActionCard:
    return ActionCard.objects.create(
        owner=plan.owner,
        connection=plan.connection,
        plan=plan,
        kind=(CardKind.TRADE if allowed else CardKind.VETO).value,
        state=(CardState.OPEN if allowed else CardState.DENIED).value,
        content_hash=plan.content_hash,
        correlation_id=plan.correlation_id,
        title=title_of(document)[:200],
        source={"words": document.intent.text, "origin": plan.origin, **source},
        message_id=message_id,
        created_at=now,
        expires_at=document.valid_until,
    )


def _record_plan(record: Recorder, plan: TradePlan, document: PlanDocument) -> None:
    cid = plan.correlation_id
    record.link(cid, "plan", plan.id)
    record.link(cid, "symbol", *{leg.symbol for leg in document.legs})
    record.event(
        cid,
        "plan.made",
        {
            "plan": plan.id,
            "content_hash": plan.content_hash,
            "snapshot_hash": plan.snapshot_hash,
            "intent": intent_document(document.intent),
            "legs": document.legs,
            "sizing": document.sizing,
            "reference_prices": document.reference_prices,
        },
    )


def _record_card(record: Recorder, card: ActionCard, decision: RiskDecision) -> None:
    cid = card.correlation_id
    record.link(cid, "card", card.id)
    record.event(cid, f"card.{card.state}", {"card": card.id, "kind": card.kind, "expires_at": card.expires_at})
    if card.state == CardState.DENIED.value:
        record.close(cid, TraceOutcome.DENIED, f"RiskGate denied it: {', '.join(decision.denials)}. Nothing was sent.")


def _supersede(record: Recorder, old: ActionCard | None, new: ActionCard, *, now: datetime) -> None:
    if old is None:
        return
    changed = ActionCard.objects.filter(
        pk=old.pk, state__in=[CardState.OPEN.value, CardState.STALE.value, CardState.EXPIRED.value]
    ).update(state=CardState.SUPERSEDED.value, version=old.version + 1, decided_at=now)
    if changed:
        ActionCard.objects.filter(pk=new.pk).update(supersedes=old)
        new.supersedes = old
        record.event(old.correlation_id, "card.superseded", {"card": old.id, "by": new.id})
        if old.state == CardState.OPEN.value:  # the story of one that ran out has ended already
            record.close(old.correlation_id, TraceOutcome.DECLINED, "Another card took its place. Nothing was sent.")
