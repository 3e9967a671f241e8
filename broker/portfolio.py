"""The portfolio as pages and API show it: a stored snapshot's books with the sums over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings

from broker.domain import (
    Books,
    BrokerKind,
    BrokerOrder,
    Holding,
    InstrumentInfo,
    MarginSegment,
    Position,
    split_symbol,
)
from broker.models import BrokerConnection
from broker.selectors import instrument_infos, latest_good
from broker.snapshots import stored_books
from sigmatrader.audit.models import Snapshot

PAISE = Decimal("0.01")
ZERO = Decimal(0)
Shape = dict[str, object]


def portfolio_shape(connection: BrokerConnection, snapshot: Snapshot | None, *, now: datetime) -> Shape:
    """Money rounded to paise, percentages to two places; a part that was not read is None, and so are its sums."""
    kind = BrokerKind(connection.kind)
    shape: Shape = {
        "connection": {
            "id": connection.account, "name": connection.name, "kind": kind.value, "practice": not kind.is_live,
        },
        "snapshot_id": str(snapshot.pk) if snapshot is not None else None,
    }  # fmt: skip
    if snapshot is None:
        return shape | _nothing()
    books = stored_books(snapshot)
    age = max(0.0, (now - snapshot.taken_at).total_seconds())
    return shape | {
        "as_of": snapshot.as_of,
        "taken_at": snapshot.taken_at,
        "age_s": round(age, 1),
        "stale": age > settings.SNAPSHOT_AGE_AT_APPROVAL_S,
        "complete": books.complete,
        **_parts(books, connection),
        "latest_good": {part: _read_of(row) for part, row in latest_good(connection).items()},
    }


def holding_row(holding: Holding, *, name: str, total_value: Decimal) -> Shape:
    """One holding with its own sums; owned = delivered + T1 (FACTS g1)."""
    invested, value = holding.average_price * holding.owned, holding.last_price * holding.owned
    change = holding.last_price - holding.close_price if holding.close_price else None
    return {
        "symbol": holding.symbol,
        "name": name,
        "quantity": holding.quantity,
        "t1_quantity": holding.t1_quantity,
        "used_quantity": holding.used_quantity,
        "average_price": holding.average_price,
        "last_price": holding.last_price,
        "invested": _paise(invested),
        "current_value": _paise(value),
        "pnl": _paise(value - invested),
        "pnl_percent": percent(value - invested, invested),
        "day_change": None if change is None else _paise(change * holding.owned),
        "day_change_percent": None if change is None else percent(change, holding.close_price),
        "weight_percent": percent(value, total_value),
    }


def order_row(order: BrokerOrder) -> Shape:
    """An order in Kite's own words."""
    exchange, tradingsymbol = split_symbol(order.symbol)
    return {
        "order_id": order.broker_order_id,
        "exchange_order_id": order.exchange_order_id,
        "parent_order_id": order.parent_order_id,
        "placed_by": order.placed_by,
        "exchange": exchange,
        "tradingsymbol": tradingsymbol,
        "symbol": order.symbol,
        "transaction_type": order.side,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "cancelled_quantity": order.cancelled_quantity,
        "order_type": order.order_type,
        "product": order.product,
        "validity": order.validity,
        "variety": order.variety,
        "status": order.status,
        "status_message": order.status_message,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "average_price": order.average_price,
        "tag": order.tag,
        "order_timestamp": order.placed_at,
        "exchange_update_timestamp": order.updated_at,
    }


def percent(part: Decimal, whole: Decimal) -> Decimal | None:
    """``part`` of ``whole`` in percent, two places; None of nothing."""
    return None if whole == 0 else (part * 100 / whole).quantize(PAISE, ROUND_HALF_UP)


def _read_of(snapshot: Snapshot) -> Shape:
    """Where the newest good read of a part is, and how old."""
    return {"snapshot_id": str(snapshot.pk), "as_of": snapshot.as_of, "taken_at": snapshot.taken_at}


