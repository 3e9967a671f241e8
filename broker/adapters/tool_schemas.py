"""What we know of Kite's tools, to be held against what a server lists. Pure.

A server may lack tools (a hosted one has none for orders), have others, or ask for arguments in another way. None of it
stops a connection; each is named, and whoever would use the tool decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from broker.adapters.kite_tools import LOGIN_TOOL, ORDER_TOOLS, READ_TOOLS

GTT_TOOLS = frozenset({"place_gtt_order", "modify_gtt_order", "delete_gtt_order"})


class Fits(StrEnum):
    """How a tool of a server differs from the one we know."""

    MISSING = "missing"
    UNKNOWN = "unknown"  # we call none of these, and count them as writes
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class ToolFault:
    """``what`` is a sentence's end for a person: "requires market_protection, which we do not send"."""

    tool: str
    what: str
    kind: Fits

    @property
    def stops_orders(self) -> bool:
        """Whether orders must not be sent through this server (EXECUTION_TOOL_MISSING, TOOL_SCHEMA_CHANGED)."""
        return self.tool in ORDER_TOOLS and self.kind is not Fits.UNKNOWN


@dataclass(frozen=True, slots=True)
class Known:
    """The arguments we send: name to JSON type; ``required`` are those that the server we know asks for."""

    sends: Mapping[str, str]
    required: frozenset[str] = frozenset()


_TEXT, _NUMBER, _FLAG, _TEXTS = "string", "number", "boolean", "array of string"
_PAGED = Known({"from": _NUMBER, "limit": _NUMBER})
_QUOTED = Known({"instruments": _TEXTS}, frozenset({"instruments"}))
_ONE_ORDER = Known({"order_id": _TEXT}, frozenset({"order_id"}))

KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "login": Known({}),
        "get_profile": Known({}),
        "get_margins": Known({}),
        **dict.fromkeys(("get_holdings", "get_positions", "get_orders", "get_trades", "get_gtts"), _PAGED),
        "get_mf_holdings": _PAGED,
        **dict.fromkeys(("get_quotes", "get_ltp", "get_ohlc"), _QUOTED),
        **dict.fromkeys(("get_order_history", "get_order_trades"), _ONE_ORDER),
        "get_historical_data": Known(
            {
                "instrument_token": _NUMBER,
                "from_date": _TEXT,
                "to_date": _TEXT,
                "interval": _TEXT,
                "continuous": _FLAG,
                "oi": _FLAG,
            },
            frozenset({"instrument_token", "from_date", "to_date", "interval"}),
        ),
        "search_instruments": Known({"query": _TEXT, "from": _NUMBER, "limit": _NUMBER}, frozenset({"query"})),
        "place_order": Known(
            {
                "variety": _TEXT,
                "exchange": _TEXT,
                "tradingsymbol": _TEXT,
                "transaction_type": _TEXT,
                "quantity": _NUMBER,
                "product": _TEXT,
                "order_type": _TEXT,
                "price": _NUMBER,
                "trigger_price": _NUMBER,
                "validity": _TEXT,
                "disclosed_quantity": _NUMBER,
                "tag": _TEXT,
            },
            frozenset(
                {"variety", "exchange", "tradingsymbol", "transaction_type", "quantity", "product", "order_type"}
            ),
        ),
        "modify_order": Known(
            {
                "variety": _TEXT,
                "order_id": _TEXT,
                "quantity": _NUMBER,
                "price": _NUMBER,
                "order_type": _TEXT,
                "trigger_price": _NUMBER,
                "validity": _TEXT,
                "disclosed_quantity": _NUMBER,
            },
            frozenset({"variety", "order_id", "order_type"}),
        ),
        "cancel_order": Known({"variety": _TEXT, "order_id": _TEXT}, frozenset({"variety", "order_id"})),
    }
)
OURS = READ_TOOLS | ORDER_TOOLS | {LOGIN_TOOL}  # the tools we call


def faults_of(tools: Iterable[Mapping[str, object]]) -> list[ToolFault]:
    """Every difference between what a server lists and what we know, by tool name. Empty: it is the server we know."""
    listed: dict[str, Mapping[str, object]] = {}
    faults = []
    for tool in tools:
        name = str(tool.get("name", ""))[:100]
        if name in listed:
            faults.append(ToolFault(name, "is listed twice", Fits.UNREADABLE))
        listed[name] = tool
    faults += [_missing(name) for name in OURS - listed.keys()]
    faults += [
        ToolFault(name, "is not known to us and is never called", Fits.UNKNOWN)
        for name in listed.keys() - OURS - GTT_TOOLS
    ]
    for name in OURS & listed.keys():
        faults += _differences(name, listed[name].get("inputSchema"), KNOWN[name])
    return sorted(faults, key=lambda fault: (fault.tool, fault.what))


def is_hosted_profile(tools: Iterable[Mapping[str, object]]) -> bool:
    """Whether this is a server that reads and logs in but sends no orders, as the broker's own hosted one."""
    names = {str(tool.get("name", "")) for tool in tools}
    return LOGIN_TOOL in names and not (names & ORDER_TOOLS)


def _missing(name: str) -> ToolFault:
    what = "is not offered: this server cannot send orders" if name in ORDER_TOOLS else "is not offered"
    return ToolFault(name, what, Fits.MISSING)


def _differences(name: str, schema: object, known: Known) -> list[ToolFault]:
    if not isinstance(schema, Mapping):
        return [ToolFault(name, "has no schema", Fits.UNREADABLE)]
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return [ToolFault(name, "has a schema that cannot be read", Fits.UNREADABLE)]
    asked = {str(item)[:60] for item in required}
    found = [f"requires {item}, which we do not send" for item in asked - known.sends.keys()]
    found += [f"no longer requires {item}" for item in known.required - asked if item in properties]
    for argument, kind in known.sends.items():
        if argument not in properties:
            found.append(f"no longer takes {argument}")
        elif _type(properties[argument]) != kind:
            found.append(f"takes {argument} as {_type(properties[argument])}, not {kind}")
    return [ToolFault(name, what, Fits.CHANGED) for what in found]


def _type(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return "something unreadable"
    kind = str(schema.get("type", "anything"))[:40]
    if kind == "integer":  # a whole number is a number: what we send fits
        return _NUMBER
    items = schema.get("items")
    if kind == "array" and isinstance(items, Mapping):
        return f"array of {str(items.get('type', 'anything'))[:40]}"
    return kind
