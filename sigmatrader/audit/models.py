"""The shared records. No foreign key leaves this app: ``account`` is a connection's id as text, ``subject`` is
``app.model:<id>``, so that a record outlives what it describes and every app may write one.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import Q

from sigmatrader.audit.vocabulary import (
    EventCategory,
    EventLevel,
    ExceptionStatus,
    RecoveryPoint,
    Severity,
    TraceOutcome,
)


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Reads and inserts. The retention command alone removes, by ``_raw_delete``, and says what it removed."""

    def update(self, **kwargs: Any) -> int:
        raise TypeError(f"{self.model.__name__} is append-only: write a new row instead")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError(f"{self.model.__name__} is append-only: only the retention command removes rows")


class AppendOnly(models.Model):
    """A record that is never changed. The database refuses it as well, see the migration ``append_only``."""

    objects = models.Manager.from_queryset(AppendOnlyQuerySet)()

    class Meta:
        abstract = True

    def save(self, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} is append-only: write a new row instead")
        super().save(**kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError(f"{type(self).__name__} is append-only: only the retention command removes rows")


class SnapshotContent(AppendOnly):
    """What a read of the books said, named by its own SHA-256: an identical read is stored once. Append-only."""

    hash = models.CharField(primary_key=True, max_length=64)
    document = models.TextField()

    def __str__(self) -> str:
        return self.hash[:12]


class Snapshot(AppendOnly):
    """One read of a broker's books: when it was made, and which content it found. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.CharField(max_length=64)
    source = models.CharField(max_length=20)
    correlation_id = models.CharField(max_length=36, blank=True)
    as_of = models.DateTimeField()
    taken_at = models.DateTimeField()
    schema_version = models.PositiveSmallIntegerField(default=1)
    complete = models.JSONField()
    content = models.ForeignKey(SnapshotContent, on_delete=models.PROTECT, related_name="snapshots")

    class Meta:
        ordering = ["-taken_at", "-id"]
        indexes = [models.Index(fields=["account", "-taken_at"], name="snapshot_account_taken")]

    def __str__(self) -> str:
        return f"{self.source} books of {self.as_of:%Y-%m-%d %H:%M:%S}"

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document, in hex."""
        return self.content_id

    @property
    def document(self) -> str:
        """The canonical text; read from the database when it is first asked for."""
        return self.content.document


class DecisionTrace(AppendOnly):
    """The opening facts of one story. Append-only: how it went is in its events, how it ended in its closings."""

    correlation_id = models.CharField(primary_key=True, max_length=36)
    client_correlation_id = models.CharField(max_length=36, blank=True)
    account = models.CharField(max_length=64, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=150)
    origin = models.CharField(max_length=20)
    kind = models.CharField(max_length=40)
    message = models.TextField(blank=True)
    message_hash = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    schema_version = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ["-started_at", "-correlation_id"]
        indexes = [
            models.Index(fields=["owner", "-started_at"], name="trace_owner_started"),
            models.Index(fields=["account", "-started_at"], name="trace_account_started"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.correlation_id}"


class TraceLink(AppendOnly):
    """What a trace is about: (kind, value) pairs such as (symbol, NSE:INFY) or (order, <uuid>). Append-only."""

    id = models.BigAutoField(primary_key=True)
    trace = models.ForeignKey(DecisionTrace, on_delete=models.PROTECT, related_name="links")
    kind = models.CharField(max_length=20)
    value = models.CharField(max_length=80)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trace", "kind", "value"], name="trace_link_once")]
        indexes = [models.Index(fields=["kind", "value"], name="trace_link_value")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class TraceClosing(AppendOnly):
    """How a trace ended. A later closing corrects an earlier one (an order that turned up after the verdict)."""

    id = models.BigAutoField(primary_key=True)
    trace = models.ForeignKey(DecisionTrace, on_delete=models.PROTECT, related_name="closings")
    outcome = models.CharField(max_length=20, choices=[(o.value, o.value) for o in TraceOutcome])
    explanation = models.TextField(blank=True)
    finished_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=[o.value for o in TraceOutcome]), name="trace_closing_outcome_known"
            )
        ]

    def __str__(self) -> str:
        return self.outcome


