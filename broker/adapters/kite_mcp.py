"""The client of any Kite MCP server. Reads are repeated within a small budget, a write is sent once and never again."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from broker.adapters import kite_shapes as shapes
from broker.adapters.failures import CallFailed, Fault, read_refusal, write_failure, write_refusal
from broker.adapters.kite_tools import READ_TOOLS, modify_arguments, place_arguments
from broker.adapters.kite_values import IST, Row, document, mapping, rows_of, whole
from broker.adapters.tool_client import ToolClient
from broker.calendar import phase_at
from broker.domain import (
    Books,
    BrokerOrder,
    Candle,
    Holding,
    MarginSegment,
    MarketState,
    ModifyOrder,
    PlaceOrder,
    Position,
    Profile,
    Quote,
    Trade,
)
from broker.ports import BrokerError, BrokerOutcomeUnknown, BrokerSchemaError, BrokerUnavailable

T = TypeVar("T")
QUOTE_LIMIT = 500
PAGE = 500
MAX_PAGES = 100
READ_BUDGET_S = 2.5
DOWN_S = 2.0
FIRST_PAUSE_S = 0.05
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def utc_now() -> datetime:
    return datetime.now(UTC)


class KiteMcpAdapter:
    """Implements BrokerAdapter for one server address. Safe for threads and for forks."""

    def __init__(
        self,
        url: str,
        *,
        client: ToolClient | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout_s: float = 10.0,
        owns_session: bool = False,
    ) -> None:
        """``client`` carries the calls; without one this process opens a session of its own, and ``owns_session`` says
        that nobody shares its login, so that the server may end it when we close."""
        self.url = url
        self._clock = clock
        self._client = client or _own_client(url, timeout_s=timeout_s, terminate=owns_session)
        self._down_until = 0.0
        self._lock = threading.Lock()

    # --- reads -------------------------------------------------------------------------------------------------
    def profile(self) -> Profile:
        return shapes.profile(self._read("get_profile"))

    def holdings(self) -> tuple[Holding, ...]:
        return shapes.holdings(self._rows("get_holdings"))

    def positions(self) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
        found = self._read("get_positions")
        return shapes.positions(found if _is_labelled(found) else self._all("get_positions", None, found))

    def orders(self) -> tuple[BrokerOrder, ...]:
        return shapes.orders(self._rows("get_orders"), read_at=self._clock())

    def order_history(self, broker_order_id: str) -> tuple[BrokerOrder, ...]:
        rows = rows_of(self._read("get_order_history", {"order_id": broker_order_id}))
        read_at = self._clock()
        return tuple(shapes.order(row, read_at=read_at) for row in rows)

    def trades(self) -> tuple[Trade, ...]:
        return shapes.trades(self._rows("get_trades"), read_at=self._clock())

    def margins(self) -> Mapping[str, MarginSegment]:
        return shapes.margins(self._read("get_margins"))

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        found: dict[str, Quote] = {}
        wanted = list(dict.fromkeys(symbols))
        for start in range(0, len(wanted), QUOTE_LIMIT):
            read = self._read("get_quotes", {"instruments": wanted[start : start + QUOTE_LIMIT]})
            found |= shapes.quotes(read, read_at=self._clock())
        return {symbol: quote for symbol, quote in found.items() if symbol in set(wanted)}

    def candles(self, instrument_token: int, interval: str, start: datetime, end: datetime) -> tuple[Candle, ...]:
        arguments = {
            "instrument_token": instrument_token,
            "from_date": start.astimezone(IST).strftime(DATE_FORMAT),
            "to_date": end.astimezone(IST).strftime(DATE_FORMAT),
            "interval": interval,
            "continuous": False,
            "oi": False,
        }
        return shapes.candles(self._read("get_historical_data", arguments), read_at=self._clock())

    def instruments(self, query: str) -> list[Mapping[str, object]]:
        """Rows of the server's search, by symbol; it sends them in any order."""
        return sorted(self._rows("search_instruments", {"query": query}), key=lambda row: str(row.get("id", "")))

    def market_state(self) -> MarketState:
        """Exchange hours: this server has no clock of its own to ask."""
        now = self._clock()
        return MarketState(now=now, phase=phase_at(now), practice=False)

    def tools(self) -> list[Mapping[str, object]]:
        return self._repeated(self._client.list_tools)

    def call_read_tool(self, name: str, arguments: Mapping[str, object]) -> object:
        if name not in READ_TOOLS:
            raise ValueError(f"{name} is not a read tool")
        return self._read(name, arguments)

    def books(self, symbols: Sequence[str] = ()) -> Books:
        as_of, faults = self._clock(), dict[str, str]()
        holdings = _attempt("holdings", self.holdings, faults)
        positions = _attempt("positions", self.positions, faults)
        return Books(
            as_of=as_of,
            holdings=holdings,
            positions_net=positions[0] if positions is not None else None,
            positions_day=positions[1] if positions is not None else None,
            orders=_attempt("orders", self.orders, faults),
            trades=_attempt("trades", self.trades, faults),
            margins=_attempt("margins", self.margins, faults),
            quotes=(_attempt("quotes", lambda: self.quotes(symbols), faults) or {}) if symbols else {},
            faults=faults,
        )

    # --- writes ------------------------------------------------------------------------------------------------
    def place_order(self, order: PlaceOrder) -> str:
        return self._write("place_order", place_arguments(order))

    def modify_order(self, order: ModifyOrder) -> str:
        return self._write("modify_order", modify_arguments(order))

    def cancel_order(self, broker_order_id: str, variety: str) -> str:
        return self._write("cancel_order", {"variety": variety, "order_id": broker_order_id})

    def close(self) -> None:
        self._client.close()

    # --- inside ------------------------------------------------------------------------------------------------
    def _write(self, tool: str, arguments: Mapping[str, object]) -> str:
        """One send. Whatever is not proven unsent is an unknown outcome (FAULTS 0.5)."""
        try:
            answer = self._client.call_write(tool, arguments)
        except CallFailed as exc:
            raise write_failure(exc) from exc
        if answer.is_error:
            raise write_refusal(answer.text)
        try:
            return shapes.order_id(document(answer.text))
        except BrokerSchemaError as exc:
            raise BrokerOutcomeUnknown(f"unreadable answer: {exc.text}") from exc

    def _read(self, tool: str, arguments: Mapping[str, object] | None = None) -> object:
        answer = self._repeated(lambda: self._client.call(tool, arguments or {}))
        if answer.is_error:
            raise read_refusal(tool, answer.text)
        return document(answer.text)

    def _rows(self, tool: str, arguments: Mapping[str, object] | None = None) -> list[Row]:
        """All rows, of a bare list or of all its pages; pages that do not add up are no read."""
        return self._all(tool, arguments, self._read(tool, arguments))

    def _all(self, tool: str, arguments: Mapping[str, object] | None, found: object) -> list[Row]:
        if not isinstance(found, dict):
            return rows_of(found)
        rows, page = rows_of(found.get("data")), mapping(found.get("pagination"), "pagination")
        for _ in range(MAX_PAGES):
            if page.get("has_more") is not True:
                break
            more = mapping(self._read(tool, {**(arguments or {}), "from": len(rows), "limit": PAGE}), "page")
            page, found = mapping(more.get("pagination"), "pagination"), rows_of(more.get("data"))
            if not found:
                break
            rows = [*rows, *found]
        if len(rows) != whole(page, "total") or page.get("has_more") is True:
            raise BrokerUnavailable(f"{tool} was cut: {len(rows)} of {page.get('total')} rows")
        return rows

    def _repeated(self, call: Callable[[], T]) -> T:
        """A read may be repeated: over a lost session or a server that is just starting, for a short while."""
        deadline, pause = time.monotonic() + READ_BUDGET_S, FIRST_PAUSE_S
        while True:
            try:
                result = call()
            except CallFailed as exc:
                if exc.fault is Fault.UNREADABLE:
                    raise BrokerSchemaError(exc.text) from exc
                if exc.fault is Fault.SESSION_LOST:  # it answers: only our session is gone, and a new one is at hand
                    self._down_until = 0.0
                if exc.fault is Fault.PROTOCOL or self._gave_up(deadline):
                    raise BrokerUnavailable(exc.text) from exc
                time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
                pause = min(2 * pause, 0.4)
            else:
                self._down_until = 0.0
                return result

    def _gave_up(self, deadline: float) -> bool:
        """Whether to stop trying; a server found down is not waited for again by every caller in turn."""
        now = time.monotonic()
        with self._lock:
            if now < self._down_until:
                return True
            if now < deadline:
                return False
            self._down_until = now + DOWN_S
            return True


def _own_client(url: str, *, timeout_s: float, terminate: bool) -> ToolClient:
    """Imported only where it is used: the MCP SDK costs a second and 45 MB."""
    from broker.adapters.mcp_client import McpClient  # noqa: PLC0415

    return McpClient(url, timeout_s=timeout_s, terminate=terminate)


def _is_labelled(positions: object) -> bool:
    """Whether net and day rows come apart, as Kite Connect has them."""
    return isinstance(positions, dict) and "net" in positions


def _attempt(part: str, read: Callable[[], T], faults: dict[str, str]) -> T | None:
    """The part, or None with the reason kept: absent is never the same as empty."""
    try:
        return read()
    except BrokerError as exc:
        faults[part] = f"{type(exc).__name__}: {exc.text}"[:300]
        return None
