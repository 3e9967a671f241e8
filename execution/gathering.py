"""What has to be read before anything is judged: books, quotes, market clock. Reads only, never in a transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from broker import clock, factory
from broker.domain import Books, BrokerOrder, BrokerOrderStatus, InstrumentInfo, MarketState, Quote, SessionPhase
from broker.ingestion import take_snapshot
from broker.models import BrokerConnection
from broker.ports import BrokerError, BrokerReader
from broker.selectors import instrument_infos, latest_snapshot
from broker.snapshots import stored_books
from execution import days
from execution.domain import IntentState
from execution.models import OrderCommand, OrderIntent
from execution.standing import Seen, standing_of
from risk.domain import Actor, Book, Counters, OrderRequest, RequestKind
from risk.policy import Limits, default_policy
from risk.selectors import active_policy, trading_state_for
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import Snapshot

_UNDER_WAY = tuple(
    state.value
    for state in (
        IntentState.PREPARED, IntentState.SENDING, IntentState.AMBIGUOUS, IntentState.ACKED, IntentState.WORKING,
    )
)  # fmt: skip
_NOT_WORKING = frozenset({BrokerOrderStatus.COMPLETE, BrokerOrderStatus.CANCELLED, BrokerOrderStatus.REJECTED})

_IN_DOUBT = (IntentState.SENDING.value, IntentState.AMBIGUOUS.value)


@dataclass(frozen=True, slots=True)
class MarketView:
    """One consistent look at account and market. ``books`` is None when nothing could ever be read."""

    connection: BrokerConnection
    market: MarketState
    instruments: Mapping[str, InstrumentInfo]
    quotes: Mapping[str, Quote]
    snapshot: Snapshot | None
    books: Books | None
    now: datetime


def look(
    connection: BrokerConnection,
    symbols: Iterable[str],
    *,
    now: datetime,
    correlation_id: str = "",
    max_age_s: float | None = None,
) -> MarketView:
    """Books no older than ``max_age_s`` (the approval limit by default), quotes read now, and the market clock.

    A quote that cannot be read is absent and a part of the books that cannot be read is None: the gate then denies.
    """
    wanted = sorted(set(symbols))
    limit = settings.SNAPSHOT_AGE_AT_APPROVAL_S if max_age_s is None else max_age_s
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="quotes") as beside:  # the broker takes its time
        quotes = beside.submit(_quotes, factory.reader_for(connection), wanted)
        snapshot, books = _books(connection, limit, now=now, correlation_id=correlation_id)
        return MarketView(
            connection=connection,
            market=_market(connection, now=now),
            instruments=instrument_infos(connection, wanted),
            quotes=quotes.result(),
            snapshot=snapshot,
            books=books,
            now=now,
        )


def stored_look(connection: BrokerConnection, symbols: Iterable[str], *, now: datetime) -> MarketView:
    """The same from what is stored, without asking the broker: a cancel must not wait for a read (FAULTS 0.7)."""
    known = latest_snapshot(connection)
    return MarketView(
        connection=connection,
        market=_market(connection, now=now),
        instruments=instrument_infos(connection, sorted(set(symbols))),
        quotes={},
        snapshot=known,
        books=stored_books(known) if known else None,
        now=now,
    )


def book_for(
    view: MarketView,
    *,
    actor: Actor,
    margin_by_leg: Mapping[int, Decimal],
    orders: Sequence[OrderRequest] = (),
    judged: OrderIntent | None = None,
) -> Book:
    """The gate's whole input from one look: what was not read stays None. ``judged`` is the leg that is judged once
    more: what we keep of it counts neither as an order under way nor as one like itself."""
    account = view.connection.account
    state, reason = trading_state_for(account, now=view.now)
    books, hidden = view.books, _hidden(view, judged)
    open_orders, limits = _open_orders(view, hidden), _limits()
    rows = _recent_rows(view.connection, since=_since(limits, now=view.now))
    seen = Seen(
        connection=view.connection, books=books, is_fresh=_is_fresh(view, limits), open_orders=open_orders, rows=rows,
        hidden=hidden, now=view.now,
    )  # fmt: skip
    return Book(
        account=account,
        is_live=view.connection.is_live,
        actor=actor,
        market=view.market,
        trading_state=state,
        trading_state_reason=reason,
        instruments=view.instruments,
        quotes=view.quotes,
        holdings=books.holdings if books else None,
        positions=books.positions_net if books else None,
        open_orders=open_orders,
        margins=books.margins if books else None,
        books_as_of=books.as_of if books else None,
        margin_required=margin_by_leg,
        counters=_counted(rows, limits, now=view.now, orders=orders, judged=judged),
        standing=standing_of(seen, orders, limits),
    )


def counters_of(
    connection: BrokerConnection,
    *,
    now: datetime,
    orders: Sequence[OrderRequest] = (),
    judged: OrderIntent | None = None,
) -> Counters:
    """What was already sent, counted in the database: attempts as well as successes.

    One plain read of the day's rows, counted here: seven counting queries cost ten times as much on the way to a send.
    """
    limits = _limits()
    rows = _recent_rows(connection, since=_since(limits, now=now))
    return _counted(rows, limits, now=now, orders=orders, judged=judged)


def _since(limits: Limits, *, now: datetime) -> datetime:
    """From when on one's own orders are asked for."""
    seconds = max(limits.rejects_window_s, limits.price_drift_window_s, limits.repeat_window_s)
    return min(days.day_start(now), now - timedelta(seconds=seconds))


