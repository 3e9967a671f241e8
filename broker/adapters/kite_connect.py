"""Kite Connect's REST API behind the same port as its MCP server. Reads are repeated a little, a write is sent once."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

from broker.adapters import kite_connect_orders as orders_of
from broker.adapters import kite_shapes as shapes
from broker.adapters.failures import CallFailed
from broker.adapters.kite_connect_answers import Refused, read_failed, read_refused, write_failed, write_refused
from broker.adapters.kite_connect_client import Client, instrument_rows, make_client
from broker.adapters.kite_connect_orders import (
    BasketMargin,
    HoldingsConsent,
    OrderCharges,
    OrderMargin,
    PlacedOrder,
)
from broker.adapters.kite_connect_terms import Credentials, Options
from broker.adapters.kite_values import IST, Row, rows_of
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
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerSchemaError,
    BrokerUnavailable,
)

T = TypeVar("T")
QUOTE_LIMIT = 500
FOUND_LIMIT = 200
READ_BUDGET_S = 2.5
FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 0.4
QUOTE_PAUSE_S, HISTORY_PAUSE_S = 1.0, 0.35  # quotes may be asked once a second, candles three times (FACTS e2)
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
LOG_IN = "Kite Connect has no login for today: authorize the connection again."
# What the client raises over an answer whose data is of another shape than its own code expects.
MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def utc_now() -> datetime:
    return datetime.now(UTC)


class KiteConnectAdapter:
    """Implements BrokerAdapter for one login. Safe for threads and for forks; a new token needs a new adapter."""

    def __init__(
        self,
        credentials: Credentials,
        options: Options | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        on_login_lost: Callable[[], None] | None = None,
    ) -> None:
        """``on_login_lost`` is told once, when Kite says that the token is dead or its day is over."""
        self._credentials = credentials
        self._options = options or Options()
        self._clock = clock
        self._on_login_lost = on_login_lost
        self._lock = threading.Lock()
        self._made: tuple[int, Client] | None = None
        self._dump: tuple[date, bytes] | None = None

    # --- reads -------------------------------------------------------------------------------------------------
    def profile(self) -> Profile:
        return shapes.profile(self._read(lambda kite: kite.profile()))

    def holdings(self) -> tuple[Holding, ...]:
        return shapes.holdings(rows_of(self._read(lambda kite: kite.holdings())))

    def positions(self) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
        return shapes.positions(_labelled(self._read(lambda kite: kite.positions())))

    def orders(self) -> tuple[BrokerOrder, ...]:
        return shapes.orders(rows_of(self._read(lambda kite: kite.orders())), read_at=self._clock())

    def order_history(self, broker_order_id: str) -> tuple[BrokerOrder, ...]:
        named = _sendable(lambda: _path_part(broker_order_id))
        rows = rows_of(self._read(lambda kite: kite.order_history(named)))
        read_at = self._clock()
        return tuple(shapes.order(row, read_at=read_at) for row in rows)

    def trades(self) -> tuple[Trade, ...]:
        return shapes.trades(rows_of(self._read(lambda kite: kite.trades())), read_at=self._clock())

    def margins(self) -> Mapping[str, MarginSegment]:
        return shapes.margins(self._read(lambda kite: kite.margins()))

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        found: dict[str, Quote] = {}
        wanted = list(dict.fromkeys(symbols))
        for start in range(0, len(wanted), QUOTE_LIMIT):
            asked = wanted[start : start + QUOTE_LIMIT]
            answer = self._read(lambda kite, asked=asked: kite.quote(*asked), pause=QUOTE_PAUSE_S)  # type: ignore[misc]
            found |= shapes.quotes(answer, read_at=self._clock())
        return {symbol: quote for symbol, quote in found.items() if symbol in set(wanted)}

    def candles(self, instrument_token: int, interval: str, start: datetime, end: datetime) -> tuple[Candle, ...]:
        first, last = (moment.astimezone(IST).strftime(DATE_FORMAT) for moment in (start, end))
        named = _sendable(lambda: _path_part(interval))
        rows = self._read(
            lambda kite: kite.historical_data(instrument_token, first, last, named), pause=HISTORY_PAUSE_S
        )
        return shapes.candles(rows, read_at=self._clock())

    def instruments(self, query: str) -> list[Mapping[str, object]]:
        """Up to 200 rows whose symbol or name has ``query``, by symbol: Kite Connect has no search, so the day's dump
        is read once and kept as text."""
        wanted = query.strip().upper()
        if not wanted:
            return []
        found: list[Mapping[str, object]] = []
        for row in self._kept_dump():
            if wanted in f"{row['id']} {row.get('name', '')}".upper():
                found.append(row)
                if len(found) == FOUND_LIMIT:
                    break
        return sorted(found, key=lambda row: str(row["id"]))

    def instrument_dump(self, exchange: str = "") -> Iterator[Row]:
        """Every instrument (of one exchange, if named), row by row as it is parsed; prices are Decimal.

        Raises as a read does at the call; BrokerSchemaError may come with any row.
        """
        named = _sendable(lambda: _path_part(exchange)) if exchange else None
        return instrument_rows(self._read(lambda kite: kite.instruments(named)))

    def market_state(self) -> MarketState:
        """Exchange hours: this API has no clock of its own to ask."""
        now = self._clock()
        return MarketState(now=now, phase=phase_at(now), practice=False)

    def tools(self) -> list[Mapping[str, object]]:
        """None: this is no MCP server."""
        return []

    def call_read_tool(self, name: str, arguments: Mapping[str, object]) -> object:
        raise ValueError(f"{name} cannot be called: Kite Connect has no tools")

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

    # --- reads that only this API has ------------------------------------------------------------------------------
    def holdings_consent(self) -> HoldingsConsent:
        """Whether sales of holdings need the owner's TPIN each day."""
        return orders_of.holdings_consent(self._read(lambda kite: kite.profile()))

    def order_margins(self, orders: Sequence[PlaceOrder]) -> tuple[OrderMargin, ...]:
        """What each order would block by itself, in rupees. Nothing is placed."""
        asked = orders_of.margin_values(orders)
        return orders_of.order_margins(self._read(lambda kite: kite.order_margins(asked)))

    def basket_margin(self, orders: Sequence[PlaceOrder], *, with_positions: bool = True) -> BasketMargin:
        """What the orders would block together, in rupees; ``with_positions`` counts what is held as a hedge."""
        asked, count = orders_of.margin_values(orders), "true" if with_positions else "false"
        return orders_of.basket_margin(self._read(lambda kite: kite.basket_order_margins(asked, count)))

    def charges(self, orders: Sequence[PlaceOrder]) -> tuple[OrderCharges, ...]:
        """The charges of each order if it were done at its limit price, in rupees."""
        asked = orders_of.charge_values(orders)
        return orders_of.contract_note(self._read(lambda kite: kite.get_virtual_contract_note(asked)))

    # --- writes ------------------------------------------------------------------------------------------------
    def place_order(self, order: PlaceOrder) -> PlacedOrder:
        """As the port says. The id also knows the slices that Kite made of the order, where it made any."""
        values = _sendable(lambda: orders_of.place_values(order, market_protection=self._options.market_protection))
        if self._options.autoslice:
            return self._write(lambda kite: orders_of.placed(kite.place_autoslice_order(**values)))
        return self._write(lambda kite: orders_of.placed({"order_id": kite.place_order(**values)}))

    def modify_order(self, order: ModifyOrder) -> str:
        _sendable(lambda: _path_part(order.broker_order_id))
        values = _sendable(lambda: orders_of.modify_values(order, market_protection=self._options.market_protection))
        return self._write(lambda kite: shapes.order_id({"order_id": kite.modify_order(**values)}))

    def cancel_order(self, broker_order_id: str, variety: str) -> str:
        named = {"variety": variety, "order_id": broker_order_id}
        for part in named.values():
            _sendable(lambda part=part: _path_part(part))  # type: ignore[misc]
        return self._write(lambda kite: shapes.order_id({"order_id": kite.cancel_order(**named)}))

    def close(self) -> None:
        with self._lock:
            made, self._made, self._dump = self._made, None, None
        if made is not None:
            made[1].reqsession.close()

    # --- inside ------------------------------------------------------------------------------------------------
    def _write(self, call: Callable[[Client], T]) -> T:
        """One send. Whatever is not proven unsent or refused is an unknown outcome (FAULTS 0.5)."""
        kite = self._client()
        try:
            return call(kite)
        except CallFailed as exc:
            raise write_failed(exc) from exc
        except Refused as exc:
            self._heed(exc)
            raise write_refused(exc) from exc
        except (BrokerSchemaError, *MISSHAPEN) as exc:
            raise BrokerOutcomeUnknown(f"unreadable answer: {type(exc).__name__}") from exc

    def _read(self, call: Callable[[Client], T], *, pause: float = FIRST_PAUSE_S) -> T:
        """A read may be repeated over a passing fault, ``pause`` seconds later at the earliest, for a short while."""
        kite, deadline = self._client(), time.monotonic() + READ_BUDGET_S
        while True:
            try:
                return call(kite)
            except Refused as exc:
                self._heed(exc)
                failed, passing = read_refused(exc), exc.is_passing
            except CallFailed as exc:
                failed, passing = read_failed(exc), True
            except MISSHAPEN as exc:
                raise BrokerSchemaError(f"the answer is not of the agreed shape: {type(exc).__name__}") from exc
            if not passing or not isinstance(failed, BrokerUnavailable) or time.monotonic() + pause > deadline:
                raise failed
            time.sleep(pause * (1 + secrets.randbelow(1000) / 2000))
            pause = max(pause, min(2 * pause, LAST_PAUSE_S))

    def _client(self) -> Client:
        """This process's client. Raises BrokerAuthExpired before anything is sent where there is no live token."""
        if not self._credentials.is_usable(self._clock()):
            self._tell_login_lost()
            raise BrokerAuthExpired(LOG_IN)
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():  # a forked child shares no socket with its parent
                options = self._options
                made = make_client(self._credentials, root=options.root, timeout_s=options.timeout_s)
                self._made = (os.getpid(), made)
            return self._made[1]

    def _kept_dump(self) -> Iterator[Row]:
        today = self._clock().astimezone(IST).date()
        kept = self._dump
        if kept is None or kept[0] != today:
            kept = (today, self._read(lambda kite: kite.instruments()))
            self._dump = kept
        return instrument_rows(kept[1])

    def _heed(self, refusal: Refused) -> None:
        if refusal.is_dead_token:
            self._tell_login_lost()

    def _tell_login_lost(self) -> None:
        with self._lock:
            tell, self._on_login_lost = self._on_login_lost, None
        if tell is not None:
            tell()


def _labelled(document: object) -> object:
    """Positions as this API sends them, net and day apart; anything else is no read."""
    if not isinstance(document, dict) or "net" not in document or "day" not in document:
        raise BrokerSchemaError("positions have no net and day rows")
    return document


def _sendable(make: Callable[[], T]) -> T:
    """What is to be sent. An order that cannot be put into words was not sent."""
    try:
        return make()
    except ValueError as exc:
        raise BrokerUnavailable(f"not sent: {exc}") from exc


def _path_part(name: str) -> str:
    """A name that goes into an address as it is: letters, digits and hyphens. Raises ValueError."""
    if not name or len(name) > 40 or not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError(f"{name[:40]!r} cannot be part of an address")
    return name


def _attempt(part: str, read: Callable[[], T], faults: dict[str, str]) -> T | None:
    """The part, or None with the reason kept: absent is never the same as empty."""
    try:
        return read()
    except BrokerError as exc:
        faults[part] = f"{type(exc).__name__}: {exc.text}"[:300]
        return None