def _parts(books: Books, connection: BrokerConnection) -> Shape:
    names = _names(books, connection)
    holdings, positions = books.holdings, books.positions_net
    total = sum((row.last_price * row.owned for row in holdings or ()), ZERO)
    held = None if holdings is None else [
        holding_row(row, name=names.get(row.symbol, ""), total_value=total) for row in holdings
    ]  # fmt: skip
    return {
        "totals": _totals(holdings, positions, books.margins),
        "holdings": held,
        "positions": None if positions is None else [_position_row(p, names.get(p.symbol, "")) for p in positions],
        "margins": None if books.margins is None else {n: _segment(m) for n, m in books.margins.items()},
        "orders": None if books.orders is None else [order_row(order) for order in books.orders],
    }


def _totals(
    holdings: Sequence[Holding] | None,
    positions: Sequence[Position] | None,
    margins: Mapping[str, MarginSegment] | None,
) -> Shape:
    totals: Shape = dict.fromkeys(_TOTALS)
    if holdings is not None:
        invested = sum((row.average_price * row.owned for row in holdings), ZERO)
        value = sum((row.last_price * row.owned for row in holdings), ZERO)
        totals |= {"invested": _paise(invested), "current_value": _paise(value)}
        if positions is not None:
            totals |= _profit(holdings, positions, invested=invested, value=value)
    equity = (margins or {}).get("equity")
    if equity is not None:
        totals |= {"cash": _paise(equity.cash), "margin_available": _paise(equity.net)}
    return totals


def _profit(holdings: Sequence[Holding], positions: Sequence[Position], *, invested: Decimal, value: Decimal) -> Shape:
    """Profit of the day and in all: holdings by their close and cost, positions by Kite's m2m and pnl."""
    moved = sum(((row.last_price - row.close_price) * row.owned for row in holdings if row.close_price), ZERO)
    day = moved + sum((row.m2m for row in positions), ZERO)
    total = value - invested + sum((row.pnl for row in positions), ZERO)
    return {
        "day_pnl": _paise(day),
        "day_pnl_percent": percent(day, value - moved),
        "total_pnl": _paise(total),
        "total_pnl_percent": percent(total, invested),
    }


def _position_row(position: Position, name: str) -> Shape:
    return {
        "symbol": position.symbol,
        "name": name,
        "product": position.product,
        "quantity": position.quantity,
        "overnight_quantity": position.overnight_quantity,
        "average_price": position.average_price,
        "last_price": position.last_price,
        "pnl": _paise(position.pnl),
        "day_pnl": _paise(position.m2m),
    }


def _segment(margin: MarginSegment) -> Shape:
    return {
        "enabled": margin.enabled,
        "net": margin.net,
        "cash": margin.cash,
        "opening_balance": margin.opening_balance,
        "live_balance": margin.live_balance,
        "collateral": margin.collateral,
        "debits": margin.debits,
    }


def _names(books: Books, connection: BrokerConnection) -> dict[str, str]:
    symbols = {row.symbol for row in books.holdings or ()} | {row.symbol for row in books.positions_net or ()}
    known: dict[str, InstrumentInfo] = instrument_infos(connection, symbols)
    return {symbol: info.name for symbol, info in known.items()}


def _nothing() -> Shape:
    empty: Shape = dict.fromkeys(("as_of", "taken_at", "age_s", "holdings", "positions", "margins", "orders"))
    complete = dict.fromkeys(("holdings", "positions", "orders", "trades", "margins"), False)
    return empty | {"stale": True, "complete": complete, "latest_good": {}, "totals": dict.fromkeys(_TOTALS)}


_TOTALS = (
    "invested", "current_value", "day_pnl", "day_pnl_percent", "total_pnl", "total_pnl_percent", "cash",
    "margin_available",
)  # fmt: skip


def _paise(value: Decimal) -> Decimal:
    return value.quantize(PAISE, ROUND_HALF_UP)
