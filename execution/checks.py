"""What the door asks at the last moment, under the row's lock: database reads only, and any fault is a refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from broker.factory import require_available
from broker.models import BrokerConnection
from execution.blocks import AUTH_REQUIRED, login_block, tools_block
from execution.domain import IntentState, Origin
from execution.lifecycle import IntentEvent
from execution.models import Authorization, LedgerOpening, OrderCommand, OrderIntent, TradePlan
from execution.translation import plan_from_json
from risk import gate
from risk.codec import Inputs, inputs_of
from risk.domain import Outcome, TradingStateName
from risk.models import RiskDecision
from risk.policy import policy_hash
from risk.selectors import active_policy, trading_state_for
from sigmatrader.accounts.selectors import flag_enabled
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import Problem

_LEG_FIELDS = ("symbol", "side", "quantity", "order_type", "product", "validity", "variety")
_STRICTNESS = {TradingStateName.ACTIVE: 0, TradingStateName.REDUCING: 1, TradingStateName.HALTED: 2}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is sent: the event that moves the intent, a code, and a sentence."""

    event: IntentEvent
    code: str
    text: str

    @property
    def waits(self) -> bool:
        """True where a login is all that is missing: the order stays prepared and is looked at again (FAULTS A33)."""
        return self.code == AUTH_REQUIRED

    @property
    def word(self) -> str:
        """The trace event's name."""
        if self.waits:
            return "egress.waiting"
        return "recovery.expired" if self.event is IntentEvent.EXPIRED else "egress.denied"


def needs_fresh_decision(intent: OrderIntent) -> bool:
    """Whether the verdict of the approval is not enough any more: it waited for a login, or is to go once more (A7)."""
    return intent.state == IntentState.NOT_SENT.value or intent.denial_code == AUTH_REQUIRED


def is_fresh_decision(intent: OrderIntent, decision: RiskDecision, *, now: datetime) -> bool:
    """Whether ``decision`` was made just now, after everything that happened to this leg, and judged this leg."""
    age = (now - decision.evaluated_at).total_seconds()
    if not 0 <= age <= settings.SNAPSHOT_AGE_AT_APPROVAL_S or decision.plan_id != str(intent.plan_id):
        return False
    after_all = intent.sending_at is None or decision.evaluated_at > intent.sending_at
    return after_all and any(order.leg == intent.leg_n for order in _inputs(decision).orders)


def intent_refusal(intent: OrderIntent, *, now: datetime, decision: RiskDecision | None = None) -> Refusal | None:
    """The first reason not to send this leg now, or None (FAULTS 0.7). ``decision`` stands for the approval's where a
    later one was made on the same content. That a login is due comes last: anything else is final."""
    authorization = intent.authorization
    decision = decision or authorization.decision
    if authorization.expires_at <= now:
        return Refusal(IntentEvent.EXPIRED, "CARD_EXPIRED", "The approval's time was over before the order was sent.")
    return (
        _content_refusal(intent.plan, authorization)
        or _leg_refusal(intent)
        or _decision_refusal(decision, intent.plan)
        or _flag_refusal(intent)
        or _connection_refusal(intent)
        or _state_refusal(intent, decision, now=now)
        or _dependency_refusal(intent)
        or _login_refusal(intent.connection)
    )


def command_refusal(command: OrderCommand, *, now: datetime, decision: RiskDecision | None = None) -> Refusal | None:
    """A cancel needs its authorisation only: no flag, trading state, stale data or limit holds it back (FAULTS 0.7)."""
    authorization = command.authorization
    plan, decision = authorization.plan, decision or authorization.decision
    refusal = _content_refusal(plan, authorization) or _kind_refusal(command.connection)
    if refusal is not None or command.kind == "cancel":
        return refusal
    if authorization.expires_at <= now:
        return _denied("CARD_EXPIRED", "The approval's time was over before the change was sent.")
    state, reason = trading_state_for(command.connection.account, now=now)
    if _STRICTNESS[state] > _STRICTNESS[_judged_state(decision)]:
        return _denied(f"TRADING_{state.value}", f"Trading was set to {state.value} after the approval: {reason}")
    return (
        _decision_refusal(decision, plan)
        or _plan_flag_refusal(plan)
        or _connection_refusal(command)
        or _login_refusal(command.connection)
    )


def _content_refusal(plan: TradePlan, authorization: Authorization) -> Refusal | None:
    if not plan.content_hash == authorization.content_hash == canonical.text_digest(plan.document):
        return _denied("APPROVAL_STALE", "What was approved is not what would be sent.")
    return None


