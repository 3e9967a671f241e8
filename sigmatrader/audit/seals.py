"""The keyed hashes of the record: of an event in its place, of the head, of an anchor, of a pruned run. Pure."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime

GENESIS = "0" * 64
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def link_hash(key: bytes, seq: int, correlation_id: str, ts: datetime, type_: str, data: str, prev_hash: str) -> str:
    """HMAC-SHA-256 over one event and the hash before it; ``data`` is its canonical text."""
    body = _encode([seq, correlation_id, ts.astimezone(UTC).isoformat(), type_, data, prev_hash])
    return hmac.digest(key, body.encode("utf-8", "surrogatepass"), "sha256").hex()


def head_seal(key: bytes, *, seq: int, hash_: str) -> str:
    """What proves that a head row was written by someone with the key."""
    return _mac(key, f"head:{seq}:{hash_}")


def anchor_mac(key: bytes, *, ts: str, seq: int, hash_: str) -> str:
    """What proves that a line outside the database is ours."""
    return _mac(key, f"anchor:{ts}:{seq}:{hash_}")


def segment_seal(
    key: bytes, *, from_seq: int, to_seq: int, first_prev_hash: str, last_hash: str, digest: str, pruned: bool
) -> str:
    """What carries the chain over a run of events; it says too whether that run may be missing."""
    return _mac(key, f"segment:{from_seq}:{to_seq}:{first_prev_hash}:{last_hash}:{digest}:{int(pruned)}")


def _mac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()
