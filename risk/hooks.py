"""What risk brings to the trace page: the decision of a story, and its recomputation."""

from __future__ import annotations

from risk.replay import replay_trace
from risk.selectors import latest_decision
from risk.shapes import decision_shape
from sigmatrader.audit import registry


def register() -> None:
    """Fills the audit app's hooks."""
    registry.register_section("decision", _decision_section)
    registry.register_replayer(replay_trace)


def _decision_section(correlation_id: str) -> object:
    row = latest_decision(correlation_id)
    return decision_shape(row) if row is not None else None
