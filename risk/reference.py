"""The reference page of the controls, rendered from the enum, the registry and the policy, so that it cannot drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from risk.codes import Code
from risk.controls.registry import CONTROLS
from risk.policy import SECTIONS, default_policy, policy_document

EXITS_PASS = frozenset(
    {
        Code.ORDER_VALUE_MIN, Code.ORDER_VALUE_DAY, Code.POSITION_MAX, Code.POSITION_COUNT_MAX, Code.EXPOSURE_MAX,
        Code.OPEN_VALUE_MAX, Code.REJECT_STREAK, Code.UNCONFIRMED_ORDERS, Code.DAILY_LOSS_LIMIT, Code.DRAWDOWN_LIMIT,
        Code.COOLDOWN, Code.FAT_FINGER, Code.PRICE_DRIFT, Code.REPEAT_EXECUTION, Code.NOT_RECONCILED,
    }
)  # fmt: skip

WITHOUT_CONTROL: Mapping[Code, str] = {
    Code.POLICY_ERROR: "A check erred, or there is no usable policy: fail closed. Any control can answer with it.",
    Code.APPROVAL_MISSING: "No authorisation and verdict for exactly this content. Asked where orders are sent.",
    Code.APPROVAL_STALE: "The approval is for other terms. Asked where orders are sent.",
}


def render() -> str:
    """The whole page in Markdown."""
    parts = [_HEAD, _controls(), _WARNINGS_HEAD, _warnings(), _OTHERS_HEAD, _others(), _POLICY_HEAD, _policy()]
    return "\n".join(parts).rstrip() + "\n"


def _controls() -> str:
    rows = ["| code | what it asks | holds back exits |", "| --- | --- | --- |"]
    by_code = {control.code: control for control in CONTROLS}
    for code in Code:
        if code in by_code:
            text = _first_line(by_code[code].check.__doc__)
            rows.append(f"| `{code.value}` | {text} | {'no' if code in EXITS_PASS else 'yes'} |")
    return "\n".join(rows)


def _warnings() -> str:
    return ", ".join(f"`{code.value}`" for code in Code if code.is_warning) + "."


def _others() -> str:
    used = {control.code for control in CONTROLS}
    rows = ["| code | meaning |", "| --- | --- |"]
    for code in Code:
        if code not in used and not code.is_warning:
            rows.append(f"| `{code.value}` | {WITHOUT_CONTROL.get(code, 'Reserved; nothing answers with it yet.')} |")
    return "\n".join(rows)


def _policy() -> str:
    rows = ["| field | default | unit | allowed |", "| --- | --- | --- | --- |"]
    document: Mapping[str, Any] = policy_document(default_policy())
    for name, section in SECTIONS.items():
        for item in fields(section):
            unit = item.metadata["unit"].value or "-"
            rows.append(f"| `{name}.{item.name}` | {_value(document[name][item.name])} | {unit} | {_range(item)} |")
    return "\n".join(rows)


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(item: Any) -> str:
    if "low" in item.metadata:
        return f"{item.metadata['low']} to {item.metadata['high']}"
    if item.metadata.get("words"):
        return ", ".join(word.value for word in item.metadata["words"])
    return "true, false" if item.default is not MISSING and isinstance(item.default, bool) else "EXCHANGE:SYMBOL"


def _first_line(text: str | None) -> str:
    line = (text or "").strip().splitlines()[0]
    return line.partition(": ")[2]


_HEAD = """# Risk controls

This page is generated from the code (`risk/reference.py`); a test fails when it differs.

RiskGate judges every plan when its card is made and again when it is approved. Every control below runs on every leg
and answers with a row: code, verdict, limit, actual figure, unit and a sentence. One denial denies the plan. A control
whose input is missing denies; one that errs denies with `POLICY_ERROR`. Cancels always pass.

An exit is an order on the reducing side of what is held, no larger than what is left of it after open orders: it is
never held back by limits on exposure, position size, count, day value, loss or drawdown, by a pause after losses or by
a streak of rejections. On an old price an exit is warned, not denied; with no price at all only an exit with its own
limit goes.

## Controls
"""
_WARNINGS_HEAD = """
## Warnings

A warning does not hold an order back. It appears when a limit is near (`limits.soft_limit_percent`), or when an exit
goes although the control would deny an entry:
"""
_OTHERS_HEAD = """
## Other codes
"""
_POLICY_HEAD = """
## Policy

Money is rupees. A version is immutable: a change publishes the next one.
"""
