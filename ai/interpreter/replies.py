"""The intents that are not orders: asking back, and refusing with the place where it can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ai.language.lexicon import EXAMPLES

Intent: TypeAlias = dict[str, object]


def clarify(missing: str | Sequence[str], question: str, choices: Sequence[str] = ()) -> Intent:
    """Asks back for what ``missing`` names; ``choices`` are sentences or names that would do."""
    wanted = [missing] if isinstance(missing, str) else list(missing)
    return {"kind": "clarify", "missing": wanted, "question": question, "choices": list(choices)}


def not_understood(words: Sequence[str] = ()) -> Intent:
    """Never silence: what was not read, and three sentences that would work."""
    said = ", ".join(f"“{word}”" for word in words[:3])
    lead = f"I could not read {said}." if said else "I could not read an instruction in that."
    return clarify("order", f"{lead} These would work:", EXAMPLES)


def refuse(code: str, reason: str, link: str = "") -> Intent:
    """A refusal with its code, why, and the page where the thing has its place."""
    return {"kind": "refuse", "code": code, "reason": reason, "link": link}


def analyze(topic: str, **about: object) -> Intent:
    return {"kind": "analyze", "topic": topic, **{name: value for name, value in about.items() if value}}


def explain(topic: str, **about: object) -> Intent:
    return {"kind": "explain", "topic": topic, **{name: value for name, value in about.items() if value}}
