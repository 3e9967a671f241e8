"""Figures in words, margins, documents, and the reference page."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from broker.domain import Product, Side
from risk import codec, reference
from risk.codes import Code
from risk.domain import Book, OrderRequest
from risk.margins import leg_margin
from risk.policy import default_policy
from risk.wording import grouped, listed, percent, rupees, shares
from tests.risk.build import NOW, D, book, open_order, order


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "₹0"), ("999", "₹999"), ("1000", "₹1,000"), ("182450", "₹1,82,450"), ("182450.5", "₹1,82,450.50"),
        ("10000000", "₹1,00,00,000"), ("-1500.25", "-₹1,500.25"), ("0.005", "₹0.01"),
    ],
)  # fmt: skip
def test_rupees_are_grouped_as_in_india(amount, text):
    assert rupees(Decimal(amount)) == text


def test_other_words():
    assert grouped(-1234567) == "-12,34,567"
    assert (shares(1), shares(1200)) == ("1 share", "1,200 shares")
    assert percent(Decimal("12.345")) == "12.35%"
    assert (listed(()), listed(("A",)), listed(("A", "B", "C"))) == ("none", "A", "A, B or C")


@pytest.mark.parametrize(
    ("side", "product", "held", "expected"),
    [
        (Side.BUY, Product.CNC, 0, "15020.50"),
        (Side.BUY, Product.CNC, 50, "15020.50"),
        (Side.SELL, Product.CNC, 10, "0"),
        (Side.SELL, Product.CNC, 4, "9020.50"),
        (Side.BUY, Product.MIS, 0, "3020.50"),
        (Side.SELL, Product.MIS, 0, "3020.50"),
        (Side.BUY, Product.MIS, -10, "0"),
        (Side.BUY, Product.MIS, -4, "1820.50"),
        (Side.SELL, Product.NRML, 0, "15020.50"),
    ],
)
def test_leg_margin(side, product, held, expected):
    margin = leg_margin(
        side=side, product=product, quantity=10, price=D(1500), charges=D("20.50"), held=held, policy=default_policy()
    )
    assert margin == D(expected)


def test_an_option_blocks_its_premium_in_every_product():
    margin = leg_margin(
        side=Side.BUY, product=Product.MIS, quantity=75, price=D(100), charges=D(50), held=0,
        policy=default_policy(), instrument_type="CE",
    )  # fmt: skip
    assert margin == D(7550)


class TestCodec:
    def test_inputs_survive_but_the_brokers_raw_rows_are_left_out(self):
        given = book(open_orders=(open_order(raw={"guid": "x"}),))
        text = codec.encode_inputs([order()], book=given, policy=default_policy(version=2), now=NOW)
        found = codec.decode_inputs(text)
        assert (found.orders, found.now, found.policy) == ((order(),), NOW, default_policy(version=2))
        assert found.book == book(open_orders=(open_order(),))
        assert "guid" not in text

    def test_a_field_an_older_document_lacks_takes_its_default(self):
        document = codec.encode(order())
        del document["converted_from_market"]
        assert codec.decode(OrderRequest, document) == order()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("quantity", "10"),
            ("quantity", True),
            ("side", "HOLD"),
            ("limit_price", 1500),
            ("limit_price", "x"),
            ("symbol", None),
        ],
    )
    def test_a_document_of_another_form_is_refused(self, field, value):
        with pytest.raises(codec.CodecError):
            codec.decode(OrderRequest, codec.encode(order()) | {field: value})

    def test_what_is_missing_is_named(self):
        with pytest.raises(codec.CodecError, match="symbol"):
            codec.decode(OrderRequest, {"leg": 1, "kind": "place"})

    @pytest.mark.parametrize("value", [1.5, object(), datetime(2026, 1, 1), Decimal("NaN")])
    def test_what_has_no_document_is_refused(self, value):
        with pytest.raises(ValueError, match=r"document|canonical"):
            codec.encode(value)

    def test_margins_by_leg_keep_their_numbers(self):
        found = codec.decode(Book, json.loads(json.dumps(codec.encode(book(margin_required={2: D("1.50")})))))
        assert found.margin_required == {2: D("1.5")}


class TestReference:
    def test_the_page_is_what_the_code_says(self):
        page = Path(settings.BASE_DIR) / "docs" / "risk-controls.md"
        assert page.read_text(encoding="utf-8") == reference.render()

    def test_it_names_every_code(self):
        page = reference.render()
        assert [code for code in Code if f"`{code.value}`" not in page] == []
