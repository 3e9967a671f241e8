"""The official ``kiteconnect`` client, made exact and bounded.

It builds the addresses, the headers and the signatures. Ours is the session below it: numbers as they were written, no
proxy of the environment, no redirect, no cookie, no retry, a cap on size and on time, and every answer judged before
the client sees it. Its package brings a ticker on Twisted along (a second and 55 MB), so it is an extra that is
imported when a Kite Connect connection is first used.
"""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from io import StringIO
from typing import TYPE_CHECKING, Any, Protocol

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.kite_connect_answers import judged
from broker.adapters.kite_connect_terms import INSTALL, ROOT, Credentials, KiteConnectMissing
from broker.adapters.kite_values import Row
from broker.ports import BrokerSchemaError

if TYPE_CHECKING:
    import requests  # of the extra, as kiteconnect

CONNECT_S = 4.0
DUMP_S = 60.0
MAX_DUMP = 64 * 1024 * 1024
MAX_JSON = 8 * 1024 * 1024
CHUNK = 64 * 1024
_WHOLE = ("instrument_token", "lot_size")
_PRICES = ("last_price", "strike", "tick_size")
_COLUMNS = {"exchange", "tradingsymbol", "name", "segment", "instrument_type", "expiry", *_WHOLE, *_PRICES}


class Client(Protocol):
    """What we use of ``kiteconnect.KiteConnect``. Raises CallFailed, or Refused for an answer that is a refusal."""

    reqsession: requests.Session

    def profile(self) -> object: ...
    def margins(self) -> object: ...
    def holdings(self) -> object: ...
    def positions(self) -> object: ...
    def orders(self) -> object: ...
    def order_history(self, order_id: str) -> object: ...
    def trades(self) -> object: ...
    def quote(self, *instruments: str) -> object: ...
    def historical_data(self, instrument_token: int, from_date: str, to_date: str, interval: str) -> object: ...
    def instruments(self, exchange: str | None = None) -> bytes: ...
    def order_margins(self, params: object) -> object: ...
    def basket_order_margins(self, params: object, consider_positions: str = "true") -> object: ...
    def get_virtual_contract_note(self, params: object) -> object: ...
    def place_order(self, **values: object) -> object: ...
    def place_autoslice_order(self, **values: object) -> object: ...
    def modify_order(self, **values: object) -> object: ...
    def cancel_order(self, **values: object) -> object: ...
    def generate_session(self, request_token: str, api_secret: str) -> Row: ...
    def invalidate_access_token(self) -> object: ...


def require_client() -> None:
    """Raises KiteConnectMissing where the extra is not installed."""
    _client_class()


def make_client(
    credentials: Credentials, *, root: str = ROOT, timeout_s: float = 7.0, monotonic: Callable[[], float] | None = None
) -> Client:
    """A client for one key and token; ``timeout_s`` bounds each wait and the whole answer. For any thread.

    Raises KiteConnectMissing.
    """
    kite = _client_class()(
        api_key=credentials.api_key,
        access_token=credentials.access_token or None,
        root=root,
        timeout=(min(CONNECT_S, timeout_s), timeout_s),
    )
    kite.reqsession = _session_class()(timeout_s, monotonic or time.monotonic)
    found: Client = kite
    return found


def instrument_rows(dump: object) -> Iterator[Row]:
    """The rows of the instruments dump, one at a time: prices Decimal, tokens and lots int, ``id`` the symbol.

    A number that is none stays the text it is, so that one odd row spoils no other. Raises BrokerSchemaError for what
    is not the dump at all.
    """
    if not isinstance(dump, bytes):
        raise BrokerSchemaError("the instruments dump is not CSV")
    try:
        text = dump.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BrokerSchemaError("the instruments dump is not UTF-8") from exc
    reader = csv.DictReader(StringIO(text))
    missing = sorted(_COLUMNS - set(reader.fieldnames or ()))
    if missing:
        raise BrokerSchemaError(f"the instruments dump has no {', '.join(missing)}")
    return map(_instrument, reader)


