"""Whether a chain of events is whole: a pure function over its rows, its head, its sealed gaps and its anchors.

It holds one row at a time. What it finds, by cause:

- an edited, swapped or recomputed row: its hash does not come out under the key;
- a deleted row: its number is missing; an inserted one: its number is not the next;
- a cut tail: the head is further on; with the head put back too: an anchor is further on;
- a forged head, seal or anchor: its keyed hash does not come out.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sigmatrader.audit.seals import GENESIS, anchor_mac, head_seal, link_hash, segment_seal

Row = tuple[int, str, datetime, str, str, str, str]
"""seq, correlation_id, ts, type, data, prev_hash, hash"""

MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Head:
    """The head row as read."""

    seq: int
    hash: str
    seal: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed run as read."""

    from_seq: int
    to_seq: int
    first_prev_hash: str
    last_hash: str
    digest: str
    is_pruned: bool
    seal: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A line outside the database as read; ``ts`` stays text, since the line's mac is over the text."""

    ts: str
    seq: int
    hash: str
    mac: str


@dataclass(frozen=True, slots=True)
class Bad:
    """The first place where the record is not what was written."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check read and found. ``to_seq`` is the last event that was there (or sealed away)."""

    events: int
    from_seq: int
    to_seq: int
    anchors_checked: int
    first_bad: Bad | None

    @property
    def ok(self) -> bool:
        return self.first_bad is None


def check(
    rows: Iterable[Row],
    *,
    key: bytes,
    head: Head | None,
    segments: Sequence[Segment] = (),
    anchors: Sequence[Anchor] = (),
    from_seq: int = 1,
    to_seq: int | None = None,
) -> Report:
    """Reads ``rows`` (ordered by seq, from ``from_seq`` to ``to_seq`` or the end) and names the first bad place."""
    walk = _Walk(key, {s.from_seq: s for s in segments}, _by_seq(anchors), from_seq)
    bad = _bad_segment(key, segments) or _bad_anchor(key, anchors)
    found = walk.run(rows)
    if found is None:
        found = walk.skip_pruned()
    if found is None:
        found = _bad_end(walk, key, head, anchors, to_seq)
    bad = min((place for place in (bad, found) if place), key=lambda place: place.seq, default=None)
    return Report(walk.events, from_seq, walk.expected - 1, walk.anchors_checked, bad)


def check_stretch(
    rows: Iterable[Row], *, key: bytes, segments: Sequence[Segment], from_seq: int, to_seq: int
) -> Bad | None:
    """The first bad place among the rows from ``from_seq`` to ``to_seq``, both of which must be there."""
    walk = _Walk(key, {s.from_seq: s for s in segments}, {}, from_seq)
    bad = walk.run(rows)
    if bad is None and walk.expected <= to_seq:
        return Bad(walk.expected, "it is missing")
    return bad


def check_each(rows: Iterable[Row], *, key: bytes) -> Bad | None:
    """The first row whose own content does not match its hash; what lies between the rows is not looked at."""
    for row in rows:
        if link_hash(key, *row[:6]) != row[6]:
            return Bad(row[0], "its content does not match its keyed hash: it was edited, swapped or recomputed")
    return None


