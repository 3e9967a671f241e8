"""What is missing, doubtful or conflicting is asked, with the field it is about (reading rules 1-4, 10)."""

from __future__ import annotations

import pytest

from ai.interpreter import interpret
from ai.language.lexicon import EXAMPLES
from tests.ai.books import CONTEXT

ASKED: list[tuple[str, str]] = [
    # quantity
    ("buy infy", "quantity"),
    ("sell my infy", "quantity"),
    ("liquidate infy", "quantity"),
    ("buy some infy", "quantity"),
    ("buy a few infy", "quantity"),
    ("buy a bit of infy", "quantity"),
    ("thoda infy kharido", "quantity"),
    ("buy infy 1500", "quantity"),  # the price, or as many shares
    ("buy 10 infy and tcs", "quantity"),
    ("sell 10 infy and tcs", "quantity"),
    ("buy 2k wipro", "quantity"),
    ("buy 1L wipro", "quantity"),
    ("buy 10-15 infy", "quantity"),
    ("buy -5 infy", "quantity"),
    ("buy 0 infy", "quantity"),
    ("buy 10.5 infy", "quantity"),
    ("buy 1,50 infy", "quantity"),
    ("buy 10,20 infy", "quantity"),
    ("buy 1.2.3 infy", "quantity"),
    ("buy 99999999999999999999 infy", "quantity"),
    ("buy half infy", "quantity"),
    ("buy all infy", "quantity"),
    ("buy 50% infy", "quantity"),
    ("sell 100 infy", "quantity"),
    ("sell 150% of tcs", "quantity"),
    ("sell 10% of tcs", "quantity"),  # less than one share
    ("sell 5 lakh worth of tcs", "quantity"),
    ("exit 500 sbin", "quantity"),
    ("buy 100 rupees worth of infy", "quantity"),
    ("reduce infy to 90", "quantity"),
    ("buy 10 infy 20 shares", "quantity"),
    ("infy 1490 pe 10 le lo", "quantity"),  # which of the two is the price is not said
    ("put stop loss on my infy at 1440", "quantity"),
    # symbol
    ("buy 10", "symbol"),
    ("buy 10 bajaj", "symbol"),
    ("buy 10 hdfc", "symbol"),
    ("buy 10 tata", "symbol"),
    ("buy 10 icici at 1300", "symbol"),
    ("buy 10 adani", "symbol"),
    ("buy 100 vodafone", "symbol"),
    ("buy 5 it", "symbol"),
    ("sell everything", "symbol"),
    ("buy 10 cipla on bse", "symbol"),
    ("buy 1 lot nifty 25000 ce", "symbol"),
    ("buy reliance 1400 CE", "symbol"),
    ("buy reliance 1400 PE", "symbol"),
    ("buy infy dec fut", "symbol"),
    ("sell 2 lots banknifty", "symbol"),
    ("buy reliance 1400 put", "symbol"),
    # side
    ("10 infy at 1500", "side"),
    ("infy 1500", "side"),
    ("buy sell 10 infy", "side"),
    ("order 10 infy", "side"),
    # price
    ("buy 10 infy limit", "price"),
    ("buy 10 infy at", "price"),
    ("buy 10 INFY at 1500 at 1510", "price"),
    ("buy 10 infy at market 1500", "price"),
    ("buy 10 infy above 1520", "price"),
    ("sell 10 infy below 1400", "price"),
    ("buy 10 infy for 1500", "price"),
    ("buy 10 infy at 0", "price"),
    ("buy 10 infy trigger", "price"),
    ("buy 10 infy at 1490 with stop loss", "price"),
    ("sell 10 infy at 1500 sl 1450", "price"),
    ("buy 10 infy sl order 1520", "price"),
    ("gtt buy 10 infy at 1400", "price"),
    ("sell 10 infy stop loss at market", "price"),
    # product
    ("sell 10 wipro", "product"),
    ("buy 10 infy nrml", "product"),
    ("buy 10 infy mis cnc", "product"),
    ("short 10 infy delivery", "product"),
    ("buy 80 itc", "product"),  # more than covers the short
    # order
    ("close my reliance position", "order"),
    ("cover infy", "order"),
    ("cancel the order", "order"),
    ("cancel my tcs order", "order"),
    ("buy 10 infy; drop table", "order"),
    ("buy 10 infy with leverage", "order"),
    ("asdf qwer", "order"),
    ("hello", "order"),
    ("", "order"),
    ("   ", "order"),
    ("???", "order"),
    ("infy", "order"),
    # changes
    ("change infy to 20", "changes"),
    ("change my infy order", "changes"),
    ("modify infy order price to 1480 and price to 1470", "changes"),
]


@pytest.mark.parametrize(("text", "missing"), ASKED, ids=[text or "empty" for text, _ in ASKED])
def test_is_asked(text: str, missing: str) -> None:
    intent = interpret(text, context=CONTEXT)
    assert (intent["kind"], intent["missing"]) == ("clarify", [missing])
    assert str(intent["question"]).strip()


def test_candidates_are_offered_by_company_and_symbol() -> None:
    intent = interpret("buy 10 hdfc", context=CONTEXT)
    assert intent["choices"] == ["Hdfc Bank (HDFCBANK)", "Hdfc Life Insurance (HDFCLIFE)"]


def test_nothing_understood_gives_three_sentences_that_work() -> None:
    intent = interpret("asdf qwer", context=CONTEXT)
    assert intent["choices"] == list(EXAMPLES)
    kinds = [interpret(text, context=CONTEXT)["kind"] for text in EXAMPLES]
    assert kinds == ["order", "analyze", "explain"]


def test_a_sell_with_books_unread_is_left_to_the_gate() -> None:
    from dataclasses import replace

    blind = replace(CONTEXT, holdings=None, positions=None)
    assert interpret("sell 10 infy", context=blind)["quantity"] == 10
    assert interpret("sell half my infy", context=blind)["quantity"] is None
