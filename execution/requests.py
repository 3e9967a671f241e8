"""Rows as the broker is told of them."""

from __future__ import annotations

from decimal import Decimal

from broker.domain import ModifyOrder, OrderType, PlaceOrder, Product, Side, Validity, Variety
from execution.models import OrderCommand, OrderIntent


def place_of(intent: OrderIntent) -> PlaceOrder:
    """The complete new order of one intent."""
    return PlaceOrder(
        symbol=intent.symbol, side=Side(intent.side), quantity=intent.quantity, order_type=OrderType(intent.order_type),
        product=Product(intent.product), validity=Validity(intent.validity), variety=Variety(intent.variety),
        tag=intent.tag, limit_price=intent.limit_price, trigger_price=intent.trigger_price,
    )  # fmt: skip


def modify_of(command: OrderCommand) -> ModifyOrder:
    """The complete modify of one command: every field as it shall be afterwards."""
    changes = command.changes
    return ModifyOrder(
        broker_order_id=command.order.broker_order_id,
        variety=Variety(command.order.variety),
        order_type=OrderType(changes["order_type"]),
        quantity=int(changes["quantity"]),
        validity=Validity(changes["validity"]),
        limit_price=_price(changes["limit_price"]),
        trigger_price=_price(changes["trigger_price"]),
    )


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
