"""Hooks that apps to the right fill in ``AppConfig.ready``: this app cannot import them.

- ``sections``: what a trace shows beside its events (plan, decision, authorization, orders, reconciliation);
- ``remedies``: what can be done about an exception, by the action's name;
- ``replayers``: recompute a stored decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sigmatrader.audit.models import ExceptionRecord

Section = Callable[[str], object]
"""From a correlation id to what a JSON renderer can write (None where the trace has none)."""

Replayer = Callable[[str], list[Mapping[str, object]]]
"""From a correlation id to the differences it found; raises LookupError where it has nothing to recompute."""


@dataclass(frozen=True, slots=True)
class RemedyRequest:
    """A person's wish to apply a remedy. ``user`` is the signed-in user, ``correlation_id`` the request's."""

    exception: ExceptionRecord
    user: object
    correlation_id: str
    now: datetime


Remedy = Callable[[RemedyRequest], Mapping[str, object]]
"""Does it and answers with what came of it; one that would trade makes a card and answers ``{"card_id": ...}``."""

SECTION_NAMES = ("plan", "decision", "authorization", "orders", "reconciliation")

_sections: dict[str, Section] = {}
_remedies: dict[str, Remedy] = {}
_replayers: list[Replayer] = []


def register_section(name: str, section: Section) -> None:
    """Fills one part of every trace."""
    _sections[name] = section


def register_remedy(action: str, remedy: Remedy) -> None:
    """Says how the remedy of this name is applied."""
    _remedies[action] = remedy


def register_replayer(replayer: Replayer) -> None:
    """Adds one that recomputes decisions of a trace."""
    if replayer not in _replayers:
        _replayers.append(replayer)


def sections_of(correlation_id: str) -> dict[str, object]:
    """All parts of a trace; those nobody fills are None (orders: an empty list)."""
    parts: dict[str, object] = {name: [] if name == "orders" else None for name in SECTION_NAMES}
    return parts | {name: section(correlation_id) for name, section in _sections.items()}


def remedy_for(action: str) -> Remedy | None:
    """The remedy of this name, if an app brought one."""
    return _remedies.get(action)


def replay(correlation_id: str) -> list[Mapping[str, object]]:
    """All differences between what was decided and what comes out now. Raises LookupError where nothing was decided."""
    differences: list[Mapping[str, object]] = []
    replayed = False
    for replayer in _replayers:
        try:
            differences.extend(replayer(correlation_id))
            replayed = True
        except LookupError:
            continue
    if not replayed:
        raise LookupError(correlation_id)
    return differences
