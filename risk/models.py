"""Policies, decisions and the trading state."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from risk.domain import Outcome, TradingStateName


class RiskPolicy(models.Model):
    """One immutable version of the policy: canonical JSON and its hash. The highest version is in force."""

    version = models.PositiveIntegerField(primary_key=True)
    document = models.TextField()
    hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    published_by = models.CharField(max_length=150)
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["-version"]
        verbose_name_plural = "risk policies"

    def __str__(self) -> str:
        return f"v{self.version}"


class RiskDecision(models.Model):
    """One verdict with the inputs it was made from, so that it can be recomputed. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.CharField(max_length=64)
    owner = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=36, db_index=True)
    plan_id = models.CharField(max_length=36, blank=True)
    content_hash = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=5, choices=[(o.value, o.value) for o in Outcome])
    denials = models.JSONField(default=list)
    warnings = models.JSONField(default=list)
    policy_version = models.PositiveIntegerField()
    policy_hash = models.CharField(max_length=64)
    input_hash = models.CharField(max_length=64)
    engine_version = models.CharField(max_length=20)
    evaluated_at = models.DateTimeField()
    inputs = models.TextField()
    document = models.TextField()

    class Meta:
        ordering = ["-evaluated_at", "-id"]
        indexes = [models.Index(fields=["owner", "-evaluated_at"], name="decision_owner_evaluated")]

    def __str__(self) -> str:
        return f"{self.outcome} {', '.join(self.denials)}".strip()


class AccountDay(models.Model):
    """The most an account was worth on one trading day, in rupees: what a drawdown is measured from."""

    id = models.BigAutoField(primary_key=True)
    account = models.CharField(max_length=64)
    day = models.DateField()
    high = models.DecimalField(max_digits=18, decimal_places=4)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="account_day_once")]

    def __str__(self) -> str:
        return f"{self.account} {self.day} {self.high}"


class TradingState(models.Model):
    """The kill switch: one row for ``global`` and one per account. The narrowest of those that apply is in force."""

    scope = models.CharField(primary_key=True, max_length=64)
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in TradingStateName],
        default=TradingStateName.ACTIVE.value,
    )
    until = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)
    set_by = models.CharField(max_length=150, blank=True)
    set_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in TradingStateName]), name="trading_state_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.state}"
