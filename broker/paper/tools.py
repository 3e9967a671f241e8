"""What Kite's MCP tools do with a call, on the paper exchange: presence checks, coercions and fixed error texts
included (FACTS a16-a23). Pure of network: a name and arguments go in, one text comes out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, reduce
from pathlib import Path
from urllib.parse import urlencode

from broker.calendar import IST
from broker.paper.config import EntryRefused
from broker.paper.exchange import Exchange
from broker.paper.faults import Hidden
from broker.paper.ledger import DurableExchange
from broker.paper.sessions import Access, LoginDesk, ToolSession

TOOLS_FILE = Path(__file__).parent / "tools.json"
NO_SESSION = "Failed to establish a session. Please try again."
LOGIN_FIRST = "Please log in first using the login tool"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
FAILED = {
    "cancel_order": "Failed to cancel order",
    "delete_gtt_order": "Failed to delete GTT order",
    "get_historical_data": "Failed to get historical data",
    "get_ltp": "Failed to get latest trading prices",
    "get_ohlc": "Failed to get OHLC data",
    "get_order_history": "Failed to get order history",
    "get_order_trades": "Failed to get order trades",
    "get_quotes": "Failed to get quotes",
    "modify_gtt_order": "Failed to modify GTT order",
    "modify_order": "Failed to modify order",
    "place_gtt_order": "Failed to place GTT order",
    "place_order": "Failed to place order",
}
NO_LOGIN_NEEDED = frozenset({"login", "search_instruments"})
PLACE_TEXTS = (
    "variety", "exchange", "tradingsymbol", "transaction_type", "product", "order_type", "validity", "tag",
)  # fmt: skip
PLACE_WHOLES = {"quantity": 1, "disclosed_quantity": 0, "validity_ttl": 0, "iceberg_legs": 0, "iceberg_quantity": 0}
MODIFY_TEXTS = ("variety", "order_id", "order_type", "validity")
MODIFY_WHOLES = {"quantity": 1, "disclosed_quantity": 0}
PRICES = ("price", "trigger_price")
logger = logging.getLogger(__name__)


class Profile(StrEnum):
    """Which tools are offered. ``hosted`` has no order tools, as Zerodha's own server (FACTS a26)."""

    SELF_HOSTED = "self-hosted"
    HOSTED = "hosted"


