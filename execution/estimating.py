"""What a plan costs and what it changes: order value, charges, margin by leg, and the figures before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from broker.charges import ChargeRates, Charges, default_rates, estimate_charges
from broker.domain import MarginSegment, OrderType, Product, Quote, Side, split_symbol
from execution.domain import BeforeAfter, ChargeEstimate, Estimates, Leg
from execution.exposure import Held, PoolKeys, delivery_value
from execution.sizing import NotTranslatable
from risk.domain import RequestKind

ZERO = Decimal(0)
HUNDRED = Decimal(100)
CENT = Decimal("0.01")
QUANTUM = Decimal("0.0001")
UNKNOWN = BeforeAfter((None, None), (None, None), (None, None), (None, None))


class MarginRule(Protocol):
    """Rupees a leg blocks, charges included. ``held`` is what is held in its product before it, signed."""

    def __call__(self, leg: Leg, *, price: Decimal, charges: Decimal, held: int) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class EstimateInputs:
    """``pools`` is None when positions were not read; ``has_holdings`` is False when delivery holdings were not.

    ``replaced`` and ``filled`` are by leg: the order a modify changes as it stands, and what of it has traded.
    """

    quotes: Mapping[str, Quote]
    margins: Mapping[str, MarginSegment] | None
    rates: ChargeRates | None
    margin: MarginRule
    pools: Mapping[tuple[str, str], Held] | None
    has_holdings: bool
    keys: PoolKeys
    replaced: Mapping[int, Leg]
    filled: Mapping[int, int]

    def pool(self, symbol: str, product: str) -> Held | None:
        return None if self.pools is None else self.pools.get(self.keys.of(symbol, product))

    def knows(self, product: str) -> bool:
        return self.pools is not None and (self.has_holdings or product != Product.CNC)


@dataclass(frozen=True, slots=True)
class Figures:
    estimates: Estimates
    before_after: BeforeAfter
    margin_by_leg: Mapping[int, Decimal]


@dataclass(frozen=True, slots=True)
class _LegFigures:
    leg: Leg
    quantity: int  # what would still trade
    price: Decimal
    charges: Charges
    dp: Decimal
    margin: Decimal

    @property
    def value(self) -> Decimal:
        return self.quantity * self.price


def estimate(legs: tuple[Leg, ...], *, inputs: EstimateInputs) -> Figures:
    """The figures of a plan. A cancel costs, blocks and changes nothing. Raises NotTranslatable for an exchange without
    charge rates."""
    held: dict[tuple[str, str], int] = {}
    figures = [_leg(leg, inputs, held) for leg in legs if leg.action is not RequestKind.CANCEL]
    margins = {leg.n: ZERO for leg in legs} | {row.leg.n: row.margin for row in figures}
    estimates = Estimates(
        order_value=sum((row.value for row in figures), ZERO),
        charges=_sum_charges(figures, inputs.rates),
        margin_required=sum(margins.values(), ZERO),
        margin_available=_available(legs, inputs.margins),
    )
    return Figures(estimates, _before_after(figures, estimates, inputs), margins)


def _leg(leg: Leg, inputs: EstimateInputs, held: dict[tuple[str, str], int]) -> _LegFigures:
    """One leg's figures; ``held`` is carried from leg to leg, as each counts on those before it."""
    price = worst_price(leg, inputs.quotes.get(leg.symbol))
    quantity = leg.quantity - inputs.filled.get(leg.n, 0)
    charges = _charges(leg, quantity, price, inputs.rates)
    key = inputs.keys.of(leg.symbol, leg.product.value)
    pool = inputs.pool(leg.symbol, leg.product.value)
    before = held.get(key, pool.quantity if pool is not None else 0)
    margin = inputs.margin(replace(leg, quantity=quantity), price=price, charges=charges.total, held=before)
    margin -= _blocked_already(leg, inputs, held=before)
    held[key] = before + leg.side.sign * quantity
    dp = (inputs.rates or default_rates()).dp_charge if _is_delivery_sale(leg) else ZERO
    return _LegFigures(leg, quantity, price, charges, dp, max(ZERO, margin))


def worst_price(leg: Leg, quote: Quote | None) -> Decimal:
    """The worst price a leg allows; a sale below the market trades at the market. Rupees."""
    limit = leg.limit_price if leg.limit_price is not None else leg.trigger_price
    last = quote.last_price if quote is not None else None
    if limit is None:
        return last or ZERO
    if leg.side is Side.SELL and leg.order_type is OrderType.LIMIT and last is not None:
        return max(limit, last)
    return limit


def _blocked_already(leg: Leg, inputs: EstimateInputs, *, held: int) -> Decimal:
    """What the order a modify changes blocks as it stands: only what comes on top is required anew."""
    before = inputs.replaced.get(leg.n)
    if before is None:
        return ZERO
    quantity = before.quantity - inputs.filled.get(leg.n, 0)
    price = worst_price(before, inputs.quotes.get(leg.symbol))
    charges = _charges(before, quantity, price, inputs.rates).total
    return inputs.margin(replace(before, quantity=quantity), price=price, charges=charges, held=held)


