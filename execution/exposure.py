"""What is held, counted once: delivery holdings and today's positions combined by (ISIN, product) (FACTS g3).

A share bought today is a CNC position and no holding yet; a holding sold today shows as a negative CNC position beside
``used_quantity``. Whether ``quantity`` already falls by what was used is told both ways, so both readings are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from broker.domain import Holding, InstrumentInfo, Position, Product

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Held:
    """What the books say of one pool, signed. ``quantity`` is the careful reading of a delivery sale, ``other`` the
    one in which the holding was already reduced. ``average_price`` is None where the broker does not tell one."""

    symbol: str
    product: str
    quantity: int
    other: int
    average_price: Decimal | None
    last_price: Decimal | None

    def is_either(self, quantity: int) -> bool:
        """True if one of the two readings is ``quantity``."""
        return quantity in (self.quantity, self.other)


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """Which rows are the same thing: delivery shares by ISIN across exchanges, everything else by its symbol."""

    isins: Mapping[str, str]

    def of(self, symbol: str, product: str) -> tuple[str, str]:
        """The key of the pool ``symbol`` belongs to in ``product``."""
        return (self.isins.get(symbol) or symbol if product == Product.CNC else symbol), product


def pool_keys(*, instruments: Mapping[str, InstrumentInfo], holdings: Iterable[Holding] = ()) -> PoolKeys:
    """ISINs from the instrument master, and from the holdings themselves, which know their own best."""
    isins = {symbol: info.isin for symbol, info in instruments.items() if info.isin}
    return PoolKeys(isins | {row.symbol: row.isin for row in holdings if row.isin})


def combine(
    *, holdings: Iterable[Holding], positions: Iterable[Position], keys: PoolKeys
) -> dict[tuple[str, str], Held]:
    """Every pool with anything in it or traded today. ``positions`` are the net rows."""
    groups: dict[tuple[str, str], tuple[list[Holding], list[Position]]] = {}
    for holding in holdings:
        groups.setdefault(keys.of(holding.symbol, Product.CNC.value), ([], []))[0].append(holding)
    for position in positions:
        groups.setdefault(keys.of(position.symbol, position.product), ([], []))[1].append(position)
    return {key: _held(key[1], *rows) for key, rows in groups.items()}


def _held(product: str, holdings: list[Holding], positions: list[Position]) -> Held:
    owned = sum(row.owned for row in holdings)
    used = sum(row.used_quantity for row in holdings)
    traded = sum(row.quantity for row in positions)
    first = holdings[0].symbol if holdings else positions[0].symbol
    already = min(used, max(0, -traded))
    # Imported books can call shares used that no position tells of: those are gone in either reading.
    unseen = used - already
    quantity = owned + traded - unseen
    prices = [row.last_price for row in holdings] + [row.last_price for row in positions]
    return Held(
        symbol=first,
        product=product,
        quantity=quantity,
        other=quantity + used,
        average_price=_average(holdings, positions),
        last_price=next((price for price in prices if price > 0), None),
    )


def _average(holdings: list[Holding], positions: list[Position]) -> Decimal | None:
    """Weighted by what is owned and by what was bought today on top of it; sales leave it as it is."""
    lots = [(row.owned, row.average_price) for row in holdings if row.owned > 0]
    lots += [(row.quantity, row.average_price) for row in positions if row.quantity > 0 or (row.quantity and not lots)]
    total = sum(quantity for quantity, _ in lots)
    if total == 0:
        return None
    return sum((quantity * price for quantity, price in lots), ZERO) / total


def delivery_value(pools: Mapping[tuple[str, str], Held], prices: Mapping[str, Decimal]) -> Decimal:
    """Rupees of all delivery shares at ``prices``, else at the books' own last price."""
    return sum(_values(pools, prices), ZERO)


def _values(pools: Mapping[tuple[str, str], Held], prices: Mapping[str, Decimal]) -> Iterator[Decimal]:
    for held in pools.values():
        price = prices.get(held.symbol, held.last_price)
        if held.product == Product.CNC and price is not None:
            yield held.quantity * price