def _counted(
    rows: Sequence[Any],
    limits: Limits,
    *,
    now: datetime,
    orders: Sequence[OrderRequest],
    judged: OrderIntent | None,
) -> Counters:
    """What was sent, and what is committed to be: an authorised order takes its part of every limit at once."""
    own = None if judged is None else judged.pk
    today = days.day_start(now)
    rejected_since = now - timedelta(seconds=limits.rejects_window_s)
    sent = [row for row in rows if row.attempts > 0 and row.sending_at is not None]
    waiting = [row for row in rows if row.state == IntentState.PREPARED.value and row.attempts == 0 and row.pk != own]
    taken = [(row.sending_at, row) for row in sent] + [(row.created_at, row) for row in waiting]
    repeated_since = now - timedelta(seconds=limits.duplicate_window_s)
    recent = Counter(
        (row.symbol, row.side, row.quantity, row.limit_price)
        for at, row in taken
        if at > repeated_since and row.pk != own
    )
    asked = [recent[_likeness(order)] for order in orders if order.kind is RequestKind.PLACE]
    return Counters(
        orders_last_second=sum(row.sending_at > now - timedelta(seconds=1) for row in sent),
        orders_last_minute=sum(at > now - timedelta(minutes=1) for at, _ in taken),
        orders_today=sum(row.created_at >= today for _, row in taken),
        value_today=sum((row.order_value for _, row in taken if row.created_at >= today), Decimal(0)),
        rejects_recent=sum(row.state == IntentState.REJECTED and row.updated_at > rejected_since for row in rows),
        unconfirmed=sum(row.state in _IN_DOUBT for row in rows),
        same_order_recent=max(asked, default=0),
    )


def _recent_rows(connection: BrokerConnection, *, since: datetime) -> list[Any]:
    return list(
        OrderIntent.objects.filter(Q(created_at__gte=since) | Q(state__in=_IN_DOUBT), connection=connection)
        .order_by()
        .values_list(
            "attempts", "sending_at", "created_at", "updated_at", "state", "order_value", "symbol", "side", "quantity",
            "limit_price", "pk", "authorization__kind", named=True,
        )
    )  # fmt: skip


def _likeness(order: OrderRequest) -> tuple[str, str, int, Decimal | None]:
    """What makes two orders the same order again."""
    return order.symbol, order.side.value, order.quantity, order.limit_price


def _limits() -> Limits:
    """The policy's; where none can be used the gate denies whatever was counted, and a cancel must not wait for one."""
    try:
        return active_policy().limits
    except Problem:
        return default_policy().limits


def snapshot_hash(view: MarketView) -> str:
    """The hash of the snapshot this look rests on, empty when there is none."""
    return view.snapshot.hash if view.snapshot else ""