def _charges(leg: Leg, quantity: int, price: Decimal, rates: ChargeRates | None) -> Charges:
    exchange, tradingsymbol = split_symbol(leg.symbol)
    try:
        return estimate_charges(
            exchange=exchange,
            product=leg.product.value,
            side=leg.side.value,
            quantity=quantity,
            price=price,
            rates=rates,
            tradingsymbol=tradingsymbol,
        )
    except ValueError:
        text = f"Orders on {exchange} are not handled: their charges are not known."
        raise NotTranslatable("EXCHANGE_UNSUPPORTED", text, "exchange") from None


def _is_delivery_sale(leg: Leg) -> bool:
    return leg.side is Side.SELL and leg.product is Product.CNC


def _sum_charges(figures: list[_LegFigures], rates: ChargeRates | None) -> ChargeEstimate:
    def total(name: str) -> Decimal:
        return sum((getattr(row.charges, name) for row in figures), ZERO)

    dp_by_share = {row.leg.symbol: row.dp for row in figures if row.dp}  # once per share and day
    return ChargeEstimate(
        brokerage=total("brokerage"),
        stt=total("stt"),
        exchange=total("exchange"),
        sebi=total("sebi"),
        stamp=total("stamp"),
        gst=total("gst"),
        total=total("total"),
        dp=sum(dp_by_share.values(), ZERO),
        source=(rates or default_rates()).source,
    )


def _available(legs: tuple[Leg, ...], margins: Mapping[str, MarginSegment] | None) -> Decimal | None:
    """Buying power of the purse that pays: ``net``, not cash (FACTS h2). None if it was not read."""
    purse = "commodity" if any(leg.symbol.startswith("MCX:") for leg in legs) else "equity"
    segment = margins.get(purse) if margins is not None else None
    return segment.net if segment is not None else None


def _before_after(figures: list[_LegFigures], estimates: Estimates, inputs: EstimateInputs) -> BeforeAfter:
    """Cash for any plan; quantity, average and weight for a plan about one pool."""
    cash = (estimates.margin_available, _cash_after(figures, estimates))
    pools = {inputs.keys.of(row.leg.symbol, row.leg.product.value) for row in figures}
    if len(pools) != 1 or not inputs.knows(figures[0].leg.product.value):
        return replace(UNKNOWN, cash=cash)
    leg = figures[0].leg
    pool = inputs.pool(leg.symbol, leg.product.value)
    quantity, average = (pool.quantity, pool.average_price) if pool is not None else (0, None)
    new_quantity, new_average = quantity, average
    for row in figures:
        new_quantity, new_average = _after(new_quantity, new_average, row)
    return BeforeAfter(
        quantity=(quantity, new_quantity),
        average_price=(_rounded(average, QUANTUM), _rounded(new_average, QUANTUM)),
        cash=cash,
        weight_percent=_weights(leg, quantity, new_quantity, inputs),
    )


def _after(quantity: int, average: Decimal | None, row: _LegFigures) -> tuple[int, Decimal | None]:
    """Adding averages, reducing keeps the average, going through zero starts a new one."""
    traded = row.leg.side.sign * row.quantity
    new = quantity + traded
    if new == 0:
        return 0, None
    if quantity * traded >= 0:
        if quantity and average is None:
            return new, None
        return new, ((average or ZERO) * quantity + row.price * traded) / new
    return new, average if quantity * new > 0 else row.price


def _cash_after(figures: list[_LegFigures], estimates: Estimates) -> Decimal | None:
    """Buying power once filled: what is blocked goes out, the proceeds of delivery sales come in."""
    if estimates.margin_available is None:
        return None
    sales = [row for row in figures if _is_delivery_sale(row.leg)]
    proceeds = sum((row.value - row.charges.total for row in sales), ZERO)
    proceeds -= estimates.charges.dp
    return estimates.margin_available - estimates.margin_required + proceeds


def _weights(leg: Leg, before: int, after: int, inputs: EstimateInputs) -> tuple[Decimal | None, Decimal | None]:
    """Percent of the delivery portfolio's value at the last price; None for what is not delivery."""
    quote = inputs.quotes.get(leg.symbol)
    if leg.product is not Product.CNC or quote is None or inputs.pools is None:
        return None, None
    prices = {symbol: row.last_price for symbol, row in inputs.quotes.items()}
    total = delivery_value(inputs.pools, prices)
    pool = inputs.pool(leg.symbol, leg.product.value)
    price = prices.get(pool.symbol, quote.last_price) if pool is not None else quote.last_price
    return _percent(before * price, total), _percent(after * price, total + (after - before) * price)


def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    return _rounded(part * HUNDRED / whole, CENT) if whole > 0 else None


def _rounded(value: Decimal | None, quantum: Decimal) -> Decimal | None:
    return None if value is None else value.quantize(quantum, ROUND_HALF_UP)