NOT_HOSTED = frozenset({"place_order", "modify_order", "cancel_order"})


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call as it came. ``origin`` (scheme and host) is where its client reaches this server."""

    name: str
    arguments: Mapping[str, object]
    session: ToolSession
    now: datetime
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    is_error: bool = False


class ToolFailed(Exception):
    """The call ends with this text as an error result."""


class UnknownTool(Exception):
    """No tool of that name: a protocol error, not a result."""


Proceed = Callable[[Call], Reply]
Layer = Callable[[Call, Proceed], Reply]


@lru_cache(maxsize=2)
def tool_list(profile: Profile = Profile.SELF_HOSTED) -> tuple[Mapping[str, object], ...]:
    """The tools as they are listed, in order of name."""
    tools = json.loads(TOOLS_FILE.read_text(encoding="utf-8"))["tools"]
    return tuple(tool for tool in tools if profile is not Profile.HOSTED or tool["name"] not in NOT_HOSTED)


class PaperTools:
    """Answers calls from one exchange. ``layers`` wrap every call, outermost first; ``hidden`` orders are not shown."""

    def __init__(
        self,
        exchange: DurableExchange,
        *,
        layers: Sequence[Layer] = (),
        profile: Profile = Profile.SELF_HOSTED,
        desk: LoginDesk | None = None,
        hidden: Hidden | None = None,
    ) -> None:
        self._exchange = exchange
        self._desk = desk or LoginDesk()
        self._hidden = hidden or Hidden()
        self._required = {str(t["name"]): _required(t) for t in tool_list(profile)}
        plain: Proceed = self._plain_answer
        self._answer = reduce(_wrapped, reversed(layers), plain)

    def call(self, call: Call) -> Reply:
        """Raises UnknownTool, and LedgerError when the exchange cannot go on."""
        if call.name not in self._required:
            raise UnknownTool(call.name)
        return self._answer(call)

    def _plain_answer(self, call: Call) -> Reply:
        try:
            _check_present(self._required[call.name], call.arguments)
            _check_login(call)
            return Reply(encode(self._result(call)) if call.name != "login" else self._login(call))
        except ToolFailed as exc:
            return Reply(str(exc), is_error=True)
        except EntryRefused as exc:  # the real server says nothing of the reason; ours is in its log
            logger.info("%s refused: %s", call.name, exc.text)
            return Reply(failed_text(call.name), is_error=True)

    def _login(self, call: Call) -> str:
        access = call.session.start_login(call.now)
        if access is Access.ENDED:
            raise ToolFailed("Failed to get or create Kite session")
        if access is Access.GRANTED:
            name = self._exchange.read(lambda e: e.profile(call.now))["user_name"]
            return f"You are already logged in as {name}"
        return login_text(call.origin, self._desk.offer(call.session.session_id, call.now))

    def _result(self, call: Call) -> object:
        if call.name in ORDER_ID_TOOLS:
            self._hidden.check(call.arguments.get("order_id"), call.now)
        if call.name in COMMANDS:
            return {"order_id": COMMANDS[call.name](self._exchange, call)}
        if call.name in _GTT_WRITES:
            return _gtt(call)
        found = self._exchange.read(lambda exchange: READS[call.name](exchange, call))
        if isinstance(found, list) and call.name in SHOWS_ORDERS:
            found = self._hidden.shown(found, call.now)
        return paged(found, call.arguments) if call.name in PAGED and isinstance(found, list) else found


def login_text(origin: str, link: str) -> str:
    """A warning, then the link twice: as markdown and as it is."""
    query = urlencode({"api_key": "paper", "v": "3", "redirect_params": f"session_id={link}"})
    url = f"{origin}/authorize?{query}"
    return (
        "Show this warning to the trader before going on:\n\n**WARNING: programs that trade on instructions can "
        "misunderstand them. Whoever goes on does so at their own risk.** This is the paper exchange: no order here "
        f"reaches a market.\n\nThen let them open this link: [Login to Kite]({url})\n\nWhere links cannot be opened, "
        f"this is the address to copy into a browser: {url}\n\nGo on when the browser says that the login is done."
    )


def failed_text(name: str) -> str:
    """What a tool says of any failure behind it."""
    return FAILED.get(name, f"Failed to execute {name}")


def encode(value: object) -> str:
    """JSON as the server's language writes it: whole numbers without a fraction."""
    return json.dumps(value, default=_number, separators=(",", ":"), ensure_ascii=False)


def paged(rows: list[object], arguments: Mapping[str, object]) -> object:
    """The slice asked for; only with a limit is it wrapped."""
    start, limit = max(0, whole(arguments, "from", 0)), whole(arguments, "limit", 0)
    if limit <= 0:
        return rows[start:]
    found = rows[start : start + limit]
    page = {"from": start, "limit": limit, "total": len(rows), "has_more": start + len(found) < len(rows)}
    return {"data": found, "pagination": page | {"returned": len(found)}}


def whole(arguments: Mapping[str, object], name: str, default: int) -> int:
    """A JSON number cut to its whole part; anything else, a numeric string too, is the default."""
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return int(value)


def price(arguments: Mapping[str, object], name: str) -> Decimal:
    """A JSON number; anything else is 0 and thereby left out."""
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Decimal(0)
    return Decimal(repr(value))


def word(arguments: Mapping[str, object], name: str) -> str:
    """Text; a number or truth value is printed."""
    value = arguments.get(name)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _wrapped(inner: Proceed, layer: Layer) -> Proceed:
    return lambda call: layer(call, inner)


def _check_login(call: Call) -> None:
    """The first call without a login says so, later ones fail as anything else does (FACTS a16)."""
    if call.name in NO_LOGIN_NEEDED:
        return
    access = call.session.access(call.now)
    if access is not Access.GRANTED:
        raise ToolFailed({Access.FIRST: LOGIN_FIRST, Access.ENDED: NO_SESSION}.get(access, failed_text(call.name)))


def _number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} in a result")
    return int(value) if value == value.to_integral_value() else float(value)


def _required(tool: Mapping[str, object]) -> tuple[str, ...]:
    schema = tool["inputSchema"]
    return tuple(schema.get("required", ())) if isinstance(schema, Mapping) else ()


def _check_present(required: Sequence[str], arguments: Mapping[str, object]) -> None:
    """Presence is all the server checks; enums and bounds of the schema are not enforced (FACTS a21)."""
    for name in required:
        value = arguments.get(name)
        if value is None:
            raise ToolFailed(f"parameter '{name}': is required")
        if value in ("", []):
            raise ToolFailed(f"parameter '{name}': cannot be empty")


