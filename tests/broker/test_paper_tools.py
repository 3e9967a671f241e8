"""The tools' manners: presence checks, coercions, fixed texts, paging."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.kite_tools import ORDER_TOOLS, READ_TOOLS, tool_mode
from broker.paper.config import Delays, ExchangeConfig
from broker.paper.ledger import DurableExchange
from broker.paper.sessions import LoginMode, ToolSession
from broker.paper.tools import Call, PaperTools, Reply, UnknownTool, encode, paged, tool_list

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
LIMIT = {
    "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 7,
    "product": "CNC", "order_type": "LIMIT", "price": 1400, "validity": "DAY", "tag": "T1",
}  # fmt: skip
WIRE = Path(__file__).resolve().parents[3] / "shared" / "kite" / "wire" / "tools_list.json"


@pytest.fixture
def exchange(tmp_path: Path) -> Any:
    config = ExchangeConfig(delays=Delays(0, 0, 0, 0, 0, 0))
    found = DurableExchange(tmp_path / "ledger.sqlite3", opened_at=NOW, config=config)
    yield found
    found.close()


@pytest.fixture
def ask(exchange: DurableExchange) -> Any:
    tools, session = PaperTools(exchange), ToolSession()

    def call(name: str, arguments: dict[str, Any] | None = None, session: ToolSession = session) -> Reply:
        return tools.call(Call(name, arguments or {}, session, NOW))

    return call


def the_order(ask: Any) -> dict[str, Any]:
    (order,) = json.loads(ask("get_orders").text)
    return order


def test_an_ack_is_an_id_and_the_order_is_as_asked(ask: Any) -> None:
    reply = ask("place_order", LIMIT)
    order = the_order(ask)
    assert (reply.is_error, json.loads(reply.text)) == (False, {"order_id": order["order_id"]})
    assert (order["quantity"], order["price"], order["tag"], order["tags"]) == (7, 1400, "T1", ["T1"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"exchange": "NSE"}, "parameter 'variety': is required"),
        ({**LIMIT, "tradingsymbol": ""}, "parameter 'tradingsymbol': cannot be empty"),
        ({**LIMIT, "order_type": "MARKET"}, "Failed to place order"),
        ({**LIMIT, "order_type": "limit"}, "Failed to place order"),
        ({**LIMIT, "price": "1000"}, "Failed to place order"),
        ({**LIMIT, "tag": "with space"}, "Failed to place order"),
    ],
)
def test_a_refusal_has_its_fixed_text_and_leaves_no_order(ask: Any, arguments: dict[str, Any], text: str) -> None:
    assert ask("place_order", arguments) == Reply(text, is_error=True)
    assert json.loads(ask("get_orders").text) == []


def test_a_quantity_as_text_becomes_one(ask: Any) -> None:
    ask("place_order", {**LIMIT, "quantity": "25"})
    assert the_order(ask)["quantity"] == 1


def test_a_fraction_of_a_share_is_cut(ask: Any) -> None:
    ask("place_order", {**LIMIT, "quantity": 3.9})
    assert the_order(ask)["quantity"] == 3


def test_a_modify_without_quantity_asks_for_one(ask: Any) -> None:
    order_id = json.loads(ask("place_order", LIMIT).text)["order_id"]
    ask("modify_order", {"variety": "regular", "order_id": order_id, "order_type": "LIMIT", "price": 1401})
    order = the_order(ask)
    assert (order["quantity"], order["price"]) == (1, 1401)


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("get_order_history", {"order_id": "999"}, "Failed to get order history"),
        ("get_order_trades", {"order_id": "999"}, "Failed to get order trades"),
        ("cancel_order", {"variety": "regular", "order_id": "999"}, "Failed to cancel order"),
        ("modify_order", {"variety": "regular", "order_id": "9", "order_type": "LIMIT"}, "Failed to modify order"),
        ("get_quotes", {"instruments": []}, "parameter 'instruments': cannot be empty"),
        ("get_ltp", {"instruments": [1]}, "At least one instrument must be specified"),
        ("get_historical_data",
         {"instrument_token": 1, "from_date": "today", "to_date": "2026-11-23 10:00:00", "interval": "day"},
         "Failed to parse from_date, use format YYYY-MM-DD HH:MM:SS"),
        ("get_historical_data",
         {"instrument_token": 1, "from_date": "2026-11-22 10:00:00", "to_date": "2026-11-23 10:00:00",
          "interval": "day"}, "Failed to get historical data"),
        ("delete_gtt_order", {"trigger_id": 1}, "Failed to delete GTT order"),
    ],
)  # fmt: skip
def test_failures_say_nothing_but_their_fixed_text(ask: Any, tool: str, arguments: dict[str, Any], text: str) -> None:
    assert ask(tool, arguments) == Reply(text, is_error=True)


def test_an_unknown_tool_is_no_result(ask: Any) -> None:
    with pytest.raises(UnknownTool):
        ask("sell_everything")


def test_without_a_login_the_first_call_says_so_and_later_ones_do_not(ask: Any) -> None:
    session = ToolSession(mode=LoginMode.MANUAL)
    replies = [ask("get_orders", session=session), ask("place_order", LIMIT, session=session)]
    assert replies == [
        Reply("Please log in first using the login tool", is_error=True),
        Reply("Failed to place order", is_error=True),
    ]
    assert ask("search_instruments", {"query": "INFY"}, session=session).is_error is False
    assert json.loads(ask("get_orders").text) == []


def test_a_practice_account_is_logged_in(ask: Any) -> None:
    assert ask("login") == Reply("You are already logged in as Practice Trader")


def test_a_symbol_without_a_quote_is_absent(ask: Any) -> None:
    assert list(json.loads(ask("get_ltp", {"instruments": ["NSE:INFY", "NSE:NOPE"]}).text)) == ["NSE:INFY"]


def test_a_layer_can_lose_an_answer_after_the_order_was_taken(exchange: DurableExchange) -> None:
    def lost(call: Call, proceed: Any) -> Reply:
        proceed(call)
        return Reply("Failed to place order", is_error=True)

    tools = PaperTools(exchange, layers=[lost])
    assert tools.call(Call("place_order", LIMIT, ToolSession(), NOW)).is_error is True
    assert [row["tag"] for row in exchange.read(lambda e: e.orders(NOW))] == ["T1"]


def test_paging_wraps_only_with_a_limit() -> None:
    rows: list[object] = [1, 2, 3, 4, 5]
    page = {"from": 3, "limit": 2, "total": 5, "has_more": False, "returned": 2}
    assert paged(rows, {"from": 3, "limit": 2}) == {"data": [4, 5], "pagination": page}
    assert paged(rows, {"from": -4}) == rows
    assert paged(rows, {"from": 4}) == [5]


def test_numbers_are_written_as_the_server_does() -> None:
    from decimal import Decimal

    row = {"a": Decimal("1500.00"), "b": Decimal("0.05"), "c": None, "d": Decimal("99725.05000000002")}
    assert encode(row) == '{"a":1500,"b":0.05,"c":null,"d":99725.05000000002}'


@pytest.mark.skipif(not WIRE.exists(), reason="the recorded tool list is not beside the repository")
def test_tool_list_is_the_recorded_one_but_for_its_prose() -> None:
    recorded = json.loads(WIRE.read_text(encoding="utf-8"))["tools"]
    assert [{k: v for k, v in tool.items() if k != "description"} for tool in tool_list()] == recorded


def test_every_tool_has_a_mode_of_ours() -> None:
    modes = {str(tool["name"]): tool_mode(str(tool["name"])) for tool in tool_list()}
    assert {name for name, mode in modes.items() if mode == "read"} == READ_TOOLS
    assert {name for name, mode in modes.items() if mode == "write"} >= ORDER_TOOLS
    assert tool_mode("get_everything_and_sell") == "write"