def _books(
    connection: BrokerConnection, limit: float, *, now: datetime, correlation_id: str
) -> tuple[Snapshot | None, Books | None]:
    known = latest_snapshot(connection)
    fresh = known is not None and (now - known.as_of).total_seconds() <= limit and all(known.complete.values())
    if known is not None and fresh and not _moved_since(connection, known.taken_at):
        return known, stored_books(known)
    try:
        return take_snapshot(connection, correlation_id=correlation_id, now=now)
    except BrokerError:
        return (known, stored_books(known)) if known else (None, None)


def _moved_since(connection: BrokerConnection, taken_at: datetime) -> bool:
    """Whether an order of ours was sent or changed after these books were read: limits must count it."""
    intents = OrderIntent.objects.filter(connection=connection, attempts__gt=0, updated_at__gte=taken_at)
    commands = OrderCommand.objects.filter(connection=connection, fence__gt=0, updated_at__gte=taken_at)
    return intents.order_by().values("pk").union(commands.order_by().values("pk"), all=True).exists()


def _quotes(reader: BrokerReader, symbols: list[str]) -> Mapping[str, Quote]:
    try:
        return reader.quotes(symbols) if symbols else {}
    except BrokerError:
        return {}


def _open_orders(view: MarketView, hidden: Sequence[OrderIntent]) -> tuple[BrokerOrder, ...] | None:
    """What works at the broker, and what we committed that these books cannot show yet: limits count both."""
    if view.books is None or view.books.orders is None or view.snapshot is None:
        return None
    working = tuple(order for order in view.books.orders if order.status not in _NOT_WORKING)
    return working + tuple(_as_order(intent) for intent in hidden)


def _hidden(view: MarketView, judged: OrderIntent | None) -> tuple[OrderIntent, ...]:
    """Our orders on their way, or filled since, that these books cannot show yet, with their plans."""
    books, snapshot = view.books, view.snapshot
    if books is None or books.orders is None or snapshot is None:
        return ()
    tags = {tag for order in books.orders for tag in (order.tag, *order.tags)}
    ids = {order.broker_order_id for order in books.orders}
    under_way = Q(state__in=_UNDER_WAY) | Q(filled_quantity__gt=0, updated_at__gte=snapshot.taken_at)
    committed = OrderIntent.objects.filter(under_way, connection=view.connection).select_related("plan")
    committed = committed.exclude(pk=judged.pk) if judged is not None else committed
    rows = committed.order_by("created_at", "leg_n")
    return tuple(row for row in rows if row.tag not in tags and row.broker_order_id not in ids)


def _is_fresh(view: MarketView, limits: Limits) -> bool:
    """Whether these books were read a moment ago: the broker answered then."""
    taken = view.snapshot.taken_at if view.snapshot is not None else None
    return taken is not None and abs((view.now - taken).total_seconds()) <= limits.snapshot_age_s


def _as_order(intent: OrderIntent) -> BrokerOrder:
    """A committed order as it may stand at the broker: all of it still open."""
    return BrokerOrder(
        broker_order_id=intent.broker_order_id or str(intent.id), symbol=intent.symbol, side=intent.side,
        quantity=intent.quantity, filled_quantity=0, pending_quantity=intent.quantity, cancelled_quantity=0,
        order_type=intent.order_type, product=intent.product, validity=intent.validity, variety=intent.variety,
        status=intent.state, price=intent.limit_price or Decimal(0), trigger_price=intent.trigger_price or Decimal(0),
        average_price=Decimal(0), tag=intent.tag, tags=(intent.tag,), status_message="", placed_at=intent.created_at,
        updated_at=intent.updated_at,
    )  # fmt: skip


def _market(connection: BrokerConnection, *, now: datetime) -> MarketState:
    """The market's clock; one that cannot be read counts as closed, so that nothing is allowed by silence."""
    try:
        return clock.market_state(connection, now=now)
    except BrokerError:
        note = "the market clock could not be read"
        return MarketState(now=now, phase=SessionPhase.CLOSED, practice=not connection.is_live, note=note)
