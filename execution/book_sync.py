"""The broker's book and trades, as they are read: one Order per row, one Fill per trade id, ours marked as ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from broker.domain import BrokerOrder, Trade
from broker.models import BrokerConnection
from execution.models import Fill, LedgerEntry, Order, OrderIntent
from sigmatrader.audit import canonical
from sigmatrader.audit.recording import Recorder
from sigmatrader.audit.services import raise_exception
from sigmatrader.audit.vocabulary import ExceptionCode, Severity

_CHANGING = ("status", "status_message", "filled_quantity", "average_price", "quantity", "limit_price", "trigger_price",
             "order_type", "validity", "last_read", "raw", "intent")  # fmt: skip

_READ_GRAIN = timedelta(seconds=30)


def store_orders(
    connection: BrokerConnection, rows: Iterable[BrokerOrder], *, now: datetime, taken_over: bool = False
) -> list[Order]:
    """Writes every row of one complete read; returns the rows seen for the first time that are not ours."""
    rows = list(rows)
    known = {
        order.broker_order_id: order
        for order in Order.objects.filter(connection=connection, broker_order_id__in=[r.broker_order_id for r in rows])
    }
    ours = _intents_by_broker_id(connection, rows)
    strangers, unchanged = [], list[Order]()
    for row in rows:
        values = _values(row, ours.get(row.broker_order_id), now=now)
        order = known.get(row.broker_order_id)
        if order is None:
            order, is_new = Order.objects.get_or_create(  # the sender of it may write its row at this moment
                connection=connection, broker_order_id=row.broker_order_id,
                defaults={"owner": connection.owner, "first_seen": now, "taken_over": taken_over, **values},
            )  # fmt: skip
            if is_new and order.intent_id is None and not taken_over:
                strangers.append(order)
        elif _differs(order, values):
            Order.objects.filter(pk=order.pk).update(**{name: values[name] for name in _CHANGING if name in values})
        else:
            unchanged.append(order)
    _note_read(unchanged, now=now)
    return strangers


def _note_read(orders: Iterable[Order], *, now: datetime) -> None:
    """When a row was last seen, which decides what its absence from a later book means; not written with every look."""
    stale = [order.pk for order in orders if order.last_read < now - _READ_GRAIN]
    if stale:
        Order.objects.filter(pk__in=stale).update(last_read=now)


def report_strangers(strangers: Iterable[Order], *, now: datetime) -> None:
    """One low exception per order made elsewhere: recorded, shown, never acted on (FAULTS A30)."""
    for order in strangers:
        raise_exception(
            code=ExceptionCode.EXTERNAL_ORDER, type_="order", severity=Severity.LOW, now=now,
            summary=f"{order.side} {order.quantity} {order.symbol} was placed elsewhere.",
            fingerprint=("external", str(order.connection_id), order.broker_order_id),
            account=str(order.connection_id), owner=str(order.owner_id), symbol=order.symbol,
            subject=f"execution.order:{order.id}", expected="no order of ours", actual=f"order {order.broker_order_id}",
            remedies=[{"action": "accept_external", "label": "Accept as mine", "trades": False}],
        )  # fmt: skip


def book_fills(record: Recorder, connection: BrokerConnection, trades: Iterable[Trade], *, now: datetime) -> int:
    """Books trades not booked yet, ours into the expected ledger as well; returns how many were new.

    The trade id makes a fill one: a repeated row changes nothing (CONTROLS section 3).
    """
    trades = [trade for trade in trades if trade.quantity > 0]
    booked = set(
        Fill.objects.filter(connection=connection, trade_id__in=[t.trade_id for t in trades]).values_list(
            "trade_id", flat=True
        )
    )
    fresh = list({trade.trade_id: trade for trade in trades if trade.trade_id not in booked}.values())
    if not fresh:
        return 0
    ours = _intents_for_trades(connection, fresh)
    for trade in fresh:
        _book(record, connection, trade, ours.get(trade.broker_order_id), now=now)
    return len(fresh)


def _book(
    record: Recorder, connection: BrokerConnection, trade: Trade, intent: OrderIntent | None, *, now: datetime
) -> None:
    fill = Fill.objects.create(
        connection=connection, intent=intent, trade_id=trade.trade_id, broker_order_id=trade.broker_order_id,
        symbol=trade.symbol, side=trade.side, product=trade.product, quantity=trade.quantity,
        price=trade.average_price, filled_at=trade.filled_at or now, recorded_at=now,
    )  # fmt: skip
    if intent is None:
        return
    sign = 1 if trade.side == "BUY" else -1
    LedgerEntry.objects.create(
        connection=connection, kind="fill", symbol=trade.symbol, product=trade.product, quantity=sign * trade.quantity,
        price=trade.average_price, fill=fill, ts=now,
    )  # fmt: skip
    data = {"intent": intent.id, "trade_id": trade.trade_id, "quantity": trade.quantity, "price": trade.average_price}
    record.event(intent.correlation_id, "fill.booked", data)


def _intents_by_broker_id(connection: BrokerConnection, rows: list[BrokerOrder]) -> Mapping[str, OrderIntent]:
    """Ours by their id at the broker, by their tag, and by the parent they are slices of."""
    ids = {row.broker_order_id for row in rows} | {row.parent_order_id for row in rows if row.parent_order_id}
    tags = {tag for row in rows for tag in (row.tag, *row.tags) if tag}
    mine = OrderIntent.objects.filter(connection=connection)
    by_id = {intent.broker_order_id: intent for intent in mine.filter(broker_order_id__in=ids)}
    by_tag = {intent.tag: intent for intent in mine.filter(tag__in=tags)}
    found = {}
    for row in rows:
        intent = by_id.get(row.broker_order_id) or by_id.get(row.parent_order_id)
        intent = intent or next((by_tag[tag] for tag in (row.tag, *row.tags) if tag in by_tag), None)
        if intent is not None:
            found[row.broker_order_id] = intent
    return found


def _intents_for_trades(connection: BrokerConnection, trades: list[Trade]) -> Mapping[str, OrderIntent]:
    orders = Order.objects.filter(
        connection=connection, broker_order_id__in=[trade.broker_order_id for trade in trades], intent__isnull=False
    ).select_related("intent")
    found = {order.broker_order_id: order.intent for order in orders if order.intent is not None}
    direct = OrderIntent.objects.filter(
        connection=connection, broker_order_id__in=[trade.broker_order_id for trade in trades]
    )
    return found | {intent.broker_order_id: intent for intent in direct}


def _values(row: BrokerOrder, intent: OrderIntent | None, *, now: datetime) -> dict[str, object]:
    return {
        "intent": intent, "symbol": row.symbol[:60], "side": row.side[:10], "quantity": row.quantity,
        "filled_quantity": row.filled_quantity, "average_price": _price(row.average_price),
        "order_type": row.order_type[:10], "limit_price": _price(row.price), "trigger_price": _price(row.trigger_price),
        "product": row.product[:10], "validity": row.validity[:10], "variety": row.variety[:10],
        "status": row.status[:40], "status_message": row.status_message[:500], "tag": row.tag[:64],
        "parent_order_id": row.parent_order_id[:32], "placed_at": row.placed_at, "last_read": now,
        "raw": canonical.plain(row.raw),
    }  # fmt: skip


def _price(value: Decimal) -> Decimal | None:
    return value.quantize(Decimal("0.0001")) if value else None


def _differs(order: Order, values: Mapping[str, object]) -> bool:
    watched = ("status", "status_message", "filled_quantity", "quantity", "limit_price", "trigger_price", "order_type")
    return (order.intent_id is None and values["intent"] is not None) or any(
        getattr(order, name) != values[name] for name in watched
    )
