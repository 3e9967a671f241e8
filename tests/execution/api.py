"""What the API tests of the order path share: keys, bodies and what a refusal must look like."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

INTENT: dict[str, Any] = {
    "kind": "order", "side": "BUY", "symbol": "INFY", "exchange": "NSE", "quantity": 10, "order_type": "LIMIT",
    "price": "1500", "trigger_price": None, "product": "CNC", "validity": "DAY", "variety": "regular",
}  # fmt: skip

PLAN_FIELDS = {
    "id", "correlation_id", "created_at", "valid_until", "content_hash", "intent", "legs", "sizing", "estimates",
    "before_after", "risk",
}  # fmt: skip
LEG_FIELDS = {
    "n", "symbol", "side", "quantity", "order_type", "limit_price", "trigger_price", "product", "validity", "variety",
    "depends_on",
}  # fmt: skip
DECISION_FIELDS = {
    "id", "outcome", "policy_version", "policy_hash", "input_hash", "engine_version", "evaluated_at", "controls",
    "denials", "warnings", "alternatives", "metrics",
}  # fmt: skip
CARD_FIELDS = {
    "id", "kind", "version", "content_hash", "correlation_id", "created_at", "expires_at", "title", "plan", "risk",
    "source", "state",
}  # fmt: skip
ORDER_FIELDS = {
    "id", "correlation_id", "intent_id", "client_order_id", "tag", "broker_order_id", "state", "symbol", "side",
    "quantity", "filled_quantity", "average_price", "order_type", "limit_price", "trigger_price", "product",
    "validity", "status_message", "created_at", "updated_at", "origin",
}  # fmt: skip


def utcnow() -> datetime:
    return datetime.now(UTC)


def key() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"HTTP_IDEMPOTENCY_KEY": secrets.token_hex(16)}


def plan(api: Any, **changes: Any) -> dict[str, Any]:
    """A plan made by the API."""
    response = api.post("/api/plans", {"intent": {**INTENT, **changes}}, format="json")
    assert response.status_code == 201, response.content
    return dict(response.json())


def execute(api: Any, made: dict[str, Any], *, headers: dict[str, str] | None = None) -> Any:
    """The approval of a plan with the hash that was shown."""
    body = {"content_hash": made["content_hash"]}
    return api.post(f"/api/plans/{made['id']}/execute", body, format="json", **(key() if headers is None else headers))


def placed(api: Any, **changes: Any) -> dict[str, Any]:
    """An order on its way: planned and approved; the order's shape."""
    response = execute(api, plan(api, **changes))
    assert response.status_code == 202, response.content
    return dict(response.json()["intents"][0])


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem+json of a refusal, which must be complete."""
    body = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail", "code", "correlation_id"} <= set(body)
    assert body["status"] == status
    assert body["detail"]
    return dict(body)
