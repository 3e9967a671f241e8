"""Rows that no database or ledger could take: made storable, or the whole read is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.adapters import kite_shapes, kite_values
from broker.ports import BrokerSchemaError

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
ORDER = {
    "order_id": "250101000000009", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY",
    "quantity": 1, "filled_quantity": 0, "pending_quantity": 1, "cancelled_quantity": 0, "order_type": "LIMIT",
    "product": "CNC", "validity": "DAY", "variety": "regular", "status": "OPEN", "price": 1500, "trigger_price": 0,
    "average_price": 0, "tag": None, "status_message": None, "order_timestamp": "2026-11-23 11:00:00",
}  # fmt: skip
TRADE = {
    "trade_id": "1", "order_id": "2", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY",
    "quantity": 5, "average_price": 1, "product": "CNC", "fill_timestamp": None,
}  # fmt: skip


def order(**changes: Any) -> Any:
    text = json.dumps([{**ORDER, **changes}])
    return kite_shapes.orders(kite_values.rows_of(kite_values.document(text)), read_at=NOW)[0]


def trade(**changes: Any) -> Any:
    return kite_shapes.trades([{**TRADE, **changes}], read_at=NOW)[0]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("bad \ud800 half", "bad \ufffd half"), ("a\x00b", "a\ufffdb"), ("\U0001f600 whole", "\U0001f600 whole")],
)
def test_text_that_no_database_stores_is_replaced(said: str, kept: str) -> None:
    row = order(status_message=said)
    assert row.status_message == kept
    assert row.raw["status_message"] == kept
    row.status_message.encode()


def test_a_backslash_that_looks_like_an_escape_stays() -> None:
    assert order(status_message="C:\\u0000 \\ud800").status_message == "C:\\u0000 \\ud800"


@pytest.mark.parametrize("field", ["price", "trigger_price", "average_price"])
@pytest.mark.parametrize("figure", [1e40, 1e14, -1e40, 1e-40])
def test_a_figure_out_of_all_proportion_is_no_read(field: str, figure: float) -> None:
    with pytest.raises(BrokerSchemaError, match=field):
        order(**{field: figure})


def test_the_largest_figure_a_column_holds_is_read() -> None:
    assert order(price=99_999_999_999_999).price == 99_999_999_999_999


@pytest.mark.parametrize("field", ["order_id", "tradingsymbol", "exchange"])
def test_a_name_longer_than_its_column_is_no_read(field: str) -> None:
    with pytest.raises(BrokerSchemaError, match=field):
        order(**{field: "9" * 60})


@pytest.mark.parametrize("side", ["HOLD", "buy", "S"])
def test_a_trade_of_an_unknown_side_is_not_taken_for_a_sale(side: str) -> None:
    with pytest.raises(BrokerSchemaError, match="transaction_type"):
        trade(transaction_type=side)


def test_an_ack_with_an_id_we_could_not_store_is_an_unknown_outcome() -> None:
    with pytest.raises(BrokerSchemaError, match="order_id"):
        kite_shapes.order_id({"order_id": "9" * 33})
