"""Reads of the order path worth a name."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db.models import F, Q, QuerySet

from execution import days
from execution.domain import CardState, IntentState
from execution.models import ActionCard, Fill, Order, OrderIntent, ReconciliationRun, TradePlan
from sigmatrader.accounts.models import User

WORKING_STATES = (
    IntentState.PREPARED.value, IntentState.SENDING.value, IntentState.ACKED.value, IntentState.WORKING.value,
    IntentState.AMBIGUOUS.value,
)  # fmt: skip
_FINAL_WORDS = ("COMPLETE", "CANCELLED", "REJECTED")


def cards_of(user: User) -> QuerySet[ActionCard]:
    """The user's cards with all that a shape needs."""
    return ActionCard.objects.filter(owner=user).select_related("plan__decision", "connection", "supersedes")


def open_cards(user: User, *, now: datetime) -> QuerySet[ActionCard]:
    """Cards that wait for the trader and have not run out."""
    return cards_of(user).filter(state=CardState.OPEN.value, expires_at__gt=now)


def plans_of(user: User) -> QuerySet[TradePlan]:
    """The user's plans."""
    return TradePlan.objects.filter(owner=user).select_related("decision", "connection")


def intents_of(user: User) -> QuerySet[OrderIntent]:
    """Our own orders, newest first."""
    return OrderIntent.objects.filter(owner=user).select_related("connection", "authorization")


def external_orders_of(user: User) -> QuerySet[Order]:
    """Orders of the book that we did not place, with the same names for time and id as ours."""
    rows = Order.objects.filter(owner=user, intent__isnull=True).select_related("connection")
    return rows.annotate(created_at=F("first_seen"))


def order_of(user: User, order_id: uuid.UUID | str) -> OrderIntent | Order | None:
    """One order of the user by its public id, ours or external."""
    own = intents_of(user).filter(pk=order_id).first()
    return own or external_orders_of(user).filter(pk=order_id).first()


def working(intents: QuerySet[OrderIntent]) -> QuerySet[OrderIntent]:
    """Those that may still change at the broker."""
    return intents.filter(state__in=WORKING_STATES)


def working_rows(user: User) -> QuerySet[Order]:
    """Rows of the broker's book that are still open there, ours and others', taken-over ones left out."""
    return Order.objects.filter(owner=user, connection__is_active=True, taken_over=False).exclude(
        status__in=_FINAL_WORDS
    )


def unsent(user: User) -> list[OrderIntent]:
    """Orders the broker's book does not show yet: prepared, being sent, or being looked up."""
    states = [IntentState.PREPARED.value, IntentState.SENDING.value, IntentState.AMBIGUOUS.value]
    return list(intents_of(user).filter(state__in=states, connection__is_active=True))


def todays_orders(user: User, *, now: datetime) -> list[OrderIntent | Order]:
    """Today's orders for the page: ours and external, newest first."""
    start = days.day_start(now)
    live = Q(connection__is_active=True)
    own = list(intents_of(user).filter(live, created_at__gte=start)[:200])
    others = list(external_orders_of(user).filter(live, last_read__gte=start)[:200])
    return sorted([*own, *others], key=_time_and_id, reverse=True)


def todays_fills(user: User, *, now: datetime) -> QuerySet[Fill]:
    """Today's trades on the active connection."""
    start = days.day_start(now)
    return Fill.objects.filter(connection__owner=user, connection__is_active=True, filled_at__gte=start)


def latest_run(user: User) -> ReconciliationRun | None:
    """The newest reconciliation of the active connection."""
    return ReconciliationRun.objects.filter(owner=user, connection__is_active=True).first()


def external_in(state: IntentState) -> Q:
    """The broker's words that make an order placed elsewhere count as ``state``."""
    words = {IntentState.FILLED: "COMPLETE", IntentState.CANCELLED: "CANCELLED", IntentState.REJECTED: "REJECTED"}
    if state in words:
        return Q(status=words[state])
    return ~Q(status__in=_FINAL_WORDS) if state is IntentState.WORKING else Q(pk__in=[])


def _time_and_id(row: OrderIntent | Order) -> tuple[datetime, str]:
    moment = row.created_at if isinstance(row, OrderIntent) else row.first_seen
    return moment, str(row.id)
