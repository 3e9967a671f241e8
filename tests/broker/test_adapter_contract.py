"""The adapter against a real paper exchange, a process of its own reached over MCP on the loopback address."""

from __future__ import annotations

import itertools
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.paper import PaperAdapter
from broker.domain import (
    BrokerOrder,
    ModifyOrder,
    OrderType,
    PlaceOrder,
    Product,
    SessionPhase,
    Side,
    Validity,
    Variety,
)
from broker.ports import BrokerOutcomeUnknown, BrokerUnavailable
from tests.support.paper import PaperProcess, start_paper

pytestmark = pytest.mark.e2e
TAGS = itertools.count(1)
RESPONSES = Path(__file__).resolve().parents[3] / "shared" / "kite" / "responses"


@pytest.fixture(scope="module")
def adapter(paper_exchange: PaperProcess) -> Iterator[PaperAdapter]:
    found = PaperAdapter(paper_exchange.url)
    yield found
    found.close()


def order(**values: Any) -> PlaceOrder:
    """A buy far below the market, which stays open, unless told otherwise."""
    defaults: dict[str, Any] = {
        "symbol": "NSE:INFY", "side": Side.BUY, "quantity": 3, "order_type": OrderType.LIMIT, "product": Product.CNC,
        "validity": Validity.DAY, "variety": Variety.REGULAR, "tag": f"CT{next(TAGS)}",
        "limit_price": Decimal("1400.00"), "trigger_price": None,
    }  # fmt: skip
    return PlaceOrder(**{**defaults, **values})


def book(adapter: PaperAdapter) -> dict[str, BrokerOrder]:
    return {row.tag: row for row in adapter.orders()}