def _instrument(row: dict[str, Any]) -> Row:
    found: dict[str, object] = {"id": f"{row['exchange']}:{row['tradingsymbol']}", **row}
    for name in (*_WHOLE, *_PRICES):
        with suppress(TypeError, ValueError, InvalidOperation):
            found[name] = int(row[name]) if name in _WHOLE else _price(row[name])
    return found


def _price(written: str) -> Decimal:
    found = Decimal(written)
    if not found.is_finite():
        raise ValueError(f"{written[:20]!r} is not a price")
    return found


@cache
def _client_class() -> Callable[..., Any]:
    """The client's class with its formatting undone: it would turn texts into naive times and numbers into floats."""
    try:
        from kiteconnect import KiteConnect  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as exc:
        raise KiteConnectMissing(f"Kite Connect needs its client, which is not installed. Run: {INSTALL}") from exc

    class ExactKite(KiteConnect):  # type: ignore[misc]  # the package ships no types
        def _format_response(self, data: object) -> object:
            return data

        def _format_historical(self, data: Row) -> list[Row]:
            names = ("date", "open", "high", "low", "close", "volume", "oi")
            return [dict(zip(names, row, strict=False)) for row in data["candles"]]  # type: ignore[attr-defined]

        def _parse_instruments(self, data: bytes) -> bytes:
            return data

    logging.getLogger("urllib3").setLevel(logging.WARNING)  # it logs whole addresses, and a logout bears the token
    return ExactKite


@cache
def _session_class() -> Callable[[float, Callable[[], float]], requests.Session]:
    import requests  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    class ExactSession(requests.Session):
        """One request is one send: nothing of the environment, nothing followed, nothing kept, nothing repeated."""

        def __init__(self, timeout_s: float, monotonic: Callable[[], float]) -> None:
            super().__init__()
            self.trust_env = False
            self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
            self._timeout_s = timeout_s
            self._monotonic = monotonic

        def request(  # type: ignore[override]  # the client names all it passes on
            self, method: str, url: str, **options: Any
        ) -> requests.Response:
            started = self._monotonic()
            options |= {"allow_redirects": False, "stream": True, "verify": True, "proxies": {}}
            try:
                with super().request(method, url, **options) as answer:
                    body = self._body(answer, started)
            except (requests.RequestException, HTTPError) as exc:
                raise _failure(exc) from None  # its text has the address, which may hold a token
            return _answer(answer, body)

        def _body(self, answer: requests.Response, started: float) -> bytes:
            is_dump = "csv" in answer.headers.get("content-type", "")
            most, deadline = (MAX_DUMP, started + DUMP_S) if is_dump else (MAX_JSON, started + self._timeout_s)
            found = bytearray()
            while chunk := answer.raw.read1(CHUNK, decode_content=True):  # what came, not waiting for more of it
                found += chunk
                if len(found) > most:
                    raise CallFailed(Fault.LOST, "the answer is larger than allowed")
                if self._monotonic() > deadline:
                    raise CallFailed(Fault.LOST, "the answer did not end in time")
            return bytes(found)

    return ExactSession


def _answer(answer: requests.Response, body: bytes) -> requests.Response:
    """The judged answer, its body read, its numbers exact. Raises Refused or CallFailed for any other."""
    kind = answer.headers.get("content-type", "")
    document = judged(answer.status_code, kind, body)
    answer._content = body
    answer.headers["content-type"] = "text/csv" if document is None else "application/json"
    answer.json = lambda **_: document  # type: ignore[method-assign]
    return answer


def _failure(exc: Exception) -> CallFailed:
    """How far a call got. Only a connection that was never made, or never trusted, proves that nothing was sent."""
    import ssl  # noqa: PLC0415

    from urllib3 import exceptions as low  # noqa: PLC0415

    causes = tuple(_causes(exc))
    if any(isinstance(cause, low.NewConnectionError | low.ConnectTimeoutError) for cause in causes):
        return CallFailed(Fault.NOT_SENT, "cannot connect to Kite Connect")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return CallFailed(Fault.NOT_SENT, "Kite Connect's certificate was not accepted")
    return CallFailed(Fault.LOST, f"the call was cut: {type(exc).__name__}")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and all below it, by reason, argument and chain."""
    seen: set[int] = set()
    waiting: list[object] = [exc]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]
