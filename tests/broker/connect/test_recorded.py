"""Kite's documented bodies, where they lie beside the repository, through the whole client: what is read of them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.kite_connect import KiteConnectAdapter
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRejected,
)
from tests.broker.connect.conftest import NOW
from tests.broker.connect.double import KiteRest
from tests.broker.connect.test_reads import limit

SHARED = Path(__file__).resolve().parents[4] / "shared" / "kite"
RESPONSES = SHARED / "responses"
pytestmark = pytest.mark.skipif(not RESPONSES.is_dir(), reason="the sample bodies are not beside the repository")


def given(name: str) -> Any:
    return json.loads((RESPONSES / f"{name}.json").read_text(), parse_float=Decimal)["data"]


def serve(kite: KiteRest, method: str, path: str, name: str) -> Any:
    kite.say(method, path, body=(RESPONSES / f"{name}.json").read_text())
    return given(name)


def test_books(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    holdings = serve(kite, "GET", "/portfolio/holdings", "holdings")
    positions = serve(kite, "GET", "/portfolio/positions", "positions")
    orders, trades = serve(kite, "GET", "/orders", "orders"), serve(kite, "GET", "/trades", "trades")
    margins = serve(kite, "GET", "/user/margins", "margins")
    books = adapter.books()
    assert dict(books.faults) == {}
    assert [row.average_price for row in books.holdings or ()] == [row["average_price"] for row in holdings]
    for rows, wanted in ((books.positions_net, positions["net"]), (books.positions_day, positions["day"])):
        assert [(row.symbol, row.quantity, row.multiplier) for row in rows or ()] == [
            (f"{row['exchange']}:{row['tradingsymbol']}", row["quantity"], row["multiplier"]) for row in wanted
        ]
    assert [(row.broker_order_id, row.status) for row in books.orders or ()] == [
        (row["order_id"], row["status"]) for row in orders
    ]
    assert [row.trade_id for row in books.trades or ()] == [row["trade_id"] for row in trades]
    assert {name: purse.net for name, purse in (books.margins or {}).items()} == {
        name: purse["net"] for name, purse in margins.items()
    }


def test_history_quotes_and_candles(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    steps = serve(kite, "GET", "/orders/1", "order_info")
    assert [row.status for row in adapter.order_history("1")] == [row["status"] for row in steps]
    quotes = serve(kite, "GET", "/quote", "quote")
    assert {name: row.last_price for name, row in adapter.quotes(list(quotes)).items()} == {
        name: row["last_price"] for name, row in quotes.items()
    }
    for name in ("historical_minute", "historical_oi"):
        candles = serve(kite, "GET", "/instruments/historical/1/minute", name)["candles"]
        assert [(row.open, row.volume) for row in adapter.candles(1, "minute", NOW, NOW)] == [
            (row[1], row[5]) for row in candles
        ]


def test_margins_charges_and_slices(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    basket, single = (
        serve(kite, "POST", "/margins/basket", "basket_margins"),
        serve(kite, "POST", "/margins/orders", "order_margins"),
    )
    note = serve(kite, "POST", "/charges/orders", "virtual_contract_note")
    found = adapter.basket_margin([limit()])
    assert (found.initial, found.final) == (basket["initial"]["total"], basket["final"]["total"])
    assert [row.charges.total for row in found.orders] == [row["charges"]["total"] for row in basket["orders"]]
    assert [row.total for row in adapter.order_margins([limit()])] == [row["total"] for row in single]
    assert [row.charges.total for row in adapter.charges([limit()])] == [row["charges"]["total"] for row in note]


def test_the_slices_of_an_order(make_adapter: Any, kite: KiteRest) -> None:
    data = serve(kite, "POST", "/orders/regular", "autoslice_response")
    found = make_adapter(autoslice=True).place_order(limit())
    assert found == data["order_id"]
    assert found.children == tuple(row["order_id"] for row in data["children"] if "order_id" in row)
    assert [row.kind for row in found.faults] == ["MarginException"]


def test_profile_and_dump(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    serve(kite, "GET", "/user/profile", "profile")
    assert adapter.holdings_consent().given == "physical"
    for path, name in (("/instruments", "instruments_all"), ("/instruments/NSE", "instruments_nse")):
        text = (RESPONSES / f"{name}.csv").read_text()
        kite.say("GET", path, body=text, kind="text/csv")
        rows = list(adapter.instrument_dump(path.removeprefix("/instruments").strip("/")))
        assert len(rows) == len(text.strip().splitlines()) - 1
        assert all(isinstance(row["tick_size"], Decimal) and isinstance(row["lot_size"], int) for row in rows)


WANTED = {
    "TokenException": BrokerAuthExpired, "PermissionException": BrokerRejected, "InputException": BrokerRejected,
    "MarginException": BrokerRejected, "HoldingException": BrokerRejected, "OrderException": BrokerOutcomeUnknown,
    "NetworkException": BrokerOutcomeUnknown, "GeneralException": BrokerOutcomeUnknown,
}  # fmt: skip


def test_every_known_refusal_of_a_placement(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    rows = json.loads((SHARED / "synthetic_errors.json").read_text())["errors"]
    assert len(rows) == 16
    for count, row in enumerate(rows, 1):
        kite.say("POST", "/orders/regular", row["http"], row["body"])
        with pytest.raises(BrokerError) as caught:
            adapter.place_order(limit())
        assert (type(caught.value), row["meaning"]) == (WANTED[row["body"]["error_type"]], row["meaning"])
        assert len(kite.seen) == count