def _coerced(arguments: Mapping[str, object], texts: Sequence[str], wholes: Mapping[str, int]) -> dict[str, object]:
    found: dict[str, object] = {name: word(arguments, name) for name in texts}
    found |= {name: whole(arguments, name, default) for name, default in wholes.items()}
    return found | {name: price(arguments, name) for name in PRICES}


def _place(exchange: DurableExchange, call: Call) -> str:
    return exchange.place_order(_coerced(call.arguments, PLACE_TEXTS, PLACE_WHOLES), call.now)


def _modify(exchange: DurableExchange, call: Call) -> str:
    return exchange.modify_order(_coerced(call.arguments, MODIFY_TEXTS, MODIFY_WHOLES), call.now)


def _cancel(exchange: DurableExchange, call: Call) -> str:
    names = ("variety", "order_id")
    return exchange.cancel_order({name: word(call.arguments, name) for name in names}, call.now)


def _gtt(call: Call) -> object:
    """Good-till-triggered orders are not kept here: every write of one fails as it does when the broker refuses."""
    if call.name != "delete_gtt_order" and word(call.arguments, "trigger_type") not in ("single", "two-leg"):
        raise ToolFailed("Invalid trigger_type. Must be 'single' or 'two-leg'")
    raise ToolFailed(failed_text(call.name))


def _symbols(call: Call) -> list[str]:
    value = call.arguments.get("instruments")
    found = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    if not found:
        raise ToolFailed(
            failed_text(call.name) if call.name == "get_quotes" else "At least one instrument must be specified"
        )
    return found


def _positions(exchange: Exchange, call: Call) -> object:
    rows = exchange.positions(call.now)
    return [*rows["day"], *rows["net"]]


def _historical(exchange: Exchange, call: Call) -> object:
    start, end = _date(call, "from_date"), _date(call, "to_date")
    token, interval = whole(call.arguments, "instrument_token", 0), word(call.arguments, "interval")
    return exchange.historical(token, start, end, interval, call.now) or None


def _date(call: Call, name: str) -> datetime:
    try:
        return datetime.strptime(word(call.arguments, name), DATE_FORMAT).replace(tzinfo=IST)
    except ValueError as exc:
        raise ToolFailed(f"Failed to parse {name}, use format YYYY-MM-DD HH:MM:SS") from exc


def _search(exchange: Exchange, call: Call) -> object:
    filter_on = word(call.arguments, "filter_on") or "id"
    return exchange.search_instruments(word(call.arguments, "query"), call.now, filter_on=filter_on)


COMMANDS: Mapping[str, Callable[[DurableExchange, Call], str]] = {
    "place_order": _place,
    "modify_order": _modify,
    "cancel_order": _cancel,
}
ORDER_ID_TOOLS = ("modify_order", "cancel_order", "get_order_history", "get_order_trades")
SHOWS_ORDERS = ("get_orders", "get_trades")
_GTT_WRITES = ("place_gtt_order", "modify_gtt_order", "delete_gtt_order")
READS: Mapping[str, Callable[[Exchange, Call], object]] = {
    "get_gtts": lambda e, c: e.gtts(c.now),
    "get_historical_data": _historical,
    "get_holdings": lambda e, c: e.holdings(c.now),
    "get_ltp": lambda e, c: e.ltp(_symbols(c), c.now),
    "get_margins": lambda e, c: e.margins(c.now),
    "get_mf_holdings": lambda e, c: e.mf_holdings(c.now),
    "get_ohlc": lambda e, c: e.ohlc(_symbols(c), c.now),
    "get_order_history": lambda e, c: e.order_history(word(c.arguments, "order_id"), c.now),
    "get_order_trades": lambda e, c: e.order_trades(word(c.arguments, "order_id"), c.now),
    "get_orders": lambda e, c: e.orders(c.now),
    "get_positions": _positions,
    "get_profile": lambda e, c: e.profile(c.now),
    "get_quotes": lambda e, c: e.quotes(_symbols(c), c.now),
    "get_trades": lambda e, c: e.trades(c.now),
    "search_instruments": _search,
}
PAGED = frozenset({
    "get_gtts", "get_holdings", "get_mf_holdings", "get_orders", "get_positions", "get_trades", "search_instruments",
})  # fmt: skip
