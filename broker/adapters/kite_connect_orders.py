"""Orders as Kite Connect takes them, and what it tells of their margins, charges and slices. Pure.

Prices go as the decimal text we hold, never through a float. MARKET and SL-M carry market protection, without which
Kite refuses them (FACTS b3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from broker.adapters import kite_shapes as shapes
from broker.adapters.kite_tools import place_arguments
from broker.adapters.kite_values import Row, amount, mapping, part, rows_of, text, whole
from broker.domain import ModifyOrder, OrderType, PlaceOrder, Variety, split_symbol, symbol_of
from broker.ports import BrokerSchemaError

AUTOMATIC = Decimal(-1)
SENT_VARIETIES = (Variety.REGULAR, Variety.AMO)
CONSENTED = ("physical", "consent")


@dataclass(frozen=True, slots=True)
class SliceFault:
    """A slice that was refused while others may have been taken."""

    kind: str
    text: str


class PlacedOrder(str):
    """The broker's id of an accepted placement. An order that Kite cut into slices has ``children``, the ids of those
    it took, and ``faults``, the reasons of those it refused: taking only some of them is usual (FACTS b6)."""

    __slots__ = ("children", "faults")
    children: tuple[str, ...]
    faults: tuple[SliceFault, ...]

    def __new__(cls, order_id: str, children: tuple[str, ...] = (), faults: tuple[SliceFault, ...] = ()) -> PlacedOrder:
        made = super().__new__(cls, order_id)
        made.children = children
        made.faults = faults
        return made


@dataclass(frozen=True, slots=True)
class Charges:
    """What one order costs beside its price, in rupees."""

    total: Decimal
    brokerage: Decimal
    transaction_tax: Decimal
    transaction_tax_type: str
    exchange_turnover: Decimal
    sebi_turnover: Decimal
    stamp_duty: Decimal
    gst: Decimal


@dataclass(frozen=True, slots=True)
class OrderMargin:
    """What one order blocks, in rupees; ``charges`` where the broker counts them."""

    symbol: str
    total: Decimal
    span: Decimal
    exposure: Decimal
    option_premium: Decimal
    var: Decimal
    cash: Decimal
    additional: Decimal
    leverage: Decimal
    charges: Charges


@dataclass(frozen=True, slots=True)
class BasketMargin:
    """What a basket blocks: ``initial`` while it is being placed, ``final`` with the benefit of its hedges."""

    initial: Decimal
    final: Decimal
    orders: tuple[OrderMargin, ...]
    charges: Decimal


@dataclass(frozen=True, slots=True)
class OrderCharges:
    """One line of the virtual contract note."""

    symbol: str
    quantity: int
    price: Decimal
    charges: Charges


@dataclass(frozen=True, slots=True)
class HoldingsConsent:
    """Whether holdings may be sold without a new consent: ``given`` is the broker's word for it, empty for none.

    Without one each sale needs the owner's TPIN at the depository, which lasts one trading day (FACTS g8).
    """

    given: str

    @property
    def needs_authorisation(self) -> bool:
        return self.given not in CONSENTED


# --- what is sent ------------------------------------------------------------------------------------------------
def check_market_protection(percent: Decimal) -> Decimal:
    """-1 (automatic) or a percentage above 0 up to 100. Raises ValueError for any other."""
    if percent != AUTOMATIC and not 0 < percent <= 100:
        raise ValueError(f"market protection {percent} is neither -1 (automatic) nor above 0 up to 100 percent")
    return percent


def place_values(order: PlaceOrder, *, market_protection: Decimal) -> dict[str, object]:
    """A placement's fields. Raises ValueError for an order that cannot be sent as it is."""
    if order.variety not in SENT_VARIETIES:
        raise ValueError(f"variety {order.variety} is not placed through Kite Connect")
    if not (order.tag.isascii() and order.tag.isalnum() and len(order.tag) <= 20):
        raise ValueError("a tag is 1 to 20 letters and digits")
    _check_prices(order.order_type, order.quantity, order.limit_price, order.trigger_price)
    exchange, tradingsymbol = split_symbol(order.symbol)
    return {
        "variety": order.variety.value,
        "exchange": exchange,
        "tradingsymbol": tradingsymbol,
        "transaction_type": order.side.value,
        "quantity": order.quantity,
        "product": order.product.value,
        "order_type": order.order_type.value,
        "validity": order.validity.value,
        "disclosed_quantity": 0,
        "tag": order.tag,
        **_prices(order.order_type, order.limit_price, order.trigger_price, market_protection),
    }


