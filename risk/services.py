"""Every write of risk: decisions, policy versions, the trading state. Each leaves its trace in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError

from broker.calendar import trading_day
from risk import codec, gate
from risk.account import account_value
from risk.codes import Code
from risk.domain import Book, Decision, OrderRequest, TradingStateName
from risk.models import AccountDay, RiskDecision, RiskPolicy, TradingState
from risk.policy import Policy, PolicyInvalid, default_policy, parse_policy, policy_document
from risk.selectors import GLOBAL, STRICTNESS, active_policy
from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import FieldFault, Problem, conflict, unprocessable
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import DecisionTrace
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import raise_exception, record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, ExceptionCode, Severity, TraceOutcome

HIGH_QUANTUM = Decimal("0.0001")


# --- decisions ---------------------------------------------------------------------------------------------------
def decide(
    orders: Sequence[OrderRequest],
    *,
    book: Book,
    owner: str,
    correlation_id: str,
    plan_id: str,
    content_hash: str,
    now: datetime,
) -> tuple[RiskDecision, Decision]:
    """Judges ``orders`` by the policy in force and stores the verdict with its inputs, joining an outer recording.

    Never raises for what it judges: without a usable policy, or with inputs that cannot be read, the stored verdict is
    a denial with POLICY_ERROR, and an exception RISKGATE_ERROR is open beside it.
    """
    policy, decision, inputs = _judged(orders, book=book, now=now)
    with recording(now, savepoint=False) as record:
        row = RiskDecision.objects.create(
            account=book.account, owner=owner, correlation_id=correlation_id, plan_id=plan_id,
            content_hash=content_hash, outcome=decision.outcome.value, denials=list(decision.denials),
            warnings=list(decision.warnings), policy_version=decision.policy_version,
            policy_hash=decision.policy_hash, input_hash=decision.input_hash, engine_version=decision.engine_version,
            evaluated_at=now, inputs=inputs, document=codec.encode_decision(decision),
        )  # fmt: skip
        _record_decision(record, row)
        _record_value(book, now=now)
        if Code.POLICY_ERROR in decision.denials:
            _report_error(record, row, decision, has_policy=policy is not None)
    return row, decision


def _judged(orders: Sequence[OrderRequest], *, book: Book, now: datetime) -> tuple[Policy | None, Decision, str]:
    try:
        policy = active_policy()
    except Problem as exc:
        return None, gate.refusal(exc.text, policy=None, now=now), "{}"
    try:
        document = codec.inputs_document(orders, book=book, policy=policy, now=now)
        inputs, digest = codec.text_of(document), codec.hash_of(document, policy=policy)
    except (codec.CodecError, ValueError, TypeError) as exc:
        return policy, gate.refusal(type(exc).__name__, policy=policy, now=now), "{}"
    return policy, gate.evaluate(orders, book=book, policy=policy, now=now, input_hash=digest), inputs


def _record_decision(record: Recorder, row: RiskDecision) -> None:
    data = {
        "decision": row.id, "outcome": row.outcome, "denials": row.denials, "warnings": row.warnings,
        "plan": row.plan_id, "content_hash": row.content_hash, "policy_version": row.policy_version,
        "policy_hash": row.policy_hash, "input_hash": row.input_hash, "engine_version": row.engine_version,
        "document_hash": canonical.text_digest(row.document), "inputs_hash": canonical.text_digest(row.inputs),
    }  # fmt: skip
    record.event(row.correlation_id, "risk.decided", data)
    if DecisionTrace.objects.filter(correlation_id=row.correlation_id).exists():
        record.link(row.correlation_id, "decision", row.id)


def _record_value(book: Book, *, now: datetime) -> None:
    """Keeps the day's highest value of the account, where the books tell it."""
    try:
        value = account_value(book)
    except (ArithmeticError, TypeError, AttributeError):
        return  # books that cannot be read: the decision beside it says so
    if value is None or value <= 0:
        return
    day, high = trading_day(now), value.quantize(HIGH_QUANTUM)
    rows = AccountDay.objects.filter(account=book.account, day=day)
    if rows.filter(high__lt=high).update(high=high, updated_at=now) or rows.exists():
        return
    AccountDay.objects.bulk_create(
        [AccountDay(account=book.account, day=day, high=high, updated_at=now)], ignore_conflicts=True
    )


