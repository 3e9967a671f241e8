"""A plan's other forms: its canonical text read back, the shape the API shows, and what gate and broker are given."""

from __future__ import annotations

import dataclasses
import json
import types
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from broker.domain import ModifyOrder, PlaceOrder, Validity, Variety
from execution.domain import Leg, PlanDocument
from execution.wire import intent_document
from risk.domain import OrderRequest, RequestKind

_SENDABLE_VARIETIES = (Variety.REGULAR, Variety.AMO)


def plan_from_json(text: str) -> PlanDocument:
    """Reads a plan's canonical text back to the value it was written from.

    Raises ValueError (json.JSONDecodeError is one) for a text that is no plan.
    """
    try:
        plan = _read(json.loads(text, parse_float=Decimal), PlanDocument)
    except (KeyError, TypeError, AttributeError, ArithmeticError) as exc:
        raise ValueError(f"this is no plan document: {exc!r}") from exc
    if not isinstance(plan, PlanDocument):
        raise ValueError("this is no plan document")  # noqa: TRY004
    return plan


def _read(value: Any, kind: Any) -> Any:
    """``value`` as ``kind``: the dataclasses, enums and scalars a plan is made of."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(option for option in get_args(kind) if option is not type(None))
        return None if value is None else _read(value, inner)
    if origin is tuple:
        return _read_tuple(value, get_args(kind))
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        key_kind, item_kind = get_args(kind)
        return {_read_key(key, key_kind): _read(item, item_kind) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind if isinstance(kind, type) else type(kind))
        return kind(**{name: _read(item, hints[name]) for name, item in value.items()})  # type: ignore[operator]
    return _read_scalar(value, kind)


def _read_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_read(item, kinds[0]) for item in value)
    return tuple(_read(item, kind) for item, kind in zip(value, kinds, strict=True))


def _read_key(key: str, kind: Any) -> Any:
    return int(key) if kind is int else key


def _read_scalar(value: Any, kind: Any) -> Any:
    if kind is Decimal:
        return Decimal(value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def plan_wire(document: PlanDocument) -> dict[str, object]:
    """The part of the API's Plan that comes from the document; the service adds ids, hash, times and the decision."""
    estimates, after = document.estimates, document.before_after
    return {
        "intent": intent_document(document.intent),
        "legs": [_leg_wire(leg) for leg in document.legs],
        "sizing": [{"step": line.step, "value": line.value, "unit": line.unit} for line in document.sizing],
        "estimates": {
            "order_value": estimates.order_value,
            "charges": dataclasses.asdict(estimates.charges),
            "margin_required": estimates.margin_required,
            "margin_available": estimates.margin_available,
        },
        "before_after": {
            name: {"before": pair[0], "after": pair[1]}
            for name, pair in (
                ("quantity", after.quantity),
                ("average_price", after.average_price),
                ("cash", after.cash),
                ("weight_percent", after.weight_percent),
            )
        },
        "exits": _exits_wire(document),
        "reference_prices": dict(document.reference_prices),
        "connection": {"id": document.connection, "kind": document.connection_kind},
        "valid_until": document.valid_until,
        "schema_version": document.schema_version,
    }


def _leg_wire(leg: Leg) -> dict[str, object]:
    return {
        "n": leg.n,
        "action": leg.action.value,
        "symbol": leg.symbol,
        "side": leg.side.value,
        "quantity": leg.quantity,
        "order_type": leg.order_type.value,
        "limit_price": leg.limit_price,
        "trigger_price": leg.trigger_price,
        "product": leg.product.value,
        "validity": leg.validity.value,
        "variety": leg.variety.value,
        "depends_on": leg.depends_on,
        "target": leg.target or None,
        "broker_order_id": leg.broker_order_id or None,
        "converted_from_market": leg.converted_from_market,
    }


def _exits_wire(document: PlanDocument) -> list[dict[str, object]]:
    """The two-leg GTT that would follow each fill, as information."""
    return [
        {"symbol": order.symbol, "stop_loss": order.exits.stop_loss, "target": order.exits.target}
        for order in document.intent.orders
        if order.exits is not None
    ]


def client_order_id(plan_id: uuid.UUID, leg: int) -> str:
    """Our own id of one leg's order: the same whoever asks, so that a second one cannot be made."""
    return f"{plan_id.hex}-{leg}"


def order_requests(document: PlanDocument, *, plan_id: uuid.UUID | None = None) -> tuple[OrderRequest, ...]:
    """The legs as RiskGate judges them; with ``plan_id`` new orders bear the ids they would be made with."""
    return tuple(
        OrderRequest(
            leg=leg.n,
            kind=leg.action,
            symbol=leg.symbol,
            side=leg.side,
            quantity=leg.quantity,
            order_type=leg.order_type,
            product=leg.product,
            validity=leg.validity,
            variety=leg.variety,
            limit_price=leg.limit_price,
            trigger_price=leg.trigger_price,
            replaces=leg.broker_order_id,
            converted_from_market=leg.converted_from_market,
            client_order_id=client_order_id(plan_id, leg.n) if plan_id and leg.action is RequestKind.PLACE else "",
        )
        for leg in document.legs
    )


def place_order_of(leg: Leg, tag: str) -> PlaceOrder:
    """What the broker is told of a new order. Raises ValueError for a leg that cannot be told whole."""
    if leg.action is not RequestKind.PLACE:
        raise ValueError(f"leg {leg.n} is a {leg.action}, not a new order")
    _require_sendable(leg)
    return PlaceOrder(
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        order_type=leg.order_type,
        product=leg.product,
        validity=leg.validity,
        variety=leg.variety,
        tag=tag,
        limit_price=leg.limit_price,
        trigger_price=leg.trigger_price,
    )


def modify_order_of(leg: Leg) -> ModifyOrder:
    """The complete modify of a leg. Raises ValueError for a leg that is none, or cannot be told whole."""
    if leg.action is not RequestKind.MODIFY or not leg.broker_order_id:
        raise ValueError(f"leg {leg.n} changes no order of the broker's")
    _require_sendable(leg)
    return ModifyOrder(
        broker_order_id=leg.broker_order_id,
        variety=leg.variety,
        order_type=leg.order_type,
        quantity=leg.quantity,
        validity=leg.validity,
        limit_price=leg.limit_price,
        trigger_price=leg.trigger_price,
    )


def _require_sendable(leg: Leg) -> None:
    """A last guard behind RiskGate: a TTL without its minutes or an iceberg without its legs would be another order."""
    if leg.validity is Validity.TTL or leg.variety not in _SENDABLE_VARIETIES:
        raise ValueError(f"leg {leg.n}: {leg.variety} {leg.validity} orders are not sent from here")
