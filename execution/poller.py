"""Finds out what became of orders: one read of the book serves every intent and command of a connection.

Nothing is ever sent from here. A read that fails or is cut says nothing: it is no miss (FAULTS A31).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from broker import factory
from broker.domain import BrokerOrder, Trade
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerError
from execution import adoption, book_sync, command_settling, completion, outcomes
from execution.domain import CommandState, IntentState
from execution.models import Order, OrderCommand, OrderIntent
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.recording import recording

IN_FLIGHT = (IntentState.ACKED.value, IntentState.WORKING.value, IntentState.AMBIGUOUS.value)
_COMMANDS = (CommandState.ACKED.value, CommandState.UNKNOWN.value, CommandState.FAILED.value)


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete read: the whole book, and the trades if any fill was new."""

    orders: tuple[BrokerOrder, ...]
    trades: tuple[Trade, ...]
    now: datetime


def watched(connection_id: uuid.UUID, *, now: datetime) -> list[OrderIntent]:
    """Intents whose fate is open, and those whose tag is still watched after a verdict (FAULTS 0.6)."""
    late = Q(state__in=[IntentState.NOT_PLACED.value, IntentState.NEEDS_REVIEW.value], watch_until__gt=now)
    return list(
        OrderIntent.objects.filter(Q(state__in=IN_FLIGHT) | late, connection_id=connection_id)
        .select_related("connection", "plan")
        .order_by("id")
    )


def unsettled_commands(connection_id: uuid.UUID) -> list[OrderCommand]:
    """Modifies and cancels whose outcome is still to be read."""
    rows = OrderCommand.objects.filter(connection_id=connection_id, state__in=_COMMANDS, next_check_at__isnull=False)
    return list(rows.select_related("order", "authorization"))


def poll_connection(connection_id: uuid.UUID, *, now: datetime | None = None) -> int:
    """Reads the book once and applies it; returns how many intents and commands are still open."""
    now = now or timezone.now()
    intents, commands = watched(connection_id, now=now), unsettled_commands(connection_id)
    if not intents and not commands:
        return 0
    connection = BrokerConnection.objects.select_related("owner").get(pk=connection_id)
    reading = read(connection, intents, now=now)
    if reading is None:
        return len(intents) + len(commands)
    apply_reading(connection, reading, intents, commands)
    return len(watched(connection_id, now=now)) + len(unsettled_commands(connection_id))


def read(connection: BrokerConnection, intents: Sequence[OrderIntent], *, now: datetime) -> Reading | None:
    """The whole book, and trades when a fill is new; None, with the reason on record, if the read failed."""
    try:
        reader = factory.reader_for(connection)
        orders = reader.orders()
        trades = reader.trades() if _has_new_fills(connection, orders) else ()
    except BrokerAuthExpired as exc:
        outcomes.require_login(connection, owner=str(connection.owner_id), now=now)
        _postpone(intents, str(exc), now=now)
        return None
    except (BrokerError, Problem) as exc:
        _postpone(intents, str(exc), now=now)
        return None
    if connection.authorized is False:
        outcomes.login_seen(connection, now=now)
    return Reading(orders=orders, trades=trades, now=now)


def apply_reading(
    connection: BrokerConnection, reading: Reading, intents: Iterable[OrderIntent], commands: Iterable[OrderCommand]
) -> None:
    """Everything one read says, in short transactions: rows, adoption and states, fills, commands, cards."""
    now, intents = reading.now, list(intents)
    for intent in intents:
        adoption.apply_book(intent, reading.orders, now=now)
    with recording(now) as record:
        BrokerConnection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        book_sync.report_strangers(book_sync.store_orders(connection, reading.orders, now=now), now=now)
        book_sync.book_fills(record, connection, reading.trades, now=now)
    for command in commands:
        command_settling.settle(command, reading.orders, now=now)
    completion.correct({intent.authorization_id for intent in intents}, now=now)
    completion.settle_cards_of(connection, now=now)


def _has_new_fills(connection: BrokerConnection, orders: Sequence[BrokerOrder]) -> bool:
    filled = {order.broker_order_id: order.filled_quantity for order in orders if order.filled_quantity > 0}
    known = dict(
        Order.objects.filter(connection=connection, broker_order_id__in=list(filled)).values_list(
            "broker_order_id", "filled_quantity"
        )
    )
    return any(known.get(order_id) != quantity for order_id, quantity in filled.items())


def _postpone(intents: Sequence[OrderIntent], reason: str, *, now: datetime) -> None:
    ambiguous = [intent for intent in intents if intent.state == IntentState.AMBIGUOUS.value]
    with recording(now) as record:
        for intent in ambiguous:
            record.event(intent.correlation_id, "lookup.invalid", {"intent": intent.id, "reason": reason[:200]})
    OrderIntent.objects.filter(pk__in=[intent.pk for intent in intents]).update(
        next_check_at=now + timedelta(seconds=1)
    )
