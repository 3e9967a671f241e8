"""The chain in memory and in the database, each with an anchor folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sigmatrader.audit import canonical
from sigmatrader.audit.chain_check import Head, Row
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.recording import recording
from sigmatrader.audit.seals import GENESIS, head_seal, link_hash
from sigmatrader.audit.vocabulary import TraceOutcome

KEY = b"the key of the chain in memory"


@pytest.fixture(autouse=True)
def anchor_dir(tmp_path: Path, settings: Any) -> Path:
    settings.ANCHOR_DIR = tmp_path / "anchors"
    return tmp_path / "anchors"


def chain_of(count: int, *, start: datetime) -> list[Row]:
    """``count`` sound rows of traces with three events each."""
    rows: list[Row] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        ts = start + timedelta(seconds=seq)
        data = canonical.dumps({"n": seq, "price": "1500.05", "note": "größer ₹"})
        cid = f"01KAQ5Y3M7Q2V9ZB1T4C8N{seq // 3:04d}"
        type_ = ("trace.opened", "risk.decided", "trace.closed")[seq % 3]
        hash_ = link_hash(KEY, seq, cid, ts, type_, data, previous)
        rows.append((seq, cid, ts, type_, data, previous, hash_))
        previous = hash_
    return rows


def head_of(rows: list[Row]) -> Head:
    seq, hash_ = rows[-1][0], rows[-1][6]
    return Head(seq, hash_, head_seal(KEY, seq=seq, hash_=hash_))


@pytest.fixture
def make_trace(db: None, now: datetime) -> Callable[..., str]:
    """A stored trace of three events: ``make_trace(owner=..., message=..., outcome=None)``."""

    def make(
        *,
        owner: str = "",
        message: str = "buy 10 INFY",
        outcome: TraceOutcome | None = TraceOutcome.FILLED,
        at: datetime = now,
        symbol: str = "NSE:INFY",
        data: dict[str, object] | None = None,
        **facts: str,
    ) -> str:
        cid = new_correlation_id()
        with recording(at) as record:
            record.open(
                cid, kind="message", actor="asha", origin="ticket", owner=owner, message=message, account="7", **facts
            )
            record.event(cid, "plan.made", data or {"quantity": 10})
            record.link(cid, "symbol", symbol)
            if outcome:
                record.close(cid, outcome, "Bought 10 INFY.")
        return cid

    return make
