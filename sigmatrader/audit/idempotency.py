"""One key, one act: the claims behind ``Idempotency-Key``.

A claim is committed before the act begins. It is moved by conditional updates on the time it was taken at, so that a
process which was thought dead finds its claim gone (the fence) instead of acting a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import IntegrityError, transaction

from sigmatrader.audit.api.problems import conflict
from sigmatrader.audit.models import IdempotencyRecord
from sigmatrader.audit.vocabulary import RecoveryPoint

LEASE = timedelta(seconds=30)
LIFETIME = timedelta(days=1)
RELEASED = datetime(2000, 1, 1, tzinfo=UTC)
ORDER_SUBJECT = "execution."


class Standing(StrEnum):
    """What a request with a key finds."""

    OURS = "ours"
    RUNNING = "running"
    DONE = "done"
    MISMATCH = "mismatch"


@dataclass(slots=True)
class Claim:
    """A key that this request holds. ``resumed_subject`` names what an earlier run committed before it died."""

    record: IdempotencyRecord
    claimed_at: datetime
    resumed_subject: str = ""
    resumed_correlation_id: str = ""
    is_committed: bool = False
    is_stored: bool = False

    @property
    def key(self) -> str:
        return self.record.key

    def commit(self, *, correlation_id: str, subject: str) -> None:
        """Marks that the act is done; call it in the transaction that does it, ``subject`` being what was made.

        Raises Problem 409 IN_PROGRESS when another request has taken the claim over: the transaction must roll back.
        """
        expires = self.claimed_at + LIFETIME
        if subject.startswith(ORDER_SUBJECT):
            expires = self.claimed_at + timedelta(days=settings.RETENTION_DAYS["orders"])
        self._move(
            recovery_point=RecoveryPoint.COMMITTED.value, correlation_id=correlation_id, subject=subject,
            expires_at=expires,
        )  # fmt: skip
        self.is_committed = True

    def store(
        self, *, status: int, body: str, content_type: str = "application/json", correlation_id: str = ""
    ) -> None:
        """Keeps the answer for replays. A claim lost in the meantime is left to its new holder."""
        values: dict[str, object] = {
            "recovery_point": RecoveryPoint.DONE.value, "response_status": status, "response_body": body,
            "response_type": content_type,
        }  # fmt: skip
        held = IdempotencyRecord.objects.filter(pk=self.record.pk, claimed_at=self.claimed_at)
        held.update(**values)
        if correlation_id:
            held.filter(correlation_id="").update(correlation_id=correlation_id)
        self.is_stored = True

    def release(self, *, forget: bool) -> None:
        """Lets the next request with this key act at once. ``forget``: the key was not used at all.

        A commit that rolled back leaves the row as STARTED; one that stood leaves COMMITTED, and that is resumed.
        """
        held = IdempotencyRecord.objects.filter(pk=self.record.pk, claimed_at=self.claimed_at)
        if forget and held.filter(recovery_point=RecoveryPoint.STARTED.value).delete()[0]:
            return
        held.exclude(recovery_point=RecoveryPoint.DONE.value).update(claimed_at=RELEASED)

    def _move(self, **values: object) -> None:
        held = IdempotencyRecord.objects.filter(pk=self.record.pk, claimed_at=self.claimed_at).exclude(
            recovery_point=RecoveryPoint.DONE.value
        )
        if not held.update(**values):
            raise in_progress()


@dataclass(frozen=True, slots=True)
class Found:
    """What ``claim`` found: a claim of ours, or the record that stands in the way."""

    standing: Standing
    record: IdempotencyRecord
    claim: Claim | None = None


def claim(*, scope: str, key: str, digest: str, now: datetime) -> Found:
    """Takes the key for this request if it is free, or was left by a request that died. Commits before it returns."""
    record = IdempotencyRecord.objects.filter(scope=scope, key=key).first()
    if record is None:
        record = _insert(scope=scope, key=key, digest=digest, now=now)
        if record is not None:
            return Found(Standing.OURS, record, Claim(record, now))
        record = IdempotencyRecord.objects.filter(scope=scope, key=key).first()
        if record is None:  # released again between the two looks
            return claim(scope=scope, key=key, digest=digest, now=now)
    return _judge(record, digest=digest, now=now)


def in_progress() -> Exception:
    """The answer to a twin of a request that still runs."""
    problem = conflict("IN_PROGRESS", "The same request is being worked on: ask again in a moment with the same key.")
    problem.headers["Retry-After"] = "1"
    return problem


def _judge(record: IdempotencyRecord, *, digest: str, now: datetime) -> Found:
    if record.request_digest != digest:
        return Found(Standing.MISMATCH, record)
    if record.recovery_point == RecoveryPoint.DONE.value:
        return Found(Standing.DONE, record)
    if record.claimed_at > now - LEASE:
        return Found(Standing.RUNNING, record)
    return _take_over(record, now=now)


def _take_over(record: IdempotencyRecord, *, now: datetime) -> Found:
    same = IdempotencyRecord.objects.filter(
        pk=record.pk, claimed_at=record.claimed_at, recovery_point=record.recovery_point
    )
    if not same.update(claimed_at=now):
        return Found(Standing.RUNNING, record)
    committed = record.recovery_point == RecoveryPoint.COMMITTED.value
    taken = Claim(
        record, now, is_committed=committed,
        resumed_subject=record.subject if committed else "",
        resumed_correlation_id=record.correlation_id if committed else "",
    )  # fmt: skip
    return Found(Standing.OURS, record, taken)


def _insert(*, scope: str, key: str, digest: str, now: datetime) -> IdempotencyRecord | None:
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                scope=scope, key=key, request_digest=digest, recovery_point=RecoveryPoint.STARTED.value,
                claimed_at=now, expires_at=now + LIFETIME,
            )  # fmt: skip
    except IntegrityError:
        return None
