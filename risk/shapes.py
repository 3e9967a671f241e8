"""Decisions and policies as the API and the pages show them."""

from __future__ import annotations

import json

from risk.codec import decode_decision
from risk.domain import Decision
from risk.models import RiskDecision, RiskPolicy

Shape = dict[str, object]


def decision_document(decision: Decision) -> Shape:
    """A decision that was not stored: the shape of one that was, without an id."""
    return {
        "id": None,
        "outcome": decision.outcome.value,
        "policy_version": decision.policy_version,
        "policy_hash": decision.policy_hash,
        "input_hash": decision.input_hash,
        "engine_version": decision.engine_version,
        "evaluated_at": decision.evaluated_at,
        "controls": [
            {
                "code": row.code, "verdict": row.verdict.value, "limit": row.limit, "actual": row.actual,
                "unit": row.unit, "message": row.message, "leg": row.leg,
            }
            for row in decision.controls
        ],
        "denials": list(decision.denials),
        "warnings": list(decision.warnings),
        "alternatives": [
            {
                "change": found.change, "passes": found.passes, "code": found.code, "quantity": found.quantity,
                "limit_price": found.limit_price,
            }
            for found in decision.alternatives
        ],
        "metrics": {"before": dict(decision.metrics_before), "after": dict(decision.metrics_after)},
    }  # fmt: skip


def decision_shape(row: RiskDecision) -> Shape:
    """A stored decision with every control that ran."""
    return decision_document(decode_decision(row.document)) | {
        "id": str(row.id),
        "correlation_id": row.correlation_id,
        "plan_id": row.plan_id or None,
        "content_hash": row.content_hash or None,
    }


def policy_shape(row: RiskPolicy) -> Shape:
    """One version of the policy."""
    return {
        "version": row.version,
        "hash": row.hash,
        "policy": json.loads(row.document),
        "note": row.note,
        "published_by": row.published_by,
        "published_at": row.published_at,
    }
