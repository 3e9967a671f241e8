"""From what the trader asked to a plan: complete legs, their sizes and prices explained, costs, before and after.

A function of its arguments: everything read from broker and policy comes in with ``PlanInputs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from broker.charges import ChargeRates
from broker.domain import (
    BrokerOrder,
    Holding,
    InstrumentInfo,
    MarginSegment,
    OrderType,
    Position,
    Product,
    Quote,
    Side,
)
from execution.changing import cancel_leg, modify_leg
from execution.domain import (
    IntentKind,
    Leg,
    OrderInstruction,
    OrderView,
    PlanDocument,
    SizingStep,
    TradeIntent,
)
from execution.estimating import EstimateInputs, MarginRule, estimate
from execution.exposure import Held, PoolKeys, combine, pool_keys
from execution.plan_documents import order_requests, place_order_of, plan_from_json, plan_wire
from execution.pricing import Priced, Protection, price_order
from execution.sizing import NotTranslatable, SizingFacts, size
from risk.domain import RequestKind

__all__ = [
    "Expiry", "NotTranslatable", "PlanInputs", "order_requests", "place_order_of", "plan_from_json", "plan_wire",
    "translate",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expiry:
    """Seconds a plan may wait for its approval. ``at_most`` caps them, as for a plan a monitor made."""

    limit_s: int = 300
    market_s: int = 60
    derivative_s: int = 60
    at_most_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """All a translation may look at. A part of the books that was not read is None. ``positions`` are the net rows.

    ``orders`` maps each id a modify or cancel may name to the order as it stands. ``margin`` tells the rupees a leg
    blocks. ``rates`` None takes the charges table that ships with the product.
    """

    now: datetime
    connection: str
    connection_kind: str
    instruments: Mapping[str, InstrumentInfo]
    quotes: Mapping[str, Quote]
    holdings: tuple[Holding, ...] | None
    positions: tuple[Position, ...] | None
    open_orders: tuple[BrokerOrder, ...] | None
    margins: Mapping[str, MarginSegment] | None
    margin: MarginRule
    orders: Mapping[str, OrderView] = field(default_factory=dict)
    rates: ChargeRates | None = None
    protection: Protection = field(default_factory=Protection)
    expiry: Expiry = field(default_factory=Expiry)


@dataclass(frozen=True, slots=True)
class _Books:
    """The books combined once per translation; None where either half of them is missing."""

    keys: PoolKeys
    delivery: Mapping[tuple[str, str], Held] | None
    positions: Mapping[tuple[str, str], Held] | None

    def held(self, symbol: str, product: str) -> int | None:
        pools = self.delivery if product == Product.CNC else self.positions
        if pools is None:
            return None
        pool = pools.get(self.keys.of(symbol, product))
        return pool.quantity if pool is not None else 0


@dataclass(frozen=True, slots=True)
class _Draft:
    """One leg and the lines that explain it."""

    leg: Leg
    steps: tuple[SizingStep, ...]
    before: Leg | None = None  # the order a modify changes, as it stands


def translate(intent: TradeIntent, *, inputs: PlanInputs) -> PlanDocument:
    """The plan of an intent. Raises NotTranslatable with a code, a sentence and the field at fault.

    It does not judge: a leg that breaks a limit is translated as it is, and RiskGate says so.
    """
    books = _combine(inputs)
    drafts = _drafts(intent, inputs, books)
    legs = tuple(draft.leg for draft in drafts)
    figures = estimate(
        legs,
        inputs=EstimateInputs(
            quotes=inputs.quotes,
            margins=inputs.margins,
            rates=inputs.rates,
            margin=inputs.margin,
            pools=books.delivery if books.delivery is not None else books.positions,
            has_holdings=books.delivery is not None,
            keys=books.keys,
            replaced={draft.leg.n: draft.before for draft in drafts if draft.before is not None},
            filled={draft.leg.n: _filled(draft.leg, inputs) for draft in drafts},
        ),
    )
    return PlanDocument(
        intent=intent,
        legs=legs,
        sizing=tuple(line for draft in drafts for line in draft.steps),
        estimates=figures.estimates,
        before_after=figures.before_after,
        reference_prices=_reference_prices(legs, inputs),
        margin_by_leg=figures.margin_by_leg,
        connection=inputs.connection,
        connection_kind=inputs.connection_kind,
        valid_until=inputs.now + timedelta(seconds=_lifetime_s(intent, legs, inputs)),
    )


def _combine(inputs: PlanInputs) -> _Books:
    keys = pool_keys(instruments=inputs.instruments, holdings=inputs.holdings or ())
    if inputs.positions is None:
        return _Books(keys, None, None)
    pools = combine(holdings=inputs.holdings or (), positions=inputs.positions, keys=keys)
    return _Books(keys, None if inputs.holdings is None else pools, pools)


def _drafts(intent: TradeIntent, inputs: PlanInputs, books: _Books) -> tuple[_Draft, ...]:
    if intent.kind is IntentKind.MODIFY:
        return tuple(_modify(intent, order_id, n, inputs) for n, order_id in enumerate(intent.order_ids, 1))
    if intent.kind is IntentKind.CANCEL:
        return tuple(_cancel(order_id, n, inputs) for n, order_id in enumerate(intent.order_ids, 1))
    listed = intent.kind is IntentKind.ORDERS
    drafts = [
        _place(order, inputs, books, at=f"orders.{n}." if listed else "") for n, order in enumerate(intent.orders)
    ]
    drafts.sort(key=_sends_later)  # stable: what the trader listed first goes first
    return tuple(replace(draft, leg=replace(draft.leg, n=n)) for n, draft in enumerate(drafts, 1))


def _sends_later(draft: _Draft) -> bool:
    """The bought side of a spread goes first: it is the hedge that lowers the margin of the sold side."""
    is_derivative = draft.leg.product is Product.NRML
    return is_derivative and draft.leg.side is Side.SELL


def _place(order: OrderInstruction, inputs: PlanInputs, books: _Books, *, at: str) -> _Draft:
    info = _tradable(order.symbol, inputs, field_name=f"{at}symbol")
    quote = inputs.quotes.get(order.symbol)
    facts = SizingFacts(
        info=info,
        last_price=quote.last_price if quote is not None and quote.last_price > 0 else None,
        holding=books.held(order.symbol, Product.CNC),
        held=books.held(order.symbol, order.product),
    )
    sized = size(order, facts, at=at)
    wanted = Priced(order.order_type, order.price, order.trigger_price)
    priced = price_order(
        wanted, side=order.side, info=info, quote=quote, protection=inputs.protection, field=f"{at}price"
    )
    leg = Leg(
        n=1,
        action=RequestKind.PLACE,
        symbol=order.symbol,
        side=order.side,
        quantity=sized.quantity,
        order_type=priced.order_type,
        limit_price=priced.limit_price,
        trigger_price=priced.trigger_price,
        product=order.product,
        validity=order.validity,
        variety=order.variety,
        converted_from_market=priced.converted,
    )
    return _Draft(leg, sized.steps + priced.steps)


def _tradable(symbol: str, inputs: PlanInputs, *, field_name: str) -> InstrumentInfo:
    info = inputs.instruments.get(symbol)
    if info is None:
        raise NotTranslatable("UNKNOWN_SYMBOL", f"{symbol} is not among this connection's instruments.", field_name)
    if info.is_index:
        raise NotTranslatable("NOT_TRADABLE", f"{symbol} is an index: it can be watched, not traded.", field_name)
    return info


def _modify(intent: TradeIntent, order_id: str, n: int, inputs: PlanInputs) -> _Draft:
    order = _order(order_id, n, inputs)
    info = _tradable(order.symbol, inputs, field_name=f"order_ids.{n - 1}")
    if intent.changes is None:
        raise NotTranslatable("CHANGES_MISSING", "Say what to change.", "changes")
    changed = modify_leg(
        order,
        intent.changes,
        n=n,
        info=info,
        quote=inputs.quotes.get(order.symbol),
        protection=inputs.protection,
    )
    return _Draft(changed.leg, changed.steps, changed.before)


def _cancel(order_id: str, n: int, inputs: PlanInputs) -> _Draft:
    return _Draft(cancel_leg(_order(order_id, n, inputs), n=n), ())


def _order(order_id: str, n: int, inputs: PlanInputs) -> OrderView:
    """The order as it stands, if there is still something to change about it."""
    at = f"order_ids.{n - 1}"
    order = inputs.orders.get(order_id)
    if order is None:
        raise NotTranslatable("ORDER_NOT_FOUND", f"There is no order {order_id}.", at)
    if order.is_final:
        raise NotTranslatable("ORDER_FINAL", f"Order {order_id} is done: nothing of it can be changed any more.", at)
    if not order.broker_order_id:
        text = f"Order {order_id} is not confirmed by the broker yet: it is being looked up."
        raise NotTranslatable("ORDER_NOT_CONFIRMED", text, at)
    return order


def _filled(leg: Leg, inputs: PlanInputs) -> int:
    """What of a modified order has already traded: it is not traded again."""
    if leg.action is not RequestKind.MODIFY:
        return 0
    return next((view.filled_quantity for view in inputs.orders.values() if view.id == leg.target), 0)


def _reference_prices(legs: tuple[Leg, ...], inputs: PlanInputs) -> dict[str, Decimal]:
    """The prices the plan rests on. A cancel rests on none, so no price move makes it stale."""
    symbols = {leg.symbol for leg in legs if leg.action is not RequestKind.CANCEL}
    return {symbol: inputs.quotes[symbol].last_price for symbol in sorted(symbols) if symbol in inputs.quotes}


def _lifetime_s(intent: TradeIntent, legs: tuple[Leg, ...], inputs: PlanInputs) -> int:
    expiry = inputs.expiry
    seconds = expiry.limit_s
    asked = {order.order_type for order in intent.orders}
    asked |= {intent.changes.order_type} if intent.changes is not None and intent.changes.order_type else set()
    if OrderType.MARKET in asked:
        seconds = min(seconds, expiry.market_s)
    trades = (leg.symbol for leg in legs if leg.action is not RequestKind.CANCEL)
    if any(not inputs.instruments[symbol].is_equity for symbol in trades):
        seconds = min(seconds, expiry.derivative_s)
    return seconds if expiry.at_most_s is None else min(seconds, expiry.at_most_s)
