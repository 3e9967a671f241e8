"""Books to document and back, what changed between two, and the portfolio made of one."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.domain import (
    Books,
    BrokerOrder,
    DepthLevel,
    Holding,
    MarginSegment,
    OrderType,
    PlaceOrder,
    Position,
    Product,
    Quote,
    Side,
    Trade,
    Validity,
    Variety,
)
from broker.ingestion import take_snapshot
from broker.models import BrokerConnection
from broker.portfolio import percent, portfolio_shape
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from broker.selectors import latest_snapshot, snapshot_document
from broker.snapshot_diff import diff
from broker.snapshots import books_of, document_of
from sigmatrader.audit import canonical
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import Snapshot, TraceEvent, TraceLink
from sigmatrader.audit.recording import recording
from tests.support.fake_broker import FakeBroker

PAPER = BrokerConnection(name="Paper", kind="paper")
MONEY = st.decimals(min_value=-(10**9), max_value=10**9, places=4)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
WORDS = st.text("ABCXYZ:-& é\u202e", max_size=8)
VALUES = {
    Decimal: MONEY, "int": st.integers(-(10**6), 10**6), "str": WORDS, "bool": st.booleans(), "Decimal": MONEY,
    "Decimal | None": st.none() | MONEY, "int | None": st.none() | st.integers(0, 10**9), "datetime": TIMES,
    "datetime | None": st.none() | TIMES, "tuple[str, ...]": st.lists(WORDS, max_size=2).map(tuple),
    "Mapping[str, object]": st.just({}),
}  # fmt: skip


def made(kind: Any) -> Any:
    """Any value of a domain class."""
    levels = st.lists(st.builds(DepthLevel, MONEY, st.integers(0, 99), st.integers(0, 9)), max_size=2).map(tuple)
    hints = {**VALUES, "tuple[DepthLevel, ...]": levels}
    return st.builds(kind, **{field.name: hints[field.type] for field in dataclasses.fields(kind)})


def some(kind: Any) -> Any:
    return st.none() | st.lists(made(kind), max_size=2).map(tuple)


BOOKS = st.builds(
    Books, as_of=TIMES, holdings=some(Holding), positions_net=some(Position), positions_day=some(Position),
    orders=some(BrokerOrder), trades=some(Trade),
    margins=st.none() | st.dictionaries(st.sampled_from(["equity", "commodity"]), made(MarginSegment), max_size=2),
    quotes=st.dictionaries(WORDS, made(Quote), max_size=2), faults=st.dictionaries(WORDS, WORDS, max_size=2),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(BOOKS)
def test_books_survive_the_document(books: Books) -> None:
    document = document_of(books, PAPER)
    again = books_of(json.loads(canonical.dumps(document)), as_of=books.as_of)
    assert again == books
    assert document_of(again, PAPER) == document


@settings(max_examples=25, deadline=None)
@given(BOOKS)
def test_nothing_differs_from_itself(books: Books) -> None:
    document = document_of(books, PAPER)
    found = diff(document, document)
    readable = books.is_complete
    assert found["same"] is readable
    assert all(not part["changed"] for part in found["parts"].values())  # type: ignore[attr-defined]


HOLDING = Holding("NSE:TCS", "INE467B01029", 10, 5, 0, Decimal("100.00"), Decimal("110.00"), Decimal("108.00"))


def books_with(**parts: Any) -> Books:
    empty: dict[str, Any] = {
        "as_of": datetime(2026, 11, 23, tzinfo=UTC), "holdings": (), "positions_net": (), "positions_day": (),
        "orders": (), "trades": (), "margins": {},
    }  # fmt: skip
    return Books(**{**empty, **parts})


def test_a_diff_names_field_and_both_values() -> None:
    before = document_of(books_with(holdings=(HOLDING,)), PAPER)
    changed = dataclasses.replace(HOLDING, quantity=9)
    other = dataclasses.replace(HOLDING, symbol="NSE:INFY")
    after = document_of(books_with(holdings=(changed, other)), PAPER)
    found: Any = diff(before, after)["parts"]
    assert found["holdings"]["changed"] == [
        {"symbol": "NSE:TCS", "product": "CNC", "changes": {"quantity": {"from": 10, "to": 9}}}
    ]
    assert [row["symbol"] for row in found["holdings"]["added"]] == ["NSE:INFY"]
    assert [row["symbol"] for row in diff(after, before)["parts"]["holdings"]["removed"]] == ["NSE:INFY"]  # type: ignore[index]


def test_a_part_that_was_not_read_cannot_be_compared() -> None:
    before = document_of(books_with(holdings=(HOLDING,)), PAPER)
    found: Any = diff(before, document_of(books_with(holdings=None), PAPER))
    assert (found["same"], found["parts"]["holdings"]["comparable"]) == (False, False)
    assert found["parts"]["holdings"]["removed"] == []


def test_percent_of_nothing_is_nothing() -> None:
    assert (percent(Decimal(1), Decimal(0)), percent(Decimal(1), Decimal(3))) == (None, Decimal("33.33"))


# --- stored ------------------------------------------------------------------------------------------------------
def test_a_snapshot_is_stored_with_its_hash(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    snapshot, books = take_snapshot(connection, correlation_id="", now=now, symbols=["NSE:INFY"])
    assert (snapshot.taken_at, snapshot.as_of, snapshot.account) == (now, now, connection.account)
    assert snapshot.hash == canonical.digest(document_of(books, connection))
    assert books_of(snapshot_document(snapshot), as_of=now).quotes["NSE:INFY"].last_price == Decimal("1499.50")
    assert latest_snapshot(connection) == snapshot
    assert fake.sent == []


def test_a_named_trace_learns_of_it(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    trace_id = new_correlation_id()
    with recording(now) as record:
        record.open(trace_id, kind="plan", actor="trader", origin="ticket")
    snapshot, _ = take_snapshot(connection, correlation_id=trace_id, now=now)
    event = TraceEvent.objects.get(correlation_id=trace_id, type="snapshot.taken")
    assert json.loads(event.data)["hash"] == snapshot.hash
    assert TraceLink.objects.get(trace_id=trace_id, kind="snapshot").value == str(snapshot.pk)


def test_a_part_that_fails_is_absent(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    fake.fail_read("orders", BrokerUnavailable("Failed to execute get_orders"))
    snapshot, books = take_snapshot(connection, correlation_id="", now=now)
    assert (books.orders, books.holdings) == (None, ())
    assert snapshot.complete == {"holdings": True, "positions": True, "orders": False, "trades": True, "margins": True}
    assert snapshot_document(snapshot)["orders"] is None


@pytest.mark.parametrize("error", [BrokerUnavailable, BrokerAuthExpired])
def test_nothing_read_is_no_snapshot(
    connection: BrokerConnection, fake: FakeBroker, now: datetime, error: type[BrokerUnavailable]
) -> None:
    for part in ("holdings", "positions", "orders", "trades", "margins"):
        fake.fail_read(part, error("down"))
    with pytest.raises(error):
        take_snapshot(connection, correlation_id="", now=now)
    assert Snapshot.objects.count() == 0


def test_the_portfolio_adds_up(connection: BrokerConnection, now: datetime) -> None:
    from tests.support.fake_broker import install

    broker = FakeBroker(holdings=[HOLDING], prices={"NSE:TCS": Decimal("110.00"), "NSE:INFY": Decimal("1499.50")})
    broker.place_order(
        PlaceOrder("NSE:INFY", Side.BUY, 10, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "ST1",
                   Decimal(1500))
    )  # fmt: skip
    broker.run_to_end()
    broker.prices["NSE:INFY"] = Decimal("1501.00")
    with install(connection, broker):
        snapshot, _ = take_snapshot(connection, correlation_id="", now=now)
    shape: Any = portfolio_shape(connection, snapshot, now=now + timedelta(seconds=45))
    assert shape["totals"] == {
        "invested": Decimal("1500.00"), "current_value": Decimal("1650.00"), "day_pnl": Decimal("45.00"),
        "day_pnl_percent": Decimal("2.78"), "total_pnl": Decimal("165.00"), "total_pnl_percent": Decimal("11.00"),
        "cash": Decimal("1000000.00"), "margin_available": Decimal("985005.00"),
    }  # fmt: skip
    assert (shape["age_s"], shape["stale"], shape["connection"]["practice"]) == (45.0, True, True)
    assert shape["holdings"][0]["weight_percent"] == Decimal("100.00")
    assert shape["positions"][0] | {"pnl": None} == {
        "symbol": "NSE:INFY", "name": "", "product": "CNC", "quantity": 10, "overnight_quantity": 0,
        "average_price": Decimal("1499.5"), "last_price": Decimal(1501), "pnl": None, "day_pnl": Decimal("15.00"),
    }  # fmt: skip
    assert [order["status"] for order in shape["orders"]] == ["COMPLETE"]


def test_without_a_snapshot_nothing_is_claimed(connection: BrokerConnection, now: datetime) -> None:
    shape: Any = portfolio_shape(connection, None, now=now)
    assert (shape["holdings"], shape["as_of"], shape["stale"]) == (None, None, True)
    assert set(shape["totals"].values()) == {None}
