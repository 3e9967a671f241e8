"""Plans, cards, authorisations, intents, the broker's orders and fills, the expected ledger, reconciliations."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from broker.models import BrokerConnection
from execution.domain import (
    AuthorizationKind,
    CardKind,
    CardState,
    CommandState,
    IntentState,
    Origin,
)
from risk.models import RiskDecision


def _choices(words: type[object]) -> list[tuple[str, str]]:
    return [(str(word), str(word)) for word in words]  # type: ignore[attr-defined]


class TradePlan(models.Model):
    """An intent made concrete: complete legs, sizing, estimates. Immutable once made; a change is another plan."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="plans")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="plans")
    correlation_id = models.CharField(max_length=36, db_index=True)
    origin = models.CharField(max_length=10, choices=_choices(Origin))
    document = models.TextField()
    content_hash = models.CharField(max_length=64, db_index=True)
    decision = models.ForeignKey(RiskDecision, on_delete=models.PROTECT, related_name="plans")
    snapshot_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    valid_until = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"plan {self.content_hash[:8]}"


class ActionCard(models.Model):
    """What the trader is shown and may decide on. ``version`` counts changes of state; ``plan`` never changes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="cards")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="cards")
    plan = models.OneToOneField(TradePlan, on_delete=models.PROTECT, null=True, blank=True, related_name="card")
    kind = models.CharField(max_length=12, choices=_choices(CardKind))
    state = models.CharField(max_length=14, choices=_choices(CardState))
    version = models.PositiveIntegerField(default=1)
    content_hash = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=36, db_index=True)
    title = models.CharField(max_length=200)
    source = models.JSONField(default=dict, blank=True)
    message_id = models.CharField(max_length=36, blank=True)
    monitor_id = models.CharField(max_length=36, blank=True)
    supersedes = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["owner", "state", "-created_at"], name="card_owner_state")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in CardState]), name="card_state_known"),
            models.CheckConstraint(condition=Q(expires_at__gte=F("created_at")), name="card_expires_after_made"),
        ]

    def __str__(self) -> str:
        return f"{self.title} [{self.state}]"


class Authorization(models.Model):
    """The row without which nothing is sent: who allowed exactly this content, how, and until when. One per plan."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.OneToOneField(TradePlan, on_delete=models.PROTECT, related_name="authorization")
    kind = models.CharField(max_length=10, choices=_choices(AuthorizationKind))
    actor = models.CharField(max_length=150)
    content_hash = models.CharField(max_length=64)
    decision = models.ForeignKey(RiskDecision, on_delete=models.PROTECT, related_name="authorizations")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"


class OrderIntent(models.Model):
    """One placed leg on its way. ``tag`` is its only name at the broker; ``fence`` rises with every claim."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="order_intents")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="order_intents")
    plan = models.ForeignKey(TradePlan, on_delete=models.PROTECT, related_name="order_intents")
    authorization = models.ForeignKey(Authorization, on_delete=models.PROTECT, related_name="order_intents")
    correlation_id = models.CharField(max_length=36, db_index=True)
    leg_n = models.PositiveSmallIntegerField()
    origin = models.CharField(max_length=10, choices=_choices(Origin))
    client_order_id = models.CharField(max_length=40, unique=True)
    tag = models.CharField(max_length=20, unique=True)
    schema_version = models.PositiveSmallIntegerField(default=1)

    symbol = models.CharField(max_length=60)
    side = models.CharField(max_length=4)
    quantity = models.PositiveIntegerField()
    order_type = models.CharField(max_length=6)
    product = models.CharField(max_length=4)
    validity = models.CharField(max_length=4)
    variety = models.CharField(max_length=10)
    limit_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    trigger_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    order_value = models.DecimalField(max_digits=18, decimal_places=4, default=0)

    state = models.CharField(max_length=14, choices=_choices(IntentState), default=IntentState.PREPARED.value)
    attempts = models.PositiveSmallIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    sending_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    unknown_since = models.DateTimeField(null=True, blank=True)
    lookups = models.PositiveSmallIntegerField(default=0)
    next_check_at = models.DateTimeField(null=True, blank=True, db_index=True)
    watch_until = models.DateTimeField(null=True, blank=True)
    broker_order_id = models.CharField(max_length=32, blank=True)
    broker_status = models.CharField(max_length=40, blank=True)
    filled_quantity = models.PositiveIntegerField(default=0)
    average_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    status_message = models.CharField(max_length=500, blank=True)
    denial_code = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="intent_owner_created"),
            models.Index(fields=["state", "next_check_at"], name="intent_state_check"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["plan", "leg_n"], name="intent_one_per_leg"),
            models.UniqueConstraint(
                fields=["connection", "broker_order_id"],
                condition=~Q(broker_order_id=""),
                name="intent_broker_order_once",
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="intent_quantity_positive"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in IntentState]), name="intent_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol} [{self.state}]"


class OrderCommand(models.Model):
    """A modify or cancel on its way: sent at most once, its outcome settled by reading the order."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="order_commands")
    order = models.ForeignKey("Order", on_delete=models.PROTECT, related_name="commands")
    authorization = models.ForeignKey(Authorization, on_delete=models.PROTECT, related_name="order_commands")
    correlation_id = models.CharField(max_length=36, db_index=True)
    kind = models.CharField(max_length=8)
    leg_n = models.PositiveSmallIntegerField(default=1)
    changes = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=_choices(CommandState), default=CommandState.PREPARED.value)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    sending_at = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(null=True, blank=True, db_index=True)
    lookups = models.PositiveSmallIntegerField(default=0)
    detail = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["authorization", "leg_n"], name="command_one_per_leg"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in CommandState]), name="command_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} [{self.state}]"


