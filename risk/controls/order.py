"""Is it an order at all, may it be given in this form, for this instrument, on this actor's wish?"""

from __future__ import annotations

from decimal import Decimal

from broker.domain import OrderType, Product
from risk.codes import Code
from risk.domain import OrderRequest, RequestKind
from risk.findings import Finding, denies, passes, warns
from risk.legs import LegFacts
from risk.wording import listed, name, shares

DERIVATIVE_EXCHANGES = ("NFO", "BFO", "MCX")
OPTION_TYPES = ("CE", "PE")


def well_formed(leg: LegFacts) -> Finding:
    """ORDER_INVALID: a quantity, and exactly the prices its type needs; a modify names an order that still works."""
    fault = _shape_fault(leg.order) or _modify_fault(leg)
    if fault:
        return denies(Code.ORDER_INVALID, lambda: fault)
    return passes(Code.ORDER_INVALID, lambda: "The order is complete.")


def authorised_actor(leg: LegFacts) -> Finding:
    """ACTOR_NOT_AUTHORISED: the policy says on whose wish orders may be made."""
    actor, allowed = leg.book.actor.value, leg.policy.allowed.actors
    if actor not in allowed:
        return denies(
            Code.ACTOR_NOT_AUTHORISED,
            lambda: f"The policy allows orders of {listed(allowed)} only; this one comes from the {actor}.",
            listed(allowed),
            actor,
        )
    return passes(Code.ACTOR_NOT_AUTHORISED, lambda: f"Orders of the {actor} are allowed.", listed(allowed), actor)


def tradable_symbol(leg: LegFacts) -> Finding:
    """SYMBOL_RESTRICTED: known, tradable, on an allowed exchange and not on the restricted list."""
    symbol, info = leg.order.symbol, leg.info
    if info is None:
        return denies(
            Code.SYMBOL_RESTRICTED, lambda: f"{symbol} is not in the instrument list of this connection.", None, symbol
        )
    if info.is_index:
        return denies(
            Code.SYMBOL_RESTRICTED,
            lambda: f"{name(symbol)} is an index: it can be watched, not traded.",
            "tradable instruments",
            symbol,
        )
    exchanges = leg.policy.allowed.exchanges
    if info.exchange not in exchanges:
        return denies(
            Code.SYMBOL_RESTRICTED,
            lambda: f"The policy allows {listed(exchanges)}; {name(symbol)} trades on {info.exchange}.",
            listed(exchanges),
            info.exchange,
        )
    return _restricted(leg)


def _restricted(leg: LegFacts) -> Finding:
    symbol = leg.order.symbol
    if symbol not in leg.policy.allowed.restricted_symbols:
        return passes(Code.SYMBOL_RESTRICTED, lambda: f"{name(symbol)} may be traded.", None, symbol)
    if leg.is_exit:
        return warns(
            Code.WARN_SYMBOL_RESTRICTED,
            lambda: f"{name(symbol)} is on the restricted list; this order only reduces what you have, so it may go.",
            "not restricted",
            symbol,
        )
    return denies(
        Code.SYMBOL_RESTRICTED,
        lambda: f"{name(symbol)} is on the policy's restricted list: only exits are allowed.",
        "not restricted",
        symbol,
    )


def supported_form(leg: LegFacts) -> Finding:
    """ORDER_TYPE_UNSUPPORTED: product, type, validity and variety are allowed, and go together on this exchange."""
    order, allowed = leg.order, leg.policy.allowed
    for what, word, words in (
        ("Product", order.product.value, allowed.products),
        ("Order type", order.order_type.value, allowed.order_types),
        ("Validity", order.validity.value, allowed.validities),
        ("Variety", order.variety.value, allowed.varieties),
    ):
        if word not in words:
            return _unsupported(f"{what} {word} is not allowed; allowed: {listed(words)}.", listed(words), word)
    fault = _mismatch(leg)
    if fault:
        return _unsupported(fault, None, f"{order.product.value} {order.order_type.value}")
    form = f"{order.product.value} {order.order_type.value} {order.validity.value} {order.variety.value}"
    return passes(Code.ORDER_TYPE_UNSUPPORTED, lambda: "Product, type and validity are allowed.", None, form)


def market_protection(leg: LegFacts) -> Finding:
    """MARKET_PROTECTION: a live MARKET or SL-M without protection is refused by the exchange (since 1 April 2026)."""
    order = leg.order
    if order.order_type not in (OrderType.MARKET, OrderType.SL_M):
        return passes(Code.MARKET_PROTECTION, lambda: "The order has a limit price.", None, order.order_type.value)
    if not leg.book.is_live and leg.limits.paper_market_orders:
        return passes(
            Code.MARKET_PROTECTION,
            lambda: f"Practice accepts {order.order_type.value} orders; a live account would need a limit price.",
            None,
            order.order_type.value,
        )
    return denies(
        Code.MARKET_PROTECTION,
        lambda: (
            f"The exchange refuses {order.order_type.value} orders without market protection. "
            "Use LIMIT or SL with a price you accept."
        ),
        "LIMIT or SL",
        order.order_type.value,
    )


def _unsupported(message: str, limit: str | None, actual: str) -> Finding:
    return denies(Code.ORDER_TYPE_UNSUPPORTED, lambda: message, limit, actual)


def _mismatch(leg: LegFacts) -> str | None:
    """Product and type against the exchange (kite FACTS b1, b10)."""
    order, exchange = leg.order, leg.order.symbol.partition(":")[0]
    is_derivative = exchange in DERIVATIVE_EXCHANGES
    if order.product is Product.CNC and is_derivative:
        return f"CNC is for delivery shares; on {exchange} use NRML or MIS."
    if order.product is Product.NRML and not is_derivative:
        return "NRML is for futures and options; for shares use CNC or MIS."
    if order.order_type is OrderType.SL_M and exchange in ("BSE", "BFO"):
        return f"{exchange} takes no SL-M orders; use SL with a limit price."
    is_option = leg.info is not None and leg.info.instrument_type in OPTION_TYPES
    if order.order_type is OrderType.SL_M and is_option:
        return "SL-M is not accepted for options; use SL with a limit price."
    return None


def _shape_fault(order: OrderRequest) -> str | None:
    if isinstance(order.quantity, bool) or not isinstance(order.quantity, int) or order.quantity <= 0:
        return "The quantity must be a whole number above zero."
    if order.symbol.count(":") != 1 or order.symbol.startswith(":") or order.symbol.endswith(":"):
        return f"{order.symbol!r} is not EXCHANGE:SYMBOL."
    return _price_fault("limit price", order.limit_price, order.order_type.has_limit, order) or _price_fault(
        "trigger price", order.trigger_price, order.order_type.has_trigger, order
    )


def _price_fault(what: str, price: Decimal | None, needed: bool, order: OrderRequest) -> str | None:
    if needed and (price is None or not price.is_finite() or price <= 0):
        return f"A {order.order_type.value} order needs a {what} above zero."
    if not needed and price is not None:
        return f"A {order.order_type.value} order has no {what}."
    return None


def _modify_fault(leg: LegFacts) -> str | None:
    order, replaced = leg.order, leg.replaced
    if order.kind is not RequestKind.MODIFY:
        return None
    if replaced is None:
        return "The order to modify is not among your working orders: it may have filled or been cancelled."
    if (replaced.symbol, replaced.side, replaced.product) != (order.symbol, order.side, order.product):
        return "A modify cannot change the instrument, the side or the product: cancel the order and place another."
    if leg.remaining <= 0:
        return f"{shares(replaced.filled_quantity)} have filled already: the new quantity must be above that."
    return None
