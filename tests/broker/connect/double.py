"""A double of Kite Connect's REST API on the loopback address: its paths, headers, forms and envelopes.

It keeps a small account, counts every request that reached it, and answers as told:

    with KiteRest() as kite:
        kite.say("POST", "/orders/regular", 503, error("NetworkException", "down"))   # the next such request
        kite.sent("POST", "/orders/regular")                                          # those that came
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

API_KEY = "doublekey0001"
API_SECRET = "doublesecret0002"
ACCESS_TOKEN = "doubletoken0003canary"
REQUEST_TOKEN = "doublerequest0004"
PRICES = {"NSE:INFY": "1499.5", "NSE:TCS": "3420", "NFO:NIFTY26NOVFUT": "24510.05"}
DUMP = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,"
    "segment,exchange\n"
    "408065,1594,INFY,INFOSYS,0.0,,0.0,0.1,1,EQ,NSE,NSE\n"
    "2953217,11536,TCS,TATA CONSULTANCY SERVICES,0.0,,0.0,0.1,1,EQ,NSE,NSE\n"
    "12345602,48225,NIFTY26NOVFUT,NIFTY,0.0,2026-11-26,0.0,0.1,75,FUT,NFO-FUT,NFO\n"
    "12345858,48226,NIFTY26NOV24500CE,NIFTY,0.0,2026-11-26,24500.0,0.05,75,CE,NFO-OPT,NFO\n"
)
DATE = "2026-11-23 10:15:%02d"


def error(kind: str, message: str) -> dict[str, Any]:
    return {"status": "error", "message": message, "data": None, "error_type": kind}


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    form: dict[str, str]
    json: Any
    headers: dict[str, str]


@dataclass
class Say:
    """One scripted answer. ``takes``: the request is also carried out; ``cut``: the line is dropped instead."""

    status: int = 200
    body: Any = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    takes: bool = False
    wait: threading.Event | None = None
    drip: Callable[[], bool] | None = None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no fault of the double."""