class TraceEvent(AppendOnly):
    """One link of the keyed hash chain over all traces. Append-only; ``data`` is canonical JSON text."""

    seq = models.BigIntegerField(primary_key=True)
    correlation_id = models.CharField(max_length=36, db_index=True)
    ts = models.DateTimeField()
    type = models.CharField(max_length=60)
    data = models.TextField()
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class ChainHead(models.Model):
    """Where the chain ends: one row, locked last by every appending transaction, itself sealed with the audit key."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64)
    seal = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="chain_head_is_single")]

    def __str__(self) -> str:
        return f"head {self.seq}"


class ChainSegment(models.Model):
    """A sealed run of events. Once pruned its rows are gone and the seal carries the chain across the gap."""

    id = models.BigAutoField(primary_key=True)
    from_seq = models.BigIntegerField(unique=True)
    to_seq = models.BigIntegerField(unique=True)
    first_prev_hash = models.CharField(max_length=64)
    last_hash = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    seal = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()
    pruned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["from_seq"]

    def __str__(self) -> str:
        return f"{self.from_seq}-{self.to_seq}"


class SystemEvent(AppendOnly):
    """Something an operator or auditor looks for: settings, keys, sign-ins, connections. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ts = models.DateTimeField()
    level = models.CharField(max_length=10, choices=[(v.value, v.value) for v in EventLevel])
    category = models.CharField(max_length=20, choices=[(v.value, v.value) for v in EventCategory])
    event_type = models.CharField(max_length=60)
    message = models.TextField()
    details = models.JSONField(default=dict, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    account = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=36, blank=True, db_index=True)

    class Meta:
        ordering = ["-ts", "-id"]
        indexes = [models.Index(fields=["category", "-ts"], name="sysevent_category_ts")]

    def __str__(self) -> str:
        return f"{self.category} {self.event_type}"


class IdempotencyRecord(models.Model):
    """One use of one key: what was asked, how far it got, what was answered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    recovery_point = models.CharField(max_length=20, choices=[(v.value, v.value) for v in RecoveryPoint])
    claimed_at = models.DateTimeField()
    correlation_id = models.CharField(max_length=36, blank=True)
    subject = models.CharField(max_length=120, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_body = models.TextField(blank=True)
    response_type = models.CharField(max_length=60, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_scope_key_once")]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expires")]

    def __str__(self) -> str:
        return f"{self.scope} {self.recovery_point}"


class ExceptionRecord(models.Model):
    """Something that does not agree and waits for a person. At most one unresolved per fingerprint."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.CharField(max_length=64, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    type = models.CharField(max_length=40)
    code = models.CharField(max_length=40)
    severity = models.CharField(max_length=10, choices=[(v.value, v.value) for v in Severity])
    status = models.CharField(
        max_length=15, choices=[(v.value, v.value) for v in ExceptionStatus], default=ExceptionStatus.OPEN.value
    )
    fingerprint = models.CharField(max_length=64)
    summary = models.TextField()
    expected = models.TextField(blank=True)
    actual = models.TextField(blank=True)
    difference = models.TextField(blank=True)
    symbol = models.CharField(max_length=60, blank=True)
    subject = models.CharField(max_length=120, blank=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    assignee = models.CharField(max_length=150, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    correlation_id = models.CharField(max_length=36, blank=True, db_index=True)
    remedies = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["-last_seen", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=~Q(status="resolved"), name="exception_one_open_per_fingerprint"
            )
        ]
        indexes = [models.Index(fields=["status", "severity", "-last_seen"], name="exception_status_severity")]

    def __str__(self) -> str:
        return f"{self.code} {self.symbol}".strip()


class ExceptionNote(AppendOnly):
    """What a person or a rule did to an exception, in order. Append-only."""

    id = models.BigAutoField(primary_key=True)
    exception = models.ForeignKey(ExceptionRecord, on_delete=models.PROTECT, related_name="notes")
    ts = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=20)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
