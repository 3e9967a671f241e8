# ruff: noqa: E501
"""Ten thousand random mutations of a chain, each of which verification must find, at the row it should.

They are made on rows in memory and judged by the same function that reads the database.

python -m benchmarks.chain_mutations [MUTATIONS] [EVENTS] [SEED]
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")

from sigmatrader.audit.chain_check import Anchor, Head, Row, check
from sigmatrader.audit.seals import GENESIS, anchor_mac, head_seal, link_hash

KEY = b"benchmark key"
START = datetime(2026, 1, 5, 4, 0, tzinfo=UTC)
Mutated = tuple[list[Row], Head | None, int]
"""rows, head, the number at which it must be found (or, for a cut under an old head, at which it may be at the latest)"""


def chain(count: int) -> list[Row]:
    """A sound chain of ``count`` events."""
    rows: list[Row] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        facts = (seq, f"01KAQ5Y3M7Q2V9ZB{seq // 4:010d}", START + timedelta(seconds=seq), "status.change")
        data = f'{{"filled":{seq % 75},"order":"{seq:019d}"}}'
        hash_ = link_hash(KEY, *facts, data, previous)
        rows.append((*facts, data, previous, hash_))
        previous = hash_
    return rows


def head_of(rows: list[Row], key: bytes = KEY) -> Head:
    """The head of these rows, sealed with ``key``."""
    seq, hash_ = rows[-1][0], rows[-1][6]
    return Head(seq, hash_, head_seal(key, seq=seq, hash_=hash_))


def edit(rows: list[Row], dice: random.Random) -> Mutated:
    """One column of one row."""
    place, column = dice.randrange(len(rows)), dice.randrange(1, 7)
    row = list(rows[place])
    value = row[column]
    if isinstance(value, datetime):
        row[column] = value + timedelta(microseconds=dice.choice([-1, 1]) * dice.randint(1, 10**9))
    else:
        text = str(value)
        at = dice.randrange(len(text))
        row[column] = text[:at] + chr(ord(text[at]) ^ (1 << dice.randrange(3))) + text[at + 1 :]
    return [*rows[:place], tuple(row), *rows[place + 1 :]], head_of(rows), place + 1  # type: ignore[list-item]


def delete(rows: list[Row], dice: random.Random) -> Mutated:
    """One to five rows in the middle."""
    place, count = dice.randrange(len(rows) - 6), dice.randint(1, 5)
    return rows[:place] + rows[place + count :], head_of(rows), place + 1


def insert(rows: list[Row], dice: random.Random) -> Mutated:
    """A row of somebody else's making, those behind it moved on by one."""
    place = dice.randrange(1, len(rows))
    before = rows[place - 1]
    made = (place + 1, *before[1:5], before[6], f"{dice.getrandbits(256):064x}")
    return [*rows[:place], made, *((r[0] + 1, *r[1:]) for r in rows[place:])], head_of(rows), place + 1


def swap(rows: list[Row], dice: random.Random) -> Mutated:
    """The contents of two rows exchanged."""
    first, second = sorted(dice.sample(range(len(rows)), 2))
    mixed = list(rows)
    mixed[first], mixed[second] = (first + 1, *rows[second][1:]), (second + 1, *rows[first][1:])
    return mixed, head_of(rows), first + 1


def cut(rows: list[Row], dice: random.Random) -> Mutated:
    """The tail gone, the head as it was."""
    kept = dice.randrange(len(rows))
    return rows[:kept], head_of(rows), kept + 1


def cut_and_put_back(rows: list[Row], dice: random.Random) -> Mutated:
    """The tail gone and the head of that earlier time put back: only the anchor knows."""
    kept = dice.randrange(1, len(rows))
    return rows[:kept], head_of(rows[:kept]), kept + 1


def recompute(rows: list[Row], dice: random.Random) -> Mutated:
    """Everything from one row on rewritten and sealed, but not with our key."""
    since, key = dice.randrange(len(rows)), dice.randbytes(32)
    made, previous = rows[:since], rows[since][5]
    for row in rows[since:]:
        hash_ = link_hash(key, *row[:4], row[4].replace("filled", "FILLED"), previous)
        made.append((*row[:4], row[4].replace("filled", "FILLED"), previous, hash_))
        previous = hash_
    return made, head_of(made, key), since + 1


def forge_head(rows: list[Row], dice: random.Random) -> Mutated:
    """The head's number, hash or seal."""
    true, forged = head_of(rows), f"{dice.getrandbits(256):064x}"
    seq = dice.choice([n for n in range(1, len(rows) + 20) if n != true.seq])
    head = dice.choice([Head(seq, true.hash, true.seal), Head(true.seq, forged, true.seal),
                        Head(true.seq, true.hash, forged)])  # fmt: skip
    return rows, head, min(head.seq, len(rows) + 1)


KINDS: tuple[Callable[[list[Row], random.Random], Mutated], ...] = (
    edit, delete, insert, swap, cut, cut_and_put_back, recompute, forge_head,
)  # fmt: skip


def main(mutations: int = 10_000, events: int = 400, seed: int = 1) -> dict[str, object]:
    """Makes the mutations and counts those found, found at the right row, and missed, by kind."""
    dice, rows, started = random.Random(seed), chain(events), time.perf_counter()
    last = rows[-1]
    mac = anchor_mac(KEY, ts="2026-01-05T05:00:00+00:00", seq=last[0], hash_=last[6])
    anchors = [Anchor("2026-01-05T05:00:00+00:00", last[0], last[6], mac)]
    sound = check(rows, key=KEY, head=head_of(rows), anchors=anchors).ok
    found: Counter[str] = Counter()
    misplaced: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for _ in range(mutations):
        kind = dice.choice(KINDS)
        mutated, head, seq = kind(rows, dice)
        bad = check(mutated, key=KEY, head=head, anchors=anchors).first_bad
        (missed if bad is None else found if bad.seq == seq else misplaced)[kind.__name__] += 1
    return {
        "benchmark": "chain_mutations", "mutations": mutations, "events": events, "seed": seed,
        "found": sum(found.values()), "found_elsewhere": dict(misplaced), "missed": dict(missed),
        "by_kind": dict(found), "seconds": round(time.perf_counter() - started, 1),
        "met": sound and not missed and not misplaced,
    }  # fmt: skip


if __name__ == "__main__":
    figures = main(*[int(text) for text in sys.argv[1:4]])
    print(json.dumps(figures))
    sys.exit(0 if figures["met"] else 1)