def modify_values(order: ModifyOrder, *, market_protection: Decimal) -> dict[str, object]:
    """A complete modify's fields. Raises ValueError as ``place_values`` does."""
    _check_prices(order.order_type, order.quantity, order.limit_price, order.trigger_price)
    return {
        "variety": order.variety.value,
        "order_id": order.broker_order_id,
        "quantity": order.quantity,
        "order_type": order.order_type.value,
        "validity": order.validity.value,
        "disclosed_quantity": 0,
        **_prices(order.order_type, order.limit_price, order.trigger_price, market_protection),
    }


def margin_values(orders: Sequence[PlaceOrder]) -> list[dict[str, object]]:
    """The orders as the margin calls take them, in JSON numbers."""
    return [_asked(order, "price", "trigger_price") for order in orders]


def charge_values(orders: Sequence[PlaceOrder]) -> list[dict[str, object]]:
    """The orders as the contract note takes them; ``limit_price`` is what they would be done at."""
    return [
        {**_asked(order), "order_id": order.tag, "average_price": place_arguments(order)["price"]} for order in orders
    ]


def _asked(order: PlaceOrder, *more: str) -> dict[str, object]:
    names = ("exchange", "tradingsymbol", "transaction_type", "variety", "product", "order_type", "quantity", *more)
    every = place_arguments(order)
    return {name: every[name] for name in names}


def _prices(
    order_type: OrderType, limit: Decimal | None, trigger: Decimal | None, protection: Decimal
) -> dict[str, object]:
    found: dict[str, object] = {
        "price": _written(limit) if order_type.has_limit and limit is not None else "0",
        "trigger_price": _written(trigger) if order_type.has_trigger and trigger is not None else "0",
    }
    return found if order_type.has_limit else {**found, "market_protection": _written(protection)}


def _check_prices(order_type: OrderType, quantity: int, limit: Decimal | None, trigger: Decimal | None) -> None:
    if isinstance(quantity, bool) or quantity < 1:
        raise ValueError(f"quantity {quantity!r} is not a positive whole number")
    for name, price, wanted in (("limit", limit, order_type.has_limit), ("trigger", trigger, order_type.has_trigger)):
        if wanted and (price is None or not price.is_finite() or price <= 0):
            raise ValueError(f"{order_type} needs a {name} price above 0")


def _written(price: Decimal) -> str:
    return format(price, "f")


# --- what is answered --------------------------------------------------------------------------------------------
def placed(answer: object) -> PlacedOrder:
    """The id of a placement's answer, with its slices. Raises BrokerSchemaError."""
    row = mapping(answer, "answer")
    children: list[str] = []
    faults: list[SliceFault] = []
    for child in rows_of(row.get("children")):
        if child.get("error") is None:
            children.append(shapes.order_id(child))
        else:
            error = part(child, "error")
            faults.append(SliceFault(text(error, "error_type")[:60], text(error, "message")[:500]))
    return PlacedOrder(shapes.order_id(row), tuple(children), tuple(faults))


def order_margins(answer: object) -> tuple[OrderMargin, ...]:
    return tuple(_order_margin(row) for row in rows_of(answer))


def basket_margin(answer: object) -> BasketMargin:
    row = mapping(answer, "basket margins")
    return BasketMargin(
        initial=amount(mapping(row.get("initial"), "initial"), "total"),
        final=amount(mapping(row.get("final"), "final"), "total"),
        orders=order_margins(row.get("orders")),
        charges=amount(part(row, "charges"), "total"),
    )


def contract_note(answer: object) -> tuple[OrderCharges, ...]:
    return tuple(
        OrderCharges(_symbol(row), whole(row, "quantity"), amount(row, "price"), _charges(part(row, "charges")))
        for row in rows_of(answer)
    )


def holdings_consent(profile: object) -> HoldingsConsent:
    return HoldingsConsent(text(part(mapping(profile, "profile"), "meta"), "demat_consent"))


def _order_margin(row: Row) -> OrderMargin:
    names = ("total", "span", "exposure", "option_premium", "var", "cash", "additional", "leverage")
    return OrderMargin(
        symbol=_symbol(row), charges=_charges(part(row, "charges")), **{name: amount(row, name) for name in names}
    )


def _charges(row: Row) -> Charges:
    return Charges(
        total=amount(row, "total"),
        brokerage=amount(row, "brokerage"),
        transaction_tax=amount(row, "transaction_tax"),
        transaction_tax_type=text(row, "transaction_tax_type"),
        exchange_turnover=amount(row, "exchange_turnover_charge"),
        sebi_turnover=amount(row, "sebi_turnover_charge"),
        stamp_duty=amount(row, "stamp_duty"),
        gst=amount(part(row, "gst"), "total"),
    )


def _symbol(row: Row) -> str:
    exchange, tradingsymbol = text(row, "exchange"), text(row, "tradingsymbol")
    if not exchange or not tradingsymbol:
        raise BrokerSchemaError("a margin or charge names no instrument")
    return symbol_of(exchange, tradingsymbol)
