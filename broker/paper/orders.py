"""One order at the paper exchange: what was asked, where it stands, and how Kite would show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum

from broker.domain import BrokerOrderStatus, OrderType, Product, Side, Validity
from broker.paper.config import MARKET_REFUSED, EntryRefused, ExchangeConfig
from broker.paper.instruments import PaperInstrument
from broker.paper.shapes import Row, stamp

TAG_LENGTH = 20
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "MCX", "CDS", "BCD")
PRICE_QUANTUM = Decimal("0.0001")


class Life(StrEnum):
    """Where the engine has the order, apart from the word Kite shows for it."""

    ARRIVING = "arriving"
    HELD = "held"  # an AMO waiting for the market
    WAITING = "waiting"  # a stop whose trigger has not been reached
    WORKING = "working"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A placement that passed entry: enums are known, numbers are sane; the market has not been asked yet."""

    variety: str
    exchange: str
    tradingsymbol: str
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Decimal
    trigger_price: Decimal
    validity: Validity
    disclosed_quantity: int
    tag: str

    @property
    def symbol(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


def parse_request(args: Mapping[str, object], *, config: ExchangeConfig) -> OrderRequest:
    """The entry checks of a placement, before any order exists. Raises EntryRefused with Kite's manner of text."""
    order_type = OrderType(_one_of(args, "order_type", tuple(OrderType)))
    request = OrderRequest(
        variety=_one_of(args, "variety", ("regular", "amo")),
        exchange=_one_of(args, "exchange", EXCHANGES),
        tradingsymbol=str(args.get("tradingsymbol") or ""),
        side=Side(_one_of(args, "transaction_type", tuple(Side))),
        quantity=whole(args, "quantity"),
        product=Product(_one_of(args, "product", tuple(Product))),
        order_type=order_type,
        price=money(args, "price") if order_type.has_limit else Decimal(0),
        trigger_price=money(args, "trigger_price") if order_type.has_trigger else Decimal(0),
        validity=Validity(_one_of({"validity": "DAY"} | {k: v for k, v in args.items() if v}, "validity", _VALIDITIES)),
        disclosed_quantity=whole(args, "disclosed_quantity"),
        tag=_tag(args),
    )
    _require(bool(request.tradingsymbol), "Missing or empty field `tradingsymbol`.")
    _require(request.quantity > 0, "Invalid `quantity`.")
    check_prices(request.order_type, request.price, request.trigger_price, config=config)
    return request


def check_prices(order_type: OrderType, price: Decimal, trigger_price: Decimal, *, config: ExchangeConfig) -> None:
    """Raises EntryRefused where a price the type needs is missing, or the type needs market protection."""
    if not order_type.has_limit and config.refuse_unprotected_market:
        raise EntryRefused(MARKET_REFUSED)
    _require(not order_type.has_limit or price > 0, "Missing or invalid `price`.")
    _require(not order_type.has_trigger or trigger_price > 0, "Missing or invalid `trigger_price`.")


@dataclass(slots=True)
class PaperOrder:
    """The engine's own record. ``sequence`` is time priority; ``queue_ahead`` what stands before it at its price."""

    order_id: str
    request: OrderRequest
    instrument: PaperInstrument | None
    placed_at: datetime
    placed_by: str
    sequence: int
    order_type: OrderType
    quantity: int
    price: Decimal
    trigger_price: Decimal
    validity: Validity
    order_timestamp: datetime
    status: str = ""
    life: Life = Life.ARRIVING
    status_message: str = ""
    status_message_raw: str = ""
    exchange_order_id: str = ""
    exchange_timestamp: datetime | None = None
    exchange_update_timestamp: datetime | None = None
    filled_quantity: int = 0
    filled_value: Decimal = Decimal(0)
    charges: Decimal = Decimal(0)
    cancelled_quantity: int = 0
    modifications: int = 0
    blocked: bool = False
    taker: bool = True
    queue_ahead: int = 0
    history: list[Row] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        return self.request.symbol

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled_quantity

    @property
    def is_live(self) -> bool:
        """Can still be filled."""
        return self.life in (Life.WAITING, Life.WORKING)

    @property
    def average_price(self) -> Decimal:
        if self.filled_quantity == 0:
            return Decimal(0)
        return (self.filled_value / self.filled_quantity).quantize(PRICE_QUANTUM, ROUND_HALF_UP)

    def note(self, status: BrokerOrderStatus) -> None:
        """Takes the status and writes a row of history."""
        self.status = status.value
        self.history.append(self.row())

    def row(self) -> Row:
        """The order as the MCP server shows it."""
        request, done = self.request, self.life is Life.DONE
        return {
            "account_id": self.placed_by,
            "placed_by": self.placed_by,
            "order_id": self.order_id,
            "exchange_order_id": self.exchange_order_id,
            "parent_order_id": "",
            "status": self.status,
            "status_message": self.status_message,
            "status_message_raw": self.status_message_raw,
            "order_timestamp": stamp(self.order_timestamp),
            "exchange_update_timestamp": stamp(self.exchange_update_timestamp),
            "exchange_timestamp": stamp(self.exchange_timestamp),
            "variety": request.variety,
            "modified": self.modifications > 0,
            "meta": {},
            "exchange": request.exchange,
            "tradingsymbol": request.tradingsymbol,
            "instrument_token": self.instrument.info.instrument_token if self.instrument else 0,
            "order_type": self.order_type.value,
            "transaction_type": request.side.value,
            "validity": self.validity.value,
            "validity_ttl": 0,
            "product": request.product.value,
            "quantity": self.quantity,
            "disclosed_quantity": request.disclosed_quantity,
            "price": self.price,
            "trigger_price": self.trigger_price,
            "average_price": self.average_price,
            "filled_quantity": self.filled_quantity,
            "pending_quantity": 0 if done else self.remaining,
            "cancelled_quantity": self.cancelled_quantity,
            "auction_number": "",
            "tag": request.tag,
            "tags": [request.tag] if request.tag else None,
        }


def trade_row(order: PaperOrder, trade_id: str, quantity: int, price: Decimal, at: datetime) -> Row:
    """One fill as the MCP server shows it."""
    return {
        "average_price": price,
        "quantity": quantity,
        "trade_id": trade_id,
        "product": order.request.product.value,
        "fill_timestamp": stamp(at),
        "exchange_timestamp": stamp(at),
        "exchange_order_id": order.exchange_order_id,
        "order_id": order.order_id,
        "transaction_type": order.request.side.value,
        "tradingsymbol": order.request.tradingsymbol,
        "exchange": order.request.exchange,
        "instrument_token": order.instrument.info.instrument_token if order.instrument else 0,
    }


def money(args: Mapping[str, object], name: str) -> Decimal:
    """A price argument as Decimal; absent is zero. Raises EntryRefused for what is not a finite amount >= 0."""
    try:
        value = Decimal(str(args.get(name) or 0))
    except InvalidOperation as exc:
        raise EntryRefused(f"Invalid `{name}`.") from exc
    _require(value.is_finite() and value >= 0, f"Invalid `{name}`.")
    return value


def whole(args: Mapping[str, object], name: str) -> int:
    """A quantity argument; absent is zero. Raises EntryRefused for what is not a whole number >= 0."""
    value = money(args, name)
    _require(value == value.to_integral_value(), f"Invalid `{name}`.")
    return int(value)


_VALIDITIES = (Validity.DAY, Validity.IOC)


def _tag(args: Mapping[str, object]) -> str:
    tag = str(args.get("tag") or "")
    _require(
        len(tag) <= TAG_LENGTH and ((tag.isascii() and tag.isalnum()) or not tag),
        "Invalid `tag`. It should be alphanumeric and of 20 characters at most.",
    )
    return tag


def _one_of(args: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str:
    value = str(args.get(name) or "")
    _require(value in allowed, f"Invalid `{name}`.")
    return value


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise EntryRefused(text)
