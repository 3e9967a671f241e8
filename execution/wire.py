"""The Intent as it travels (ASSISTANT section 1): read with every fault named, written back to an equal document.

Prices, amounts and percents are decimal strings, quantities integers, absent fields null or left out. Nothing is
converted on the way in: a number where a string belongs is a fault, not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from broker.domain import Exchange, OrderType, Product, Side, Validity, Variety
from execution.domain import Changes, Exits, IntentKind, OrderInstruction, QuantityRule, RuleType, TradeIntent
from execution.wire_fields import FieldFault, Reader
from sigmatrader.audit.canonical import decimal_text

MAX_ORDERS = 20
MAX_TTL_MINUTES = 1440
HUNDRED = Decimal(100)
Document = Mapping[object, object]
_DERIVATIVES = (Exchange.NFO, Exchange.BFO, Exchange.MCX)
_ORDER_FIELDS = frozenset(
    {
        "side", "symbol", "exchange", "quantity", "quantity_rule", "order_type", "price", "trigger_price", "product",
        "validity", "validity_ttl", "variety", "exits",
    }
)  # fmt: skip
_FIELDS_OF: Mapping[IntentKind, frozenset[str]] = MappingProxyType(
    {
        IntentKind.ORDER: _ORDER_FIELDS,
        IntentKind.ORDERS: frozenset({"orders"}),
        IntentKind.MODIFY: frozenset({"order_ids", "changes"}),
        IntentKind.CANCEL: frozenset({"order_ids"}),
    }
)
_COMMON_FIELDS = frozenset({"kind", "assumed"})
# Fields of other kinds: a writer that fills the whole form may have them as null.
_OTHER_FIELDS = _ORDER_FIELDS | {
    "orders", "order_ids", "gtt_ids", "monitor_ids", "changes", "condition", "cadence_s", "window", "schedule",
    "action", "then", "report", "topic", "missing", "question", "choices", "code", "reason",
}  # fmt: skip
_OTHER_KINDS = frozenset({"monitor", "analyze", "explain", "clarify", "refuse"})
_CHANGE_FIELDS = frozenset({"price", "trigger_price", "quantity", "order_type"})
_RULE_VALUE: Mapping[RuleType, str] = MappingProxyType(
    {
        RuleType.NOTIONAL: "amount",
        RuleType.PERCENT_OF_HOLDING: "percent",
        RuleType.PERCENT_OF_POSITION: "percent",
        RuleType.REDUCE_TO: "quantity",
    }
)


class IntentInvalid(ValueError):
    """The payload is not an Intent that can be planned; ``faults`` names each field at fault."""

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


def parse_intent(payload: object, *, text: str = "") -> TradeIntent:
    """Reads an Intent that can become a plan (order, orders, modify, cancel). Raises IntentInvalid with every fault.

    What was left out is filled by the reading rules (NSE; LIMIT with a price, SL with a trigger, else MARKET; CNC, or
    NRML for derivatives; DAY; regular), and what the trader would want to know of that is named in ``assumed``.
    """
    reader = Reader()
    intent = _intent(reader, payload, text)
    if reader.faults or intent is None:
        raise IntentInvalid(tuple(reader.faults))
    return intent


def _intent(reader: Reader, payload: object, text: str) -> TradeIntent | None:
    if not isinstance(payload, Mapping):
        reader.fault("intent", "BAD_TYPE", "An intent is an object.")
        return None
    kind = _kind(reader, payload)
    if kind is None:
        return None
    allowed = _FIELDS_OF[kind] | _COMMON_FIELDS
    reader.only(payload, allowed=allowed, tolerated=_OTHER_FIELDS, what=f"an intent of kind {kind}")
    assumed = list(reader.words(payload, "assumed"))
    orders: tuple[OrderInstruction, ...] = ()
    ids: tuple[str, ...] = ()
    if kind is IntentKind.ORDER:
        order = _order(reader, payload, "", assumed)
        orders = () if order is None else (order,)
    elif kind is IntentKind.ORDERS:
        orders = _orders(reader, payload, assumed)
    else:
        ids = reader.ids(payload, "order_ids", at_most=MAX_ORDERS)
    changes = _changes(reader, payload) if kind is IntentKind.MODIFY else None
    return TradeIntent(kind, orders, ids, changes, text=text, assumed=tuple(dict.fromkeys(assumed)))


def _kind(reader: Reader, payload: Document) -> IntentKind | None:
    if payload.get("kind") is None:
        reader.fault("kind", "REQUIRED", f"Say the kind: one of {', '.join(IntentKind)}.")
        return None
    value = payload["kind"]
    if isinstance(value, str) and value in _OTHER_KINDS:
        reader.fault(
            "kind", "NOT_A_TRADE", f"An intent of kind {value} makes no plan; only {', '.join(IntentKind)} do."
        )
        return None
    return reader.word(payload, "kind", IntentKind)


def _orders(reader: Reader, payload: Document, assumed: list[str]) -> tuple[OrderInstruction, ...]:
    rows = payload.get("orders")
    if not isinstance(rows, list | tuple):
        reader.fault("orders", "REQUIRED" if rows is None else "BAD_TYPE", "This is a list of orders.")
        return ()
    if not 1 <= len(rows) <= MAX_ORDERS:
        reader.fault("orders", "OUT_OF_RANGE", f"Give from 1 to {MAX_ORDERS} orders.")
        return ()
    read = [_listed_order(reader, row, f"orders.{n}", assumed) for n, row in enumerate(rows)]
    return tuple(order for order in read if order is not None)


def _listed_order(reader: Reader, row: object, at: str, assumed: list[str]) -> OrderInstruction | None:
    if not isinstance(row, Mapping):
        reader.fault(at, "BAD_TYPE", "An order is an object.")
        return None
    kind = row.get("kind")
    if kind not in (None, IntentKind.ORDER.value):
        reader.fault(f"{at}.kind", "BAD_VALUE", "Only orders can be listed here.")
    reader.only(row, allowed=_ORDER_FIELDS | {"kind"}, tolerated=_OTHER_FIELDS, what="an order", at=at)
    return _order(reader, row, at, assumed)


def _order(reader: Reader, row: Document, at: str, assumed: list[str]) -> OrderInstruction | None:
    """One order, or None with the faults noted."""
    before = len(reader.faults)
    side = reader.word(row, "side", Side, at=at)
    if row.get("side") is None:
        reader.fault(_at(at, "side"), "REQUIRED", "Say BUY or SELL.")
    tradingsymbol = reader.symbol(row, "symbol", at=at)
    exchange = reader.word(row, "exchange", Exchange, at=at) or _assume(assumed, "exchange", Exchange.NSE)
    quantity = reader.whole(row, "quantity", at=at)
    rule = _rule(reader, row, at)
    if row.get("quantity") is None and row.get("quantity_rule") is None:
        reader.fault(_at(at, "quantity"), "REQUIRED", "Say a quantity, or a quantity_rule to size by.")
    price = reader.money(row, "price", at=at)
    trigger = reader.money(row, "trigger_price", at=at)
    variety = reader.word(row, "variety", Variety, at=at) or Variety.REGULAR
    order_type = _order_type(reader, row, at, assumed, variety)
    product = _product(reader, row, at, assumed, exchange)
    validity = reader.word(row, "validity", Validity, at=at) or Validity.DAY
    ttl = _ttl(reader, row, at, validity)
    exits = _exits(reader, row, at)
    _check_prices(reader, row, at, order_type, variety)
    if len(reader.faults) > before or side is None or tradingsymbol is None:
        return None
    return OrderInstruction(
        side=side,
        exchange=exchange.value,
        tradingsymbol=tradingsymbol,
        order_type=order_type,
        product=product,
        quantity=quantity,
        quantity_rule=rule,
        price=price,
        trigger_price=trigger,
        validity=validity,
        validity_ttl=ttl,
        variety=variety,
        exits=exits,
    )


def _assume(assumed: list[str], name: str, value: Exchange) -> Exchange:
    assumed.append(name)
    return value


def _order_type(reader: Reader, row: Document, at: str, assumed: list[str], variety: Variety) -> OrderType:
    """As said, else by what prices there are (reading rule 2)."""
    said = reader.word(row, "order_type", OrderType, at=at)
    if said is not None or row.get("order_type") is not None:
        return said or OrderType.MARKET
    assumed.append("order_type")
    has_price, has_trigger = row.get("price") is not None, row.get("trigger_price") is not None
    if has_trigger and variety is not Variety.GTT:
        return OrderType.SL if has_price else OrderType.SL_M
    return OrderType.LIMIT if has_price or has_trigger else OrderType.MARKET


def _product(reader: Reader, row: Document, at: str, assumed: list[str], exchange: Exchange) -> Product:
    """As said, else CNC for shares and NRML for derivatives (reading rule 3)."""
    said = reader.word(row, "product", Product, at=at)
    if said is None:
        assumed.append("product")
        return Product.NRML if exchange in _DERIVATIVES else Product.CNC
    return said


def _ttl(reader: Reader, row: Document, at: str, validity: Validity) -> int | None:
    minutes = reader.whole(row, "validity_ttl", at=at, most=MAX_TTL_MINUTES)
    if validity is Validity.TTL and row.get("validity_ttl") is None:
        reader.fault(_at(at, "validity_ttl"), "REQUIRED", "Validity TTL needs its minutes.")
    if validity is not Validity.TTL and row.get("validity_ttl") is not None:
        reader.fault(_at(at, "validity_ttl"), "CONFLICT", "Minutes go with validity TTL only.")
    return minutes


def _check_prices(reader: Reader, row: Document, at: str, order_type: OrderType, variety: Variety) -> None:
    """Each order type has exactly its prices: LIMIT a price, SL both, SL-M a trigger, MARKET none."""
    takes_trigger = order_type.has_trigger or variety is Variety.GTT
    for name, wanted in (("price", order_type.has_limit), ("trigger_price", takes_trigger)):
        given = row.get(name) is not None
        if wanted and not given:
            reader.fault(_at(at, name), "REQUIRED", f"A {order_type} order needs a {name}.")
        if given and not wanted:
            reader.fault(_at(at, name), "CONFLICT", f"A {order_type} order has no {name}.")


def _rule(reader: Reader, row: Document, at: str) -> QuantityRule | None:
    value = row.get("quantity_rule")
    path = _at(at, "quantity_rule")
    if value is None:
        return None
    if not isinstance(value, Mapping):
        reader.fault(path, "BAD_TYPE", "A quantity rule is an object with a type.")
        return None
    kind = reader.word(value, "type", RuleType, at=path)
    if kind is None:
        if value.get("type") is None:
            reader.fault(f"{path}.type", "REQUIRED", f"Say the type: one of {', '.join(RuleType)}.")
        return None
    name = _RULE_VALUE[kind]
    reader.only(
        value, allowed={"type", name}, tolerated=set(_RULE_VALUE.values()), what=f"a rule of type {kind}", at=path
    )
    if value.get(name) is None:
        reader.fault(f"{path}.{name}", "REQUIRED", f"A rule of type {kind} needs its {name}.")
    return QuantityRule(
        kind,
        amount=reader.money(value, "amount", at=path) if name == "amount" else None,
        percent=reader.money(value, "percent", at=path, most=HUNDRED) if name == "percent" else None,
        quantity=reader.whole(value, "quantity", at=path, least=0) if name == "quantity" else None,
    )


def _exits(reader: Reader, row: Document, at: str) -> Exits | None:
    value = row.get("exits")
    path = _at(at, "exits")
    if value is None:
        return None
    if not isinstance(value, Mapping):
        reader.fault(path, "BAD_TYPE", "Exits are an object with stop_loss, target or both.")
        return None
    reader.only(value, allowed={"stop_loss", "target"}, tolerated=(), what="exits", at=path)
    if value.get("stop_loss") is None and value.get("target") is None:
        reader.fault(path, "REQUIRED", "Say a stop_loss, a target or both.")
    return Exits(reader.money(value, "stop_loss", at=path), reader.money(value, "target", at=path))


def _changes(reader: Reader, payload: Document) -> Changes | None:
    value = payload.get("changes")
    if not isinstance(value, Mapping):
        code = "REQUIRED" if value is None else "BAD_TYPE"
        reader.fault("changes", code, "Say what to change: price, trigger_price, quantity or order_type.")
        return None
    reader.only(value, allowed=_CHANGE_FIELDS, tolerated=(), what="changes", at="changes")
    if all(value.get(name) is None for name in _CHANGE_FIELDS):
        reader.fault("changes", "REQUIRED", "Say what to change: price, trigger_price, quantity or order_type.")
    return Changes(
        price=reader.money(value, "price", at="changes"),
        trigger_price=reader.money(value, "trigger_price", at="changes"),
        quantity=reader.whole(value, "quantity", at="changes"),
        order_type=reader.word(value, "order_type", OrderType, at="changes"),
    )


def intent_document(intent: TradeIntent) -> dict[str, object]:
    """The Intent's wire form; ``parse_intent`` reads it back to an equal value (the message text apart)."""
    document: dict[str, object] = {"kind": intent.kind.value}
    if intent.kind is IntentKind.ORDER:
        document |= _order_document(intent.orders[0])
    elif intent.kind is IntentKind.ORDERS:
        document["orders"] = [_order_document(order) for order in intent.orders]
    else:
        document["order_ids"] = list(intent.order_ids)
    if intent.changes is not None:
        document["changes"] = _changes_document(intent.changes)
    if intent.assumed:
        document["assumed"] = list(intent.assumed)
    return document


def _order_document(order: OrderInstruction) -> dict[str, object]:
    rule, exits = order.quantity_rule, order.exits
    return {
        "side": order.side.value,
        "symbol": order.tradingsymbol,
        "exchange": order.exchange,
        "quantity": order.quantity,
        "quantity_rule": None if rule is None else _rule_document(rule),
        "order_type": order.order_type.value,
        "price": _text(order.price),
        "trigger_price": _text(order.trigger_price),
        "product": order.product.value,
        "validity": order.validity.value,
        "validity_ttl": order.validity_ttl,
        "variety": order.variety.value,
        "exits": None if exits is None else {"stop_loss": _text(exits.stop_loss), "target": _text(exits.target)},
    }


def _rule_document(rule: QuantityRule) -> dict[str, object]:
    name = _RULE_VALUE[rule.type]
    value = {"amount": _text(rule.amount), "percent": _text(rule.percent), "quantity": rule.quantity}[name]
    return {"type": rule.type.value, name: value}


def _changes_document(changes: Changes) -> dict[str, object]:
    return {
        "price": _text(changes.price),
        "trigger_price": _text(changes.trigger_price),
        "quantity": changes.quantity,
        "order_type": None if changes.order_type is None else changes.order_type.value,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _at(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
