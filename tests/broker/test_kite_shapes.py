"""Reading the broker's documents: every oddity tolerated, nothing wrong let through."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.adapters import kite_shapes as shapes
from broker.adapters.kite_values import MAX_TEXT, document, rows_of
from broker.ports import BrokerSchemaError

READ_AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
ORDER = {
    "placed_by": "AB1234", "order_id": "261123000000001", "exchange_order_id": "", "parent_order_id": "",
    "status": "OPEN", "status_message": "", "order_timestamp": "2026-11-23T10:30:00+05:30",
    "exchange_update_timestamp": "0001-01-01T00:00:00Z", "exchange_timestamp": "0001-01-01T00:00:00Z",
    "variety": "regular", "meta": {}, "exchange": "NSE", "tradingsymbol": "INFY", "order_type": "LIMIT",
    "transaction_type": "BUY", "validity": "DAY", "product": "CNC", "quantity": 10, "price": 1500, "trigger_price": 0,
    "average_price": 0, "filled_quantity": 4, "pending_quantity": 6, "cancelled_quantity": 0, "tag": "", "tags": None,
}  # fmt: skip
POSITION = {
    "tradingsymbol": "INFY", "exchange": "NSE", "product": "CNC", "quantity": 1, "overnight_quantity": 0,
    "multiplier": 1, "average_price": 10, "close_price": 10, "last_price": 10, "value": -10, "pnl": 0, "m2m": 0,
    "buy_quantity": 1, "buy_value": 10, "sell_quantity": 0, "sell_value": 0, "day_buy_quantity": 1,
    "day_buy_value": 10, "day_sell_quantity": 0, "day_sell_value": 0,
}  # fmt: skip


def order(**changes: Any) -> Any:
    return shapes.order({**ORDER, **changes}, read_at=READ_AT)


def test_an_order_is_read_with_its_times_in_utc_and_nulls_as_nothing() -> None:
    found = order()
    assert (found.symbol, found.quantity, found.filled_quantity, found.price) == ("NSE:INFY", 10, 4, Decimal(1500))
    assert found.placed_at == found.updated_at == datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
    assert (found.tags, found.exchange_order_id, found.is_final) == ((), "", False)


def test_a_tag_is_found_in_either_place() -> None:
    assert order(tag="", tags=["ST9"]).bears("ST9")
    assert order(tag="ST9").bears("ST9")
    assert not order(tag="ST", tags=["T9"]).bears("ST9")


def test_an_unknown_status_is_in_flight() -> None:
    assert (order(status="SOME NEW WORD").status, order(status="SOME NEW WORD").is_final) == ("SOME NEW WORD", False)


def test_a_cancelled_order_keeps_its_fills_and_odd_remainders() -> None:
    found = order(status="CANCELLED", pending_quantity=1, cancelled_quantity=1, filled_quantity=9)
    assert (found.is_final, found.filled_quantity, found.pending_quantity) == (True, 9, 1)


def test_a_time_without_a_zone_is_indian() -> None:
    assert order(order_timestamp="2026-11-23 10:30:00").placed_at == datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": None}, {"order_id": ""}, {"status": None}, {"status": 7.5}, {"filled_quantity": -1},
        {"filled_quantity": 11}, {"quantity": Decimal("1.5")}, {"quantity": "10"}, {"quantity": True},
        {"tags": "ST9"}, {"tags": [1]}, {"price": {}}, {"transaction_type": ""}, {"tradingsymbol": None},
        {"order_timestamp": "yesterday"}, {"order_timestamp": (READ_AT + timedelta(days=2)).isoformat()},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_no_read(changes: dict[str, Any]) -> None:
    with pytest.raises(BrokerSchemaError):
        order(**changes)


def test_a_repeated_id_spoils_the_whole_book() -> None:
    with pytest.raises(BrokerSchemaError):
        shapes.orders([ORDER, dict(ORDER)], read_at=READ_AT)


def test_flat_positions_are_day_rows_then_net_rows() -> None:
    other = {**POSITION, "tradingsymbol": "TCS"}
    net, day = shapes.positions([{**POSITION, "quantity": -3}, POSITION, other])
    assert [(row.symbol, row.quantity) for row in day] == [("NSE:INFY", -3)]
    assert [(row.symbol, row.quantity) for row in net] == [("NSE:INFY", 1), ("NSE:TCS", 1)]


def test_labelled_positions_are_taken_as_labelled() -> None:
    net, day = shapes.positions({"net": [POSITION], "day": []})
    assert (len(net), day) == (1, ())


def test_positions_that_cannot_be_told_apart_are_no_read() -> None:
    with pytest.raises(BrokerSchemaError):
        shapes.positions([POSITION, POSITION, POSITION])


def test_a_quote_leaves_out_empty_levels_and_zero_circuits() -> None:
    empty = {"price": 0, "quantity": 0, "orders": 0}
    row = {"last_price": Decimal("1412.95"), "timestamp": "2026-11-23T10:30:00+05:30", "volume": 5,
           "lower_circuit_limit": 0, "upper_circuit_limit": Decimal("1528.6"),
           "depth": {"buy": [empty] * 5, "sell": [{"price": 1413, "quantity": 9, "orders": 2}, empty]}}  # fmt: skip
    quote = shapes.quotes({"NSE:INFY": row}, read_at=READ_AT)["NSE:INFY"]
    assert (quote.bids, [(level.price, level.quantity) for level in quote.asks]) == ((), [(Decimal(1413), 9)])
    assert (quote.lower_circuit, quote.upper_circuit, quote.close) == (None, Decimal("1528.6"), None)


def test_null_is_an_empty_list_and_no_candles() -> None:
    assert (rows_of(None), shapes.candles(None, read_at=READ_AT)) == ([], ())


def test_numbers_keep_every_digit() -> None:
    found = shapes.margins(document('{"equity":{"enabled":true,"net":99725.05000000002,"available":{"cash":1.1}}}'))
    assert found["equity"].net == Decimal("99725.05000000002")
    assert (found["equity"].cash, "commodity" in found) == (Decimal("1.1"), False)


@pytest.mark.parametrize(
    "text", ["", "<html>", "{", '{"a": NaN}', "[1, Infinity]", "[" * 100_000, "1" * 5000, '"' + "x" * MAX_TEXT + '"']
)
def test_what_is_not_sound_json_is_no_read(text: str) -> None:
    with pytest.raises(BrokerSchemaError):
        document(text)


@pytest.mark.parametrize("answer", [None, [], {}, {"order_id": None}, {"order_id": ""}, {"order_id": "1; DROP"}])
def test_an_ack_without_an_id_is_none(answer: object) -> None:
    with pytest.raises(BrokerSchemaError):
        shapes.order_id(answer)


def test_an_id_as_a_number_keeps_its_digits() -> None:
    assert shapes.order_id(document('{"order_id": 1234567890123456789}')) == "1234567890123456789"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ORDER)), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(ORDER)), JSON, max_size=4))
def test_no_row_gets_through_that_breaks_the_book(changes: dict[str, Any]) -> None:
    row = document(json.dumps({**ORDER, **changes}))
    try:
        found = shapes.order(row, read_at=READ_AT)  # type: ignore[arg-type]
    except BrokerSchemaError:
        return
    assert 0 <= found.filled_quantity <= found.quantity
    assert "" not in (found.broker_order_id, found.status)
    assert found.price.is_finite()


@given(JSON)
def test_any_document_is_read_or_refused(value: Any) -> None:
    parsed = document(json.dumps(value))
    for read in (shapes.positions, shapes.margins, shapes.profile):
        try:
            read(parsed)
        except BrokerSchemaError:
            continue
