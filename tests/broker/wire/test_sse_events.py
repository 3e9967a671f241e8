"""Events out of bytes: however the bytes are cut, the same events come out."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.adapters.sse_events import HEAD, Event, EventReader


def read(*chunks: bytes, limit: int = 1000) -> list[Event]:
    reader = EventReader(limit)
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"event: endpoint\ndata: /message?sessionId=1\r\n\r\n", [Event("endpoint", b"/message?sessionId=1")]),
        (b"event: message\ndata: {}\n\n", [Event("message", b"{}")]),
        (b"event: message\ndata:{}\n\n", [Event("message", b"{}")]),
        (b"data: {}\n\n", [Event("message", b"{}")]),
        (b"data: a\ndata: b\n\n", [Event("message", b"a\nb")]),
        (b"data: a\r\rdata: b\r\n\r\n", [Event("message", b"a"), Event("message", b"b")]),
        (b"data:  two\n\n", [Event("message", b" two")]),
        (b": a comment\n\n", []),
        (b"event: message\n\n", []),
        (b"id: 7\nretry: 10\ndata: x\n\n", [Event("message", b"x")]),
        (b"event: other\ndata: x\n\ndata: y\n\n", [Event("other", b"x"), Event("message", b"y")]),
        (b"data\n\n", [Event("message", b"")]),
        (b"data: not ended\n", []),
        ("data: \u20b9\u2028x\n\n".encode(), [Event("message", "\u20b9\u2028x".encode())]),
    ],
)  # fmt: skip
def test_what_is_said(stream: bytes, events: list[Event]) -> None:
    assert read(stream) == events
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == events


@given(
    st.lists(st.tuples(st.sampled_from(["message", "endpoint"]), st.binary(max_size=30)), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_where_the_bytes_are_cut_makes_no_difference(
    said: list[tuple[str, bytes]], end: bytes, cuts: list[int]
) -> None:
    clean = [(name, data.replace(b"\r", b"").replace(b"\n", b"")) for name, data in said]
    stream = b"".join(b"event: %s%sdata: %s%s%s" % (name.encode(), end, data, end, end) for name, data in clean)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert read(*chunks) == [Event(name, data) for name, data in clean]


def test_what_is_too_large_keeps_its_head_only_and_the_next_is_whole() -> None:
    line = b"data: " + b'{"id":5,' + b"x" * 5000 + b"\n\n"
    for chunks in ([line + b"data: y\n\n"], [line[:700], line[700:2000], line[2000:], b"data: y\n\n"]):
        large, after = read(*chunks)
        assert (large.cut, len(large.data) <= HEAD, large.data[:8]) == (True, True, b'{"id":5,')
        assert after == Event("message", b"y")


def test_many_lines_that_are_too_large_together_are_cut_too() -> None:
    (large,) = read(*[b"data: " + b"z" * 90 + b"\n"] * 50, b"\n")
    assert (large.cut, len(large.data) <= HEAD) == (True, True)


def test_an_endless_line_takes_no_memory() -> None:
    reader, chunk = EventReader(100_000), b"data: " + b"x" * 65_000
    tracemalloc.start()
    for _ in range(300):
        assert list(reader.feed(chunk)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
