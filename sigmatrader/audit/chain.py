"""The keyed hash chain over all trace events: one line, one head, one writer at a time.

``hash = HMAC-SHA-256(audit key, canonical JSON of {seq, correlation_id, ts, type, data, prev_hash})``. The key is not
in the database, so a full recompute without it is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import OperationalError, connection

from sigmatrader.audit import chain_check
from sigmatrader.audit.models import ChainHead, TraceEvent
from sigmatrader.audit.seals import GENESIS, head_seal, link_hash

# Written by hand: every action waits for these, and the ORM takes as long to word them as the database to do them.
_HEAD = "SELECT seq, hash, seal FROM audit_chainhead WHERE id = 1"
_ADD = (
    "INSERT INTO audit_traceevent (seq, correlation_id, ts, type, data, prev_hash, hash) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_MOVE_HEAD = "UPDATE audit_chainhead SET seq = %s, hash = %s, seal = %s WHERE id = 1"


class AuditUnavailable(OperationalError):  # a state of the record, told as AUDIT_UNAVAILABLE
    """The chain cannot be written or must not be: what was to be recorded has to roll back (FAULTS A51)."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that waits for its place in the chain; ``data`` is already canonical JSON."""

    correlation_id: str
    ts: datetime
    type: str
    data: str


def audit_key() -> bytes:
    """The chain's key, from the environment or the private key file; never from the database."""
    return str(settings.AUDIT_KEY).encode()


def event_hash(key: bytes, *, seq: int, event: PendingEvent, prev_hash: str) -> str:
    """The keyed hash of one event in its place."""
    return link_hash(key, seq, event.correlation_id, event.ts, event.type, event.data, prev_hash)


def is_head_sound(key: bytes, head: ChainHead) -> bool:
    """Whether the head row is one we wrote."""
    return chain_check.is_sound(key, chain_check.Head(head.seq, head.hash, head.seal))


def append(events: Sequence[PendingEvent]) -> None:
    """Writes ``events`` behind the head. Must be inside a transaction; the head stays locked until its end.

    Raises AuditUnavailable when the head row is missing or not ours: to go on behind a forged head would seal it.
    """
    if not events:
        return
    key = audit_key()
    head = _locked_head()
    if not is_head_sound(key, head):
        raise AuditUnavailable(f"the chain head at {head.seq} is not ours")
    rows = links(key, events, seq=head.seq, prev_hash=head.hash)
    seq, last = rows[-1].seq, rows[-1].hash
    when = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.executemany(
            _ADD, [(r.seq, r.correlation_id, when(r.ts), r.type, r.data, r.prev_hash, r.hash) for r in rows]
        )
        cursor.execute(_MOVE_HEAD, [seq, last, head_seal(key, seq=seq, hash_=last)])


def links(key: bytes, events: Sequence[PendingEvent], *, seq: int, prev_hash: str) -> list[TraceEvent]:
    """The rows of ``events`` as they follow the event ``seq`` whose hash is ``prev_hash``; nothing is written."""
    rows = []
    for event in events:
        seq += 1
        current = event_hash(key, seq=seq, event=event, prev_hash=prev_hash)
        rows.append(
            TraceEvent(
                seq=seq, correlation_id=event.correlation_id, ts=event.ts, type=event.type,
                data=event.data, prev_hash=prev_hash, hash=current,
            )
        )  # fmt: skip
        prev_hash = current
    return rows


def _locked_head() -> ChainHead:
    """The head row under a lock. It is made anew only where there is nothing it could have pointed to."""
    with connection.cursor() as cursor:
        cursor.execute(_HEAD + (" FOR UPDATE" if connection.features.has_select_for_update else ""))
        row = cursor.fetchone()
    if row is not None:
        return ChainHead(1, *row)
    heads = ChainHead.objects.select_for_update().filter(id=1)
    head = heads.first()
    if head is None and not TraceEvent.objects.exists():
        ChainHead.objects.bulk_create([ChainHead(id=1, seq=0, hash=GENESIS)], ignore_conflicts=True)
    head = head or heads.first()  # another writer may have made it since the first look
    if head is None:
        raise AuditUnavailable("the chain head is missing")
    return head
