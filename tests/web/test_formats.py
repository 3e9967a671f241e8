"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmatrader.pages import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("182450", "₹1,82,450.00"), ("-1380", "−₹1,380.00"), ("999.999", "₹1,000.00"),
        ("12345678.5", "₹1,23,45,678.50"),
        ("0", "₹0.00"), (None, ""), ("not a number", ""), ("NaN", ""),
    ],
)  # fmt: skip
def test_rupees_are_grouped_as_in_india_with_the_sign_before_the_rupee(value: str | None, text: str) -> None:
    assert formats.rupees(value) == text


def test_gains_and_losses_bear_their_sign_and_zero_bears_none() -> None:
    assert [formats.signed(v) for v in ("33372", "-6360", "0")] == ["+33,372.00", "−6,360.00", "0.00"]
    assert [formats.tone(v) for v in ("1", "-1", "0", None)] == ["st-up", "st-down", "", ""]


def test_a_price_keeps_four_decimals_only_when_it_needs_them() -> None:
    assert [formats.price(v) for v in ("1003.4", "104.0025")] == ["1,003.40", "104.0025"]


def test_what_a_binary_fraction_leaves_behind_is_never_shown() -> None:
    assert formats.price("99725.05000000002") == "99,725.05"
    assert formats.rupees("99725.05000000002") == "₹99,725.05"
    assert formats.amount("1478.5333") == "1,478.53"


@given(st.integers(min_value=0, max_value=10**15))
def test_grouping_changes_no_digit(number: int) -> None:
    text = formats.quantity(number)
    assert int(text.replace(",", "")) == number
    head, *groups = text.split(",")
    assert 1 <= len(head) <= (3 if not groups else 2)
    assert [len(g) for g in groups] == ([2] * (len(groups) - 1) + [3] if groups else [])


def test_times_are_shown_in_mumbai() -> None:
    moment = datetime(2026, 11, 23, 5, 12, 5, 6000, tzinfo=UTC)
    assert (formats.clock(moment), formats.clock(moment, millis=True), formats.day(moment)) == (
        "10:42:05",
        "10:42:05.006",
        "Mon 23 Nov 2026",
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(13, "13 s ago"), (75, "1 m ago"), (7300, "2 h ago"), (200000, "2 d ago"), (-3, "0 s ago")]
)
def test_ages_in_words(seconds: float, text: str) -> None:
    assert formats.relative(seconds) == text


@pytest.mark.parametrize(("ms", "text"), [(25, "25 ms"), (1400, "1.4 s"), (Decimal(1415000), "23 m 35 s"), (None, "")])
def test_durations_in_words(ms: Decimal | int | None, text: str) -> None:
    assert formats.duration(ms) == text
