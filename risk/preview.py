"""What another policy would have said: stored decisions judged again, by it, on their own inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from risk import codec, gate
from risk.controls.registry import ENGINES
from risk.models import RiskDecision
from risk.policy import Policy, PolicyInvalid

MOST = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """``checked`` decisions were judged again, ``skipped`` ones hold no usable inputs; ``changed`` name the rest."""

    checked: int
    skipped: int
    changed: tuple[Mapping[str, object], ...]


def preview(policy: Policy, rows: Iterable[RiskDecision]) -> Preview:
    """Each of ``rows`` under ``policy`` by the controls it was made with. Reads only, stores nothing."""
    checked, skipped, changed = 0, 0, []
    for row in rows:
        try:
            inputs = codec.decode_inputs(row.inputs)
        except (codec.CodecError, PolicyInvalid):
            skipped += 1
            continue
        checked += 1
        difference = _difference(row, inputs, policy)
        if difference is not None:
            changed.append(difference)
    return Preview(checked, skipped, tuple(changed))


def _difference(row: RiskDecision, inputs: codec.Inputs, policy: Policy) -> Mapping[str, object] | None:
    """How the verdict would change; the account's sections apply as they would have. None where it would not."""
    controls = ENGINES.get(row.engine_version, ENGINES[gate.ENGINE_VERSION])
    then = replace(policy, version=inputs.policy.version)
    decision = gate.evaluate(inputs.orders, book=inputs.book, policy=then, now=inputs.now, controls=controls)
    if (decision.outcome.value, list(decision.denials)) == (row.outcome, row.denials):
        return None
    return {
        "id": str(row.id),
        "correlation_id": row.correlation_id,
        "evaluated_at": row.evaluated_at,
        "symbols": sorted({order.symbol for order in inputs.orders}),
        "before": {"outcome": row.outcome, "denials": row.denials},
        "after": {"outcome": decision.outcome.value, "denials": list(decision.denials)},
    }
