"""Who may do what: users and roles, tokens and single-use links (hashed), re-authentication, feature flags."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from sigmatrader.accounts.vocabulary import Flag, Role


class User(AbstractUser):
    """A person. Viewers read; traders act on their own account; ``is_staff`` also writes settings, policy and keys."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    role = models.CharField(max_length=10, choices=[(r.value, r.value) for r in Role], default=Role.VIEWER.value)
    single_key_shortcuts = models.BooleanField(default=True)

    class Meta(AbstractUser.Meta):
        constraints = [models.CheckConstraint(condition=Q(role__in=[r.value for r in Role]), name="user_role_known")]

    @property
    def is_trader(self) -> bool:
        return self.role == Role.TRADER.value


class ApiToken(models.Model):
    """A program's way in. Only the digest is kept; ``may_trade_live`` was asked for when it was made."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    may_trade_live = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class SignInLink(models.Model):
    """A single-use link: signs in, or opens re-authentication for the session that follows it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"link for {self.user_id}"


class FeatureFlag(models.Model):
    """One switch with its own optimistic version, so that nothing saved elsewhere can undo it."""

    name = models.CharField(primary_key=True, max_length=40, choices=[(f.value, f.value) for f in Flag])
    enabled = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(name__in=[f.value for f in Flag]), name="flag_known")]

    def __str__(self) -> str:
        return f"{self.name} {'on' if self.enabled else 'off'}"


class RateCounter(models.Model):
    """How often something happened in one window; counted by an atomic update, since framework throttles race."""

    scope = models.CharField(max_length=120)
    window_start = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "window_start"], name="rate_counter_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.count}"
