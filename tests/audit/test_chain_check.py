from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmatrader.audit.chain_check import Anchor, Bad, Head, Row, Segment, check, check_each, check_stretch
from sigmatrader.audit.seals import GENESIS, anchor_mac, head_seal, link_hash, segment_seal
from tests.audit.conftest import KEY, chain_of, head_of

START = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
ROWS = chain_of(40, start=START)
HEAD = head_of(ROWS)


def anchor_at(seq: int, rows: list[Row] = ROWS) -> Anchor:
    ts, hash_ = f"2026-11-23T05:00:{seq:02d}+00:00", rows[seq - 1][6]
    return Anchor(ts, seq, hash_, anchor_mac(KEY, ts=ts, seq=seq, hash_=hash_))


def recomputed(rows: list[Row], key: bytes, *, since: int = 1) -> list[Row]:
    """The rows with hashes made anew under ``key`` from number ``since`` on."""
    made = [row for row in rows if row[0] < since]
    previous = made[-1][6] if made else GENESIS
    for row in rows[len(made) :]:
        hash_ = link_hash(key, *row[:5], previous)
        made.append((*row[:5], previous, hash_))
        previous = hash_
    return made


def bad_of(rows: list[Row], *, head: Head | None = HEAD, anchors: tuple[Anchor, ...] = ()) -> int | None:
    report = check(rows, key=KEY, head=head, anchors=anchors)
    return report.first_bad.seq if report.first_bad else None


def test_a_whole_chain_is_ok() -> None:
    report = check(ROWS, key=KEY, head=HEAD, anchors=[anchor_at(10), anchor_at(40)])
    assert (report.ok, report.events, report.from_seq, report.to_seq, report.anchors_checked) == (True, 40, 1, 40, 2)


def test_an_empty_chain_is_ok() -> None:
    assert check([], key=KEY, head=Head(0, GENESIS, "")).ok
    assert check([], key=KEY, head=None).ok


def test_an_anchor_without_a_chain_is_a_cut() -> None:
    report = check([], key=KEY, head=Head(0, GENESIS, ""), anchors=[anchor_at(10)])
    assert report.first_bad == Bad(1, "it is missing: an anchor outside the database saw the chain reach 10")


EDITS: dict[int, Callable[[Row], object]] = {
    1: lambda row: row[1][:-1] + "X",
    2: lambda row: row[2] + timedelta(microseconds=1),
    3: lambda row: row[3] + ".",
    4: lambda row: row[4].replace("1500.05", "1500.06"),
    5: lambda row: "f" * 64,
    6: lambda row: "f" * 64,
}


@pytest.mark.parametrize("column", EDITS)
@pytest.mark.parametrize("seq", [1, 20, 40])
def test_an_edit_of_any_column_names_its_row(column: int, seq: int) -> None:
    row = list(ROWS[seq - 1])
    row[column] = EDITS[column](ROWS[seq - 1])
    rows = [*ROWS[: seq - 1], tuple(row), *ROWS[seq:]]
    assert bad_of(rows) == seq


@pytest.mark.parametrize("seq", [1, 20, 39])
def test_a_deleted_row_is_named_by_its_number(seq: int) -> None:
    assert bad_of([row for row in ROWS if row[0] != seq]) == seq


def test_an_inserted_row_is_named() -> None:
    extra = (21, *ROWS[0][1:])
    assert bad_of([*ROWS[:20], extra, *ROWS[20:]]) == 21
    behind = (41, *ROWS[0][1:5], ROWS[-1][6], "a" * 64)
    assert bad_of([*ROWS, behind]) == 41


def test_a_sound_row_behind_the_head_is_named() -> None:
    assert bad_of(chain_of(41, start=START)) == 41


def test_swapped_contents_are_named_at_the_first() -> None:
    rows = list(ROWS)
    rows[9], rows[19] = (10, *ROWS[19][1:]), (20, *ROWS[9][1:])
    assert bad_of(rows) == 10


def test_a_cut_tail_is_named_after_the_last_row() -> None:
    assert bad_of(ROWS[:30]) == 31


def test_a_cut_tail_with_the_head_put_back_is_found_by_an_anchor_only() -> None:
    cut, head = ROWS[:30], head_of(ROWS[:30])
    assert bad_of(cut, head=head) is None
    assert bad_of(cut, head=head, anchors=(anchor_at(20), anchor_at(35))) == 31


def test_a_cut_that_was_written_over_is_found_by_an_anchor() -> None:
    other = ROWS[:30] + [(*row[:4], "{}", *row[5:]) for row in ROWS[30:]]
    rows = recomputed(other, KEY, since=31)
    assert bad_of(rows, head=head_of(rows)) is None
    assert bad_of(rows, head=head_of(rows), anchors=(anchor_at(20), anchor_at(35))) == 35


@pytest.mark.parametrize("since", [1, 17])
def test_a_recompute_without_the_key_is_named_where_it_begins(since: int) -> None:
    rows = recomputed(ROWS, b"another key", since=since)
    seal = head_seal(b"another key", seq=40, hash_=rows[-1][6])
    assert bad_of(rows, head=Head(40, rows[-1][6], seal)) == since


