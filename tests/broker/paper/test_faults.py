"""Faults as they are named, counted and applied to an answer."""

from __future__ import annotations

import json

import pytest

from broker.paper.config import UnknownOrder
from broker.paper.faults import HUGE, Fault, FaultBook, FaultKind, FaultProblem, Hidden, bloated, doubled, parse_fault
from broker.paper.pages import TOOL_NAMES
from tests.broker.paper.helpers import AT, later


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("place:placed_then_error", Fault("place_order", FaultKind.PLACED_THEN_ERROR, 1, 0)),
        ("get_orders:huge:3", Fault("get_orders", FaultKind.HUGE, 3, 0)),
        ("any:slow:0:1.5", Fault("any", FaultKind.SLOW, 0, 1.5)),
        ("place:delayed_visibility", Fault("place_order", FaultKind.DELAYED_VISIBILITY, 1, 30)),
        ("place_order:delayed_visibility:2:180", Fault("place_order", FaultKind.DELAYED_VISIBILITY, 2, 180)),
        ("now:restart", Fault("now", FaultKind.RESTART, 1, 0)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text, TOOL_NAMES) == fault


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("place", r"'place' is not TOOL:KIND\[:COUNT\[:SECONDS\]\]"),
        ("place:explode", "'explode' is no kind of fault; there are: placed_then_error, placed_then_cut, never_answ"),
        ("sell:cut", "'sell' is no tool; there are: place, modify, cancel, any, now, cancel_order,"),
        ("now:huge", "now takes one of: cut, restart, token_death"),
        ("get_orders:delayed_visibility", "delayed_visibility is for place alone"),
        ("place:cut:-1", "COUNT must be from 0 to 1e"),
        ("place:cut:1.5", "COUNT must be a number, not '1.5'"),
        ("place:cut:1:3", "cut takes no SECONDS; only delayed_visibility, slow do"),
        ("place:delayed_visibility:1:181", "SECONDS must be from 0 to 180"),
        ("place:delayed_visibility:1:nan", "SECONDS must be from 0 to 180"),
    ],
)
def test_what_is_no_fault_names_what_is(text: str, why: str) -> None:
    with pytest.raises(FaultProblem, match=why):
        parse_fault(text, TOOL_NAMES)


def test_faults_are_taken_in_order_and_counted() -> None:
    book = FaultBook()
    for text in ("place:cut:2", "any:html", "get_orders:huge:0"):
        book.add(parse_fault(text, TOOL_NAMES))
    kinds = [book.take(tool) for tool in ("place_order", "get_orders", "place_order", "place_order")]
    assert [fault and fault.kind.value for fault in kinds] == ["cut", "html", "cut", None]
    assert {book.take("get_orders") for _ in range(3)} == {Fault("get_orders", FaultKind.HUGE, 0, 0)}
    book.clear()
    assert book.take("get_orders") is None


def test_a_hidden_order_shows_in_its_time() -> None:
    hidden = Hidden()
    rows: list[object] = [{"order_id": "1"}, {"order_id": "2"}]
    assert hidden.shown(rows, AT) is rows
    hidden.hide_placed('{"order_id":"2"}', AT, 30)
    assert hidden.shown(rows, later(29.9)) == [{"order_id": "1"}]
    with pytest.raises(UnknownOrder):
        hidden.check("2", later(29.9))
    hidden.check("2", later(30))
    assert hidden.shown(rows, later(30)) == rows


def test_rows_are_doubled_wherever_they_are() -> None:
    assert doubled('[{"a":1.10},{"a":2}]') == '[{"a":1.1},{"a":1.1},{"a":2},{"a":2}]'
    assert json.loads(doubled('{"data":[1],"pagination":{}}')) == {"data": [1, 1], "pagination": {}}
    assert doubled('{"a":1}') == '{"a":1}'
    assert doubled("Failed") == "Failed"


def test_a_bloated_answer_is_the_same_json() -> None:
    text = bloated('{"a":1}')
    assert len(text) > HUGE
    assert json.loads(text) == {"a": 1}
