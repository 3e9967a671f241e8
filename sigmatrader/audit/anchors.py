"""Anchors: where the chain stood, written outside the database, so that a cut or a restored old copy is found out.

One JSON line ``{ts, seq, hash, mac}`` per anchor in ``<ANCHOR_DIR>/anchors-<year>-<month>.jsonl``, appended and synced.
Ship that folder to another machine, append-only: who can rewrite both it and the database can still cut the tail.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from sigmatrader.audit.chain import AuditUnavailable, audit_key, is_head_sound
from sigmatrader.audit.chain_check import MAX_SEQ, Anchor
from sigmatrader.audit.models import ChainHead
from sigmatrader.audit.seals import anchor_mac


def write_anchor(*, now: datetime) -> Anchor | None:
    """Writes where the chain stands now; None when it is empty or stands where the last anchor saw it.

    Raises AuditUnavailable when the head is missing or not ours (an anchor must not vouch for it), OSError when the
    file cannot be written.
    """
    head = ChainHead.objects.filter(id=1).first()
    key = audit_key()
    if head is None or not is_head_sound(key, head):
        raise AuditUnavailable("the chain head is missing or not ours: no anchor is written for it")
    last = _last()
    if head.seq == 0 or (last and (last.seq, last.hash) == (head.seq, head.hash)):
        return None
    ts = now.astimezone(UTC).isoformat()
    mac = anchor_mac(key, ts=ts, seq=head.seq, hash_=head.hash)
    anchor = Anchor(ts=ts, seq=head.seq, hash=head.hash, mac=mac)
    _append(_folder() / f"anchors-{now.astimezone(UTC):%Y-%m}.jsonl", anchor)
    return anchor


def read_anchors() -> list[Anchor]:
    """All anchors, oldest first. A line that is none is returned as one whose mac fails, so that a check names it."""
    return [
        _parse(line) for file in _files() for line in file.read_text("utf-8", "replace").splitlines() if line.strip()
    ]


def _append(path: Path, anchor: Anchor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = json.dumps({"ts": anchor.ts, "seq": anchor.seq, "hash": anchor.hash, "mac": anchor.mac}) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, line.encode())  # one write: lines of two writers never mix
        os.fsync(handle)
    finally:
        os.close(handle)


def _last() -> Anchor | None:
    files = _files()
    if not files:
        return None
    lines = [line for line in files[-1].read_text("utf-8", "replace").splitlines() if line.strip()]
    return _parse(lines[-1]) if lines else None


def _files() -> list[Path]:
    return sorted(_folder().glob("anchors-*.jsonl"))


def _folder() -> Path:
    return Path(settings.ANCHOR_DIR)


def _parse(line: str) -> Anchor:
    try:
        found = json.loads(line)
        seq = found["seq"]
        if isinstance(seq, int) and 0 < seq <= MAX_SEQ:
            return Anchor(ts=str(found["ts"]), seq=seq, hash=str(found["hash"]), mac=str(found["mac"]))
    except (ValueError, KeyError, TypeError):
        pass
    return Anchor(ts=line[:40], seq=0, hash="", mac="")
