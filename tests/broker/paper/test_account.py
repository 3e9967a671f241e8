from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.paper.account import AccountBooks, AccountError, default_account, load_account
from broker.paper.shapes import POSITION, shaped
from tests.broker.paper.helpers import AT, ORDER, later, opened, row

SHARED = Path(__file__).parents[4] / "shared" / "kite"
needs_sample = pytest.mark.skipif(not (SHARED / "responses").is_dir(), reason="the sample account is not here")

HOLDINGS = [
    {"tradingsymbol": "WIPRO", "exchange": "NSE", "instrument_token": 969473, "isin": "INE075A01022", "product": "CNC",
     "quantity": 30, "t1_quantity": 0, "used_quantity": 0, "average_price": 250.5, "last_price": 111.1,
     "close_price": 110.0, "pnl": 9.99, "authorised_date": "2021-01-17 00:00:00", "authorisation": {}, "mtf": None},
    {"tradingsymbol": "GONECO", "exchange": "NSE", "instrument_token": 1, "isin": "INE000000000", "product": "CNC",
     "quantity": 5, "t1_quantity": 3, "average_price": 1.5, "last_price": 2.25, "close_price": 2, "pnl": 0.1},
]  # fmt: skip
POSITIONS = {
    "net": [
        {"tradingsymbol": "WIPRO", "exchange": "NSE", "product": "MIS", "quantity": 7, "multiplier": 1,
         "overnight_quantity": 0, "buy_quantity": 7, "buy_value": 700, "buy_m2m": 700, "value": -700, "pnl": 12.34,
         "last_price": 101, "day_buy_quantity": 7, "day_buy_value": 700, "average_price": 100, "buy_price": 100},
        {"tradingsymbol": "OLD17DECFUT", "exchange": "MCX", "product": "CO", "quantity": 3, "multiplier": 1000,
         "pnl": -1, "last_price": 5},
    ],
    "day": [{"tradingsymbol": "OLD17DECFUT", "exchange": "MCX", "product": "CO", "quantity": -3, "pnl": 77}],
}  # fmt: skip
MARGINS = {"equity": {"enabled": True, "net": 50000.25, "available": {"cash": 60000, "live_balance": 50000.25},
                      "utilised": {"debits": 9000}}}  # fmt: skip
ORDERS = [
    {"order_id": "261123000000001", "status": "OPEN", "exchange": "NSE", "tradingsymbol": "WIPRO", "quantity": 5,
     "transaction_type": "BUY", "order_timestamp": "2021-05-31 09:18:57", "tag": None, "price": 9999},
    {"order_id": "7", "status": "CANCELLED", "quantity": 60, "pending_quantity": 60, "cancelled_quantity": 0},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (("holdings", HOLDINGS), ("positions", POSITIONS), ("margins", MARGINS)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"status": "success", "data": data}))
    (tmp_path / "orders.json").write_text(json.dumps(ORDERS))  # bare, without the envelope
    return tmp_path


def parsed(path: Path) -> Any:
    """What the MCP server would have sent, from a recorded tool result."""
    return json.loads(json.loads(path.read_text())["content"][0]["text"], parse_float=Decimal)


@needs_sample
def test_the_sample_account_comes_up_with_exactly_its_books():
    exchange = opened(account=load_account(SHARED / "responses"))
    for moment in (AT, later(5), later(3 * 86_400)):
        assert exchange.holdings(moment) == parsed(SHARED / "mcp_results/get_holdings.json")
        assert exchange.orders(moment) == parsed(SHARED / "mcp_results/get_orders.json")
        assert exchange.trades(moment) == parsed(SHARED / "mcp_results/get_trades.json")
        assert exchange.margins(moment) == parsed(SHARED / "mcp_results/get_margins.json")
        assert exchange.profile(moment) == parsed(SHARED / "mcp_results/get_profile.json")
        rows = exchange.positions(moment)
        assert rows["day"] + rows["net"] == parsed(SHARED / "mcp_results/get_positions.json")


@needs_sample
def test_our_rows_have_kites_keys_in_kites_order():
    exchange = opened()
    exchange.place_order(ORDER, AT)
    ours = {
        "get_orders": exchange.orders(later(1)),
        "get_trades": exchange.trades(later(1)),
        "get_holdings": exchange.holdings(later(1)),
        "get_positions": exchange.positions(later(1))["net"],
    }
    for tool, rows in ours.items():
        assert list(rows[0]) == list(parsed(SHARED / f"mcp_results/{tool}.json")[0]), tool
    quote = exchange.quotes(["NSE:INFY"], AT)["NSE:INFY"]
    assert list(quote) == list(parsed(SHARED / "mcp_results/get_quotes.json")["NSE:INFY"])
    assert list(exchange.margins(AT)["equity"]) == list(parsed(SHARED / "mcp_results/get_margins.json")["equity"])


@needs_sample
def test_the_sample_account_can_trade_what_we_know_and_nothing_else():
    exchange = opened(account=load_account(SHARED / "responses"))
    known = exchange.place_order(ORDER | {"quantity": 1}, AT)
    unknown = exchange.place_order(ORDER | {"tradingsymbol": "AARON", "transaction_type": "SELL", "quantity": 1}, AT)
    assert row(exchange, known, later(2))["status"] == "COMPLETE"
    assert row(exchange, unknown, later(2))["status"] == "REJECTED"
    assert exchange.orders(later(2))[:-2] == parsed(SHARED / "mcp_results/get_orders.json")
    assert exchange.positions(later(2))["net"][:-1] == parsed(SHARED / "mcp_results/get_positions.json")[3:]


