"""Cancelling: the owner's own press is the authorisation, through plan, gate and door like everything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from execution import completion, door, follower, gathering
from execution.approval import Claim, grant
from execution.domain import AuthorizationKind, IntentKind, IntentState, Origin, TradeIntent
from execution.inputs import plan_inputs, symbols_of, with_family
from execution.intents import prepare
from execution.lifecycle import IntentEvent, apply
from execution.models import Order, OrderCommand, OrderIntent, TradePlan
from execution.planning import Asked, open_trace
from execution.shapes import public_order_id
from execution.translation import NotTranslatable, order_requests, translate
from risk.domain import Actor
from risk.services import decide
from sigmatrader.accounts.models import User
from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import Problem, conflict
from sigmatrader.audit.recording import recording


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of one order of a cancel-all."""

    order_id: str
    symbol: str
    result: str
    detail: str


def cancel_order(
    order: OrderIntent | Order, *, user: User, correlation_id: str, now: datetime, claim: Claim | None = None
) -> OrderCommand | None:
    """Asks the broker to cancel one order; None if it had not left us yet and simply will not.

    Slices and iceberg legs that are still open are cancelled with it, each once; the first command is the answer.

    Raises Problem 409 ORDER_FINAL or ORDER_UNSETTLED; nothing was sent then.
    """
    if isinstance(order, OrderIntent):
        if order.state in (IntentState.PREPARED.value, IntentState.NOT_SENT.value):
            _withdraw(order, user=user, now=now)
            return None
        _require_cancellable(order)
    commands = _commit(order, user=user, correlation_id=correlation_id, now=now, claim=claim)
    sent = [door.send_command(command.id) for command in commands]
    completion.settle_authorization(sent[0].authorization_id, now=now)
    follower.watch(sent[0].connection_id)
    return sent[0]


def cancel_all(rows: Sequence[Order], *, user: User, correlation_ids: Sequence[str], now: datetime) -> list[Cancelled]:
    """Cancels every row, one story each, and says of each what came of it."""
    return [
        _cancel_one(row, user=user, correlation_id=correlation_id, now=now)
        for row, correlation_id in zip(rows, correlation_ids, strict=True)
    ]


def stop_unsent(intents: Iterable[OrderIntent], *, user: User, now: datetime) -> list[Cancelled]:
    """Withdraws what has not left us, and names what may be at the broker without our knowing it yet."""
    results = []
    for intent in intents:
        try:
            if intent.state in (IntentState.PREPARED.value, IntentState.NOT_SENT.value):
                _withdraw(intent, user=user, now=now)
            else:
                _require_cancellable(intent)
        except Problem as exc:
            results.append(Cancelled(str(intent.id), intent.symbol, exc.code, exc.text))
        else:
            results.append(Cancelled(str(intent.id), intent.symbol, "WITHDRAWN", "Withdrawn before it was sent."))
    return results


def _cancel_one(row: Order, *, user: User, correlation_id: str, now: datetime) -> Cancelled:
    try:
        (command,) = _commit(row, user=user, correlation_id=correlation_id, now=now, claim=None, alone=True)
    except Problem as exc:
        return Cancelled(public_order_id(row), row.symbol, exc.code, exc.text)
    command = door.send_command(command.id)
    completion.settle_authorization(command.authorization_id, now=now)
    follower.watch(row.connection_id)
    return Cancelled(public_order_id(row), row.symbol, command.state, command.detail)


def _commit(
    order: OrderIntent | Order,
    *,
    user: User,
    correlation_id: str,
    now: datetime,
    claim: Claim | None,
    alone: bool = False,
) -> tuple[OrderCommand, ...]:
    """``alone`` leaves the other rows of its family to themselves: they are cancelled beside it, as rows of a list."""
    connection = order.connection
    named = order.broker_order_id if alone else str(order.id)
    intent = TradeIntent(kind=IntentKind.CANCEL, order_ids=(named,), text=f"Cancel {order.symbol}")
    intent = intent if alone else with_family(intent, connection)
    view = gathering.stored_look(connection, symbols_of(intent, connection), now=now)
    try:
        document = translate(intent, inputs=plan_inputs(view, intent))
    except NotTranslatable as exc:
        raise conflict(exc.code, exc.message) from None
    book = gathering.book_for(view, actor=Actor.TRADER, margin_by_leg=document.margin_by_leg)
    asked = Asked(user, connection, Origin.TICKET, correlation_id)
    with recording(now) as record:
        open_trace(record, asked, kind="cancel")
        plan = TradePlan(
            owner=user, connection=connection, correlation_id=correlation_id, origin=Origin.TICKET.value,
            document=canonical.dumps(document), content_hash=canonical.digest(document),
            snapshot_hash=gathering.snapshot_hash(view), created_at=now, valid_until=document.valid_until,
        )  # fmt: skip
        row, _decision = decide(
            order_requests(document), book=book, owner=str(user.pk), correlation_id=correlation_id,
            plan_id=str(plan.id), content_hash=plan.content_hash, now=now,
        )  # fmt: skip
        plan.decision = row
        plan.save(force_insert=True)
        record.link(correlation_id, "plan", plan.id)
        record.link(correlation_id, "symbol", order.symbol)
        authorization = grant(record, plan, row, kind=AuthorizationKind.REQUEST, actor=user.get_username(), now=now,
                              expires_at=document.valid_until)  # fmt: skip
        _intents, commands = prepare(record, authorization, document, now=now)
        if claim is not None:
            claim.commit(correlation_id=correlation_id, subject=f"execution.command:{commands[0].id}")
    return commands


def _withdraw(order: OrderIntent, *, user: User, now: datetime) -> None:
    """An order that has not left us is withdrawn: there is nothing at the broker to cancel."""
    with recording(now) as record:
        row = OrderIntent.objects.select_for_update(no_key=True).get(pk=order.pk)
        if row.state not in (IntentState.PREPARED.value, IntentState.NOT_SENT.value):
            raise conflict("ORDER_UNSETTLED", "The order is being sent at this moment; cancel it once it is there.")
        before = row.state
        row.state = apply(IntentState(row.state), IntentEvent.EXPIRED).value
        row.next_check_at, row.updated_at, row.status_message = None, now, "Withdrawn before it was sent."
        row.denial_code = ""
        row.save()
        data = {"intent": row.id, "from": before, "to": row.state, "by": user.get_username()}
        record.event(row.correlation_id, "order.expired", data)
    completion.settle_authorization(order.authorization_id, now=now)


def _require_cancellable(order: OrderIntent) -> None:
    state = IntentState(order.state)
    if state in (IntentState.SENDING, IntentState.AMBIGUOUS):
        raise conflict("ORDER_UNSETTLED", "Whether this order is at the broker is still being found out.")
    if state.is_terminal or state is IntentState.NEEDS_REVIEW:
        raise conflict("ORDER_FINAL", f"This order is {state.value}; there is nothing to cancel.", state=state.value)
