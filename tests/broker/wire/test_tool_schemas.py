"""A server's tool list held against the tools we know."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.kite_tools import ORDER_TOOLS, modify_arguments, place_arguments
from broker.adapters.tool_schemas import KNOWN, OURS, Fits, ToolFault, faults_of, is_hosted_profile
from broker.domain import ModifyOrder, OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.paper.tools import tool_list

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "kite" / "wire" / "tools_list.json"


@pytest.fixture
def tools() -> dict[str, Any]:
    return {tool["name"]: tool for tool in copy.deepcopy(tool_list())}


def said(tools: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fault.tool, fault.what) for fault in faults_of(tools.values())]


def test_the_paper_exchange_has_the_tools_we_know(tools: dict[str, Any]) -> None:
    assert faults_of(tools.values()) == []
    assert is_hosted_profile(tools.values()) is False


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recordings are not beside the repository")
def test_so_has_the_recorded_server() -> None:
    document = json.loads(RECORDED.read_text())
    listed = document if isinstance(document, list) else document.get("result", document)["tools"]
    assert len(listed) == 22
    assert faults_of(listed) == []


def test_a_hosted_server_sends_no_orders(tools: dict[str, Any]) -> None:
    hosted = [tool for name, tool in tools.items() if name not in ORDER_TOOLS]
    what = "is not offered: this server cannot send orders"
    assert faults_of(hosted) == [ToolFault(name, what, Fits.MISSING) for name in sorted(ORDER_TOOLS)]
    assert all(fault.stops_orders for fault in faults_of(hosted))
    assert is_hosted_profile(hosted) is True


def test_other_tools_missing_or_new_stop_no_orders(tools: dict[str, Any]) -> None:
    del tools["get_ltp"]
    tools["place_everything"] = {"name": "place_everything", "inputSchema": {"type": "object"}}
    assert faults_of(tools.values()) == [
        ToolFault("get_ltp", "is not offered", Fits.MISSING),
        ToolFault("place_everything", "is not known to us and is never called", Fits.UNKNOWN),
    ]
    assert [fault.stops_orders for fault in faults_of(tools.values())] == [False, False]


def change(tools: dict[str, Any], tool: str) -> dict[str, Any]:
    return tools[tool]["inputSchema"]


@pytest.mark.parametrize(
    ("tool", "edit", "what"),
    [
        ("place_order", lambda s: s["required"].append("market_protection"),
         "requires market_protection, which we do not send"),
        ("place_order", lambda s: s["properties"].pop("tag"), "no longer takes tag"),
        ("place_order", lambda s: s["properties"]["quantity"].update(type="string"),
         "takes quantity as string, not number"),
        ("modify_order", lambda s: s["required"].remove("order_type"), "no longer requires order_type"),
        ("cancel_order", lambda s: s["properties"].update(order_id=7),
         "takes order_id as something unreadable, not string"),
        ("get_quotes", lambda s: s["properties"]["instruments"].update(items={"type": "number"}),
         "takes instruments as array of number, not array of string"),
        ("get_orders", lambda s: s.update(required=["account"]), "requires account, which we do not send"),
        ("get_orders", lambda s: s.update(properties=[1]), "has a schema that cannot be read"),
    ],
)  # fmt: skip
def test_a_changed_schema_is_named(tools: dict[str, Any], tool: str, edit: Any, what: str) -> None:
    edit(change(tools, tool))
    assert said(tools) == [(tool, what)]
    (fault,) = faults_of(tools.values())
    assert fault.stops_orders is (tool in ORDER_TOOLS)


def test_what_does_not_concern_us_is_no_difference(tools: dict[str, Any]) -> None:
    schema = change(tools, "place_order")
    schema["properties"]["market_protection"] = {"type": "number"}
    schema["properties"]["quantity"]["type"] = "integer"
    schema["properties"]["variety"]["enum"] = ["regular", "amo", "more"]
    change(tools, "place_gtt_order")["required"] = ["anything"]
    assert said(tools) == []


def test_hostile_lists_are_read_without_harm() -> None:
    hostile: list[dict[str, Any]] = [{}, {"name": 7}, {"name": "x" * 5000}, {"name": "place_order"}] * 2
    found = faults_of(hostile)
    assert ("place_order", "has no schema") in {(fault.tool, fault.what) for fault in found}
    assert ("place_order", "is listed twice") in {(fault.tool, fault.what) for fault in found}
    assert max(len(fault.tool) for fault in found) == 100
    assert is_hosted_profile([]) is False


def test_every_argument_we_build_is_one_we_know() -> None:
    place = PlaceOrder("NSE:INFY", Side.BUY, 1, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "T1",
                       Decimal(1500))  # fmt: skip
    modify = ModifyOrder("1", Variety.REGULAR, OrderType.LIMIT, 5, Validity.DAY, Decimal("1401.00"))
    types = {str: "string", int: "number", float: "number"}
    for tool, arguments in (("place_order", place_arguments(place)), ("modify_order", modify_arguments(modify))):
        assert {name: types[type(value)] for name, value in arguments.items()} == KNOWN[tool].sends
    assert KNOWN.keys() == OURS
    assert [name for name, known in KNOWN.items() if not known.required <= known.sends.keys()] == []