def test_imported_rows_are_shown_as_given(folder):
    exchange = opened(account=load_account(folder))
    holdings = exchange.holdings(later(60))
    assert [(r["tradingsymbol"], r["last_price"], r["pnl"]) for r in holdings] == [
        ("WIPRO", Decimal("111.1"), Decimal("9.99")),
        ("GONECO", Decimal("2.25"), Decimal("0.1")),
    ]
    assert holdings[0]["authorised_date"] == "2021-01-17T00:00:00+05:30"
    assert holdings[1]["authorised_date"] == "0001-01-01T00:00:00Z"
    assert "authorisation" not in holdings[0]
    rows = exchange.positions(later(60))
    assert [(r["product"], r["quantity"], r["pnl"]) for r in rows["day"] + rows["net"]] == [
        ("CO", -3, 77), ("MIS", 7, Decimal("12.34")), ("CO", 3, -1),
    ]  # fmt: skip
    assert exchange.margins(later(60))["equity"]["net"] == Decimal("50000.25")
    assert [(r["status"], r["pending_quantity"]) for r in exchange.orders(later(60))] == [
        ("OPEN", 0),
        ("CANCELLED", 60),
    ]


def test_imported_open_orders_never_fill_and_cannot_be_changed(folder):
    exchange = opened(account=load_account(folder))
    from broker.paper.config import CANNOT_CANCEL, EntryRefused

    with pytest.raises(EntryRefused) as refused:
        exchange.cancel_order({"order_id": "261123000000001"}, AT)
    assert refused.value.text == CANNOT_CANCEL
    assert exchange.orders(later(86_400 * 2))[0]["status"] == "OPEN"
    assert exchange.order_history("7", AT) == [exchange.orders(AT)[1]]
    assert exchange.trades(later(86_400 * 2)) == []


def test_our_order_ids_keep_clear_of_imported_ones(folder):
    exchange = opened(account=load_account(folder))
    order_id = exchange.place_order(ORDER, AT)
    assert order_id != "261123000000001"
    assert len({r["order_id"] for r in exchange.orders(AT)}) == 3


def test_new_trades_come_on_top(folder):
    exchange = opened(account=load_account(folder))
    exchange.place_order(ORDER | {"tradingsymbol": "WIPRO", "product": "MIS", "price": 250, "quantity": 10}, AT)
    bought = Decimal(str(exchange.trades(later(5))[0]["average_price"]))
    rows = exchange.positions(later(5))
    net = next(r for r in rows["net"] if r["product"] == "MIS")
    assert (net["quantity"], net["buy_quantity"], net["buy_value"]) == (17, 17, 700 + 10 * bought)
    assert net["pnl"] == -net["buy_value"] + 17 * net["last_price"]
    day = next(r for r in rows["day"] if r["product"] == "MIS")
    assert (day["quantity"], day["buy_value"]) == (10, 10 * bought)
    assert exchange.margins(later(5))["equity"]["net"] < Decimal("50000.25")


def test_a_sale_out_of_an_imported_holding_touches_that_row_alone(folder):
    exchange = opened(account=load_account(folder))
    sell = ORDER | {"tradingsymbol": "WIPRO", "transaction_type": "SELL", "price": 240, "quantity": 10}
    exchange.place_order(sell, AT)
    wipro, gone = exchange.holdings(later(5))
    assert (wipro["quantity"], wipro["used_quantity"], wipro["average_price"]) == (30, 10, Decimal("250.5"))
    assert wipro["last_price"] == exchange.ltp(["NSE:WIPRO"], later(5))["NSE:WIPRO"]["last_price"]
    assert gone == exchange.holdings(AT)[1]
    tomorrow = exchange.holdings(later(86_400))
    assert [(r["tradingsymbol"], r["quantity"]) for r in tomorrow] == [("WIPRO", 20), ("GONECO", 5)]


def test_a_flat_list_of_positions_is_split_as_kites_server_joins_it(tmp_path):
    flat = POSITIONS["day"] + POSITIONS["net"]
    (tmp_path / "positions.json").write_text(json.dumps(flat))
    books = load_account(tmp_path)
    assert [r["quantity"] for r in books.positions_day] == [-3]
    assert [r["quantity"] for r in books.positions_net] == [7, 3]
    assert list(books.positions_net[0]) == list(shaped(POSITION, {}))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("nothing.txt", "", "holds none of"),
        ("holdings.json", "{", "holdings.json cannot be read"),
        ("holdings.json", '{"a": 1}', "not a list of rows"),
        ("margins.json", "[]", "not an object"),
        ("orders.json", "[1]", "not a list of rows"),
    ],
)
def test_a_folder_that_is_no_account_says_why(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(AccountError, match=words):
        load_account(tmp_path)


def test_books_survive_a_round_trip_to_the_last_digit(folder):
    for books in (default_account(), load_account(folder)):
        assert AccountBooks.from_json(books.as_json()) == books


def test_the_demo_account_has_money_and_live_prices():
    exchange = opened()
    rows = exchange.holdings(AT)
    assert [r["tradingsymbol"] for r in rows] == ["HDFCBANK", "ITC", "TCS", "RELIANCE", "NIFTYBEES"]
    quotes = exchange.ltp([f"NSE:{r['tradingsymbol']}" for r in rows], AT)
    assert [r["last_price"] for r in rows] == [quote["last_price"] for quote in quotes.values()]
    assert [r["instrument_token"] for r in rows] == [quote["instrument_token"] for quote in quotes.values()]
    assert exchange.margins(AT)["equity"]["net"] == 1_000_000
