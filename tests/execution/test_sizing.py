"""Sizing rounds down, never exceeds what was said, and says how it came about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import OrderType, Product, Side
from execution.domain import OrderInstruction, QuantityRule, RuleType, SizingStep
from execution.sizing import NotTranslatable, SizingFacts, size
from tests.execution.values import INFY, OPTION, D

FACTS = SizingFacts(INFY, D("1500"), 240, 240)


def order(rule=None, **fields):
    base = OrderInstruction(Side.SELL, "NSE", "INFY", OrderType.MARKET, Product.CNC, quantity_rule=rule)
    return replace(base, **fields)


def notional(amount):
    return QuantityRule(RuleType.NOTIONAL, amount=D(amount))


def percent(value, kind=RuleType.PERCENT_OF_HOLDING):
    return QuantityRule(kind, percent=D(value))


def reduce_to(quantity):
    return QuantityRule(RuleType.REDUCE_TO, quantity=quantity)


@pytest.mark.parametrize(
    ("asked", "facts", "quantity"),
    [
        (order(quantity=7), FACTS, 7),
        (order(notional("20000")), FACTS, 13),
        (order(notional("20000"), order_type=OrderType.LIMIT, price=D("1000")), FACTS, 20),
        (order(notional("1500")), FACTS, 1),
        (order(percent("50")), FACTS, 120),
        (order(percent("33")), FACTS, 79),
        (order(percent("100")), FACTS, 240),
        (order(percent("50", RuleType.PERCENT_OF_POSITION)), replace(FACTS, held=-9), 4),
        (order(reduce_to(100)), FACTS, 140),
        (order(reduce_to(0)), FACTS, 240),
        (order(reduce_to(10), side=Side.BUY, product=Product.MIS), replace(FACTS, held=-40), 30),
        (order(percent("50"), quantity=3), FACTS, 120),
        (order(notional("100000")), replace(FACTS, info=OPTION, last_price=D("200")), 450),
    ],
)
def test_sizes(asked, facts, quantity):
    assert size(asked, facts).quantity == quantity


@pytest.mark.parametrize(
    ("asked", "facts", "code", "field"),
    [
        (order(), FACTS, "QUANTITY_MISSING", "quantity"),
        (order(notional("1499")), FACTS, "QUANTITY_ZERO", "quantity_rule"),
        (order(notional("5000")), replace(FACTS, last_price=None), "NO_QUOTE", "quantity_rule"),
        (order(percent("0.1")), FACTS, "QUANTITY_ZERO", "quantity_rule"),
        (order(percent("50")), replace(FACTS, holding=0), "NOT_HELD", "quantity_rule"),
        (order(percent("50")), replace(FACTS, holding=None), "BOOKS_MISSING", "quantity_rule"),
        (order(percent("50", RuleType.PERCENT_OF_POSITION)), replace(FACTS, held=0), "NOT_HELD", "quantity_rule"),
        (order(reduce_to(10)), replace(FACTS, held=None), "BOOKS_MISSING", "quantity_rule"),
        (order(reduce_to(10)), replace(FACTS, held=0), "NOT_HELD", "quantity_rule"),
        (order(reduce_to(10), side=Side.BUY), FACTS, "NOT_HELD", "quantity_rule"),
        (order(reduce_to(240)), FACTS, "ALREADY_THERE", "quantity_rule"),
    ],
)
def test_what_cannot_be_sized_says_why(asked, facts, code, field):
    with pytest.raises(NotTranslatable) as raised:
        size(asked, facts)
    assert (raised.value.code, raised.value.field) == (code, field)
    assert raised.value.message.endswith(".")


def test_the_arithmetic_is_shown():
    assert size(order(percent("50")), FACTS).steps == (
        SizingStep("Your holding", "240", "units"),
        SizingStep("Percent of it", "50", "%"),
        SizingStep("Rounded down to whole units", "120", "units"),
    )


def test_a_listed_order_names_its_place():
    with pytest.raises(NotTranslatable) as raised:
        size(order(), FACTS, at="orders.2.")
    assert raised.value.field == "orders.2.quantity"


@given(
    st.decimals("0.05", "100000", places=2),
    st.decimals("1", "10000000", places=2),
    st.sampled_from([1, 15, 75]),
)
def test_rupees_are_never_exceeded_and_nothing_affordable_is_left(price, amount, lot):
    facts = replace(FACTS, info=replace(INFY, lot_size=lot), last_price=price)
    try:
        quantity = size(order(notional(amount)), facts).quantity
    except NotTranslatable:
        quantity = 0
    assert quantity % lot == 0
    assert quantity * price <= amount < (quantity + lot) * price


@given(st.integers(1, 10**7), st.decimals("0.01", "100", places=2))
def test_a_percentage_never_exceeds_the_holding(held, value):
    try:
        quantity = size(order(percent(value)), replace(FACTS, holding=held)).quantity
    except NotTranslatable:
        quantity = 0
    assert quantity <= held * value / 100 < quantity + 1
