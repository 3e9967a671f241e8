"""Connections to a broker, and the instruments each market knows."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from broker.domain import BrokerKind, InstrumentInfo, symbol_of
from sigmatrader.audit.fields import EncryptedTextField


class BrokerConnection(models.Model):
    """One way to one account at one broker. Its kind is part of everything made from it: paper and live never mix."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="connections")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, choices=[(k.value, k.value) for k in BrokerKind])
    server_url = models.CharField(max_length=500, blank=True)
    transport = models.CharField(max_length=20, default="auto")
    is_active = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    mcp_session = EncryptedTextField(blank=True, default="")
    api_key = EncryptedTextField(blank=True, default="")
    api_secret = EncryptedTextField(blank=True, default="")
    access_token = EncryptedTextField(blank=True, default="")
    epoch = models.PositiveIntegerField(default=0)
    last_status = models.CharField(max_length=15, default="unknown")
    authorized = models.BooleanField(null=True, blank=True)
    user_name = models.CharField(max_length=150, blank=True)
    session_expires_at = models.DateTimeField(null=True, blank=True)
    last_checked_at = models.DateTimeField(null=True, blank=True)
    last_connected_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    tools = models.JSONField(default=list, blank=True)
    tool_faults = models.JSONField(default=list, blank=True)
    http_version = models.CharField(max_length=10, blank=True)
    protocol_version = models.CharField(max_length=20, blank=True)
    server_info = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], condition=Q(is_active=True), name="connection_one_active_per_owner"
            ),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in BrokerKind]), name="connection_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"

    @property
    def account(self) -> str:
        """The plain value other records keep of this connection."""
        return str(self.id)

    @property
    def is_live(self) -> bool:
        return BrokerKind(self.kind).is_live


class SessionLease(models.Model):
    """Which process owns the broker session of a connection: one at most, until its lease runs out."""

    connection = models.OneToOneField(
        BrokerConnection, on_delete=models.CASCADE, primary_key=True, related_name="session_lease"
    )
    holder = models.CharField(max_length=80)
    fence = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.connection_id} held by {self.holder}"


class RateBudget(models.Model):
    """When a connection's requests of one kind were last sent, for limits over sliding windows."""

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE, related_name="rate_budgets")
    kind = models.CharField(max_length=10)
    sent = models.JSONField(default=list, blank=True)
    day = models.DateField(null=True, blank=True)
    day_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "kind"], name="rate_budget_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.connection_id}"


class Instrument(models.Model):
    """One row of a market's instrument master; ``universe`` keeps paper and live masters apart."""

    id = models.BigAutoField(primary_key=True)
    universe = models.CharField(max_length=10, default="paper")
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=40)
    name = models.CharField(max_length=120, blank=True)
    instrument_token = models.BigIntegerField()
    isin = models.CharField(max_length=12, blank=True)
    sector = models.CharField(max_length=60, blank=True)
    segment = models.CharField(max_length=20)
    instrument_type = models.CharField(max_length=10)
    expiry = models.CharField(max_length=10, blank=True)
    strike = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    tick_size = models.DecimalField(max_digits=18, decimal_places=4)
    lot_size = models.PositiveIntegerField(default=1)
    freeze_quantity = models.PositiveIntegerField(null=True, blank=True)
    in_closing_auction = models.BooleanField(default=False)
    seen_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["exchange", "tradingsymbol"]
        constraints = [
            models.UniqueConstraint(fields=["universe", "exchange", "tradingsymbol"], name="instrument_symbol_once")
        ]
        indexes = [
            models.Index(
                fields=["universe", "instrument_type", "tradingsymbol"], name="instrument_type_symbol",
                opclasses=["varchar_pattern_ops"] * 3,
            ),
            models.Index(
                fields=["universe", "instrument_type", "name"], name="instrument_type_name",
                opclasses=["varchar_pattern_ops"] * 3,
            ),
            models.Index(fields=["universe", "name", "instrument_type", "expiry"], name="instrument_of_name"),
            models.Index(fields=["universe", "seen_on"], name="instrument_seen"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.symbol

    @property
    def symbol(self) -> str:
        return symbol_of(self.exchange, self.tradingsymbol)

    def info(self) -> InstrumentInfo:
        """The value that pure code works on."""
        return InstrumentInfo(
            symbol=self.symbol, name=self.name, instrument_token=self.instrument_token, tick_size=self.tick_size,
            lot_size=self.lot_size, segment=self.segment, instrument_type=self.instrument_type, isin=self.isin,
            sector=self.sector, expiry=self.expiry, strike=self.strike, freeze_quantity=self.freeze_quantity,
            in_closing_auction=self.in_closing_auction,
        )  # fmt: skip