class KiteRest:
    """The double. ``valid_token`` is the one live access token."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.orders: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.consent = "physical"
        self.user_id = "AB1234"
        self.valid_token = ACCESS_TOKEN
        self.request_tokens = {REQUEST_TOKEN}
        self._said: dict[tuple[str, str], deque[Say]] = {}
        self._lock = threading.RLock()
        self._next = 261123000000001
        handler = type("Handler", (_Handler,), {"kite": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> KiteRest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say(self, method: str, path: str, status: int = 200, body: Any = None, *, times: int = 1, **how: Any) -> None:
        """The next ``times`` requests of this method and path get this answer."""
        self._said.setdefault((method, path), deque()).extend([Say(status, body, **how)] * times)

    def sent(self, method: str = "", path: str = "") -> list[Seen]:
        return [row for row in self.seen if method in ("", row.method) and path in ("", row.path)]

    # --- the account ---------------------------------------------------------------------------------------------
    def answer(self, seen: Seen) -> Say:
        with self._lock:
            self.seen.append(seen)
            queue = self._said.get((seen.method, seen.path))
            said = queue.popleft() if queue else None
        if said is None:
            return self._usual(seen)
        if said.takes:
            self._usual(seen)
        return said

    def _usual(self, seen: Seen) -> Say:
        if seen.path == "/session/token":
            return self._session(seen)
        if seen.headers.get("authorization") != f"token {API_KEY}:{self.valid_token}":
            return Say(403, error("TokenException", "Incorrect `api_key` or `access_token`."))
        if seen.headers.get("x-kite-version") != "3":
            return Say(400, error("InputException", "Unknown version."))
        if seen.path.startswith("/instruments") and "historical" not in seen.path:
            return Say(200, self._dump(seen.path), "text/csv")
        with self._lock:
            data = self._data(seen)
        return data if isinstance(data, Say) else Say(200, {"status": "success", "data": data})

    def _session(self, seen: Seen) -> Say:
        if seen.method == "DELETE":
            asked = dict(seen.query)
            if asked.get("access_token") == self.valid_token:
                self.valid_token = ""
            return Say(200, {"status": "success", "data": True})
        given = seen.form.get("request_token", "")
        signed = hashlib.sha256(f"{API_KEY}{given}{API_SECRET}".encode()).hexdigest()
        if given not in self.request_tokens or seen.form.get("checksum") != signed:
            return Say(403, error("TokenException", "Token is invalid or has expired."))
        self.request_tokens.discard(given)
        self.valid_token = ACCESS_TOKEN
        data = {**self._profile(), "api_key": API_KEY, "access_token": ACCESS_TOKEN, "public_token": "publictoken",
                "enctoken": "enctokenvalue", "refresh_token": "", "login_time": "2026-11-23 09:00:12"}  # fmt: skip
        return Say(200, {"status": "success", "data": data})

    def _profile(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "user_name": "Asha Rao", "user_type": "individual", "broker": "ZERODHA",
                "email": "asha@example.com", "exchanges": ["NSE"], "products": ["CNC"], "order_types": ["MARKET"],
                "meta": {"demat_consent": self.consent}}  # fmt: skip

    def _dump(self, path: str) -> str:
        head, *rows = DUMP.splitlines(keepends=True)
        exchange = path.removeprefix("/instruments").strip("/")
        return head + "".join(row for row in rows if not exchange or row.strip().endswith(f",{exchange}"))

    def _data(self, seen: Seen) -> Any:
        method, parts = seen.method, seen.path.strip("/").split("/")
        match (method, parts):
            case ("GET", ["user", "profile"]):
                return self._profile()
            case ("GET", ["user", "margins"]):
                return {"equity": _purse("100000.55", "250.25"), "commodity": _purse("0", "0")}
            case ("GET", ["portfolio", "holdings"]):
                return [_holding()]
            case ("GET", ["portfolio", "positions"]):
                return {"net": [_position(2, 5)], "day": [_position(-3, 0)]}
            case ("GET", ["orders"]):
                return self.orders
            case ("GET", ["trades"]):
                return self.trades
            case ("GET", ["orders", order_id]):
                found = [row for row in self.orders if row["order_id"] == order_id]
                return found or Say(400, error("InputException", "Couldn't find that `order_id`."))
            case ("POST", ["orders", variety]):
                return self._place(variety, seen.form)
            case ("PUT", ["orders", _, order_id]):
                return self._change(order_id, seen.form)
            case ("DELETE", ["orders", _, order_id]):
                return self._cancel(order_id)
            case ("GET", ["quote"]):
                asked = [value for name, value in seen.query if name == "i"]
                return {symbol: _quote(PRICES[symbol]) for symbol in asked if symbol in PRICES}
            case ("GET", ["instruments", "historical", _, _]):
                return {"candles": [["2026-11-23T09:15:00+0530", 1490.1, 1500, 1489.95, 1499.5, 1200],
                                    ["2026-11-23T09:16:00+0530", 1499.5, 1501, 1498, 1500.25, 800]]}  # fmt: skip
            case ("POST", ["margins", "orders"]):
                return [_margin(row) for row in seen.json]
            case ("POST", ["margins", "basket"]):
                rows = [_margin(row) for row in seen.json]
                return {"initial": {"total": 300.5}, "final": {"total": 200.25}, "orders": rows,
                        "charges": {"total": 3.5}}  # fmt: skip
            case ("POST", ["charges", "orders"]):
                return [{**row, "price": row["average_price"], "charges": _charges()} for row in seen.json]
        return Say(404, error("GeneralException", "Route not found"))

    def _place(self, variety: str, form: dict[str, str]) -> Any:
        if form["order_type"] in ("MARKET", "SL-M") and form.get("market_protection", "0") in ("", "0"):
            text = "Market orders without market protection are not allowed via API."
            return Say(400, error("InputException", text))
        symbol = f"{form['exchange']}:{form['tradingsymbol']}"
        order_id = str(self._next)
        self._next += 1
        last, price = float(PRICES.get(symbol, "0")), float(form.get("price") or 0)
        fills = form["order_type"] == "MARKET" or (form["order_type"] == "LIMIT" and price >= last > 0)
        row = _order(order_id, variety, form)
        if fills:
            row |= {"status": "COMPLETE", "filled_quantity": row["quantity"], "pending_quantity": 0,
                    "average_price": last}  # fmt: skip
            self.trades.append(_trade(row))
        self.orders.append(row)
        return {"order_id": order_id}

    def _change(self, order_id: str, form: dict[str, str]) -> Any:
        row = self._open(order_id)
        if row is None:
            return Say(400, error("InputException", "Order cannot be modified as it is being processed. Try later."))
        row |= {"quantity": int(form["quantity"]), "price": float(form["price"]), "order_type": form["order_type"]}
        return {"order_id": order_id}

    def _cancel(self, order_id: str) -> Any:
        row = self._open(order_id)
        if row is None:
            return Say(400, error("InputException", "Order cannot be cancelled as it is being processed. Try later."))
        row |= {"status": "CANCELLED", "cancelled_quantity": row["quantity"], "pending_quantity": 0}
        return {"order_id": order_id}

    def _open(self, order_id: str) -> dict[str, Any] | None:
        return next((row for row in self.orders if row["order_id"] == order_id and row["status"] == "OPEN"), None)


class _Handler(BaseHTTPRequestHandler):
    kite: KiteRest
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        is_json = "json" in self.headers.get("content-type", "")
        self._give(self.kite.answer(Seen(
            self.command, parts.path, tuple(parse_qsl(parts.query, keep_blank_values=True)),
            {} if is_json else dict(parse_qsl(body)), json.loads(body) if is_json and body else None,
            {name.lower(): value for name, value in self.headers.items()},
        )))  # fmt: skip

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _give(self, say: Say) -> None:
        if say.wait is not None:
            say.wait.wait(5)
        if say.cut:
            self.close_connection = True
            return
        body = say.body if isinstance(say.body, str) else json.dumps(say.body)
        self.send_response(say.status)
        for name, value in {"Content-Type": say.kind, "Content-Length": str(len(body.encode())), **say.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if say.drip is None:
            self.wfile.write(body.encode())
            return
        self.close_connection = True
        try:
            for letter in body.encode():
                self.wfile.write(bytes([letter]))
                if not say.drip():
                    return
                time.sleep(0.001)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        return


# --- rows, written by us on Kite's documented shapes --------------------------------------------------------------
def _order(order_id: str, variety: str, form: dict[str, str]) -> dict[str, Any]:
    stamp = DATE % (int(order_id) % 60)
    return {
        "placed_by": "AB1234", "order_id": order_id, "exchange_order_id": "1100000000012345", "parent_order_id": None,
        "status": "OPEN", "status_message": None, "status_message_raw": None, "order_timestamp": stamp,
        "exchange_update_timestamp": stamp, "exchange_timestamp": stamp, "variety": variety, "modified": False,
        "exchange": form["exchange"], "tradingsymbol": form["tradingsymbol"], "instrument_token": 408065,
        "order_type": form["order_type"], "transaction_type": form["transaction_type"], "validity": form["validity"],
        "product": form["product"], "quantity": int(form["quantity"]), "disclosed_quantity": 0,
        "price": float(form.get("price") or 0), "trigger_price": float(form.get("trigger_price") or 0),
        "average_price": 0, "filled_quantity": 0, "pending_quantity": int(form["quantity"]), "cancelled_quantity": 0,
        "market_protection": 0, "meta": {}, "tag": form["tag"], "tags": [form["tag"]], "guid": "guid01",
    }  # fmt: skip


def _trade(row: dict[str, Any]) -> dict[str, Any]:
    names = ("order_id", "exchange", "tradingsymbol", "product", "quantity", "average_price", "transaction_type",
             "exchange_order_id")  # fmt: skip
    return {**{name: row[name] for name in names}, "trade_id": f"7{row['order_id'][-6:]}",
            "fill_timestamp": row["order_timestamp"], "order_timestamp": row["order_timestamp"][-8:],
            "exchange_timestamp": row["order_timestamp"], "instrument_token": 408065}  # fmt: skip


def _purse(cash: str, debits: str) -> dict[str, Any]:
    left = float(cash) - float(debits)
    return {"enabled": True, "net": round(left, 2),
            "available": {"adhoc_margin": 0, "cash": float(cash), "opening_balance": float(cash),
                          "live_balance": round(left, 2), "collateral": 0, "intraday_payin": 0},
            "utilised": {"debits": float(debits), "span": 0, "exposure": 0}}  # fmt: skip


def _holding() -> dict[str, Any]:
    return {"tradingsymbol": "TCS", "exchange": "NSE", "instrument_token": 2953217, "isin": "INE467B01029",
            "product": "CNC", "price": 0, "quantity": 10, "used_quantity": 1, "t1_quantity": 2, "realised_quantity": 10,
            "authorised_quantity": 0, "authorised_date": "2026-11-23 00:00:00", "authorisation": {},
            "opening_quantity": 11, "short_quantity": 0, "collateral_quantity": 0, "collateral_type": "",
            "discrepancy": False, "average_price": 3300.35, "last_price": 3420, "close_price": 3401.1,
            "pnl": 1435.8, "day_change": 18.9, "day_change_percentage": 0.5557}  # fmt: skip


def _position(quantity: int, overnight: int) -> dict[str, Any]:
    sold = overnight - quantity
    return {"tradingsymbol": "INFY", "exchange": "NSE", "instrument_token": 408065, "product": "MIS",
            "quantity": quantity, "overnight_quantity": overnight, "multiplier": 1, "average_price": 1490.05,
            "close_price": 1480, "last_price": 1499.5, "value": 4498.5, "pnl": 12.35, "m2m": 12.35, "unrealised": 12.35,
            "realised": 0, "buy_quantity": overnight, "buy_price": 1490.05, "buy_value": 7450.25, "buy_m2m": 7400,
            "sell_quantity": sold, "sell_price": 1499.5, "sell_value": 4498.5, "sell_m2m": 4498.5,
            "day_buy_quantity": 0, "day_buy_price": 0, "day_buy_value": 0, "day_sell_quantity": sold,
            "day_sell_price": 1499.5, "day_sell_value": 4498.5}  # fmt: skip


def _quote(last: str) -> dict[str, Any]:
    price = float(last)
    empty = {"price": 0, "quantity": 0, "orders": 0}
    return {"instrument_token": 408065, "timestamp": "2026-11-23 10:15:02", "last_trade_time": "2026-11-23 10:15:01",
            "last_price": price, "last_quantity": 5, "buy_quantity": 10, "sell_quantity": 20, "volume": 7360198,
            "average_price": price, "oi": 0, "net_change": 0, "lower_circuit_limit": round(price * 0.9, 2),
            "upper_circuit_limit": round(price * 1.1, 2),
            "ohlc": {"open": price, "high": price + 5, "low": price - 5, "close": price - 1},
            "depth": {"buy": [{"price": price - 0.05, "quantity": 100, "orders": 3}, empty],
                      "sell": [{"price": price + 0.05, "quantity": 90, "orders": 2}, empty]}}  # fmt: skip


def _charges() -> dict[str, Any]:
    return {"transaction_tax": 1.5, "transaction_tax_type": "stt", "exchange_turnover_charge": 0.05,
            "sebi_turnover_charge": 0.0015, "brokerage": 0.01, "stamp_duty": 0.22,
            "gst": {"igst": 0.0114, "cgst": 0, "sgst": 0, "total": 0.0114}, "total": 1.7929}  # fmt: skip


def _margin(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "equity", "tradingsymbol": row["tradingsymbol"], "exchange": row["exchange"], "span": 0,
            "exposure": 0, "option_premium": 0, "additional": 0, "bo": 0, "cash": 0, "var": 1499.5,
            "pnl": {"realised": 0, "unrealised": 0}, "leverage": 1, "charges": _charges(), "total": 1499.5}  # fmt: skip
