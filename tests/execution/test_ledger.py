"""The expected ledger: a fold of signed entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.ledger import (
    BooksIncomplete,
    Entry,
    EntryKind,
    LedgerPosition,
    adjustment_entries,
    fill_entry,
    fold,
    opening_entries,
)
from tests.execution.values import INFY, INFY_BSE, D, books, holding, position, trade

INSTRUMENTS = {INFY.symbol: INFY, INFY_BSE.symbol: INFY_BSE}
KEY = ("NSE:INFY", "CNC")


def entry(quantity, price="1500", **fields):
    return Entry(EntryKind.FILL, "NSE:INFY", "CNC", quantity, D(price) if price else None, **fields)


@pytest.mark.parametrize(
    ("entries", "quantity", "average"),
    [
        ([entry(10)], 10, D("1500")),
        ([entry(10), entry(10, "1600")], 20, D("1550")),
        ([entry(10), entry(-4, "1600")], 6, D("1500")),
        ([entry(10), entry(-10, "1600")], 0, None),
        ([entry(10), entry(-30, "1600")], -20, D("1600")),
        ([entry(10, None), entry(10)], 20, None),
        ([entry(10), entry(10, trade_id="t"), entry(10, trade_id="t")], 20, D("1500")),
    ],
)
def test_folding(entries, quantity, average):
    assert fold(entries) == {KEY: LedgerPosition(*KEY, quantity, average)}


def test_products_are_apart():
    entries = [entry(10), Entry(EntryKind.FILL, "NSE:INFY", "MIS", -5, D("1500"))]
    assert {key: row.quantity for key, row in fold(entries).items()} == {KEY: 10, ("NSE:INFY", "MIS"): -5}


def test_the_opening_combines_holdings_and_todays_positions():
    rows = books(
        holdings=(holding(100, t1_quantity=5, used_quantity=30),),
        positions_net=(position(-30, product="CNC"), position(-7), position(0, symbol="NSE:TCS")),
    )
    opened = fold(opening_entries(rows, instruments=INSTRUMENTS))
    assert {key: row.quantity for key, row in opened.items()} == {KEY: 75, ("NSE:INFY", "MIS"): -7}


def test_two_rows_of_one_isin_open_as_one():
    rows = books(holdings=(holding(10), holding(5, symbol="BSE:INFY")))
    assert [(e.symbol, e.quantity) for e in opening_entries(rows, instruments=INSTRUMENTS)] == [("NSE:INFY", 15)]


@pytest.mark.parametrize("missing", [{"holdings": None}, {"positions_net": None}])
def test_books_that_were_not_read_are_not_taken_over(missing):
    with pytest.raises(BooksIncomplete):
        opening_entries(books(**missing), instruments={})


def test_a_fill_is_signed():
    assert fill_entry(trade(side="SELL")).quantity == -10
    assert fill_entry(trade()) == Entry(EntryKind.FILL, "NSE:INFY", "CNC", 10, D("1500"), trade_id="t1")
    with pytest.raises(ValueError, match="SHORT"):
        fill_entry(trade(side="SHORT"))


@pytest.mark.parametrize(
    ("expected", "actual", "changes"), [(10, 12, [2]), (10, 0, [-10]), (10, -5, [-10, -5]), (0, 4, [4]), (3, 3, [])]
)
def test_accepting_a_difference(expected, actual, changes):
    entries = adjustment_entries(LedgerPosition(*KEY, expected), actual=actual, note="n")
    assert [e.quantity for e in entries] == changes


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_accepted_differences_lead_to_the_brokers_quantity(expected, actual):
    entries = adjustment_entries(LedgerPosition(*KEY, expected), actual=actual, note="n")
    assert fold([entry(expected), *entries])[KEY].quantity == actual


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 9)), max_size=12))
def test_the_quantity_is_the_sum_and_the_average_lies_within_the_prices(fills):
    rows = fold([entry(quantity, str(price), trade_id=str(n)) for n, (quantity, price) in enumerate(fills)])
    total = sum(quantity for quantity, _ in fills)
    assert (rows[KEY].quantity if rows else 0) == total
    average = rows[KEY].average_price if rows else None
    assert (average is None) == (total == 0)
    if average is not None:
        assert min(p for _, p in fills) <= average <= max(p for _, p in fills)
