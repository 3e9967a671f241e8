"""Kite's rows as its MCP server sends them: which keys, in which order, and what stands for nothing.

The server re-marshals fixed structures: null becomes "" or 0 or false, a null time the zero time, naive times get
+05:30, fields it does not know are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from broker.calendar import IST

Row = dict[str, object]

ZERO_TIME = "0001-01-01T00:00:00Z"


class _Time:
    """Marks a field that holds a time."""


TIME: Final = _Time()

ORDER: Final[Row] = {
    "account_id": "", "placed_by": "", "order_id": "", "exchange_order_id": "", "parent_order_id": "", "status": "",
    "status_message": "", "status_message_raw": "", "order_timestamp": TIME, "exchange_update_timestamp": TIME,
    "exchange_timestamp": TIME, "variety": "", "modified": False, "meta": None, "exchange": "", "tradingsymbol": "",
    "instrument_token": 0, "order_type": "", "transaction_type": "", "validity": "", "validity_ttl": 0, "product": "",
    "quantity": 0, "disclosed_quantity": 0, "price": 0, "trigger_price": 0, "average_price": 0, "filled_quantity": 0,
    "pending_quantity": 0, "cancelled_quantity": 0, "auction_number": "", "tag": "", "tags": None,
}  # fmt: skip
TRADE: Final[Row] = {
    "average_price": 0, "quantity": 0, "trade_id": "", "product": "", "fill_timestamp": TIME,
    "exchange_timestamp": TIME, "exchange_order_id": "", "order_id": "", "transaction_type": "", "tradingsymbol": "",
    "exchange": "", "instrument_token": 0,
}  # fmt: skip
HOLDING: Final[Row] = {
    "tradingsymbol": "", "exchange": "", "instrument_token": 0, "isin": "", "product": "", "price": 0,
    "used_quantity": 0, "quantity": 0, "t1_quantity": 0, "realised_quantity": 0, "authorised_quantity": 0,
    "authorised_date": TIME, "opening_quantity": 0, "collateral_quantity": 0, "collateral_type": "",
    "discrepancy": False, "average_price": 0, "last_price": 0, "close_price": 0, "pnl": 0, "day_change": 0,
    "day_change_percentage": 0,
    "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
}  # fmt: skip
POSITION: Final[Row] = {
    "tradingsymbol": "", "exchange": "", "instrument_token": 0, "product": "", "quantity": 0, "overnight_quantity": 0,
    "multiplier": 0, "average_price": 0, "close_price": 0, "last_price": 0, "value": 0, "pnl": 0, "m2m": 0,
    "unrealised": 0, "realised": 0, "buy_quantity": 0, "buy_price": 0, "buy_value": 0, "buy_m2m": 0,
    "sell_quantity": 0, "sell_price": 0, "sell_value": 0, "sell_m2m": 0, "day_buy_quantity": 0, "day_buy_price": 0,
    "day_buy_value": 0, "day_sell_quantity": 0, "day_sell_price": 0, "day_sell_value": 0,
}  # fmt: skip
SEGMENT: Final[Row] = {
    "enabled": False,
    "net": 0,
    "available": {
        "adhoc_margin": 0, "cash": 0, "collateral": 0, "intraday_payin": 0, "live_balance": 0, "opening_balance": 0,
    },
    "utilised": {
        "debits": 0, "exposure": 0, "m2m_realised": 0, "m2m_unrealised": 0, "option_premium": 0, "payout": 0,
        "span": 0, "holding_sales": 0, "turnover": 0, "liquid_collateral": 0, "stock_collateral": 0, "delivery": 0,
    },
}  # fmt: skip
MARGINS: Final[Row] = {"equity": SEGMENT, "commodity": SEGMENT}
PROFILE: Final[Row] = {
    "user_id": "", "user_name": "", "user_shortname": "", "avatar_url": "", "user_type": "", "email": "", "broker": "",
    "meta": {"demat_consent": ""}, "products": None, "order_types": None, "exchanges": None,
}  # fmt: skip


def shaped(template: Mapping[str, object], row: Mapping[str, object]) -> Row:
    """``row`` with exactly the template's keys; values it has are kept as they are, however odd."""
    return {key: _value(default, row.get(key)) for key, default in template.items()}


def stamp(moment: datetime | None) -> str:
    """A time as the server writes it: whole seconds, +05:30."""
    if moment is None:
        return ZERO_TIME
    return moment.astimezone(IST).replace(microsecond=0).isoformat()


def _value(default: object, value: object) -> object:
    if isinstance(default, _Time):
        return ZERO_TIME if value in (None, "") else _time(value)
    if isinstance(default, dict):
        return shaped(default, value if isinstance(value, Mapping) else {})
    return default if value is None else value


def _time(value: object) -> object:
    """A naive time gets +05:30; anything that is not one stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return value
    return value if parsed.tzinfo is not None else parsed.replace(tzinfo=IST).isoformat()
