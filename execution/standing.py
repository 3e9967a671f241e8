"""How an account stands, for the gate: counted in the database, so that it survives restarts and counts attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from broker import instruments
from broker.calendar import trading_day
from broker.domain import Books, BrokerOrder, Side
from broker.models import BrokerConnection
from execution import days
from execution.domain import AuthorizationKind
from execution.models import Fill, LedgerOpening, OrderCommand, OrderIntent, ReconciliationRun
from execution.plan_documents import plan_from_json
from risk.account import purse_of
from risk.domain import OrderRequest, RequestKind, Standing
from risk.history import PastFill, Pool, Stake, losing_streak, median
from risk.policy import Limits
from risk.selectors import peak_value

TYPICAL_OF = 50  # one's own latest orders that the typical size is made of
TYPICAL_DAYS = 90
_UNATTENDED = (AuthorizationKind.DELEGATE.value, AuthorizationKind.MANDATE.value)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was already read for the same look: the books, the day's own orders, and those the books cannot show."""

    connection: BrokerConnection
    books: Books | None
    is_fresh: bool
    open_orders: tuple[BrokerOrder, ...] | None
    rows: Sequence[Any]
    hidden: Sequence[OrderIntent]
    now: datetime


def standing_of(seen: Seen, orders: Sequence[OrderRequest], limits: Limits) -> Standing:
    """Everything the gate asks about the past. Reads only."""
    count, typical = _typical(seen)
    streak = losing_streak(_fills(seen), stakes=_stakes(seen.books))
    connected, note = _connected(seen)
    return Standing(
        connected=connected,
        connection_note=note,
        reconciled=_reconciled(seen.connection),
        peak_value=peak_value(seen.connection.account, day=trading_day(seen.now), days=limits.drawdown_days),
        losses_in_a_row=streak.losses,
        last_loss_at=streak.last_at,
        typical_orders=count,
        typical_value=typical,
        first_prices=_first_prices(seen, limits),
        automated=_automated(seen, limits),
        modifications=_modifications(seen.connection, orders),
        used_order_ids=_used_ids(orders),
        reserved_margin=_reserved(seen.hidden),
        sectors=_sectors(seen, orders),
    )


def _connected(seen: Seen) -> tuple[bool, str]:
    """Books read just now show a connection better than its last recorded status."""
    connection = seen.connection
    if seen.is_fresh:
        return True, ""
    if connection.authorized is False:
        return False, "log in at the broker"
    down = connection.last_status in ("disconnected", "error")
    return not down, connection.last_error[:200] if down else ""


def _reconciled(connection: BrokerConnection) -> bool:
    """Whether the last comparison could be made. Before the first one the approval makes it: nothing has failed yet."""
    runs = ReconciliationRun.objects.filter(connection=connection).exclude(status="skipped")
    last = runs.order_by("-started_at", "-id").values_list("status", flat=True).first()
    return last != "failed" and (last is None or LedgerOpening.objects.filter(connection=connection).exists())


def _typical(seen: Seen) -> tuple[int, Decimal]:
    """How many of the latest orders there are, and their median value in rupees."""
    rows = OrderIntent.objects.filter(
        connection=seen.connection, attempts__gt=0, created_at__gte=seen.now - timedelta(days=TYPICAL_DAYS)
    )
    values = list(rows.order_by("-created_at", "-id").values_list("order_value", flat=True)[:TYPICAL_OF])
    return len(values), median(values)


def _first_prices(seen: Seen, limits: Limits) -> dict[str, Decimal]:
    since = seen.now - timedelta(seconds=limits.price_drift_window_s)
    found: dict[str, tuple[datetime, Decimal]] = {}
    for row in seen.rows:
        is_older = row.symbol not in found or row.created_at < found[row.symbol][0]
        if row.limit_price is not None and row.created_at > since and row.attempts > 0 and is_older:
            found[row.symbol] = (row.created_at, row.limit_price)
    return {symbol: price for symbol, (_, price) in found.items()}


def _automated(seen: Seen, limits: Limits) -> dict[str, int]:
    """Orders that nobody pressed a button for, by instrument and side."""
    since = seen.now - timedelta(seconds=limits.repeat_window_s)
    found: dict[str, int] = {}
    for row in seen.rows:
        if row.authorization__kind in _UNATTENDED and row.created_at > since:
            key = f"{row.symbol} {row.side}"
            found[key] = found.get(key, 0) + 1
    return found


def _modifications(connection: BrokerConnection, orders: Sequence[OrderRequest]) -> dict[str, int]:
    """How often each order that is to be modified was changed before, attempts counted."""
    ids = [order.replaces for order in orders if order.kind is RequestKind.MODIFY]
    if not ids:
        return {}
    tried = OrderCommand.objects.filter(
        Q(fence__gt=0) | Q(state="PREPARED"), connection=connection, kind="modify", order__broker_order_id__in=ids
    )
    found: dict[str, int] = {}
    for order_id in tried.order_by().values_list("order__broker_order_id", flat=True):
        found[order_id] = found.get(order_id, 0) + 1
    return found


def _used_ids(orders: Sequence[OrderRequest]) -> tuple[str, ...]:
    ids = [order.client_order_id for order in orders if order.client_order_id]
    if not ids:
        return ()
    rows = OrderIntent.objects.filter(client_order_id__in=ids).order_by("client_order_id")
    return tuple(rows.values_list("client_order_id", flat=True))


def _reserved(hidden: Sequence[OrderIntent]) -> dict[str, Decimal]:
    """Rupees, by purse, that committed orders will block which the broker's margins cannot show yet."""
    found: dict[str, Decimal] = {}
    for intent in hidden:
        purse = purse_of(intent.symbol)
        blocks = plan_from_json(intent.plan.document).margin_by_leg.get(intent.leg_n, Decimal(0))
        found[purse] = found.get(purse, Decimal(0)) + blocks
    return found


def _sectors(seen: Seen, orders: Sequence[OrderRequest]) -> dict[str, str]:
    known = instruments.infos(instruments.universe_of(seen.connection))
    books = seen.books
    symbols = {order.symbol for order in orders} | {row.symbol for row in seen.open_orders or ()}
    if books is not None:
        symbols |= {row.symbol for row in books.holdings or ()} | {row.symbol for row in books.positions_net or ()}
    return {symbol: known[symbol].sector for symbol in sorted(symbols) if symbol in known and known[symbol].sector}


def _fills(seen: Seen) -> list[PastFill]:
    """Today's fills of the account, everybody's: a loss is one whoever made it."""
    rows = Fill.objects.filter(connection=seen.connection, filled_at__gte=days.day_start(seen.now)).order_by(
        "filled_at"
    )
    return [
        PastFill(
            row.broker_order_id, (row.symbol, row.product), Side(row.side).sign, row.quantity, row.price, row.filled_at
        )
        for row in rows
    ]


def _stakes(books: Books | None) -> Mapping[Pool, Stake]:
    """What was held before today and what it cost."""
    found: dict[Pool, Stake] = {}
    if books is None:
        return found
    for holding in books.holdings or ():
        found[holding.symbol, "CNC"] = (holding.owned + holding.used_quantity, holding.average_price)
    for row in books.positions_net or ():
        if row.overnight_quantity:
            found[row.symbol, row.product] = (row.overnight_quantity, row.average_price)
    return found
