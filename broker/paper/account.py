"""The books an exchange starts from: a folder of Kite-shaped JSON files, or the demo account.

Imported rows are shown as they are: rows that contradict each other, dates long past, expired contracts and symbols
we have no data for stay, none is dropped, repaired or repriced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from broker.paper.shapes import HOLDING, MARGINS, ORDER, POSITION, PROFILE, TRADE, Row, shaped

FILES = ("profile", "holdings", "positions", "margins", "orders", "trades")


class AccountError(Exception):
    """The folder cannot be read as an account; the text names the file."""


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """Opening books in the MCP server's shape. ``imported`` rows keep their given prices until a trade here."""

    profile: Row
    margins: Row
    holdings: tuple[Row, ...] = ()
    positions_day: tuple[Row, ...] = ()
    positions_net: tuple[Row, ...] = ()
    orders: tuple[Row, ...] = ()
    trades: tuple[Row, ...] = ()
    imported: bool = False
    name: str = "demo"

    def as_json(self) -> str:
        """The books as one JSON text; ``from_json`` reads them back to an equal value, numbers to the last digit."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return _dump(parts)

    @classmethod
    def from_json(cls, text: str) -> AccountBooks:
        """Raises json.JSONDecodeError or KeyError for a text ``as_json`` did not write."""
        parts = json.loads(text, parse_float=Decimal)
        return cls(
            profile=parts["profile"],
            margins=parts["margins"],
            holdings=tuple(parts["holdings"]),
            positions_day=tuple(parts["positions_day"]),
            positions_net=tuple(parts["positions_net"]),
            orders=tuple(parts["orders"]),
            trades=tuple(parts["trades"]),
            imported=parts["imported"],
            name=parts["name"],
        )


def load_account(folder: Path) -> AccountBooks:
    """Reads ``profile, holdings, positions, margins, orders, trades`` (``.json``), each a REST envelope or bare.

    A missing file is an empty part. Raises AccountError when none is there or one is not of its shape.
    """
    found = {name: _read(folder / f"{name}.json") for name in FILES if (folder / f"{name}.json").is_file()}
    if not found:
        raise AccountError(f"{folder} holds none of {', '.join(f'{name}.json' for name in FILES)}")
    day, net = _positions(found.get("positions"), folder)
    default = default_account()
    return AccountBooks(
        profile=shaped(PROFILE, _mapping(found["profile"], folder, "profile"))
        if "profile" in found
        else default.profile,
        margins=shaped(MARGINS, _mapping(found.get("margins", {}), folder, "margins")),
        holdings=_rows(HOLDING, found.get("holdings"), folder, "holdings"),
        positions_day=day,
        positions_net=net,
        orders=_rows(ORDER, found.get("orders"), folder, "orders"),
        trades=_rows(TRADE, found.get("trades"), folder, "trades"),
        imported=True,
        name=folder.name,
    )


def default_account() -> AccountBooks:
    """The demo account: ten lakh rupees and five holdings, all invented, priced by the seeded market."""
    cash = Decimal("1000000.00")
    equity = {"enabled": True, "net": cash, "available": {"cash": cash, "live_balance": cash, "opening_balance": cash}}
    return AccountBooks(
        profile=shaped(PROFILE, _DEMO_PROFILE),
        margins=shaped(MARGINS, {"equity": equity, "commodity": {"enabled": False}}),
        holdings=tuple(_demo_holding(*row) for row in _DEMO_HOLDINGS),
    )


_DEMO_PROFILE: Row = {
    "user_id": "PT0001",
    "user_name": "Practice Trader",
    "user_shortname": "Practice",
    "user_type": "individual",
    "email": "practice@example.com",
    "broker": "ZERODHA",
    "meta": {"demat_consent": "consent"},
    "products": ["CNC", "NRML", "MIS"],
    "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
    "exchanges": ["NSE", "BSE"],
}
_DEMO_HOLDINGS = (
    ("HDFCBANK", 341249, "INE040A01034", 60, "942.3500"),
    ("ITC", 424961, "INE154A01025", 200, "431.1200"),
    ("TCS", 2953217, "INE467B01029", 15, "3410.0000"),
    ("RELIANCE", 738561, "INE002A01018", 40, "1389.4500"),
    ("NIFTYBEES", 2707457, "INF204KB14I2", 250, "261.4800"),
)


def _demo_holding(tradingsymbol: str, token: int, isin: str, quantity: int, average: str) -> Row:
    row: Row = {"tradingsymbol": tradingsymbol, "exchange": "NSE", "instrument_token": token, "isin": isin}
    row |= {"product": "CNC", "quantity": quantity, "realised_quantity": quantity, "opening_quantity": quantity}
    return shaped(HOLDING, row | {"average_price": Decimal(average)})


def _read(path: Path) -> object:
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise AccountError(f"{path.name} cannot be read: {exc}") from exc
    if isinstance(document, Mapping) and "data" in document and "status" in document:
        return document["data"]
    return document


def _mapping(value: object, folder: Path, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise AccountError(f"{folder / name}.json is not an object")
    return value


def _rows(template: Row, value: object, folder: Path, name: str) -> tuple[Row, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise AccountError(f"{folder / name}.json is not a list of rows")
    return tuple(shaped(template, row) for row in value)


def _positions(value: object, folder: Path) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """(day rows, net rows) of the REST object, or of the MCP server's flat list: day rows first, then net."""
    if isinstance(value, Mapping):
        day = _rows(POSITION, value.get("day"), folder, "positions")
        return day, _rows(POSITION, value.get("net"), folder, "positions")
    rows = _rows(POSITION, value, folder, "positions")
    net = len({(row["exchange"], row["tradingsymbol"], row["product"]) for row in rows})
    return rows[: len(rows) - net], rows[len(rows) - net :]


def _dump(value: object) -> str:
    """JSON with every Decimal written digit for digit."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text if "." in text else f"{text}.0"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{_dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_dump(item) for item in value) + "]"
    return json.dumps(value)
