"""What others ask of risk: the policy in force and the trading state."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from django.db.models import Max, Q

from risk.domain import TradingStateName
from risk.models import AccountDay, RiskDecision, RiskPolicy, TradingState
from risk.policy import Policy, PolicyFault, PolicyInvalid, parse_policy
from sigmatrader.audit.api.problems import Problem

GLOBAL = "global"
STRICTNESS = {TradingStateName.ACTIVE: 0, TradingStateName.REDUCING: 1, TradingStateName.HALTED: 2}


def active_policy() -> Policy:
    """The newest policy; parsed once per version. Raises Problem 503 POLICY_ERROR where there is none that holds."""
    head = RiskPolicy.objects.order_by("-version").values_list("version", "hash").first()
    if head is None:
        raise Problem("POLICY_ERROR", "There is no risk policy yet: start with `manage.py up`.", status=503)
    try:
        return _policy(*head)
    except PolicyInvalid as exc:
        raise Problem("POLICY_ERROR", f"Policy version {head[0]} cannot be used: {exc}", status=503) from exc


@lru_cache(maxsize=8)
def _policy(version: int, expected_hash: str) -> Policy:
    row = RiskPolicy.objects.get(version=version)
    policy = parse_policy(json.loads(row.document), version=version)
    if policy.hash != expected_hash:
        raise PolicyInvalid((PolicyFault("policy", "HASH", "the stored document does not have its recorded hash"),))
    return policy


def trading_state_for(account: str, *, now: datetime) -> tuple[TradingStateName, str]:
    """The narrowest of the global state and the account's, with its reason. A state whose time is over is ACTIVE."""
    return _narrowest((GLOBAL, account), now=now)


def global_state(*, now: datetime) -> tuple[TradingStateName, str]:
    """The global state in force, with its reason."""
    return _narrowest((GLOBAL,), now=now)


def _narrowest(scopes: tuple[str, ...], *, now: datetime) -> tuple[TradingStateName, str]:
    in_force = TradingState.objects.filter(Q(until__isnull=True) | Q(until__gt=now), scope__in=scopes)
    rows = [(TradingStateName(row.state), row.reason) for row in in_force.order_by("scope")]
    return max(rows, key=lambda row: STRICTNESS[row[0]], default=(TradingStateName.ACTIVE, ""))


def peak_value(account: str, *, day: date, days: int) -> Decimal:
    """The most the account was worth on ``day`` and the ``days`` before it, in rupees; 0 with nothing on record."""
    rows = AccountDay.objects.filter(account=account, day__gt=day - timedelta(days=days), day__lte=day)
    return rows.aggregate(high=Max("high"))["high"] or Decimal(0)


def decision_of(decision_id: UUID | str, *, owner: str) -> RiskDecision | None:
    """A decision of this owner, else None."""
    return RiskDecision.objects.filter(pk=decision_id, owner=owner).first()


def latest_decision(correlation_id: str) -> RiskDecision | None:
    """The newest verdict of a story: the one at approval once there is one."""
    return RiskDecision.objects.filter(correlation_id=correlation_id).first()
