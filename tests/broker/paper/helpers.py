"""Short words for the tests of the paper exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from broker.paper.config import ClockMode, ExchangeConfig
from broker.paper.exchange import Exchange

AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)  # Monday, 11:30 in India
ORDER: dict[str, Any] = {
    "variety": "regular",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 10,
    "product": "CNC",
    "order_type": "LIMIT",
    "price": Decimal(1500),
    "tag": "T1",
}
MARKETS = ExchangeConfig(refuse_unprotected_market=False)
REAL = ExchangeConfig(mode=ClockMode.REAL)


def later(seconds: float, since: datetime = AT) -> datetime:
    return since + timedelta(seconds=seconds)


def opened(config: ExchangeConfig | None = None, at: datetime = AT, **parts: Any) -> Exchange:
    return Exchange(opened_at=at, config=config, **parts)


def row(exchange: Exchange, order_id: str, at: datetime) -> dict[str, Any]:
    return next(dict(order) for order in exchange.orders(at) if order["order_id"] == order_id)


def statuses(exchange: Exchange, order_id: str, at: datetime) -> list[str]:
    return [str(state["status"]) for state in exchange.order_history(order_id, at)]


def last_price(exchange: Exchange, at: datetime, symbol: str = "NSE:INFY") -> Decimal:
    return Decimal(str(exchange.ltp([symbol], at)[symbol]["last_price"]))
