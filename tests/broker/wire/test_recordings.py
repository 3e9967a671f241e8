"""The adapter on what the official server answered, word for word. Skipped where the recordings are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.kite_mcp import KiteMcpAdapter
from broker.adapters.tool_client import ToolAnswer
from broker.domain import ModifyOrder, OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.ports import BrokerAuthExpired, BrokerError, BrokerOutcomeUnknown, BrokerSchemaError, BrokerUnavailable

ROOT = Path(__file__).resolve().parents[3]
KITE = Path(__file__).resolve().parents[4] / "shared" / "kite"
RESULTS, WIRE, ERRORS = KITE / "mcp_results", KITE / "wire" / "streamable_http.json", KITE / "synthetic_errors.json"
recorded = pytest.mark.skipif(not RESULTS.is_dir(), reason="the recordings are not beside the repository")
ORDER = PlaceOrder(
    "NSE:INFY", Side.BUY, 1, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "ST1", Decimal("1500.05")
)
CHANGE = ModifyOrder("1", Variety.REGULAR, OrderType.LIMIT, 5, Validity.DAY, Decimal("1401.00"))
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


class Replay:
    """Answers each tool with its answers in turn, the last one for ever; a CallFailed is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {tool: list(a) if isinstance(a, list) else [a] for tool, a in answers.items()}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def call(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        self.calls.append((tool, dict(arguments)))
        queue = self.answers[tool]
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(found, CallFailed):
            raise found
        return found if isinstance(found, ToolAnswer) else ToolAnswer(found, False)

    call_write = call

    def list_tools(self) -> list[Mapping[str, object]]:
        return []

    def get_json(self, url: str) -> object:
        raise CallFailed(Fault.LOST, url)

    def close(self) -> None:
        pass


def adapter(**answers: Any) -> tuple[KiteMcpAdapter, Replay]:
    client = Replay(**answers)
    return KiteMcpAdapter("http://127.0.0.1:1/mcp", client=client, clock=lambda: NOW), client


def result(name: str) -> ToolAnswer:
    found = json.loads((RESULTS / f"{name}.json").read_text())
    (item,) = found["content"]
    return ToolAnswer(item["text"], bool(found.get("isError")))


def raw(name: str) -> Any:
    return json.loads(result(name).text, parse_float=Decimal)


# --- reads -------------------------------------------------------------------------------------------------------
@recorded
def test_who() -> None:
    found = adapter(get_profile=result("get_profile"))[0].profile()
    assert (found.user_id, found.broker) == (raw("get_profile")["user_id"], "ZERODHA")


@recorded
def test_holdings_bare_and_paged_are_the_same_rows() -> None:
    whole = adapter(get_holdings=result("get_holdings"))[0].holdings()
    rows = raw("get_holdings")
    assert [(row.symbol, row.quantity, row.average_price, row.t1_quantity) for row in whole] == [
        (":".join((row["exchange"], row["tradingsymbol"])), row["quantity"], row["average_price"], row["t1_quantity"])
        for row in rows
    ]
    first = raw("get_holdings_paged_from0_limit1")
    assert (first["pagination"]["has_more"], first["pagination"]["total"]) == (True, len(rows))
    rest = {"data": rows[1:], "pagination": {"from": 1, "total": len(rows), "has_more": False}}
    one, client = adapter(
        get_holdings=[result("get_holdings_paged_from0_limit1"), ToolAnswer(json.dumps(rest, default=float), False)]
    )
    assert [row.symbol for row in one.holdings()] == [row.symbol for row in whole]
    assert client.calls[1] == ("get_holdings", {"from": 1, "limit": 500})


@recorded
def test_positions_come_apart_into_day_and_net() -> None:
    rows = raw("get_positions")
    net, day = adapter(get_positions=result("get_positions"))[0].positions()
    keys = {(row["exchange"], row["tradingsymbol"], row["product"]) for row in rows}
    assert (len(net), len(day)) == (len(keys), len(rows) - len(keys))
    assert [row.quantity for row in (*day, *net)] == [row["quantity"] for row in rows]
    golden = {row.symbol: row for row in day}["MCX:GOLDGUINEA17DECFUT"]
    assert (golden.quantity, golden.pnl, golden.average_price) == (-3, Decimal(-93), Decimal(23340))
    assert {row.symbol: row.quantity for row in net}["MCX:GOLDGUINEA17DECFUT"] == 0


@recorded
def test_positions_in_pages_come_apart_the_same() -> None:
    rows = raw("get_positions")
    pages = [
        {"data": rows[:2], "pagination": {"from": 0, "total": len(rows), "has_more": True}},
        {"data": rows[2:], "pagination": {"from": 2, "total": len(rows), "has_more": False}},
    ]
    answers = [ToolAnswer(json.dumps(page, default=float), False) for page in pages]
    found = adapter(get_positions=answers)[0].positions()
    assert found == adapter(get_positions=result("get_positions"))[0].positions()


@recorded
def test_orders_with_their_times_tags_and_nothings() -> None:
    rows, found = raw("get_orders"), adapter(get_orders=result("get_orders"))[0].orders()
    assert [row.broker_order_id for row in found] == [row["order_id"] for row in rows]
    assert [row.status for row in found] == [row["status"] for row in rows]
    assert [row.tags for row in found] == [tuple(row["tags"] or ()) for row in rows]
    for row, written in zip(found, rows, strict=True):
        assert row.placed_at == datetime.fromisoformat(written["order_timestamp"]).astimezone(UTC)
        year_one = written["exchange_update_timestamp"].startswith("0001")
        assert row.updated_at == (
            row.placed_at if year_one else datetime.fromisoformat(written["exchange_update_timestamp"]).astimezone(UTC)
        )
    assert all(row.placed_at is not None and row.placed_at.utcoffset() == NOW.utcoffset() for row in found)


@recorded
def test_the_history_of_an_order() -> None:
    found = adapter(get_order_history=result("get_order_history"))[0].order_history("171229000724687")
    assert found[0].status == "PUT ORDER REQ RECEIVED"
    assert [row.status for row in found] == [row["status"] for row in raw("get_order_history")]


@recorded
def test_trades_margins_and_candles() -> None:
    one, _ = adapter(
        get_trades=result("get_trades"), get_margins=result("get_margins"),
        get_historical_data=[result("get_historical_data_minute"), result("get_historical_data_oi"),
                             result("get_historical_data_empty")],
    )  # fmt: skip
    assert [(row.trade_id, row.average_price) for row in one.trades()] == [
        (row["trade_id"], Decimal(row["average_price"])) for row in raw("get_trades")
    ]
    margins = one.margins()
    assert margins["equity"].net == Decimal(raw("get_margins")["equity"]["net"])
    first = one.candles(1, "minute", NOW, NOW)
    assert first[0].ts == datetime.fromisoformat(raw("get_historical_data_minute")[0]["date"]).astimezone(UTC)
    assert len(one.candles(1, "minute", NOW, NOW)) == len(raw("get_historical_data_oi"))
    assert one.candles(1, "minute", NOW, NOW) == ()


@recorded
def test_a_quote_that_is_absent_is_absent() -> None:
    quotes = adapter(get_quotes=result("get_quotes"))[0].quotes(["NSE:INFY", "NSE:NOSUCH"])
    assert list(quotes) == ["NSE:INFY"]
    infy = quotes["NSE:INFY"]
    assert (infy.last_price, infy.bids) == (Decimal("1412.95"), ())
    assert (infy.lower_circuit, infy.upper_circuit) == (Decimal("1250.7"), Decimal("1528.6"))
    assert infy.as_of == datetime(2021, 6, 8, 10, 15, 56, tzinfo=UTC)


@recorded
def test_every_read_of_the_recorded_conversation_is_understood() -> None:
    """Each recorded answer through the method that asks for it; none is a schema fault."""
    reads = {
        "get_profile": "profile", "get_margins": "margins", "get_holdings": "holdings", "get_positions": "positions",
        "get_orders": "orders", "get_trades": "trades",
    }  # fmt: skip
    seen = 0
    for step in json.loads(WIRE.read_text()):
        params = step["request"].get("params") or {}
        name = params.get("name")
        if name in reads and not params.get("arguments") and "result" in (step["response"] or {}):
            answer = step["response"]["result"]
            one, _ = adapter(**{name: ToolAnswer(answer["content"][0]["text"], bool(answer.get("isError")))})
            if answer.get("isError"):
                with pytest.raises((BrokerUnavailable, BrokerAuthExpired)):
                    getattr(one, reads[name])()
            elif "(cut here" in answer["content"][0]["text"]:  # the recording's own end, and no answer to build on
                with pytest.raises(BrokerSchemaError):
                    getattr(one, reads[name])()
            else:
                assert getattr(one, reads[name])()
            seen += 1
    assert seen >= 8


# --- outcomes ----------------------------------------------------------------------------------------------------
def writes(tool: str) -> Any:
    return {
        "place_order": lambda one: one.place_order(ORDER),
        "modify_order": lambda one: one.modify_order(CHANGE),
        "cancel_order": lambda one: one.cancel_order("1", "regular"),
    }[tool]


def outcome(tool: str, answer: Any) -> type[BrokerError]:
    one, client = adapter(**{tool: answer})
    with pytest.raises(BrokerError) as caught:
        writes(tool)(one)
    assert [name for name, _ in client.calls] == [tool]  # once, whatever it was
    return type(caught.value)


@recorded
@pytest.mark.parametrize("tool", ["place_order", "modify_order", "cancel_order"])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("error_place_order", BrokerOutcomeUnknown), ("error_generic_get_orders", BrokerOutcomeUnknown),
        ("error_missing_param", BrokerUnavailable), ("error_not_logged_in_first_call", BrokerAuthExpired),
        ("error_session_registry", BrokerUnavailable), ("login_already", BrokerOutcomeUnknown),
        ("get_profile", BrokerOutcomeUnknown), ("get_historical_data_empty", BrokerOutcomeUnknown),
    ],
)  # fmt: skip
def test_what_a_recorded_answer_proves_of_a_write(tool: str, name: str, error: type[BrokerError]) -> None:
    assert outcome(tool, result(name)) is error


