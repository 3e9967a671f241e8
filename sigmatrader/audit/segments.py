"""Whole runs of old events, and the seals that carry the chain over the gap they leave.

Events are numbered in runs of ``SIZE``. A run goes as one piece, when nothing in it is young, open or held and none of
its traces reaches into a run that stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from sigmatrader.audit.chain import audit_key
from sigmatrader.audit.chain_check import Row, check_stretch
from sigmatrader.audit.models import ChainHead, ChainSegment, TraceEvent
from sigmatrader.audit.seals import segment_seal

SIZE = 1000
MOST_RUNS = 200
"""At most this many runs in one transaction; the next night goes on."""

Hold = Callable[[Iterable[str]], set[str]]
_COLUMNS = ("seq", "correlation_id", "ts", "type", "data", "prev_hash", "hash")


class BrokenRun(Exception):  # a finding, not a failure
    """Old events do not verify; nothing may be removed until somebody has looked."""


@dataclass(frozen=True, slots=True)
class Run:
    """One removable run of events: what its seal will say."""

    from_seq: int
    to_seq: int
    first_prev_hash: str
    last_hash: str
    digest: str
    correlation_ids: frozenset[str]

    @property
    def events(self) -> int:
        return self.to_seq - self.from_seq + 1


def removable(*, before: datetime, holds: Sequence[Hold]) -> list[Run]:
    """The runs that may go, oldest first, each verified against the key. Raises BrokenRun for one that does not."""
    traces = {first: _correlation_ids(first) for first in _old_runs(before)}
    everything = {cid for ids in traces.values() for cid in ids}
    held = {cid for hold in holds for cid in hold(everything)}
    free = _closed_set({first: ids for first, ids in traces.items() if not ids & held})
    free = _closed_set({first: free[first] for first in sorted(free)[:MOST_RUNS]})
    return [_verified(first, free[first]) for first in sorted(free)]


def seal_and_remove(run: Run, *, now: datetime) -> int:
    """Replaces the run's events by its seal; says how many there were. Must be inside a transaction."""
    seal = segment_seal(
        audit_key(), from_seq=run.from_seq, to_seq=run.to_seq, first_prev_hash=run.first_prev_hash,
        last_hash=run.last_hash, digest=run.digest, pruned=True,
    )  # fmt: skip
    ChainSegment.objects.create(
        from_seq=run.from_seq, to_seq=run.to_seq, first_prev_hash=run.first_prev_hash, last_hash=run.last_hash,
        digest=run.digest, seal=seal, sealed_at=now, pruned_at=now,
    )  # fmt: skip
    rows = TraceEvent.objects.filter(seq__gte=run.from_seq, seq__lte=run.to_seq).order_by()
    return int(rows._raw_delete(rows.db) or 0)


def digest_of(hashes: Iterable[str]) -> str:
    """SHA-256 over the run's hashes in order: what a kept copy of the removed events can be held against."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _old_runs(before: datetime) -> list[int]:
    """First numbers of the whole runs that ended before then. The run that bears the head always stays."""
    head = ChainHead.objects.filter(id=1).first()
    if head is None:
        return []
    old = TraceEvent.objects.filter(seq__lt=head.seq, ts__lt=before)
    ends = old.annotate(place=F("seq") % SIZE).filter(place=0).order_by("seq")
    return [seq - SIZE + 1 for seq in ends.values_list("seq", flat=True)]


def _correlation_ids(first: int) -> frozenset[str]:
    rows = TraceEvent.objects.filter(seq__gte=first, seq__lt=first + SIZE)
    return frozenset(rows.order_by().values_list("correlation_id", flat=True).distinct())


def _closed_set(runs: dict[int, frozenset[str]]) -> dict[int, frozenset[str]]:
    """Drops runs until no trace of those that are left has an event anywhere else."""
    while True:
        straying = _straying(runs)
        left = {first: ids for first, ids in runs.items() if not ids & straying}
        if len(left) == len(runs):
            return left
        runs = left


def _straying(runs: dict[int, frozenset[str]]) -> set[str]:
    everything = sorted({cid for ids in runs.values() for cid in ids})
    straying: set[str] = set()
    for start in range(0, len(everything), 500):
        rows = TraceEvent.objects.filter(correlation_id__in=everything[start : start + 500]).order_by()
        straying.update(
            cid for cid, seq in rows.values_list("correlation_id", "seq") if (seq - 1) // SIZE * SIZE + 1 not in runs
        )
    return straying


def _verified(first: int, correlation_ids: frozenset[str]) -> Run:
    last = first + SIZE - 1
    rows: list[Row] = list(
        TraceEvent.objects.filter(seq__gte=first, seq__lte=last).order_by("seq").values_list(*_COLUMNS)
    )
    bad = check_stretch(rows, key=audit_key(), segments=(), from_seq=first, to_seq=last)
    if bad is not None:
        raise BrokenRun(f"event {bad.seq}: {bad.reason}")
    return Run(
        from_seq=first, to_seq=last, first_prev_hash=rows[0][5], last_hash=rows[-1][6],
        digest=digest_of(row[6] for row in rows), correlation_ids=correlation_ids,
    )  # fmt: skip
