"""Shapes as the API gives them, for the templates: a card with everything on it, and its surroundings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sigmatrader.pages.card_view import CardView, Surroundings

CARD_ID = "9f3ac2d0-0000-4000-8000-000000000001"


def card_shape(now: datetime, **changes: Any) -> dict[str, Any]:
    """An open card: sell 120 of 240 HDFCBANK at a limit, made by the assistant."""
    leg = {
        "n": 1, "action": "place", "symbol": "NSE:HDFCBANK", "side": "SELL", "quantity": 120, "order_type": "LIMIT",
        "limit_price": Decimal("1012"), "trigger_price": None, "product": "CNC",
        "validity": "DAY", "variety": "regular",
        "depends_on": None, "converted_from_market": False,
    }  # fmt: skip
    charges = {
        name: Decimal(0) for name in ("brokerage", "stt", "exchange", "sebi", "stamp", "gst", "dp")
    } | {"total": Decimal("125.98"), "source": "published rates"}  # fmt: skip
    plan = {
        "intent": {"kind": "order", "side": "SELL", "symbol": "HDFCBANK", "exchange": "NSE", "quantity": 120},
        "legs": [leg],
        "sizing": [{"step": "Held", "value": "240", "unit": "units"},
                   {"step": "50% of it", "value": "120", "unit": "units"}],
        "estimates": {"order_value": Decimal("121440"), "charges": charges,
                      "margin_required": Decimal(0), "margin_available": Decimal("182450")},
        "before_after": {"cash": {"before": Decimal("182450"), "after": Decimal("303764.02")}},
        "reference_prices": {"NSE:HDFCBANK": "1003.40"},
    }  # fmt: skip
    shape: dict[str, Any] = {
        "id": CARD_ID, "kind": "trade", "version": 1, "content_hash": "9f3ac2" + "0" * 58, "state": "open",
        "correlation_id": "01JDC7000000000000000000AA", "created_at": now, "expires_at": now + timedelta(minutes=5),
        "title": "SELL 120 HDFCBANK at 1012", "plan": plan, "risk": decision(), "note": "", "decided_at": None,
        "source": {"words": "sell half my HDFCBANK at 1012", "origin": "assistant"}, "decided_by": "",
        "connection_kind": "paper", "orders": [], "commands": [],
    }  # fmt: skip
    return shape | changes


def control(code: str, verdict: str) -> dict[str, Any]:
    return {
        "code": code,
        "verdict": verdict,
        "limit": "200000",
        "actual": "121440",
        "unit": "INR",
        "message": f"About {code}.",
    }


def decision(*denials: str, alternatives: list[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A verdict: denied by the named controls, else allowed with one warning."""
    rows = [control(code, "deny") for code in denials] or [control("SOFT_LIMIT", "warn")]
    return {
        "outcome": "deny" if denials else "allow", "policy_version": 7, "evaluated_at": None,
        "controls": [control("TICK", "pass"), *rows], "denials": list(denials),
        "warnings": [], "alternatives": alternatives or [],
    }  # fmt: skip


def order(state: str, *, filled: int = 0, now: datetime) -> dict[str, Any]:
    return {
        "id": "11111111-0000-4000-8000-000000000001", "state": state, "quantity": 120, "filled_quantity": filled,
        "average_price": None, "order_type": "LIMIT", "limit_price": Decimal("1012"), "updated_at": now,
        "status_message": None,
    }  # fmt: skip


def surroundings(start: datetime, **changes: Any) -> Surroundings:
    facts: dict[str, Any] = {
        "now": start, "trading_state": "ACTIVE", "trading_since": None, "execution_on": True,
        "big_from": Decimal("1000000"),
        "names": {"NSE:HDFCBANK": "HDFC Bank Ltd"},
    }  # fmt: skip
    return Surroundings(**(facts | changes))


def card(now: datetime, *, around: Mapping[str, Any] | None = None, **changes: Any) -> CardView:
    return CardView(card_shape(now, **changes), around=surroundings(now, **(around or {})))