@recorded
@pytest.mark.parametrize("tool", ["place_order", "modify_order", "cancel_order"])
def test_an_accepted_write_gives_the_brokers_id(tool: str) -> None:
    one, client = adapter(**{tool: result(tool)})
    assert writes(tool)(one) == raw(tool)["order_id"]
    assert len(client.calls) == 1


@pytest.mark.skipif(not ERRORS.is_file(), reason="the error bodies are not beside the repository")
def test_no_reason_of_the_broker_proves_that_nothing_was_sent() -> None:
    """Behind this server the reason is gone; and were it passed on, it would prove nothing either."""
    errors = json.loads(ERRORS.read_text())["errors"]
    assert len(errors) >= 12
    for error in errors:
        said = error["body"]["message"] if isinstance(error.get("body"), dict) else str(error.get("body"))
        for text in ("Failed to place order", said, json.dumps(error.get("body"))):
            assert outcome("place_order", ToolAnswer(text, True)) is BrokerOutcomeUnknown, error


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (CallFailed(Fault.NOT_SENT, "cannot connect"), BrokerUnavailable),
        (CallFailed(Fault.SESSION_LOST, "gone"), BrokerOutcomeUnknown),
        (CallFailed(Fault.LOST, "HTTP 429"), BrokerOutcomeUnknown),
        (CallFailed(Fault.LOST, "connection lost"), BrokerOutcomeUnknown),
        (CallFailed(Fault.UNREADABLE, "too large"), BrokerOutcomeUnknown),
        (CallFailed(Fault.PROTOCOL, "tool 'place_order' not found: tool not found", -32602), BrokerUnavailable),
        (CallFailed(Fault.PROTOCOL, "handler error", -32603), BrokerOutcomeUnknown),
    ],
)
def test_what_a_failure_below_the_tool_proves_of_a_write(failure: CallFailed, error: type[BrokerError]) -> None:
    assert outcome("place_order", failure) is error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Failed to execute get_orders", BrokerUnavailable),
        ("Please log in first using the login tool", BrokerAuthExpired),
        ("Failed to establish a session. Please try again.", BrokerUnavailable),
    ],
)
def test_a_read_that_the_tool_refuses_is_not_repeated(text: str, error: type[BrokerError]) -> None:
    one, client = adapter(get_orders=ToolAnswer(text, True))
    with pytest.raises(error):
        one.orders()
    assert len(client.calls) == 1


def test_a_read_goes_on_over_passing_failures_and_stops_at_a_wrong_shape() -> None:
    passing = [CallFailed(Fault.LOST, "cut"), CallFailed(Fault.SESSION_LOST, "gone"), CallFailed(Fault.NOT_SENT, "x")]
    one, client = adapter(get_orders=[*passing, "[]"])
    assert one.orders() == ()
    assert len(client.calls) == 4
    one, client = adapter(get_orders=[CallFailed(Fault.UNREADABLE, "too large"), "[]"])
    with pytest.raises(BrokerSchemaError):
        one.orders()
    assert len(client.calls) == 1


def test_an_adapter_whose_calls_another_process_carries_does_without_the_sdk() -> None:
    check = "import sys, broker.adapters.paper; print(sorted({'mcp', 'httpx2', 'h2', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, timeout=30, check=True
    )
    assert done.stdout == "[]\n"
