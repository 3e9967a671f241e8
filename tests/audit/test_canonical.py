from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmatrader.audit import canonical
from sigmatrader.audit.ids import is_correlation_id, new_correlation_id


class Side(StrEnum):
    BUY = "BUY"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10.500", "10.5"),
        ("1500", "1500"),
        ("1500.00", "1500"),
        ("-0.0", "0"),
        ("1E+3", "1000"),
        ("0.00001", "0.00001"),
        ("12345678901234567890123456789.5", "12345678901234567890123456789.5"),
    ],
)
def test_a_decimal_is_its_plain_text(value: str, text: str) -> None:
    assert canonical.decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e101", "1e-101", "1e999999"])
def test_a_decimal_without_a_sane_plain_text_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="no canonical form"):
        canonical.decimal_text(Decimal(value))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=10))
def test_decimal_text_keeps_the_value(value: Decimal) -> None:
    text = canonical.decimal_text(value)
    assert Decimal(text) == value
    assert "E" not in text


def test_keys_are_sorted_and_times_are_utc() -> None:
    ist = timezone(timedelta(hours=5, minutes=30))
    document = {"b": Side.BUY, "a": datetime(2026, 11, 23, 10, 30, tzinfo=ist), "c": (1, None, True)}
    assert canonical.dumps(document) == '{"a":"2026-11-23T05:00:00.000000Z","b":"BUY","c":[1,null,true]}'


@pytest.mark.parametrize("value", [1.5, {1.5: 1}, {1, 2}, b"x", datetime(2026, 1, 1)])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical.dumps({"x": value} if not isinstance(value, dict) else value)


def test_half_a_surrogate_pair_becomes_storable() -> None:
    text = canonical.dumps({"name": "x\ud800y ₹"})
    assert text == '{"name":"x\\ud800y ₹"}'
    assert text.encode() == text.encode("utf-8")


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_equal_documents_have_equal_hashes(document: dict[str, object]) -> None:
    shuffled = dict(reversed(list(document.items())))
    assert canonical.digest(document) == canonical.digest(shuffled)


def test_a_new_id_is_one_and_ids_do_not_repeat() -> None:
    ids = {new_correlation_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(text) == 26 and is_correlation_id(text) for text in ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE", True),
        ("7b0d4b3e-6f0b-4f57-9a3a-0a4c7d3c2b1a", True),
        ("81KAQ5Y3M7Q2V9ZB1T4C8N6XWE", False),
        ("01KAQ5Y3M7Q2V9ZB1T4C8N6XWU", False),
        ("{7b0d4b3e-6f0b-4f57-9a3a-0a4c7d3c2b1a}", False),
        ("7b0d4b3e6f0b4f579a3a0a4c7d3c2b1a", False),
        ("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE\n", False),
        ("", False),
    ],
)
def test_what_a_caller_may_bring(text: str, expected: bool) -> None:
    assert is_correlation_id(text) is expected
