"""Kite's tools: which of them read, and a write's arguments. Numbers go as JSON numbers, every field present."""

from __future__ import annotations

from decimal import Decimal

from broker.domain import ModifyOrder, PlaceOrder, split_symbol

READ_TOOLS = frozenset({
    "get_gtts", "get_historical_data", "get_holdings", "get_ltp", "get_margins", "get_mf_holdings", "get_ohlc",
    "get_order_history", "get_order_trades", "get_orders", "get_positions", "get_profile", "get_quotes", "get_trades",
    "search_instruments",
})  # fmt: skip
LOGIN_TOOL = "login"
ORDER_TOOLS = frozenset({"place_order", "modify_order", "cancel_order"})


def tool_mode(name: str) -> str:
    """read, login or write. The server's own annotations say "destructive" of every tool, so the list is ours; a tool
    that is not on it counts as a write."""
    if name in READ_TOOLS:
        return "read"
    return "login" if name == LOGIN_TOOL else "write"


def place_arguments(order: PlaceOrder) -> dict[str, object]:
    """Raises ValueError for an order that the server would change on its way (FAULTS 0.8)."""
    exchange, tradingsymbol = split_symbol(order.symbol)
    _check(order.quantity)
    return {
        "variety": order.variety.value,
        "exchange": exchange,
        "tradingsymbol": tradingsymbol,
        "transaction_type": order.side.value,
        "quantity": order.quantity,
        "product": order.product.value,
        "order_type": order.order_type.value,
        "price": _number(order.limit_price),
        "trigger_price": _number(order.trigger_price),
        "validity": order.validity.value,
        "disclosed_quantity": 0,
        "tag": order.tag,
    }


def modify_arguments(order: ModifyOrder) -> dict[str, object]:
    """Raises ValueError as ``place_arguments`` does; a quantity left out would become 1."""
    _check(order.quantity)
    return {
        "variety": order.variety.value,
        "order_id": order.broker_order_id,
        "quantity": order.quantity,
        "price": _number(order.limit_price),
        "order_type": order.order_type.value,
        "trigger_price": _number(order.trigger_price),
        "validity": order.validity.value,
        "disclosed_quantity": 0,
    }


def _check(quantity: int) -> None:
    if isinstance(quantity, bool) or quantity < 1:
        raise ValueError(f"quantity {quantity!r} is not a positive whole number")


def _number(price: Decimal | None) -> float | int:
    """A price as a JSON number. A double holds any price of up to 15 digits; one that it does not raises ValueError."""
    if price is None:
        return 0
    number = float(price)
    if Decimal(repr(number)) != price:
        raise ValueError(f"{price} cannot be sent as a JSON number")
    return int(number) if number.is_integer() else number