@pytest.mark.parametrize(
    ("head", "seq"),
    [
        (replace(HEAD, seal="0" * 64), 40),
        (replace(HEAD, seal=""), 40),
        (replace(HEAD, seal="é"), 40),
        (replace(HEAD, hash="0" * 64), 40),
        (replace(HEAD, seq=30), 30),
        (replace(HEAD, seq=50), 41),
        (None, 41),
    ],
)
def test_a_forged_head_is_found(head: Head | None, seq: int) -> None:
    assert bad_of(ROWS, head=head) == seq


def test_an_older_head_that_was_ours_leaves_rows_behind_it() -> None:
    assert bad_of(ROWS, head=head_of(ROWS[:30])) == 31


@pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"seq": 12}, {"ts": "2026-01-01"}, {"mac": "0" * 64}])
def test_a_forged_anchor_is_found(change: dict[str, object]) -> None:
    forged = replace(anchor_at(10), **change)  # type: ignore[arg-type]
    report = check(ROWS, key=KEY, head=HEAD, anchors=[anchor_at(5), forged])
    assert report.first_bad is not None
    assert report.first_bad.seq == forged.seq


def sealed(first: int, last: int, *, pruned: bool = True) -> Segment:
    parts = {"from_seq": first, "to_seq": last, "first_prev_hash": ROWS[first - 1][5], "last_hash": ROWS[last - 1][6]}
    seal = segment_seal(KEY, **parts, digest="d", pruned=pruned)  # type: ignore[arg-type]
    return Segment(**parts, digest="d", is_pruned=pruned, seal=seal)  # type: ignore[arg-type]


def test_sealed_runs_carry_the_chain_over_their_gaps() -> None:
    rows = [row for row in ROWS if 11 <= row[0] <= 20 or row[0] > 30]
    segments = [sealed(1, 10), sealed(21, 30)]
    report = check(rows, key=KEY, head=HEAD, segments=segments, anchors=[anchor_at(10), anchor_at(25), anchor_at(35)])
    assert (report.ok, report.events, report.anchors_checked) == (True, 20, 2)


def test_a_gap_without_its_own_seal_is_a_deletion() -> None:
    rows = [row for row in ROWS if row[0] > 20]
    assert bad_of(rows) == 1
    assert check(rows, key=KEY, head=HEAD, segments=[sealed(1, 10)]).first_bad == Bad(
        11, "it is missing: the next event there is has number 21"
    )


@pytest.mark.parametrize(
    "change", [{"to_seq": 21}, {"last_hash": "0" * 64}, {"digest": "e"}, {"first_prev_hash": "1" * 64}]
)
def test_a_forged_seal_is_found(change: dict[str, object]) -> None:
    segment = replace(sealed(11, 20), **change)  # type: ignore[arg-type]
    rows = [row for row in ROWS if not 11 <= row[0] <= 20]
    bad = check(rows, key=KEY, head=HEAD, segments=[segment]).first_bad
    assert bad is not None
    assert bad.seq == 11


def test_a_seal_that_was_not_for_removal_does_not_excuse_a_gap() -> None:
    segment = replace(sealed(11, 20, pruned=False), is_pruned=True)
    rows = [row for row in ROWS if not 11 <= row[0] <= 20]
    assert not check(rows, key=KEY, head=HEAD, segments=[segment]).ok


def test_a_part_can_be_checked_alone() -> None:
    part = check(ROWS[9:20], key=KEY, head=HEAD, from_seq=10, to_seq=20)
    assert (part.ok, part.events, part.from_seq, part.to_seq) == (True, 11, 10, 20)
    assert check(ROWS[9:18], key=KEY, head=HEAD, from_seq=10, to_seq=20).first_bad is not None


def test_a_stretch_wants_all_its_rows() -> None:
    assert check_stretch(ROWS[4:9], key=KEY, segments=(), from_seq=5, to_seq=9) is None
    assert check_stretch(ROWS[4:8], key=KEY, segments=(), from_seq=5, to_seq=9) == Bad(9, "it is missing")


def test_single_rows_are_held_to_their_own_hash() -> None:
    assert check_each([ROWS[3], ROWS[30]], key=KEY) is None
    edited = (*ROWS[30][:4], "{}", *ROWS[30][5:])
    bad = check_each([ROWS[3], edited], key=KEY)
    assert bad is not None
    assert bad.seq == 31


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 39), st.integers(1, 6), st.data())
def test_any_edit_of_any_text_is_found(index: int, column: int, data: st.DataObject) -> None:
    row = list(ROWS[index])
    if column == 2:
        row[2] = row[2] + timedelta(microseconds=data.draw(st.integers(1, 10**9)))
    else:
        row[column] = data.draw(st.text(max_size=80).filter(lambda text: text != row[column]))
    assert bad_of([*ROWS[:index], tuple(row), *ROWS[index + 1 :]]) == index + 1


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(12)))
def test_any_other_order_of_contents_is_found(order: list[int]) -> None:
    rows = [(seq + 1, *ROWS[place][1:]) for seq, place in enumerate(order)] + ROWS[12:]
    moved = [seq + 1 for seq, place in enumerate(order) if seq != place]
    assert bad_of(rows) == (moved[0] if moved else None)