def _report_error(record: Recorder, row: RiskDecision, decision: Decision, *, has_policy: bool) -> None:
    failed = sorted({control.actual or "" for control in decision.controls if control.code == Code.POLICY_ERROR})
    record.event(row.correlation_id, "risk.error", {"decision": row.id, "failed": failed})
    raise_exception(
        code=ExceptionCode.RISKGATE_ERROR, type_="risk", severity=Severity.CRITICAL, now=record.now,
        summary="RiskGate could not make a check, so it denied the order." if has_policy
        else "There is no usable risk policy, so every order is denied.",
        fingerprint=(ExceptionCode.RISKGATE_ERROR.value, row.account, *failed), account=row.account, owner=row.owner,
        actual="; ".join(failed), subject=f"risk.decision:{row.id}", correlation_id=row.correlation_id,
    )  # fmt: skip


# --- the policy --------------------------------------------------------------------------------------------------
def publish_policy(
    document: object,
    *,
    note: str,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
    correlation_id: str = "",
    owner: str = "",
) -> RiskPolicy:
    """Puts a new version in force, with its trace and SystemEvent.

    Raises Problem 422 POLICY_INVALID naming every fault (the old policy stays), 409 STALE_VERSION when another
    version than ``expected_version`` is in force or somebody published at the same moment.
    """
    policy = checked_policy(document)
    try:
        with recording(now) as record:
            return _publish(record, policy, note, actor, expected_version, correlation_id, owner)
    except IntegrityError:
        raise _stale_policy() from None


def checked_policy(document: object) -> Policy:
    """The policy in a document. Raises Problem 422 POLICY_INVALID naming every fault."""
    try:
        return parse_policy(document)
    except PolicyInvalid as exc:
        faults = [FieldFault(fault.field, fault.code, fault.message) for fault in exc.faults]
        raise unprocessable("POLICY_INVALID", f"The policy was not published: {exc}", faults) from exc


def ensure_default_policy(*, now: datetime) -> RiskPolicy:
    """The policy in force; on a fresh installation the default one is published first."""
    row = RiskPolicy.objects.first()
    if row is not None:
        return row
    return publish_policy(
        policy_document(default_policy()), note="The policy a fresh installation starts with.", actor="up", now=now,
        expected_version=0,
    )  # fmt: skip


def _publish(
    record: Recorder,
    policy: Policy,
    note: str,
    actor: str,
    expected_version: int | None,
    correlation_id: str,
    owner: str,
) -> RiskPolicy:
    last = RiskPolicy.objects.order_by("-version").values_list("version", flat=True).first() or 0
    if expected_version is not None and expected_version != last:
        raise _stale_policy()
    text = canonical.dumps(policy_document(policy))
    row = RiskPolicy(version=last + 1, document=text, hash=policy.hash, note=note, published_by=actor)
    row.published_at = record.now
    row.save(force_insert=True)
    story = correlation_id or new_correlation_id()
    record.open(story, kind="policy", actor=actor, origin="settings", owner=owner)
    data = {"version": row.version, "hash": row.hash, "note": note}
    record.event(story, "policy.published", data)
    record.close(story, TraceOutcome.CHANGED, f"Risk policy version {row.version} was published.")
    record_system_event(
        category=EventCategory.RISK_POLICY, event_type="POLICY_PUBLISHED",
        message=f"Risk policy version {row.version} was published.", now=record.now, details=data, actor=actor,
        owner=owner, correlation_id=story,
    )  # fmt: skip
    return row


def _stale_policy() -> Problem:
    return conflict("STALE_VERSION", "The policy changed since you read it. Read it again, then repeat the change.")


