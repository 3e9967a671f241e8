"""Tags: Kite's alphabet and length, one per intent, nothing readable."""

from __future__ import annotations

import re
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.tags import is_ours, our_tag_of, tag_for
from tests.execution.values import broker_order

KEY = b"k" * 32
SPACE = UUID(int=7)


@given(st.uuids(), st.binary(min_size=1, max_size=64))
def test_a_tag_fits_kite_and_is_recognised(intent_id, key):
    tag = tag_for(intent_id, key)
    assert re.fullmatch(r"ST[0-9A-Z]{18}", tag)
    assert is_ours(tag)
    assert tag == tag_for(intent_id, key)


def test_many_ids_have_as_many_tags():
    assert len({tag_for(uuid5(SPACE, str(n)), KEY) for n in range(20_000)}) == 20_000


def test_another_key_gives_another_tag():
    assert tag_for(SPACE, KEY) != tag_for(SPACE, b"other")


def test_a_known_value_stays():
    assert tag_for(UUID(int=1), b"key") == "STGQAV2079DX3GX21Z95"


def test_no_key_is_refused():
    with pytest.raises(ValueError, match="key"):
        tag_for(SPACE, b"")


@pytest.mark.parametrize(
    "tag", ["", "ST", "st" + "0" * 18, "ST" + "0" * 17, "ST" + "0" * 19, "ST" + "O" * 18, "XX" + "0" * 18]
)
def test_other_forms_are_not_ours(tag):
    assert not is_ours(tag)


def test_our_tag_is_found_in_tag_and_in_tags():
    tag = tag_for(SPACE, KEY)
    assert our_tag_of(broker_order(tag=tag)) == tag
    assert our_tag_of(broker_order(tag="mine", tags=("x", tag))) == tag
    assert our_tag_of(broker_order(tag="mine")) == ""