class _Walk:
    """One pass over the rows: what number and what hash come next."""

    def __init__(
        self, key: bytes, segments: Mapping[int, Segment], anchors: Mapping[int, set[str]], first: int
    ) -> None:
        self.key = key
        self.segments = segments
        self.anchors = anchors
        self.expected = first
        self.last_hash: str | None = GENESIS if first == 1 else None  # None: a later start takes the row's own word
        self.events = 0
        self.anchors_checked = 0

    def run(self, rows: Iterable[Row]) -> Bad | None:
        """The first bad row, or None at the end of the rows."""
        key, anchors = self.key, self.anchors
        for seq, correlation_id, ts, type_, data, prev_hash, hash_ in rows:
            if seq != self.expected:
                bad = self.skip_pruned() or self._bad_number(seq)
                if bad:
                    return bad
            if self.last_hash is not None and prev_hash != self.last_hash:
                return Bad(seq, "it does not follow the event before it: a row here was edited, swapped or recomputed")
            if link_hash(key, seq, correlation_id, ts, type_, data, prev_hash) != hash_:
                return Bad(seq, "its content does not match its keyed hash: it was edited, swapped or recomputed")
            self.last_hash = hash_
            self.events += 1
            self.expected = seq + 1
            if seq in anchors and (bad := self._bad_for_anchor(seq, hash_)):
                return bad
        return None

    def skip_pruned(self) -> Bad | None:
        """Steps over the sealed runs that start here; a seal that does not join on is bad."""
        while (segment := self.segments.get(self.expected)) is not None and segment.is_pruned:
            if self.last_hash is not None and segment.first_prev_hash != self.last_hash:
                return Bad(segment.from_seq, "the sealed run that starts here does not follow the event before it")
            self.last_hash = segment.last_hash
            self.expected = segment.to_seq + 1
            if segment.to_seq in self.anchors and (bad := self._bad_for_anchor(segment.to_seq, segment.last_hash)):
                return bad
        return None

    def _bad_number(self, seq: int) -> Bad | None:
        if seq == self.expected:
            return None
        if seq < self.expected:
            return Bad(seq, "its number comes twice or too late: a row was inserted")
        return Bad(self.expected, "it is missing: the next event there is has number " + str(seq))

    def _bad_for_anchor(self, seq: int, hash_: str) -> Bad | None:
        hashes = self.anchors[seq]
        self.anchors_checked += len(hashes)
        if hashes == {hash_}:
            return None
        return Bad(seq, "an anchor outside the database has another hash for it: the events up to here were replaced")


def _bad_end(walk: _Walk, key: bytes, head: Head | None, anchors: Sequence[Anchor], to_seq: int | None) -> Bad | None:
    last = walk.expected - 1
    if head is None:
        return Bad(walk.expected, "the head row is missing") if last or anchors else None
    if not is_sound(key, head):
        return Bad(min(head.seq, walk.expected), f"the head row (at {head.seq}) was not written with the key")
    end = head.seq if to_seq is None else min(to_seq, head.seq)
    if last < end:
        return Bad(walk.expected, f"it is missing: the tail is cut, the head is at {head.seq}")
    if to_seq is None and last > head.seq:
        return Bad(head.seq + 1, f"it stands behind the head, which is at {head.seq}")
    if last == head.seq and walk.last_hash not in (None, head.hash):
        return Bad(head.seq, "the head row has another hash for it")
    beyond = min((a.seq for a in anchors if a.seq > head.seq), default=None)
    if beyond is not None:
        return Bad(head.seq + 1, f"it is missing: an anchor outside the database saw the chain reach {beyond}")
    return None


def is_sound(key: bytes, head: Head) -> bool:
    """Whether the head was written with the key; the unsealed one is the beginning of an empty chain."""
    if head.seq == 0:
        return head.hash == GENESIS and head.seal in ("", head_seal(key, seq=0, hash_=GENESIS))
    return hmac.compare_digest(head.seal.encode(), head_seal(key, seq=head.seq, hash_=head.hash).encode())


def _bad_segment(key: bytes, segments: Sequence[Segment]) -> Bad | None:
    for segment in sorted(segments, key=lambda item: item.from_seq):
        seal = segment_seal(
            key, from_seq=segment.from_seq, to_seq=segment.to_seq, first_prev_hash=segment.first_prev_hash,
            last_hash=segment.last_hash, digest=segment.digest, pruned=segment.is_pruned,
        )  # fmt: skip
        if seal != segment.seal:
            return Bad(segment.from_seq, f"the seal of the run {segment.from_seq}-{segment.to_seq} is not ours")
    return None


def _bad_anchor(key: bytes, anchors: Sequence[Anchor]) -> Bad | None:
    for anchor in anchors:
        if anchor.mac != anchor_mac(key, ts=anchor.ts, seq=anchor.seq, hash_=anchor.hash):
            return Bad(anchor.seq, f"the anchor of {anchor.ts[:40]} for it is not ours")
    return None


def _by_seq(anchors: Sequence[Anchor]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for anchor in anchors:
        found.setdefault(anchor.seq, set()).add(anchor.hash)
    return found
