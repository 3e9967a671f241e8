"""Every read of the port over the double: exact values, and what was asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker.adapters.kite_connect import KiteConnectAdapter
from broker.domain import OrderType, PlaceOrder, Product, SessionPhase, Side, Validity, Variety
from broker.ports import BrokerSchemaError, BrokerUnavailable
from tests.broker.connect.double import ACCESS_TOKEN, API_KEY, DUMP, KiteRest

D = Decimal


def limit(symbol: str = "NSE:INFY", **values: object) -> PlaceOrder:
    usual: dict[str, object] = {
        "symbol": symbol, "side": Side.BUY, "quantity": 3, "order_type": OrderType.LIMIT, "product": Product.CNC,
        "validity": Validity.DAY, "variety": Variety.REGULAR, "tag": "ST0000000001", "limit_price": D("1400.05"),
    }  # fmt: skip
    return PlaceOrder(**{**usual, **values})  # type: ignore[arg-type]


def test_every_call_bears_key_token_and_version(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    adapter.profile()
    (seen,) = kite.seen
    assert seen.headers["authorization"] == f"token {API_KEY}:{ACCESS_TOKEN}"
    assert seen.headers["x-kite-version"] == "3"
    assert (seen.method, seen.path, seen.query) == ("GET", "/user/profile", ())


def test_profile_and_consent(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    assert (adapter.profile().user_id, adapter.profile().user_name) == ("AB1234", "Asha Rao")
    assert adapter.holdings_consent().needs_authorisation is False
    kite.consent = ""
    assert adapter.holdings_consent().needs_authorisation is True


def test_holdings_are_exact(adapter: KiteConnectAdapter) -> None:
    (row,) = adapter.holdings()
    assert (row.symbol, row.quantity, row.t1_quantity, row.owned, row.used_quantity) == ("NSE:TCS", 10, 2, 12, 1)
    assert (row.average_price, row.close_price, row.pnl) == (D("3300.35"), D("3401.1"), D("1435.8"))
    assert str(row.average_price) == "3300.35"


def test_net_and_day_positions_are_told_apart(adapter: KiteConnectAdapter) -> None:
    net, day = adapter.positions()
    assert [(row.symbol, row.quantity, row.overnight_quantity) for row in net] == [("NSE:INFY", 2, 5)]
    assert [(row.symbol, row.quantity) for row in day] == [("NSE:INFY", -3)]
    assert net[0].average_price == D("1490.05")


def test_positions_without_labels_are_no_read(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say("GET", "/portfolio/positions", body={"status": "success", "data": []})
    with pytest.raises(BrokerSchemaError, match="net and day"):
        adapter.positions()


def test_orders_history_and_trades(adapter: KiteConnectAdapter) -> None:
    order_id = adapter.place_order(limit(limit_price=D("1500")))
    (order,), (step,), (trade,) = adapter.orders(), adapter.order_history(order_id), adapter.trades()
    assert (order.broker_order_id, order.status, order.filled_quantity) == (order_id, "COMPLETE", 3)
    assert (order.tag, order.tags, order.average_price) == ("ST0000000001", ("ST0000000001",), D("1499.5"))
    assert order.placed_at == datetime(2026, 11, 23, 4, 45, int(order_id) % 60, tzinfo=UTC)
    assert step == order
    assert (trade.broker_order_id, trade.quantity, trade.side, trade.filled_at) == (
        order_id, 3, "BUY", order.placed_at,
    )  # fmt: skip


def test_margins(adapter: KiteConnectAdapter) -> None:
    purses = adapter.margins()
    assert sorted(purses) == ["commodity", "equity"]
    assert (purses["equity"].net, purses["equity"].cash, purses["equity"].debits) == (
        D("99750.3"), D("100000.55"), D("250.25"),
    )  # fmt: skip


def test_quotes_absent_ones_are_absent(adapter: KiteConnectAdapter) -> None:
    quotes = adapter.quotes(["NSE:INFY", "NSE:NOPE"])
    assert list(quotes) == ["NSE:INFY"]
    quote = quotes["NSE:INFY"]
    assert (quote.last_price, quote.lower_circuit, quote.upper_circuit) == (D("1499.5"), D("1349.55"), D("1649.45"))
    assert quote.as_of == datetime(2026, 11, 23, 4, 45, 2, tzinfo=UTC)
    assert [(level.price, level.quantity) for level in quote.bids] == [(D("1499.45"), 100)]


def test_quotes_are_asked_500_at_a_time(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    adapter.quotes([f"NSE:S{number}" for number in range(1001)] + ["NSE:S0"])
    assert [len(row.query) for row in kite.sent("GET", "/quote")] == [500, 500, 1]
    assert adapter.quotes([]) == {}
    assert len(kite.seen) == 3


def test_candles_in_indian_time(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    start = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
    first, second = adapter.candles(408065, "minute", start, start + timedelta(minutes=2))
    assert (first.ts, first.open, first.low, first.volume) == (start, D("1490.1"), D("1489.95"), 1200)
    assert second.close == D("1500.25")
    (seen,) = kite.seen
    assert seen.path == "/instruments/historical/408065/minute"
    assert dict(seen.query)["from"] == "2026-11-23 09:15:00"


def test_the_instruments_dump(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    rows = list(adapter.instrument_dump())
    assert [row["id"] for row in rows] == ["NSE:INFY", "NSE:TCS", "NFO:NIFTY26NOVFUT", "NFO:NIFTY26NOV24500CE"]
    assert (rows[3]["strike"], rows[3]["tick_size"], rows[3]["lot_size"]) == (D("24500.0"), D("0.05"), 75)
    assert (rows[3]["expiry"], rows[3]["instrument_token"]) == ("2026-11-26", 12345858)
    assert [row["exchange"] for row in adapter.instrument_dump("NFO")] == ["NFO", "NFO"]
    assert [row.path for row in kite.seen] == ["/instruments", "/instruments/NFO"]


@pytest.mark.parametrize("odd", ["much", "nan", ""])
def test_one_odd_row_spoils_no_other(adapter: KiteConnectAdapter, kite: KiteRest, odd: str) -> None:
    kite.say("GET", "/instruments", body=DUMP.replace(",24500.0,", f",{odd},") + "1\n", kind="text/csv")
    rows = list(adapter.instrument_dump())
    assert (len(rows), rows[3]["strike"], rows[3]["tick_size"], rows[4]["lot_size"]) == (5, odd, D("0.05"), None)


def test_a_search_reads_the_dump_once_a_day(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    assert [row["id"] for row in adapter.instruments("nifty")] == ["NFO:NIFTY26NOV24500CE", "NFO:NIFTY26NOVFUT"]
    assert [row["id"] for row in adapter.instruments("tata con")] == ["NSE:TCS"]
    assert adapter.instruments(" ") == []
    assert len(kite.seen) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("instrument_token,tradingsymbol\n1,X\n", "text/csv"),
        (
            "instrument_token,exchange,tradingsymbol,lot_size,last_price,strike,tick_size\n1,NSE,X,1,0,nan,1\n",
            "text/csv",
        ),
        ({"status": "success", "data": []}, "application/json"),
    ],
)
def test_a_dump_of_another_shape_is_no_read(
    adapter: KiteConnectAdapter, kite: KiteRest, body: object, kind: str
) -> None:
    kite.say("GET", "/instruments", body=body, kind=kind)
    with pytest.raises(BrokerSchemaError):
        list(adapter.instrument_dump())


def test_order_margins(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    (found,) = adapter.order_margins([limit()])
    assert (found.symbol, found.total, found.var, found.leverage) == ("NSE:INFY", D("1499.5"), D("1499.5"), 1)
    assert (found.charges.total, found.charges.gst, found.charges.transaction_tax_type) == (
        D("1.7929"), D("0.0114"), "stt",
    )  # fmt: skip
    assert kite.seen[0].json == [{
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular", "product": "CNC",
        "order_type": "LIMIT", "quantity": 3, "price": 1400.05, "trigger_price": 0,
    }]  # fmt: skip


def test_basket_margin(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    found = adapter.basket_margin([limit(), limit("NSE:TCS")], with_positions=False)
    assert (found.initial, found.final, found.charges) == (D("300.5"), D("200.25"), D("3.5"))
    assert [row.symbol for row in found.orders] == ["NSE:INFY", "NSE:TCS"]
    assert dict(kite.seen[0].query) == {"consider_positions": "false"}


def test_charges(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    (found,) = adapter.charges([limit()])
    assert (found.symbol, found.quantity, found.price, found.charges.total) == (
        "NSE:INFY", 3, D("1400.05"), D("1.7929"),
    )  # fmt: skip
    assert kite.seen[0].json[0]["order_id"] == "ST0000000001"


def test_books_hold_what_could_be_read(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say("GET", "/trades", 400, {"status": "error", "message": "no", "error_type": "InputException"})
    books = adapter.books(["NSE:INFY"])
    assert books.complete == {"holdings": True, "positions": True, "orders": True, "trades": False, "margins": True}
    assert (books.orders, books.trades, dict(books.faults)) == (
        (), None, {"trades": "BrokerUnavailable: InputException: no"},
    )  # fmt: skip
    assert list(books.quotes) == ["NSE:INFY"]


def test_it_has_no_tools(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    assert adapter.tools() == []
    with pytest.raises(ValueError, match="has no tools"):
        adapter.call_read_tool("get_profile", {})
    assert kite.seen == []


def test_its_market_is_the_exchange(adapter: KiteConnectAdapter) -> None:
    state = adapter.market_state()
    assert (state.phase, state.practice) == (SessionPhase.CONTINUOUS, False)


@pytest.mark.parametrize("order_id", ["", "../user", "1/2", "1?x=2", "1%2f", "x" * 41, "१२"])
def test_what_is_no_id_goes_into_no_address(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, order_id: str
) -> None:
    adapter = make_adapter()
    with pytest.raises(BrokerUnavailable, match="cannot be part of an address"):
        adapter.order_history(order_id)
    with pytest.raises(BrokerUnavailable, match="not sent"):
        adapter.cancel_order(order_id, "regular")
    assert kite.seen == []
