"""One leg as the controls look at it: its instrument, its price to judge by, and whether it only reduces something.

An exit is an order on the reducing side of what is held, no larger than what is left of it after the open orders and
the earlier legs that already close it. Nothing else is an exit, and nothing unknown makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from broker.domain import BrokerOrder, InstrumentInfo, OrderType, Product, Quote, Side
from risk.account import Account, Pool, pending_quantity, valid_quote
from risk.domain import Book, OrderRequest, RequestKind
from risk.policy import Limits, Policy

SECOND = timedelta(seconds=1)
HUNDRED = Decimal(100)
Added = dict[tuple[str, str], tuple[int, int]]  # by pool: (units bought, units sold) by the legs so far


class PriceSource(StrEnum):
    """Where the reference price of a leg comes from; only a fresh quote is good enough to enter on."""

    FRESH = "fresh"
    STALE = "stale"
    BOOKS = "books"
    NONE = "none"


@dataclass(slots=True, eq=False)  # not frozen: twenty-five fields are set three times as fast; nobody changes one
class LegFacts:
    """Everything a control may ask of one leg. ``remaining`` is what would still trade, ``value`` in rupees."""

    order: OrderRequest
    account: Account
    policy: Policy
    now: datetime
    place: int  # position in the plan, from 0
    earlier: tuple[LegFacts, ...]
    info: InstrumentInfo | None
    quote: Quote | None
    quote_age_s: int | None
    reference: Decimal | None
    source: PriceSource
    collar_percent: Decimal
    replaced: BrokerOrder | None
    remaining: int
    worst_price: Decimal | None
    value: Decimal | None
    pool: Pool
    books_known: bool
    reduces: bool
    reducible: int
    position_before: Decimal | None
    position_after: Decimal | None
    exposure_after: Decimal | None
    limits: Limits  # those of the policy for this account, product, symbol and actor
    book: Book
    is_exit: bool

    @property
    def is_market_like(self) -> bool:
        return self.order.converted_from_market or self.order.order_type in (OrderType.MARKET, OrderType.SL_M)


def age_s(then: datetime, *, now: datetime, limit: int) -> int:
    """Whole seconds since ``then``. A time slightly ahead, read while ``now`` was already taken, is no age at all."""
    age = (now - then) // SECOND
    return 0 if -limit <= age < 0 else age


def leg_facts(
    orders: Sequence[OrderRequest], *, account: Account, policy: Policy, now: datetime
) -> tuple[LegFacts, ...]:
    """The legs in sending order; each one counts those before it as if they were already open."""
    legs: list[LegFacts] = []
    added: Added = {}
    for place, order in enumerate(orders):
        legs.append(_leg(order, place, tuple(legs), added, account, policy, now))
    return tuple(legs)


def _leg(
    order: OrderRequest,
    place: int,
    earlier: tuple[LegFacts, ...],
    added: Added,
    account: Account,
    policy: Policy,
    now: datetime,
) -> LegFacts:
    """Builds the facts of one leg and adds it to ``added``, for the legs after it."""
    book = account.book
    limits = policy.limits_for(
        account=book.account, product=order.product.value, symbol=order.symbol, actor=book.actor.value
    )
    info = book.instruments.get(order.symbol)
    quote = valid_quote(book.quotes.get(order.symbol))
    age = age_s(quote.read_at, now=now, limit=limits.quote_age_s) if quote is not None else None
    pool = account.pool(order.symbol, order.product)
    reference, source = _reference(order, quote, age, pool, account, limits)
    replaced = _replaced(order, account)
    remaining = order.quantity - (replaced.filled_quantity if replaced else 0)
    collar = _collar_percent(info, limits)
    worst = _worst_price(order, reference, quote, collar)
    known = _books_known(order, book)
    reduces = known and pool.quantity * order.side.sign < 0
    reducible = _reducible(order, pool, replaced, added, account) if reduces else 0
    before = _position(order, {}, worst, account)
    _add(order, remaining, replaced, added, account)
    return LegFacts(
        order=order,
        account=account,
        policy=policy,
        now=now,
        place=place,
        earlier=earlier,
        info=info,
        quote=quote,
        quote_age_s=age,
        reference=reference,
        source=source,
        collar_percent=collar,
        replaced=replaced,
        remaining=remaining,
        worst_price=worst,
        value=remaining * worst if worst is not None and remaining > 0 else None,
        pool=pool,
        books_known=known,
        reduces=reduces,
        reducible=reducible,
        position_before=before,
        position_after=_position(order, added, worst, account),
        exposure_after=_exposure_after(added, order, worst, account),
        limits=limits,
        book=book,
        is_exit=reduces and 0 < remaining <= reducible,
    )


def _collar_percent(info: InstrumentInfo | None, limits: Limits) -> Decimal:
    is_option = info is not None and info.instrument_type in ("CE", "PE")
    return limits.price_collar_option_percent if is_option else limits.price_collar_equity_percent


def _reference(
    order: OrderRequest, quote: Quote | None, age: int | None, pool: Pool, account: Account, limits: Limits
) -> tuple[Decimal | None, PriceSource]:
    """The price to judge by. A quote dated in the future by more than its allowed age is as bad as an old one."""
    if quote is not None and age is not None:
        return quote.last_price, PriceSource.FRESH if abs(age) <= limits.quote_age_s else PriceSource.STALE
    from_books = account.book_prices.get(order.symbol) or account.book_prices.get(pool.symbol)
    return (from_books, PriceSource.BOOKS) if from_books is not None else (None, PriceSource.NONE)


def _replaced(order: OrderRequest, account: Account) -> BrokerOrder | None:
    if order.kind is not RequestKind.MODIFY:
        return None
    return next((row for row in account.working if row.broker_order_id == order.replaces), None)


def _worst_price(
    order: OrderRequest, reference: Decimal | None, quote: Quote | None, collar: Decimal
) -> Decimal | None:
    """The worst price the order can pay or, for a sale, be valued at: its own limit, else what the market may do."""
    if order.order_type.has_limit:
        price = order.limit_price
        if price is None or order.side is Side.BUY or reference is None or order.order_type is OrderType.SL:
            return price
        return max(price, reference)  # a sale below the market trades at the market
    base = order.trigger_price if order.order_type.has_trigger else reference
    if base is None or order.side is Side.SELL:
        return base
    worst = base * (HUNDRED + collar) / HUNDRED
    ceiling = quote.upper_circuit if quote is not None else None
    return worst if ceiling is None or ceiling < base else min(worst, ceiling)


def _books_known(order: OrderRequest, book: Book) -> bool:
    needs_holdings = order.product is Product.CNC
    return (
        book.positions is not None
        and book.open_orders is not None
        and (book.holdings is not None or not needs_holdings)
    )


def _reducible(order: OrderRequest, pool: Pool, replaced: BrokerOrder | None, added: Added, account: Account) -> int:
    """How much this order may close: what is held, less what open orders and earlier legs already close."""
    buys, sells = added.get(account.pool_key(order.symbol, order.product), (0, 0))
    pending = pool.pending_sells + sells if order.side is Side.SELL else pool.pending_buys + buys
    pending -= pending_quantity(replaced) if replaced is not None else 0
    return max(0, abs(pool.quantity) - pending)


def _add(order: OrderRequest, remaining: int, replaced: BrokerOrder | None, added: Added, account: Account) -> None:
    """A modify takes the place of what its order had pending; a cancel adds nothing."""
    if order.kind is RequestKind.CANCEL:
        return
    more = remaining - (pending_quantity(replaced) if replaced is not None else 0)
    key = account.pool_key(order.symbol, order.product)
    buys, sells = added.get(key, (0, 0))
    added[key] = (buys + more, sells) if order.side is Side.BUY else (buys, sells + more)


def _position(order: OrderRequest, added: Added, worst_price: Decimal | None, account: Account) -> Decimal | None:
    """Rupees held or on their way of the order's instrument, in all products and on both exchanges."""
    if account.exposure is None:
        return None
    instrument = account.instrument_key(order.symbol)
    keys = dict.fromkeys((*account.instruments.get(instrument, ()), account.pool_key(order.symbol, order.product)))
    total = Decimal(0)
    for key in keys:
        pool = account.pools.get(key) or Pool(order.symbol)
        price = account.price(pool.symbol) or account.price(order.symbol) or worst_price
        if price is None:
            return None
        total += pool.worst(*added.get(key, (0, 0))) * price * pool.multiplier
    return total


def _exposure_after(added: Added, order: OrderRequest, worst_price: Decimal | None, account: Account) -> Decimal | None:
    """Rupees of gross exposure once this leg and those before it are open. Raises nothing; unknown is None."""
    if account.exposure is None:
        return None
    total = account.exposure
    for key, (buys, sells) in added.items():
        pool = account.pools.get(key)
        symbol = pool.symbol if pool is not None else _symbol_of(key, order, account)
        price = account.price(symbol) or (worst_price if symbol == order.symbol else None)
        if price is None:
            return None
        held = pool or Pool(symbol)
        total += (held.worst(buys, sells) - held.worst()) * price * held.multiplier
    return total


def _symbol_of(key: tuple[str, str], order: OrderRequest, account: Account) -> str:
    """The symbol of a pool that nothing is held in yet."""
    if key == account.pool_key(order.symbol, order.product):
        return order.symbol
    return next((symbol for symbol, isin in account.keys.items() if isin == key[0]), key[0])
