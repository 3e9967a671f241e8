"""What the end of a trading day means for orders of the day before: gone for certain, or for a person to look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Max, Q

from broker import calendar
from broker.domain import Validity, Variety
from execution import alarms, days
from execution.domain import IntentState
from execution.lifecycle import IntentEvent, apply
from execution.models import Order, OrderIntent
from sigmatrader.audit.recording import Recorder, recording

_WITH_SPANS = ("NSE", "BSE", "NFO", "BFO")  # derivatives close before the shares' last phase does
_LAST_LOOK = timedelta(minutes=2)  # of a market that trades until its day rolls


def close_the_day(now: datetime) -> int:
    """Settles what the new day's book cannot tell of; returns how many orders need a person (FAULTS A32).

    A row that was just found in the new book has its next look ahead; one that was not is still due.
    """
    before_today = Q(created_at__lt=days.day_start(now))
    at_broker = Q(state__in=[IntentState.ACKED.value, IntentState.WORKING.value], next_check_at__lte=now)
    unknown = Q(state=IntentState.AMBIGUOUS.value)
    ended = _each(before_today & at_broker, _end, now=now)
    return ended + _each(before_today & unknown, _give_up, now=now)


def is_certain(row: OrderIntent) -> bool:
    """Whether the order ended unfilled with its day: a DAY order that the book still showed after its market closed."""
    if row.validity != Validity.DAY.value or row.variety != Variety.REGULAR.value:
        return False
    seen = Order.objects.filter(intent=row).aggregate(at=Max("last_read"))["at"]
    return seen is not None and seen >= closing_time(row)


def closing_time(row: OrderIntent) -> datetime:
    """From when on the order could not fill any more on the day it was made, as aware UTC."""
    day_end = days.day_end(row.created_at)
    if not row.connection.is_live:
        return day_end - _LAST_LOOK
    day = calendar.trading_day(row.created_at, practice=False)
    exchange = row.symbol.partition(":")[0]
    spans = calendar.default_calendar().spans(day, in_closing_auction=True) if exchange in _WITH_SPANS else ()
    return max((calendar.at_ist(day, span.end) for span in spans), default=day_end - _LAST_LOOK)


def _each(which: Q, settle: Callable[[Recorder, OrderIntent], bool], *, now: datetime) -> int:
    """One short transaction a row, on the row as it stands then; counts those that need a person."""
    count = 0
    for intent_id in list(OrderIntent.objects.filter(which).order_by("id").values_list("id", flat=True)):
        with recording(now) as record:
            rows = OrderIntent.objects.select_for_update(of=("self",), no_key=True).select_related("connection")
            row = rows.filter(which, pk=intent_id).first()
            count += row is not None and settle(record, row)
    return count


def _end(record: Recorder, row: OrderIntent) -> bool:
    """Cancelled where that is certain; else it may have filled after the last look at a book that is gone now."""
    if not is_certain(row):
        _to_review(record, row)
        alarms.ended_unseen(row, now=record.now)
        return True
    before = row.state
    row.state = apply(IntentState(before), IntentEvent.CANCELLED).value
    row.next_check_at, row.updated_at, row.status_message = None, record.now, "It ended with its trading day."
    row.save()
    data = {"intent": row.id, "from": before, "to": row.state, "filled": row.filled_quantity}
    record.event(row.correlation_id, "order.cancelled", {**data, "reason": "end of day"})
    return False


def _give_up(record: Recorder, row: OrderIntent) -> bool:
    _to_review(record, row)
    alarms.unresolved(row, now=record.now)
    return True


def _to_review(record: Recorder, row: OrderIntent) -> None:
    before = row.state
    row.state = apply(IntentState(before), IntentEvent.UNRESOLVED).value
    row.next_check_at, row.updated_at = None, record.now
    row.save()
    record.event(row.correlation_id, "order.needs_review", {"intent": row.id, "from": before, "to": row.state})
