"""The account as the controls look at it: the book indexed once per evaluation.

A holding and its positions are one pool per product. NSE and BSE rows of one ISIN are the same shares. Delivery sold
today shows both as a negative CNC position and as ``used_quantity`` of the holding: it is counted once, by the larger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from broker.domain import BrokerOrder, OrderType, Position, Product, Quote, Side
from risk.domain import Book

COMMODITY = "MCX"
ZERO = Decimal(0)
PoolKey = tuple[str, str]


@dataclass(slots=True)
class Pool:
    """What is held of one instrument in one product, signed, and what open orders would still buy and sell of it."""

    symbol: str
    quantity: int = 0
    unsellable: int = 0  # pledged shares: exposure, but not to be sold
    pending_buys: int = 0
    pending_sells: int = 0
    multiplier: Decimal = Decimal(1)

    @property
    def exposed(self) -> int:
        return self.quantity + self.unsellable

    def worst(self, buys: int = 0, sells: int = 0) -> int:
        """The largest size this can reach if every pending order on one side fills and none on the other."""
        return max(
            abs(self.exposed + self.pending_buys + buys),
            abs(self.exposed - self.pending_sells - sells),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """The prepared book. Figures that could not be worked out, for a part that is missing, are None."""

    book: Book
    working: tuple[BrokerOrder, ...]
    working_in: Mapping[str, tuple[BrokerOrder, ...]]  # by symbol
    pools: Mapping[PoolKey, Pool]
    instruments: Mapping[str, tuple[PoolKey, ...]]
    keys: Mapping[str, str]
    prices: Mapping[str, Decimal]
    book_prices: Mapping[str, Decimal]
    capital: Decimal | None
    exposure: Decimal | None
    pending_value: Decimal | None
    open_positions: int | None
    free_margin: Mapping[str, Decimal] = field(default_factory=dict)
    day_pnl: Decimal | None = None
    sector_exposure: Mapping[str, Decimal] | None = None

    @property
    def value(self) -> Decimal | None:
        """Rupees the account is worth now: capital and what today's positions have made or lost."""
        return None if self.capital is None or self.day_pnl is None else self.capital + self.day_pnl

    def sector(self, symbol: str) -> str | None:
        """The sector; a symbol that has none is one of its own, known by its instrument. None: sectors not known."""
        sectors = self.book.standing.sectors
        return None if sectors is None else sectors.get(symbol) or self.instrument_key(symbol)

    def instrument_key(self, symbol: str) -> str:
        """ISIN where known, so that NSE and BSE of one share are one instrument."""
        return self.keys.get(symbol, symbol)

    def pool_key(self, symbol: str, product: str) -> PoolKey:
        return _pool_key(self.keys, symbol, product)

    def pool(self, symbol: str, product: str) -> Pool:
        """The pool an order draws on; an empty one where nothing is held."""
        return self.pools.get(self.pool_key(symbol, product)) or Pool(symbol)

    def with_book(self, book: Book) -> Account:
        """The same account for a book that differs in ``margin_required`` alone."""
        return replace(self, book=book)

    def price(self, symbol: str) -> Decimal | None:
        """Rupees to value an instrument at: its quote, else what the broker's own rows say."""
        return self.prices.get(symbol)


def prepare(book: Book) -> Account:
    """Indexes ``book``; the same account serves every leg and every alternative."""
    keys = _keys(book)
    working = tuple(order for order in book.open_orders or () if not order.is_final and _pending(order) > 0)
    book_prices = _book_prices(book)
    prices = _prices(book, book_prices)
    pools = _pools(book, keys, working)
    known = book.holdings is not None and book.positions is not None and book.open_orders is not None
    exposure, pending = _exposure(pools, prices) if known else (None, None)
    account = Account(
        book=book,
        working=working,
        working_in=_by_symbol(working),
        pools=pools,
        instruments=_by_instrument(pools, keys),
        keys=keys,
        prices=prices,
        book_prices=book_prices,
        capital=_capital(book),
        exposure=exposure,
        pending_value=pending,
        open_positions=_open_positions(pools) if known else None,
        free_margin={name: purse.net for name, purse in (book.margins or {}).items() if purse.enabled},
        day_pnl=_day_pnl(book),
    )
    return replace(account, sector_exposure=_by_sector(account))


def purse_of(symbol: str) -> str:
    """The margin segment that pays for an order."""
    return "commodity" if symbol.partition(":")[0] == COMMODITY else "equity"


def valid_quote(quote: Quote | None) -> Quote | None:
    """The quote if it carries a price at all; zero and below is no price."""
    return quote if quote is not None and quote.last_price > 0 else None


def pending_quantity(order: BrokerOrder) -> int:
    """What may still fill. The broker's own pending figure is not reliable (kite FACTS c5)."""
    return _pending(order)


def _pending(order: BrokerOrder) -> int:
    return max(0, order.quantity - order.filled_quantity)


def _by_symbol(working: tuple[BrokerOrder, ...]) -> dict[str, tuple[BrokerOrder, ...]]:
    found: dict[str, tuple[BrokerOrder, ...]] = {}
    for order in working:
        found[order.symbol] = (*found.get(order.symbol, ()), order)
    return found


def _keys(book: Book) -> dict[str, str]:
    """Symbol to ISIN, where known: from the holdings and from the instrument master."""
    keys = {symbol: info.isin for symbol, info in book.instruments.items() if info.isin}
    keys |= {holding.symbol: holding.isin for holding in book.holdings or () if holding.isin}
    return keys


def _book_prices(book: Book) -> dict[str, Decimal]:
    prices = {row.symbol: row.last_price for row in book.positions or () if row.last_price > 0}
    return prices | {row.symbol: row.last_price for row in book.holdings or () if row.last_price > 0}


