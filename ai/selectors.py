"""Reads of the assistant: the context of a connection, the conversations of a person, and what explains an order."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime

from django.db.models import QuerySet

from ai.context import Context
from ai.language.names import Catalog
from ai.models import ChatMessage, ChatThread, StreamEvent
from broker import instruments
from broker.domain import Books, InstrumentInfo, Quote
from broker.models import BrokerConnection
from execution.models import ActionCard, OrderIntent, TradePlan
from risk.models import RiskDecision
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import not_found

_lock = threading.Lock()
_catalogs: dict[str, tuple[dict[str, InstrumentInfo], Catalog]] = {}


def catalog_of(connection: BrokerConnection) -> Catalog:
    """The names of the connection's market; built once for each state of the master."""
    universe = instruments.universe_of(connection)
    master = instruments.infos(universe)
    with _lock:
        known = _catalogs.get(universe)
    if known is not None and known[0] is master:
        return known[1]
    catalog = Catalog(master.values())
    with _lock:
        _catalogs[universe] = (master, catalog)
    return catalog


def context_of(catalog: Catalog, books: Books, quotes: dict[str, Quote], *, now: datetime) -> Context:
    """What the reader may look at; a part of the books that was not read stays absent."""
    return Context(
        now=now, catalog=catalog, quotes={**books.quotes, **quotes}, holdings=books.holdings,
        positions=books.positions_net, orders=books.orders, margins=books.margins,
    )  # fmt: skip


def traded_since(connection: BrokerConnection, moment: datetime) -> bool:
    """True if an order of this connection moved after ``moment``: books read before it are not today's any more."""
    return OrderIntent.objects.filter(connection=connection, updated_at__gte=moment).exists()


def threads_of(user: User) -> QuerySet[ChatThread]:
    """The user's own conversations that were not deleted."""
    return ChatThread.objects.filter(owner=user, deleted_at__isnull=True)


def owned_thread(thread_id: uuid.UUID, user: User) -> ChatThread:
    """Raises Problem 404, also for another user's."""
    thread = threads_of(user).filter(pk=thread_id).first()
    if thread is None:
        raise not_found("conversation")
    return thread


def messages_of(thread: ChatThread) -> QuerySet[ChatMessage]:
    """Oldest first; a question stands before its answer also when both bear one time."""
    return thread.messages.order_by("created_at", "-role", "id")


def events_after(thread: ChatThread, after: int, limit: int = 500) -> list[StreamEvent]:
    """Stored events behind ``after``, in order."""
    return list(thread.stream_events.filter(pk__gt=after).order_by("pk")[:limit])


def is_running(thread: ChatThread) -> bool:
    return thread.messages.filter(role="assistant", state="partial", finished_at__isnull=True).exists()


def cards_by_id(ids: list[str], user: User) -> dict[str, ActionCard]:
    cards = ActionCard.objects.filter(owner=user, pk__in=ids).select_related("plan__decision", "connection")
    return {str(card.pk): card for card in cards}


def latest_denial(user: User, symbol: str = "") -> RiskDecision | None:
    """The newest decision that denied, of the share if one is named."""
    rows = RiskDecision.objects.filter(owner=str(user.pk), outcome="deny").order_by("-evaluated_at", "-id")
    if not symbol:
        return rows.first()
    plans = {str(plan.pk): plan for plan in _plans_of(rows[:50])}
    for row in rows[:50]:
        plan = plans.get(row.plan_id)
        if plan is not None and f":{symbol}" in plan.document:
            return row
    return None


def _plans_of(rows: QuerySet[RiskDecision]) -> list[TradePlan]:
    return list(TradePlan.objects.filter(pk__in=[row.plan_id for row in rows if row.plan_id]))


def latest_intent(user: User, *, symbol: str = "", broker_order_ids: list[str] | None = None) -> OrderIntent | None:
    """Our newest order of the share or with one of these broker ids."""
    rows = OrderIntent.objects.filter(owner=user).select_related("plan__card")
    if broker_order_ids:
        rows = rows.filter(broker_order_id__in=broker_order_ids)
    elif symbol:
        rows = rows.filter(symbol__endswith=f":{symbol}")
    return rows.order_by("-created_at", "-id").first()
