"""RiskGate: every control runs on every leg and every answer is kept. A function of its arguments and nothing else.

Deny beats allow; what is missing denies; what errs denies; the order of the controls does not matter. Cancels always
pass. ``judge`` is the evaluation itself; sentences, alternatives and metrics are made around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from risk import alternatives, codec
from risk.account import prepare
from risk.codes import REPORT_ORDER, Code
from risk.controls.registry import CONTROLS, ENGINE_VERSION, Control, LegControl, PlanControl
from risk.domain import Alternative, Book, ControlResult, Decision, OrderRequest, Outcome, RequestKind
from risk.findings import Finding, denies, figure_text, passes, rendered
from risk.legs import LegFacts, leg_facts
from risk.metrics import metrics
from risk.policy import Policy

__all__ = ["ENGINE_VERSION", "Answer", "denials", "evaluate", "judge", "refusal", "report"]


@dataclass(slots=True)  # not frozen, as Finding
class Answer:
    """One control's finding and the leg it is about; ``leg`` None is the whole plan."""

    leg: int | None
    place: int
    finding: Finding


def evaluate(
    orders: Sequence[OrderRequest],
    *,
    book: Book,
    policy: Policy,
    now: datetime,
    controls: Sequence[Control] = CONTROLS,
    input_hash: str = "",
    engine_version: str = ENGINE_VERSION,
) -> Decision:
    """The decision on a whole plan: one denial anywhere denies all of it. Never raises for what it is given.

    The legs are judged in sending order, each counting those before it as open. ``now`` is aware. ``input_hash`` spares
    whoever has hashed these very inputs the second time.
    ``engine_version`` is the name of ``controls``: another one when an old decision is made again.
    """
    try:
        decision = _evaluate(tuple(orders), book, policy, now, controls, input_hash)
    except Exception as exc:  # noqa: BLE001 - whatever the inputs are, the answer is a denial, never a way through
        decision = refusal(type(exc).__name__, policy=policy, now=now)
    return decision if engine_version == ENGINE_VERSION else replace(decision, engine_version=engine_version)


def refusal(reason: str, *, policy: Policy | None, now: datetime, input_hash: str = "") -> Decision:
    """The denial for when there is nothing to evaluate with: no policy, or inputs that cannot be read."""
    finding = denies(
        Code.POLICY_ERROR, lambda: f"The order could not be checked ({reason}), so it is not allowed.", None, reason
    )
    return Decision(
        outcome=Outcome.DENY,
        controls=(rendered(finding, None),),
        policy_version=policy.version if policy is not None else 0,
        policy_hash=policy.hash if policy is not None else "",
        input_hash=input_hash,
        engine_version=ENGINE_VERSION,
        evaluated_at=now,
    )


def _evaluate(
    orders: tuple[OrderRequest, ...],
    book: Book,
    policy: Policy,
    now: datetime,
    controls: Sequence[Control],
    input_hash: str,
) -> Decision:
    account = prepare(book)
    legs = leg_facts(orders, account=account, policy=policy, now=now)
    answers = judge(legs, controls)
    denied = denials(answers)
    before, after = metrics(legs, account)
    return Decision(
        outcome=Outcome.DENY if denied else Outcome.ALLOW,
        controls=report(answers),
        policy_version=policy.version,
        policy_hash=policy.hash,
        input_hash=input_hash or codec.input_hash(orders, book=book, policy=policy, now=now),
        engine_version=ENGINE_VERSION,
        evaluated_at=now,
        alternatives=_alternatives(legs, denied, controls) if denied else (),
        metrics_before=before,
        metrics_after=after,
    )


def judge(legs: Sequence[LegFacts], controls: Sequence[Control] = CONTROLS) -> tuple[Answer, ...]:
    """Every control's answer on every leg. Nothing to judge is itself a denial."""
    if not legs:
        nothing = denies(Code.ORDER_INVALID, lambda: "There is no order to check.")
        return (Answer(None, 0, nothing),)
    answers = []
    for control in controls:
        if isinstance(control, PlanControl):
            answers.append(Answer(None, len(legs), _run_on_plan(control, legs)))
        else:
            answers += [Answer(leg.order.leg, leg.place, _run(control, leg)) for leg in legs]
    return tuple(answers)


def denials(answers: Sequence[Answer]) -> tuple[Code, ...]:
    """The codes that deny, each once, in the order of the report."""
    codes = {answer.finding.code for answer in answers if answer.finding.denies}
    return tuple(sorted(codes, key=REPORT_ORDER.__getitem__))


def report(answers: Sequence[Answer]) -> tuple[ControlResult, ...]:
    """The rows, by leg and code whatever order the controls ran in; a control that ran twice is one row."""
    ordered = sorted(answers, key=_place_in_report)
    return tuple(dict.fromkeys(rendered(answer.finding, answer.leg) for answer in ordered))


def _run(control: LegControl, leg: LegFacts) -> Finding:
    if leg.order.kind is RequestKind.CANCEL:
        return passes(control.code, _cancels_pass)
    try:
        return control.check(leg)
    except Exception as exc:  # noqa: BLE001 - an erring control denies (fail closed), whatever went wrong in it
        return _erred(control.code, exc)


def _run_on_plan(control: PlanControl, legs: Sequence[LegFacts]) -> Finding:
    try:
        return control.check(legs)
    except Exception as exc:  # noqa: BLE001 - an erring control denies (fail closed), whatever went wrong in it
        return _erred(control.code, exc)


def _erred(code: Code, exc: Exception) -> Finding:
    kind = type(exc).__name__
    return denies(
        Code.POLICY_ERROR,
        lambda: f"The check {code.value} could not be made ({kind}), so the order is not allowed.",
        None,
        code.value,
    )


def _cancels_pass() -> str:
    return "A cancel is never held back."


def _place_in_report(answer: Answer) -> tuple[int, int, str]:
    return answer.place, REPORT_ORDER[answer.finding.code], figure_text(answer.finding.actual) or ""


def _alternatives(
    legs: Sequence[LegFacts], denied: tuple[Code, ...], controls: Sequence[Control]
) -> tuple[Alternative, ...]:
    if len(legs) != 1 or Code.ORDER_INVALID in denied or Code.POLICY_ERROR in denied:
        return ()
    leg = legs[0]

    def against(order: OrderRequest, book: Book) -> tuple[Code, ...]:
        account = leg.account.with_book(book)
        return denials(judge(leg_facts((order,), account=account, policy=leg.policy, now=leg.now), controls))

    return alternatives.find(leg, denied, against)