def _prices(book: Book, book_prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    prices = {order.symbol: price for order in book.open_orders or () if (price := order.price or order.trigger_price)}
    prices |= book_prices
    return prices | {symbol: quote.last_price for symbol, quote in book.quotes.items() if quote.last_price > 0}


def _pool_key(keys: Mapping[str, str], symbol: str, product: str) -> PoolKey:
    """Delivery shares are one pool for both exchanges; a position is its own symbol's."""
    return (keys.get(symbol, symbol) if product == Product.CNC else symbol), str(product)


def _pools(book: Book, keys: Mapping[str, str], working: tuple[BrokerOrder, ...]) -> dict[PoolKey, Pool]:
    pools: dict[PoolKey, Pool] = {}
    used: dict[PoolKey, int] = {}
    net: dict[PoolKey, int] = {}
    for holding in book.holdings or ():
        key = _pool_key(keys, holding.symbol, Product.CNC)
        held = pools.setdefault(key, Pool(holding.symbol))
        held.quantity += holding.owned
        held.unsellable += holding.collateral_quantity
        used[key] = used.get(key, 0) + holding.used_quantity
    for row in book.positions or ():
        key = _pool_key(keys, row.symbol, row.product)
        pools.setdefault(key, Pool(row.symbol)).multiplier = row.multiplier or Decimal(1)
        net[key] = net.get(key, 0) + row.quantity
    for key, product in ((key, key[1]) for key in used.keys() | net.keys()):
        pools[key].quantity += _net_of_sales(net.get(key, 0), used.get(key, 0), is_delivery=product == Product.CNC)
    for order in working:
        held = pools.setdefault(_pool_key(keys, order.symbol, order.product), Pool(order.symbol))
        held.pending_buys += _pending(order) if order.side == Side.BUY else 0
        held.pending_sells += _pending(order) if order.side != Side.BUY else 0
    return pools


def _net_of_sales(net: int, used: int, *, is_delivery: bool) -> int:
    """The net position, but delivery sold today is counted once, by the larger of its two figures."""
    return max(net, 0) - max(used, -net, 0) if is_delivery else net


def _by_instrument(pools: Mapping[PoolKey, Pool], keys: Mapping[str, str]) -> dict[str, tuple[PoolKey, ...]]:
    found: dict[str, tuple[PoolKey, ...]] = {}
    for key, held in pools.items():
        instrument = keys.get(held.symbol, held.symbol)
        found[instrument] = (*found.get(instrument, ()), key)
    return found


def _exposure(pools: Mapping[PoolKey, Pool], prices: Mapping[str, Decimal]) -> tuple[Decimal | None, Decimal | None]:
    """(gross exposure with pending orders, the part pending orders add), rupees; None if something has no price."""
    total, pending = ZERO, ZERO
    for held in pools.values():
        worst = held.worst()
        if worst == 0:
            continue
        price = prices.get(held.symbol)
        if price is None:
            return None, None
        total += worst * price * held.multiplier
        pending += (worst - abs(held.exposed)) * price * held.multiplier
    return total, pending


def _open_positions(pools: Mapping[PoolKey, Pool]) -> int:
    """Open positions and entries on their way; delivery holdings are not positions."""
    return sum(1 for (_, product), held in pools.items() if product != Product.CNC and held.worst() > 0)


def _capital(book: Book) -> Decimal | None:
    """Cash of all purses before today's debits, plus delivery holdings at their last price. Rupees."""
    if book.margins is None or book.holdings is None:
        return None
    cash = sum((purse.net + purse.debits for purse in book.margins.values() if purse.enabled), ZERO)
    return cash + sum((row.owned * row.last_price for row in book.holdings), ZERO)


def account_value(book: Book) -> Decimal | None:
    """Rupees the account is worth now: capital and what today's positions have made. None if a part was not read."""
    capital, made = _capital(book), _day_pnl(book)
    return None if capital is None or made is None else capital + made


def _day_pnl(book: Book) -> Decimal | None:
    """Rupees that positions have made today, realised or not. None if they were not read."""
    if book.positions is None:
        return None
    return sum((_made_today(row) for row in book.positions), ZERO)


def _made_today(row: Position) -> Decimal:
    """The broker's mark to market. A delivery sale out of holdings is over: it is held against yesterday's close, not
    against where the price went afterwards. Without anything from yesterday the worse of the broker's two figures."""
    if row.product == Product.CNC and row.quantity < 0 and row.close_price > 0:
        return row.m2m + row.quantity * row.multiplier * (row.close_price - row.last_price)
    return row.m2m if row.overnight_quantity else min(row.m2m, row.pnl)


def _by_sector(account: Account) -> dict[str, Decimal] | None:
    """Gross exposure by sector, rupees; None where exposure or sectors are not known."""
    if account.exposure is None or account.book.standing.sectors is None:
        return None
    totals: dict[str, Decimal] = {}
    for held in account.pools.values():
        price, sector, worst = account.price(held.symbol), account.sector(held.symbol), held.worst()
        if worst and price is not None and sector is not None:
            totals[sector] = totals.get(sector, ZERO) + worst * price * held.multiplier
    return totals


def same_terms(order: BrokerOrder, *, symbol: str, side: str, quantity: int, order_type: str, product: str) -> bool:
    return (order.symbol, order.side, order.quantity, order.order_type, order.product) == (
        symbol, side, quantity, order_type, product,
    )  # fmt: skip


def rests_in_book(order: BrokerOrder) -> bool:
    """True if the order can trade now: a stop that waits for its trigger cannot."""
    waiting = order.order_type in (OrderType.SL, OrderType.SL_M) and order.status == "TRIGGER PENDING"
    return not waiting