class Order(models.Model):
    """One row of the broker's book as last read, ours or not. What the broker says is kept, however odd."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="orders")
    intent = models.ForeignKey(OrderIntent, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    broker_order_id = models.CharField(max_length=32)
    parent_order_id = models.CharField(max_length=32, blank=True)
    symbol = models.CharField(max_length=60)
    side = models.CharField(max_length=10)
    quantity = models.BigIntegerField()
    filled_quantity = models.BigIntegerField(default=0)
    average_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    order_type = models.CharField(max_length=10)
    limit_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    trigger_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    product = models.CharField(max_length=10)
    validity = models.CharField(max_length=10)
    variety = models.CharField(max_length=10)
    status = models.CharField(max_length=40)
    status_message = models.CharField(max_length=500, blank=True)
    tag = models.CharField(max_length=64, blank=True)
    taken_over = models.BooleanField(default=False)
    placed_at = models.DateTimeField(null=True, blank=True)
    first_seen = models.DateTimeField()
    last_read = models.DateTimeField()
    raw = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-first_seen", "-id"]
        indexes = [models.Index(fields=["owner", "-first_seen", "-id"], name="order_owner_seen")]
        constraints = [models.UniqueConstraint(fields=["connection", "broker_order_id"], name="order_broker_id_once")]

    def __str__(self) -> str:
        return f"{self.broker_order_id} {self.status}"


class Fill(models.Model):
    """One trade as the broker books it. Append-only; the trade id is what makes it one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="fills")
    intent = models.ForeignKey(OrderIntent, on_delete=models.PROTECT, null=True, blank=True, related_name="fills")
    trade_id = models.CharField(max_length=40)
    broker_order_id = models.CharField(max_length=32)
    symbol = models.CharField(max_length=60)
    side = models.CharField(max_length=4)
    product = models.CharField(max_length=10)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=18, decimal_places=4)
    filled_at = models.DateTimeField()
    synthetic = models.BooleanField(default=False)
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["-filled_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "trade_id"], name="fill_trade_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="fill_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol} @ {self.price}"


class LedgerEntry(models.Model):
    """One line of what we expect to own: the opening, our fills, accepted differences. Append-only, signed quantity."""

    id = models.BigAutoField(primary_key=True)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="ledger")
    kind = models.CharField(max_length=12, choices=[(k, k) for k in ("opening", "fill", "adjustment")])
    symbol = models.CharField(max_length=60)
    product = models.CharField(max_length=10)
    quantity = models.IntegerField()
    price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    fill = models.OneToOneField(Fill, on_delete=models.PROTECT, null=True, blank=True, related_name="ledger_entry")
    snapshot_hash = models.CharField(max_length=64, blank=True)
    note = models.CharField(max_length=200, blank=True)
    ts = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["connection", "symbol", "product"], name="ledger_symbol_product")]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity} {self.symbol}"


class LedgerOpening(models.Model):
    """That a connection's books were taken over, from which snapshot and when. One per connection."""

    connection = models.OneToOneField(BrokerConnection, on_delete=models.PROTECT, related_name="ledger_opening")
    snapshot_hash = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=36)
    ts = models.DateTimeField()

    def __str__(self) -> str:
        return f"taken over {self.ts:%Y-%m-%d %H:%M}"


class ReconciliationRun(models.Model):
    """One comparison of what we expect with what the broker says. ``deltas`` is bounded; ``delta_count`` is not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reconciliation_runs")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, related_name="reconciliation_runs")
    correlation_id = models.CharField(max_length=36, db_index=True)
    trigger = models.CharField(max_length=20)
    status = models.CharField(max_length=10)
    snapshot_id = models.CharField(max_length=36, blank=True)
    snapshot_hash = models.CharField(max_length=64, blank=True)
    holdings_checked = models.PositiveIntegerField(default=0)
    positions_checked = models.PositiveIntegerField(default=0)
    orders_checked = models.PositiveIntegerField(default=0)
    delta_count = models.PositiveIntegerField(default=0)
    deltas = models.JSONField(default=list, blank=True)
    note = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [models.Index(fields=["connection", "-started_at"], name="recon_connection_started")]

    def __str__(self) -> str:
        return f"{self.status} with {self.delta_count} differences"