def until(adapter: PaperAdapter, tag: str, holds: Callable[[BrokerOrder], bool]) -> BrokerOrder:
    """Reads the book until the order is so, as a poller does."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = book(adapter)[tag]
        if holds(row):
            return row
    raise AssertionError(f"{tag} is {row}")


def test_who_and_what(adapter: PaperAdapter) -> None:
    assert adapter.profile().user_id == "PT0001"
    assert len(adapter.tools()) == 22
    state = adapter.market_state()
    assert (state.practice, state.phase, state.is_open) == (True, SessionPhase.CONTINUOUS, True)
    assert abs((state.now - datetime.now(UTC)).total_seconds()) < 5


def test_quotes_by_symbol_unknown_ones_absent(adapter: PaperAdapter) -> None:
    quotes = adapter.quotes(["NSE:INFY", "NSE:NOPE", "NSE:TCS"])
    assert sorted(quotes) == ["NSE:INFY", "NSE:TCS"]
    infy = quotes["NSE:INFY"]
    assert infy.lower_circuit is not None
    assert infy.upper_circuit is not None
    assert infy.lower_circuit < infy.last_price < infy.upper_circuit
    assert infy.bids[0].price < infy.asks[0].price


def test_candles_in_order(adapter: PaperAdapter) -> None:
    end = datetime.now(UTC)
    candles = adapter.candles(408065, "minute", end - timedelta(minutes=5), end)
    assert [c.ts for c in candles] == sorted(c.ts for c in candles)
    assert 4 <= len(candles) <= 6
    assert all(c.low <= c.open <= c.high and c.low <= c.close <= c.high for c in candles)


def test_every_book_is_read(adapter: PaperAdapter) -> None:
    books = adapter.books(["NSE:INFY"])
    assert books.complete == dict.fromkeys(("holdings", "positions", "orders", "trades", "margins"), True)
    assert (dict(books.faults), list(books.quotes)) == ({}, ["NSE:INFY"])
    assert {row.symbol for row in books.holdings or ()} >= {"NSE:TCS", "NSE:RELIANCE"}


def test_an_order_fills_and_is_read_back_as_sent(adapter: PaperAdapter) -> None:
    ask = adapter.quotes(["NSE:INFY"])["NSE:INFY"].asks[0].price
    sent = order(limit_price=ask + 10, quantity=2)
    order_id = adapter.place_order(sent)
    found = until(adapter, sent.tag, lambda row: row.is_final)
    assert (found.broker_order_id, found.status, found.filled_quantity) == (order_id, "COMPLETE", 2)
    assert (found.symbol, found.side, found.order_type, found.product, found.validity, found.variety) == (
        "NSE:INFY", "BUY", "LIMIT", "CNC", "DAY", "regular",
    )  # fmt: skip
    assert found.price == ask + 10
    fills = [trade for trade in adapter.trades() if trade.broker_order_id == order_id]
    assert sum(trade.quantity for trade in fills) == 2
    assert adapter.order_history(order_id)[-1].status == "COMPLETE"


def test_an_order_is_modified_and_cancelled(adapter: PaperAdapter) -> None:
    sent = order()
    order_id = adapter.place_order(sent)
    until(adapter, sent.tag, lambda row: row.status == "OPEN")
    change = ModifyOrder(order_id, Variety.REGULAR, OrderType.LIMIT, 5, Validity.DAY, Decimal("1401.00"))
    assert adapter.modify_order(change) == order_id
    found = until(adapter, sent.tag, lambda row: row.quantity == 5)
    assert found.price == Decimal("1401.00")
    until(adapter, sent.tag, lambda row: row.status == "OPEN")
    assert adapter.cancel_order(order_id, "regular") == order_id
    found = until(adapter, sent.tag, lambda row: row.is_final)
    assert (found.status, found.filled_quantity) == ("CANCELLED", 0)


def test_an_ack_is_not_acceptance(adapter: PaperAdapter) -> None:
    sent = order(symbol="NSE:NOSUCH")
    adapter.place_order(sent)
    found = until(adapter, sent.tag, lambda row: row.is_final)
    assert (found.status, found.filled_quantity) == ("REJECTED", 0)
    assert found.status_message


def test_a_refusal_at_entry_says_nothing_and_leaves_no_order(adapter: PaperAdapter) -> None:
    sent = order(order_type=OrderType.MARKET, limit_price=None)
    with pytest.raises(BrokerOutcomeUnknown, match="Failed to place order"):
        adapter.place_order(sent)
    assert sent.tag not in book(adapter)


def test_a_missing_tag_is_provably_not_sent(adapter: PaperAdapter) -> None:
    with pytest.raises(BrokerUnavailable, match="parameter 'tradingsymbol': cannot be empty"):
        adapter._write("place_order", {"variety": "regular", "exchange": "NSE", "tradingsymbol": ""})


def test_an_unknown_tool_is_provably_not_sent(adapter: PaperAdapter) -> None:
    with pytest.raises(BrokerUnavailable, match="not found"):
        adapter._write("place_everything", {})


def test_a_cancel_of_a_final_order_is_an_unknown_outcome(adapter: PaperAdapter) -> None:
    with pytest.raises(BrokerOutcomeUnknown, match="Failed to cancel order"):
        adapter.cancel_order("999", "regular")


def test_many_threads_share_one_session(adapter: PaperAdapter) -> None:
    sent = [order(quantity=1) for _ in range(60)]
    with ThreadPoolExecutor(12) as pool:
        ids = list(pool.map(adapter.place_order, sent))
    found = book(adapter)
    assert len(set(ids)) == 60
    assert {found[one.tag].broker_order_id for one in sent} == set(ids)


def test_the_console_reads_and_never_writes(adapter: PaperAdapter) -> None:
    assert adapter.call_read_tool("get_ltp", {"instruments": ["NSE:NOPE"]}) == {}
    count = len(adapter.orders())
    for name in ("place_order", "cancel_order", "login", "place_gtt_order", "anything"):
        with pytest.raises(ValueError, match="not a read tool"):
            adapter.call_read_tool(name, {})
    assert len(adapter.orders()) == count


def test_a_forked_child_has_a_session_of_its_own(adapter: PaperAdapter) -> None:
    adapter.profile()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # the child says what it read and leaves without pytest's ending
        try:
            os.write(writing, adapter.profile().user_id.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"PT0001"
    assert adapter.profile().user_id == "PT0001"


def test_the_status_beside_it(paper_exchange: PaperProcess) -> None:
    with urllib.request.urlopen(paper_exchange.url.replace("/mcp", "/status")) as answer:
        status = json.load(answer)
    assert (status["ok"], status["clock"], status["phase"], status["seed"]) == (True, "practice", "CONTINUOUS", 7)
    assert status["symbols"] >= 100
    assert status["ledger"] == str(paper_exchange.ledger)


def raw_post(url: str, headers: dict[str, str], method: str = "tools/list") -> tuple[int, str]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).encode()
    always = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, data=body, headers={**always, **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp-Session-Id": "kitemcp-nosuch"},
        {"Mcp-Session-Id": "nosuch"},
        {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"},
    ],
)
def test_a_session_it_has_not_is_refused_as_the_real_server_does(
    paper_exchange: PaperProcess, headers: dict[str, str]
) -> None:
    assert raw_post(paper_exchange.url, headers) == (400, "Invalid session ID\n")


# --- a server that goes and comes --------------------------------------------------------------------------------
@pytest.fixture
def own_exchange(tmp_path: Path) -> Iterator[PaperProcess]:
    found = start_paper(tmp_path)
    yield found
    found.kill()


def test_a_server_that_is_gone_was_provably_not_sent_anything(own_exchange: PaperProcess) -> None:
    adapter, kept, lost = PaperAdapter(own_exchange.url), order(), order()
    order_id = adapter.place_order(kept)
    own_exchange.kill()
    with pytest.raises(BrokerUnavailable, match="cannot connect"):
        adapter.place_order(lost)
    with pytest.raises(BrokerUnavailable):
        adapter.orders()
    with pytest.raises(BrokerUnavailable):
        adapter.market_state()
    own_exchange.restart()
    found = book(adapter)  # a read finds its way back by itself, and the ledger survived the kill
    assert list(found) == [kept.tag]
    assert found[kept.tag].broker_order_id == order_id
    adapter.place_order(lost)
    assert sorted(book(adapter)) == sorted([kept.tag, lost.tag])
    adapter.close()


def test_it_ends_cleanly_and_keeps_its_ledger_to_itself(own_exchange: PaperProcess, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"The ledger cannot be used: .* is in use by another exchange"):
        start_paper(tmp_path / "second", ledger=own_exchange.ledger)
    with pytest.raises(RuntimeError, match=f"Port {own_exchange.port} on 127.0.0.1 is in use"):
        start_paper(tmp_path, ledger=tmp_path / "other.sqlite3", port=own_exchange.port)
    assert own_exchange.stop() == 0


@pytest.mark.skipif(not RESPONSES.is_dir(), reason="the sample account is not beside the repository")
def test_an_account_from_a_folder_comes_up_with_exactly_its_rows(tmp_path: Path) -> None:
    paper = start_paper(tmp_path, account=RESPONSES)
    adapter = PaperAdapter(paper.url)
    try:
        books = adapter.books()
    finally:
        adapter.close()
        paper.kill()
    given = {name: json.loads((RESPONSES / f"{name}.json").read_text(), parse_float=Decimal)["data"]
             for name in ("holdings", "positions", "orders", "trades", "margins")}  # fmt: skip
    assert dict(books.faults) == {}
    key = ("exchange", "tradingsymbol")
    for rows, wanted in (
        (books.holdings, given["holdings"]), (books.positions_net, given["positions"]["net"]),
        (books.positions_day, given["positions"]["day"]), (books.orders, given["orders"]),
    ):  # fmt: skip
        assert [row.symbol for row in rows or ()] == [":".join(row[k] for k in key) for row in wanted]
        assert [row.quantity for row in rows or ()] == [row["quantity"] for row in wanted]
        assert [row.average_price for row in rows or ()] == [Decimal(row["average_price"]) for row in wanted]
    assert [row.trade_id for row in books.trades or ()] == [row["trade_id"] for row in given["trades"]]
    assert books.margins is not None
    assert books.margins["equity"].net == given["margins"]["equity"]["net"]