# --- the trading state -------------------------------------------------------------------------------------------
def set_trading_state(
    *,
    scope: str,
    state: TradingStateName,
    actor: str,
    now: datetime,
    reason: str = "",
    until: datetime | None = None,
    correlation_id: str = "",
    owner: str = "",
    before_release: Callable[[], None] | None = None,
) -> TradingState:
    """Sets the kill switch of ``scope`` (``global`` or an account), with its trace and SystemEvent.

    Pulling needs no reason; releasing, or holding for a shorter time than now, does: Problem 422 REASON_REQUIRED.
    Whether the person may release is the caller's to check: ``before_release`` is called, under the state's lock, when
    this is a release, and what it raises leaves the state as it is. Raises Problem 422 BAD_RANGE for an ``until`` that
    is not after ``now``. An id of another story gets the event there; else the change is a story of its own.
    """
    if until is not None and until <= now:
        raise unprocessable("BAD_RANGE", "until must lie in the future.", [_until_fault()])
    with recording(now) as record:
        TradingState.objects.get_or_create(scope=scope, defaults={"set_at": now, "version": 0})
        row = TradingState.objects.select_for_update().get(scope=scope)
        ends = until if state is not TradingStateName.ACTIVE else None
        if _loosens(row, state, ends, now=now):
            if before_release is not None:
                before_release()
            if not reason.strip():
                raise _reason_required()
        before = _in_force(row, now=now)
        row.state, row.until, row.reason, row.set_by, row.set_at = state.value, ends, reason, actor, now
        row.version += 1
        row.save()
        _record_state(record, row, before, correlation_id or new_correlation_id(), owner)
    return row


def tighten_trading_state(
    *, scope: str, state: TradingStateName, actor: str, now: datetime, reason: str, correlation_id: str = ""
) -> TradingState:
    """The automatic brake: as ``set_trading_state`` until released, but never loosens what is already in force."""
    with recording(now):
        row = TradingState.objects.select_for_update().filter(scope=scope).first()
        if row is not None and row.until is None and STRICTNESS[_in_force(row, now=now)] >= STRICTNESS[state]:
            return row
        if row is not None and STRICTNESS[_in_force(row, now=now)] > STRICTNESS[state]:
            state = _in_force(row, now=now)
        return set_trading_state(
            scope=scope, state=state, actor=actor, now=now, reason=reason, correlation_id=correlation_id
        )


def _in_force(row: TradingState, *, now: datetime) -> TradingStateName:
    ended = row.until is not None and row.until <= now
    return TradingStateName.ACTIVE if ended else TradingStateName(row.state)


def _loosens(row: TradingState, state: TradingStateName, until: datetime | None, *, now: datetime) -> bool:
    held = STRICTNESS[_in_force(row, now=now)]
    ends_sooner = until is not None and (row.until is None or until < row.until)
    return held > 0 and (STRICTNESS[state] < held or ends_sooner)


def _record_state(record: Recorder, row: TradingState, before: TradingStateName, story: str, owner: str) -> None:
    data = {
        "scope": row.scope, "from": before, "to": row.state, "until": row.until, "reason": row.reason,
        "by": row.set_by, "version": row.version,
    }  # fmt: skip
    account = "" if row.scope == GLOBAL else row.scope
    text = f"Trading was set from {before.value} to {row.state}" + (f": {row.reason}" if row.reason else ".")
    other = DecisionTrace.objects.filter(correlation_id=story).exclude(kind="trading_state").exists()
    if not other:
        record.open(story, kind="trading_state", actor=row.set_by, origin="kill_switch", account=account, owner=owner)
    record.event(story, "trading_state.set", data)
    if not other:
        record.close(story, TraceOutcome.CHANGED, text)
    record_system_event(
        category=EventCategory.EXECUTION, event_type="TRADING_STATE_SET", message=text, now=record.now,
        level=EventLevel.INFO if row.state == TradingStateName.ACTIVE.value else EventLevel.WARNING, details=data,
        actor=row.set_by, owner=owner, account=account, correlation_id=story,
    )  # fmt: skip


def _reason_required() -> Problem:
    text = "Say why trading may go on: releasing needs a reason."
    return unprocessable("REASON_REQUIRED", text, [FieldFault("reason", "REQUIRED", text)])


def _until_fault() -> FieldFault:
    return FieldFault("until", "BAD_RANGE", "must lie in the future")
