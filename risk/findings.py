"""What a control answers inside the gate: figures now, the sentence only when somebody reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from risk.codes import Code, Unit
from risk.domain import ControlResult, Verdict
from sigmatrader.audit.canonical import decimal_text

Figure = Decimal | int | str | None
Sentence = Callable[[], str]


@dataclass(slots=True)  # not frozen: a frozen one takes three times as long to make, and a plan makes hundreds
class Finding:
    """One control's answer on one leg (or, where the control is about the plan, on all of them). Never changed."""

    code: Code
    verdict: Verdict
    say: Sentence
    limit: Figure = None
    actual: Figure = None
    unit: Unit = Unit.NONE

    @property
    def denies(self) -> bool:
        return self.verdict is Verdict.DENY


def passes(code: Code, say: Sentence, limit: Figure = None, actual: Figure = None, unit: Unit = Unit.NONE) -> Finding:
    return Finding(code, Verdict.PASS, say, limit, actual, unit)


def warns(code: Code, say: Sentence, limit: Figure = None, actual: Figure = None, unit: Unit = Unit.NONE) -> Finding:
    return Finding(code, Verdict.WARN, say, limit, actual, unit)


def denies(code: Code, say: Sentence, limit: Figure = None, actual: Figure = None, unit: Unit = Unit.NONE) -> Finding:
    return Finding(code, Verdict.DENY, say, limit, actual, unit)


def rendered(finding: Finding, leg: int | None) -> ControlResult:
    """The row as it is stored and shown: figures as plain decimal text, the sentence written out."""
    return ControlResult(
        code=finding.code.value,
        verdict=finding.verdict,
        limit=figure_text(finding.limit),
        actual=figure_text(finding.actual),
        unit=finding.unit.value,
        message=finding.say(),
        leg=leg,
    )


def figure_text(figure: Figure) -> str | None:
    if figure is None or isinstance(figure, str):
        return figure
    return decimal_text(figure) if isinstance(figure, Decimal) else str(figure)


def is_near(actual: Decimal | int, limit: Decimal | int, soft_limit_percent: Decimal) -> bool:
    """True from the soft part of a limit on: at 80 percent, 80 of 100 is near."""
    return actual * 100 >= limit * soft_limit_percent
