"""A trader's books for reading tests: INFY and TCS held, SBIN long and ITC short intraday, two orders working."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from ai.context import Context, GttRow, MonitorRow
from ai.language.names import Catalog
from broker.domain import BrokerOrder, Holding, Position, Quote
from broker.paper.instruments import default_instruments

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
CATALOG = Catalog([row.info for row in default_instruments()])
PRICES = {"INFY": "1498.50", "TCS": "3500", "ITC": "420", "RELIANCE": "1400", "SBIN": "800", "WIPRO": "250"}
INFY_BUY, RELIANCE_STOP, TCS_REJECTED = "260100000001", "260100000002", "260100000003"


def holding(symbol: str, quantity: int, average: str, last: str, close: str | None = None) -> Holding:
    return Holding(symbol, "", quantity, 0, 0, Decimal(average), Decimal(last), Decimal(close or last))


def position(symbol: str, product: str, quantity: int, *, average: str = "100", last: str = "100") -> Position:
    zero = Decimal(0)
    return Position(
        symbol, product, quantity, 0, Decimal(1), Decimal(average), Decimal(last), Decimal(last),
        max(quantity, 0), zero,
        max(-quantity, 0), zero, 0, zero, 0, zero, zero, zero,
    )  # fmt: skip


def order(
    order_id: str, symbol: str, side: str, quantity: int, order_type: str, price: str, *, trigger: str = "0",
    status: str = "OPEN", message: str = "", filled: int = 0, minute: int = 0,
) -> BrokerOrder:  # fmt: skip
    at = NOW.replace(minute=minute)
    return BrokerOrder(
        order_id, symbol, side, quantity, filled, quantity - filled, 0, order_type, "CNC", "DAY", "regular", status,
        Decimal(price), Decimal(trigger), Decimal(0), "", (), message, at, at,
    )  # fmt: skip


CONTEXT = Context(
    now=NOW,
    catalog=CATALOG,
    quotes={f"NSE:{symbol}": Quote(f"NSE:{symbol}", Decimal(price), NOW) for symbol, price in PRICES.items()},
    holdings=(holding("NSE:INFY", 40, "1400", "1498.50"), holding("NSE:TCS", 7, "3000", "3500")),
    positions=(position("NSE:SBIN", "MIS", 100), position("NSE:ITC", "MIS", -50)),
    orders=(
        order(INFY_BUY, "NSE:INFY", "BUY", 10, "LIMIT", "1490", minute=1),
        order(RELIANCE_STOP, "NSE:RELIANCE", "SELL", 5, "SL-M",
        "0", trigger="1380", status="TRIGGER PENDING", minute=2),
        order(TCS_REJECTED, "NSE:TCS", "BUY", 1, "LIMIT",
        "3400", status="REJECTED", message="Insufficient funds", minute=3),
    ),
    gtts=(GttRow("77", "NSE:INFY"),),
    monitors=(MonitorRow("m1", "NSE:SBIN"),),
)  # fmt: skip
