"""One intent against one complete read of the book: adopt, follow, miss, give up. Evidence commits with state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError

from broker.domain import BrokerOrder, Product, Side
from execution import alarms, days
from execution.domain import IntentState, IntentView
from execution.lifecycle import (
    FieldDifference,
    IntentEvent,
    Observation,
    apply,
    compare_sent,
    is_adoptable,
    observe,
)
from execution.models import OrderIntent
from execution.outcomes import placement_fingerprint, raise_rejected
from execution.recovery_rules import (
    Match,
    MatchKind,
    is_exhausted,
    match_by_tag,
    merge_children,
    next_lookup,
    next_poll,
)
from execution.requests import place_of
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import close_fingerprint

_MOST_LOOKUPS = 32_767


def apply_book(intent: OrderIntent, orders: Sequence[BrokerOrder], *, now: datetime) -> None:
    """Says what a complete, valid book says of this intent and stores it. Idempotent."""
    match = _find(intent, orders)
    if match.kind is MatchKind.DUPLICATE:
        alarms.duplicate_tag(intent, match.rows, now=now)
    elif match.order is not None:
        try:
            _follow(intent, match, now=now)
        except IntegrityError:  # the row is another intent's already: it bears the tags of both
            alarms.duplicate_tag(intent, match.rows, now=now)
    elif intent.state == IntentState.AMBIGUOUS.value:
        _miss(intent, len(orders), now=now)


def view_of(row: OrderIntent) -> IntentView:
    """The row as the pure rules see it."""
    return IntentView(
        id=str(row.id), symbol=row.symbol, side=Side(row.side), product=Product(row.product), quantity=row.quantity,
        state=IntentState(row.state), tag=row.tag, broker_order_id=row.broker_order_id,
        filled_quantity=row.filled_quantity, average_price=row.average_price, updated_at=row.updated_at,
    )  # fmt: skip


def _find(intent: OrderIntent, orders: Sequence[BrokerOrder]) -> Match:
    by_tag = match_by_tag(
        intent.tag, orders, symbol=intent.symbol, side=Side(intent.side), quantity=intent.quantity,
        product=Product(intent.product), since=intent.created_at,
    )  # fmt: skip
    if by_tag.kind is not MatchKind.NONE or not intent.broker_order_id:
        return by_tag
    wanted = intent.broker_order_id
    rows = tuple(row for row in orders if wanted in (row.broker_order_id, row.parent_order_id))
    return Match(MatchKind.ONE, merge_children(rows), rows) if rows else by_tag


def _follow(intent: OrderIntent, match: Match, *, now: datetime) -> None:
    order = match.order
    if order is None:
        return
    seen = observe(view_of(intent), order)
    if not seen.changed and intent.broker_status == seen.broker_status and intent.lookups:
        _next_look(intent, now=now)
        return
    with recording(now) as record:
        row = _locked(intent)
        seen = observe(view_of(row), order)
        before, first_look = row.state, row.lookups == 0 or is_adoptable(IntentState(row.state))
        _store(row, order, seen, now=now)
        _tell(record, row, before, order, seen)
        _warn(row, order, seen, _differences(row, order) if first_look else (), match if first_look else None, now=now)


def _store(row: OrderIntent, order: BrokerOrder, seen: Observation, *, now: datetime) -> None:
    adopted = IntentEvent.FOUND in seen.events
    row.state = seen.state.value
    row.filled_quantity = seen.filled_quantity
    row.average_price = seen.average_price
    row.broker_status = seen.broker_status[:40]
    row.broker_order_id = row.broker_order_id or seen.broker_order_id
    row.status_message = order.status_message[:500]
    row.acked_at = row.acked_at or now
    row.lookups = 1 if adopted else _counted(row)
    row.next_check_at = None if seen.state.is_terminal else next_poll(row.lookups, working_since=row.acked_at, now=now)
    row.updated_at = now
    row.save()


def _tell(record: Recorder, row: OrderIntent, before: str, order: BrokerOrder, seen: Observation) -> None:
    cid, base = row.correlation_id, {"intent": row.id, "broker_order_id": seen.broker_order_id}
    if IntentEvent.FOUND in seen.events:
        record.event(cid, "lookup.hit", {**base, "from": before, "late": seen.late, "status": order.status})
        fingerprint = placement_fingerprint(row)
        close_fingerprint(fingerprint=fingerprint, note="Found by its tag.", actor="recovery", now=record.now)
    if seen.ignored and not seen.events:
        record.event(cid, "status.ignored", {**base, "status": order.status})
        return
    data = {**base, "from": before, "to": row.state, "status": order.status, "filled": seen.filled_quantity,
            "average_price": seen.average_price, "message": order.status_message[:200]}  # fmt: skip
    record.event(cid, "status.change", data)


def _warn(
    row: OrderIntent,
    order: BrokerOrder,
    seen: Observation,
    differences: Sequence[FieldDifference],
    read_back: Match | None,
    *,
    now: datetime,
) -> None:
    """``read_back`` is the match of the first look after our send; a later change is not a mismatch (FAULTS A29)."""
    if seen.late:
        alarms.late_arrival(row, now=now)
    if differences or (read_back is not None and read_back.mismatched) or seen.overfill:
        alarms.mismatch(row, order, differences, now=now)
    if seen.regression:
        alarms.regression(row, order, now=now)
    if seen.unknown_status:
        alarms.unknown_status(row, order, now=now)
    if IntentEvent.REJECTED in seen.events:
        raise_rejected(row, order.status_message, now=now)


def _differences(row: OrderIntent, order: BrokerOrder) -> tuple[FieldDifference, ...]:
    return compare_sent(place_of(row), order)


def _locked(intent: OrderIntent) -> OrderIntent:
    rows = OrderIntent.objects.select_for_update(of=("self",), no_key=True).select_related("connection", "owner")
    return rows.get(pk=intent.pk)


def _next_look(intent: OrderIntent, *, now: datetime) -> None:
    since = intent.acked_at or intent.created_at
    due = next_poll(intent.lookups + 1, working_since=since, now=now)
    OrderIntent.objects.filter(pk=intent.pk, state=intent.state).update(next_check_at=due, lookups=_counted(intent))


def _counted(row: OrderIntent) -> int:
    """One look more, as far as the column counts: an order that rests for days is looked at often."""
    return min(row.lookups + 1, _MOST_LOOKUPS)


def _miss(intent: OrderIntent, rows_read: int, *, now: datetime) -> None:
    """A due look-up that found nothing; the last one gives up, and the tag stays watched until the day ends.

    The book of a new day says nothing of an order of the day before (FAULTS A32).
    """
    if intent.next_check_at is not None and intent.next_check_at > now:
        return
    if intent.created_at < days.day_start(now):
        return
    with recording(now) as record:
        row = _locked(intent)
        if row.state != IntentState.AMBIGUOUS.value or row.lookups != intent.lookups:
            return
        since = row.unknown_since or row.created_at
        row.lookups += 1
        row.updated_at = now
        data = {"intent": row.id, "look_up": row.lookups, "rows_read": rows_read}
        record.event(row.correlation_id, "lookup.miss", data)
        if is_exhausted(row.lookups, unknown_since=since, now=now):
            _give_up(record, row, now=now)
        else:
            row.next_check_at = next_lookup(row.lookups, unknown_since=since) or since
            row.save()


def _give_up(record: Recorder, row: OrderIntent, *, now: datetime) -> None:
    row.state = apply(IntentState(row.state), IntentEvent.GAVE_UP).value
    row.next_check_at = None
    row.watch_until = days.day_end(now)
    row.save()
    data = {"intent": row.id, "from": IntentState.AMBIGUOUS, "to": row.state, "look_ups": row.lookups}
    record.event(row.correlation_id, "order.not_placed", data)
    fingerprint = placement_fingerprint(row)
    close_fingerprint(fingerprint=fingerprint, note="Not found in eleven look-ups.", actor="recovery", now=now)
    alarms.not_found(row, now=now)
