"""Recomputes stored decisions from their stored inputs and says what comes out different."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from risk import codec, gate
from risk.controls.registry import ENGINES
from risk.models import RiskDecision
from risk.policy import PolicyInvalid


def replay_decision(row: RiskDecision) -> list[Mapping[str, object]]:
    """Every field of the decision that would be different now; empty when it comes out the same, byte for byte."""
    stored = json.loads(row.document)
    try:
        inputs = codec.decode_inputs(row.inputs)
    except (codec.CodecError, PolicyInvalid) as exc:
        return [_difference(row, "inputs", row.inputs[:200], f"cannot be recomputed: {exc}")]
    if row.engine_version not in ENGINES:
        return [_difference(row, "engine_version", row.engine_version, f"unknown; known: {', '.join(ENGINES)}")]
    fresh = recomputed(json.loads(row.inputs), inputs, engine_version=row.engine_version)
    differences = [
        _difference(row, name, stored.get(name), fresh.get(name))
        for name in sorted(stored.keys() | fresh.keys())
        if stored.get(name) != fresh.get(name)
    ]
    return differences + _columns(row, stored)


def recomputed(document: Mapping[str, Any], inputs: codec.Inputs, *, engine_version: str) -> Mapping[str, object]:
    """The decision on these inputs by the controls of ``engine_version``, as a document.

    The hash is that of the document as it was stored: fields that came later are no part of it.
    """
    decision = gate.evaluate(
        inputs.orders, book=inputs.book, policy=inputs.policy, now=inputs.now, controls=ENGINES[engine_version],
        input_hash=codec.hash_of(document, policy=inputs.policy), engine_version=engine_version,
    )  # fmt: skip
    fresh: Mapping[str, object] = json.loads(codec.encode_decision(decision))
    return fresh


def replay_trace(correlation_id: str) -> list[Mapping[str, object]]:
    """The differences of all decisions of one story. Raises LookupError where there is none."""
    rows = list(RiskDecision.objects.filter(correlation_id=correlation_id).order_by("evaluated_at", "id"))
    if not rows:
        raise LookupError(correlation_id)
    return [difference for row in rows for difference in replay_decision(row)]


def _columns(row: RiskDecision, stored: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The row's own columns against its document: an edit of one of them shows here."""
    columns = ("outcome", "policy_version", "policy_hash", "input_hash", "engine_version")
    return [
        _difference(row, f"column {name}", getattr(row, name), stored.get(name))
        for name in columns
        if getattr(row, name) != stored.get(name)
    ]


def _difference(row: RiskDecision, field: str, stored: object, now: object) -> Mapping[str, object]:
    return {"decision": str(row.id), "field": field, "stored": stored, "now": now}
