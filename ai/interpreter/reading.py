"""What a reading carries beside the intent, and how an order goes astray: it stops with the question to ask."""

from __future__ import annotations

from dataclasses import dataclass, field

from ai.interpreter.replies import Intent, clarify


@dataclass(frozen=True, slots=True)
class Reading:
    """The intent with what was not said but taken by a rule (``assumed``): such an order is never delegated."""

    intent: Intent
    assumed: tuple[str, ...] = ()


class AskBack(Exception):
    """An order cannot be read for sure; ``intent`` is the question that settles it."""

    def __init__(self, intent: Intent) -> None:
        super().__init__(str(intent.get("question", "")))
        self.intent = intent


def ask(missing: str, question: str, *choices: str) -> AskBack:
    return AskBack(clarify(missing, question, choices))


@dataclass(slots=True)
class Assumptions:
    """Collects what a rule filled in while one message is read."""

    names: list[str] = field(default_factory=list)

    def note(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)
