"""What the exchange answers against recordings of the real server: names, order, types, constant texts and framing.

Values may differ. The recordings lie beside the repository; without them these tests are skipped and say so.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.paper.account import load_account
from broker.paper.faults import parse_fault
from broker.paper.pages import TOOL_NAMES
from broker.paper.sessions import LoginMode
from tests.broker.paper.wire import NO_DELAYS, Got, Wire, called, drive, link_in, text_of

KITE = Path(__file__).resolve().parents[4] / "shared" / "kite"
WIRE, RESULTS, ACCOUNT = KITE / "wire", KITE / "mcp_results", KITE / "responses"
pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings are not beside the repository")
LIKE_THE_DOUBLE = replace(NO_DELAYS, refuse_unprotected_market=False)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+05:30|Z)")
FREE = {"meta"}  # what a broker puts there depends on the order
MAY_BE_NULL = {"tags", "products", "order_types", "exchanges"}
BY_SYMBOL = {"get_ltp", "get_ohlc", "get_quotes"}
NOT_KEPT = {"get_gtts", "get_mf_holdings"}  # always empty here
INFY = 408065
FIRST_IDS = ("nosuch", "kitemcp-00000000-0000-4000-8000-000000000000", "")
FAULTS = {32: "place:placed_then_error", 33: "get_holdings:error"}


def differences(ours: Any, theirs: Any, where: str) -> list[str]:
    """Where two JSON values are not of one shape; keys count in order."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if list(ours) != list(theirs):
            return [f"{where}: {list(ours)} is not {list(theirs)}"]
        return [
            text for key in theirs if key not in FREE for text in differences(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        return [text for i, item in enumerate(ours) for text in differences(item, theirs[0], f"{where}[{i}]")]
    if where.rsplit(".", 1)[-1].split("[", maxsplit=1)[0] in MAY_BE_NULL and None in (ours, theirs):
        return []
    return [] if _kind(ours) == _kind(theirs) else [f"{where}: {ours!r} is not like {theirs!r}"]


def _kind(value: object) -> str:
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return "moment"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def compared(tool: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Two tool results: the envelope, then the text, which is JSON, or a constant where it is an error."""
    if ours.keys() != theirs.keys() or ours.get("isError") != theirs.get("isError"):
        return [f"{tool}: {ours} is not {theirs}"]
    mine, real = text_of(ours), text_of(theirs)
    if "isError" in theirs:
        return [] if mine == real else [f"{tool}: {mine!r} is not {real!r}"]
    if tool == "login":
        return []
    found, wanted = json.loads(mine), json.loads(real)
    if tool in BY_SYMBOL:
        found, wanted = list(found.values()), list(wanted.values())
    return [f"{tool}: nothing to compare"] * (found == [] and tool not in NOT_KEPT) + differences(found, wanted, tool)


def with_our_ids(request: dict[str, Any], order_id: str) -> dict[str, Any]:
    """The recorded call, for our instrument and our order."""
    text = json.dumps(request).replace("260000000000001", order_id).replace("256001", str(INFY))
    return dict(json.loads(text))


def envelope_differences(got: Got, step: dict[str, Any]) -> list[str]:
    number = step["request"].get("id")
    found: list[str] = []
    kind = got.headers.get("content-type")
    if (got.status, kind) != (step["status"], step["content_type"]):
        found.append(f"{number}: {got.status} {kind} is not {step['status']} {step['content_type']}")
    session = got.headers.get("mcp-session-id")
    if (session is None) != (step["session_header"] is None) or (session and not session.startswith("kitemcp-")):
        found.append(f"{number}: session header {session!r}")
    return found


def answer_differences(got: Got, step: dict[str, Any]) -> list[str]:
    theirs, request = step["response"], step["request"]
    if not isinstance(theirs, dict):
        return [] if got.body.decode() == theirs else [f"{request.get('id')}: {got.body!r} is not {theirs!r}"]
    ours = got.json
    if list(ours) != list(theirs) or not got.body.endswith(b"}\n"):
        return [f"{request['id']}: {list(ours)} is not {list(theirs)}"]
    if request["method"] != "tools/call" or "error" in theirs:
        constant = {**theirs, "result": {**theirs["result"], "serverInfo": None}} if request["id"] == 1 else theirs
        mine = {**ours, "result": {**ours["result"], "serverInfo": None}} if request["id"] == 1 else ours
        return [] if mine == constant else [f"{request['id']}: {ours} is not {theirs}"]
    if "(cut here" in json.dumps(theirs):
        return []
    return compared(request["params"]["name"], ours["result"], theirs["result"])


def test_the_recorded_conversation_comes_out_the_same(tmp_path: Path) -> None:
    steps = json.loads((WIRE / "streamable_http.json").read_text(encoding="utf-8"))
    found: list[str] = []

    async def play(wire: Wire) -> None:
        session, order_id, lost = "", "", iter(FIRST_IDS)
        for step in steps:
            request = with_our_ids(step["request"], order_id)
            number = request.get("id")
            if number in FAULTS:
                wire.face.add_fault(parse_fault(FAULTS[number], TOOL_NAMES))
            got = await wire.mcp(request, next(lost) if step["status"] == 400 else session)
            session = got.headers.get("mcp-session-id", session)
            found.extend(envelope_differences(got, step) + answer_differences(got, step))
            if number == 6:
                await wire.request("POST", link_in(text_of(got.result)))
            if number == 23:
                order_id = json.loads(text_of(got.result))["order_id"]

    drive(tmp_path, play, login=LoginMode.AUTO, account=load_account(ACCOUNT), config=LIKE_THE_DOUBLE)
    assert found == []
    assert len(steps) == 36


ARGUMENTS: dict[str, dict[str, Any]] = {
    "get_ltp": {"instruments": ["NSE:INFY"]},
    "get_ohlc": {"instruments": ["NSE:INFY"]},
    "get_quotes": {"instruments": ["NSE:INFY"]},
    "get_holdings_paged_from0_limit1": {"from": 0, "limit": 1},
    "get_historical_data_minute": {
        "instrument_token": INFY, "from_date": "2026-11-23 10:00:00", "to_date": "2026-11-23 10:05:00",
        "interval": "minute",
    },
    "get_historical_data_empty": {
        "instrument_token": INFY, "from_date": "2031-11-23 10:00:00", "to_date": "2031-11-23 10:05:00",
        "interval": "minute",
    },
    "get_order_history": {"order_id": "{order}"},
    "get_order_trades": {"order_id": "{order}"},
    "modify_order": {"variety": "regular", "order_id": "{open}", "order_type": "LIMIT", "price": 1401, "quantity": 5},
    "cancel_order": {"variety": "regular", "order_id": "{open}"},
    "place_order": {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 1,
        "product": "CNC", "order_type": "LIMIT", "price": 1400,
    },
}  # fmt: skip
RECORDED = (
    "get_profile", "get_margins", "get_holdings", "get_holdings_paged_from0_limit1", "get_positions", "get_orders",
    "get_trades", "get_ltp", "get_ohlc", "get_quotes", "get_historical_data_minute", "get_historical_data_empty",
    "get_order_history", "get_order_trades", "place_order", "modify_order", "cancel_order", "login_already",
)  # fmt: skip


def test_every_recorded_result_has_its_counterpart(tmp_path: Path) -> None:
    found: list[str] = []

    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        at_market = {**ARGUMENTS["place_order"], "order_type": "MARKET", "price": 0}
        ids = {}
        for name, arguments in (("{order}", at_market), ("{open}", ARGUMENTS["place_order"])):
            ids[name] = json.loads(text_of(await wire.tool(session, "place_order", arguments)))["order_id"]
        wire.clock.pass_time(seconds=2)
        for name in RECORDED:
            tool = next(known for known in sorted(TOOL_NAMES, key=len, reverse=True) if name.startswith(known))
            arguments = {key: ids.get(str(value), value) for key, value in ARGUMENTS.get(name, {}).items()}
            theirs = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
            found.extend(compared(tool, await wire.tool(session, tool, arguments), theirs))

    drive(tmp_path, play, account=load_account(ACCOUNT), config=LIKE_THE_DOUBLE)
    assert found == []


def test_the_books_of_the_recorded_account_are_the_recorded_ones(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session = await wire.initialize()
        for name in ("get_holdings", "get_positions", "get_orders", "get_trades", "get_margins", "get_profile"):
            theirs = json.loads(text_of(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))))
            assert json.loads(text_of(await wire.tool(session, name))) == theirs, name

    drive(tmp_path, play, account=load_account(ACCOUNT))


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("error_*.json")))
def test_every_recorded_error_text_is_one_of_ours(tmp_path: Path, name: str) -> None:
    theirs = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))

    async def play(wire: Wire) -> None:
        stream = await wire.open()
        said = [await stream.tool("get_orders"), await stream.tool("get_orders")]
        said.append(await stream.tool("place_order", ARGUMENTS["place_order"]))
        partial = {"variety": "regular", "exchange": "NSE"}
        said.append(await stream.tool("place_order", partial))
        wire.clock.pass_time(hours=12)
        said.append(await stream.tool("get_orders"))
        assert theirs in said

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_the_tool_list_is_the_recorded_one_but_for_its_prose(tmp_path: Path) -> None:
    recorded = json.loads((WIRE / "tools_list.json").read_text(encoding="utf-8"))["tools"]
    excluded = set(json.loads((KITE / "mcp_tools.json").read_text(encoding="utf-8"))["hosted"]["excluded"])

    async def play(wire: Wire) -> None:
        got = await wire.mcp({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, await wire.initialize())
        listed = [{k: v for k, v in tool.items() if k != "description"} for tool in got.result["tools"]]
        assert listed == recorded
        assert list(got.result) == ["tools"]
        assert {tool["name"] for tool in listed} - excluded == {t["name"] for t in recorded} - excluded

    drive(tmp_path, play)


def test_a_call_over_the_stream_is_answered_as_over_mcp(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        stream, session = await wire.open(), await wire.initialize()
        for name, arguments in (("get_profile", {}), ("get_ltp", {"instruments": ["NSE:INFY"]}), ("get_gtts", {})):
            got = await wire.mcp(called(name, arguments, 3), session)
            await stream.post(called(name, arguments, 3))
            assert await stream.raw() == b"event: message\ndata: " + got.body.removesuffix(b"\n") + b"\n\n"

    drive(tmp_path, play)