def _leg_refusal(intent: OrderIntent) -> Refusal | None:
    """The row that would be sent, field by field, against the leg that was approved."""
    leg = next(leg for leg in json.loads(intent.plan.document)["legs"] if leg["n"] == intent.leg_n)
    prices = [None if leg[name] is None else Decimal(leg[name]) for name in ("limit_price", "trigger_price")]
    approved = [leg[name] for name in _LEG_FIELDS] + prices
    if approved != [getattr(intent, name) for name in (*_LEG_FIELDS, "limit_price", "trigger_price")]:
        return _denied("APPROVAL_STALE", "The order is no longer the leg that was approved.")
    return None


def _decision_refusal(decision: RiskDecision, plan: TradePlan) -> Refusal | None:
    if decision.outcome != Outcome.ALLOW.value or decision.content_hash != plan.content_hash:
        return _denied("APPROVAL_MISSING", "There is no RiskGate pass for exactly this content.")
    if decision.policy_hash != policy_hash(active_policy()):
        return _denied("POLICY_CHANGED", "The risk policy changed after this order was judged.")
    return None


def _flag_refusal(intent: OrderIntent) -> Refusal | None:
    return _plan_flag_refusal(intent.plan)


def _plan_flag_refusal(plan: TradePlan) -> Refusal | None:
    from_assistant = Origin(plan.origin) in (Origin.ASSISTANT, Origin.MONITOR)
    if from_assistant and not flag_enabled(Flag.AI_EXECUTION_ENABLED):
        return _denied("FEATURE_DISABLED", "ai_execution_enabled was switched off after the approval.")
    return None


def _connection_refusal(row: OrderIntent | OrderCommand) -> Refusal | None:
    connection = row.connection
    unusable = _kind_refusal(connection)
    if unusable is not None:
        return unusable
    if not connection.is_active:
        return _denied("CONNECTION_INACTIVE", "The connection this order was made for is no longer the active one.")
    tools = tools_block(connection)
    if tools is not None:
        return _denied(tools.code, tools.sentence)
    if not LedgerOpening.objects.filter(connection=connection).exists():
        return _denied("NOT_RECONCILED", "The account's books were never taken over, so nothing could be reconciled.")
    return None


def _login_refusal(connection: BrokerConnection) -> Refusal | None:
    block = login_block(connection)
    return _denied(block.code, block.sentence) if block is not None else None


def _kind_refusal(connection: BrokerConnection) -> Refusal | None:
    """No adapter, or its flag is off: known before SENDING is committed, so that nothing becomes AMBIGUOUS by it."""
    try:
        require_available(connection.kind)
    except Problem as exc:
        return _denied(exc.code, exc.text)
    return None


def _state_refusal(intent: OrderIntent, decision: RiskDecision, *, now: datetime) -> Refusal | None:
    state, reason = trading_state_for(intent.connection.account, now=now)
    if state is TradingStateName.ACTIVE or _STRICTNESS[state] <= _STRICTNESS[_judged_state(decision)]:
        return None
    if state is TradingStateName.REDUCING and _passes_under(decision, state, now=now):
        return None
    return _denied(f"TRADING_{state.value}", f"Trading was set to {state.value} after the approval: {reason}")


def _judged_state(decision: RiskDecision) -> TradingStateName:
    return _inputs(decision).book.trading_state


def _passes_under(decision: RiskDecision, state: TradingStateName, *, now: datetime) -> bool:
    """Judges the stored inputs again under a stricter state: an exit still passes in REDUCING."""
    inputs = _inputs(decision)
    book = replace(inputs.book, trading_state=state)
    return gate.evaluate(inputs.orders, book=book, policy=active_policy(), now=inputs.now).allowed


def _inputs(decision: RiskDecision) -> Inputs:
    return inputs_of(json.loads(decision.inputs))


def _dependency_refusal(intent: OrderIntent) -> Refusal | None:
    if intent.leg_n == 1:
        return None
    leg = next(leg for leg in plan_from_json(intent.plan.document).legs if leg.n == intent.leg_n)
    if leg.depends_on is None:
        return None
    first = OrderIntent.objects.get(plan=intent.plan, leg_n=leg.depends_on)
    if IntentState(first.state) in (IntentState.ACKED, IntentState.WORKING, IntentState.FILLED):
        return None
    return _denied("DEPENDENCY_FAILED", f"Leg {leg.depends_on} is {first.state}, so this leg is not sent.")


def _denied(code: str, text: str) -> Refusal:
    return Refusal(IntentEvent.DENIED, code, text)
