"""What came of a send, recorded: one short transaction each, conditional on the fencing number of the claim.

A holder that was fenced off meanwhile writes nothing but the hint: an ack that comes late is checked by look-up.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerError
from execution import alarms
from execution.commands import CommandEvent, apply_command
from execution.domain import CommandState, IntentState
from execution.lifecycle import IntentEvent, apply, can, is_late
from execution.models import Order, OrderCommand, OrderIntent
from execution.recovery_rules import next_lookup
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import close_fingerprint, fingerprint_digest, raise_exception
from sigmatrader.audit.vocabulary import ExceptionCode, ExceptionStatus, Severity

FIRST_POLL_S = 0.1
_ACK_STATUS = "PUT ORDER REQ RECEIVED"
_ACK_FIELDS = ("state", "broker_order_id", "broker_status", "acked_at", "updated_at", "next_check_at")


def acked(intent: OrderIntent, fence: int, broker_order_id: str, *, now: datetime) -> None:
    """The broker took the request and named it; not yet an acceptance (kite/FACTS c2)."""
    with recording(now) as record:
        row, event = intent, IntentEvent.ACKED
        if not _take_ack(row, fence, broker_order_id, now=now):
            row, event = _lock(intent), IntentEvent.FOUND
            if not can(IntentState(row.state), event):
                late = {"intent": row.id, "broker_order_id": broker_order_id}
                record.event(row.correlation_id, "mcp.late_reply", late)
                return
        before = row.state
        row.state = apply(IntentState(row.state), event).value
        for name, value in _ack_values(broker_order_id, now=now).items():
            setattr(row, name, value)
        if event is IntentEvent.FOUND:
            row.save(update_fields=_ACK_FIELDS)
        _first_row(row, now=now)
        data = {"intent": row.id, "from": before, "to": row.state, "broker_order_id": broker_order_id}
        record.event(row.correlation_id, "order.acked", data)
        if event is IntentEvent.FOUND:
            _came_late(row, IntentState(before), now=now)


def _take_ack(row: OrderIntent, fence: int, broker_order_id: str, *, now: datetime) -> bool:
    """The usual case by one conditional update: the row is still SENDING under our own fencing number."""
    mine = OrderIntent.objects.filter(pk=row.pk, state=IntentState.SENDING.value, fence=fence)
    return bool(mine.update(state=IntentState.ACKED.value, **_ack_values(broker_order_id, now=now)))


def _ack_values(broker_order_id: str, *, now: datetime) -> dict[str, object]:
    return {
        "broker_order_id": broker_order_id, "broker_status": _ACK_STATUS, "acked_at": now, "updated_at": now,
        "next_check_at": now + timedelta(seconds=FIRST_POLL_S),
    }  # fmt: skip


def _came_late(row: OrderIntent, before: IntentState, *, now: datetime) -> None:
    """The answer of a sender that was given up settles what was looked up, and contradicts a verdict (FAULTS A8)."""
    note = "Its answer came late."
    close_fingerprint(fingerprint=placement_fingerprint(row), note=note, actor="recovery", now=now)
    if is_late(before):
        alarms.late_arrival(row, now=now)


def unknown(intent: OrderIntent, fence: int, text: str, *, now: datetime) -> None:
    """It may be live: AMBIGUOUS, to be settled by its tag and never sent again."""
    with recording(now) as record:
        row = _lock(intent)
        if not _mine(row, fence):
            return
        make_ambiguous(record, row, text=text, now=now)


def make_ambiguous(record: Recorder, row: OrderIntent, *, text: str, now: datetime) -> None:
    """Moves a locked SENDING row to AMBIGUOUS and opens its exception, inside the caller's recording."""
    before = row.state
    row.state = apply(IntentState(row.state), IntentEvent.OUTCOME_UNKNOWN).value
    row.unknown_since = row.sending_at or now
    row.lookups = 0
    row.status_message = text[:500]
    row.next_check_at = next_lookup(0, unknown_since=row.unknown_since)
    row.updated_at = now
    row.save()
    data = {"intent": row.id, "from": before, "to": row.state, "tag": row.tag, "text": text[:200]}
    record.event(row.correlation_id, "send.unknown", data)
    raise_exception(
        code=ExceptionCode.PLACEMENT_UNKNOWN, type_="placement", severity=Severity.HIGH, now=now,
        summary=f"No answer came for {row.side} {row.quantity} {row.symbol}: it is looked up, never sent again.",
        fingerprint=placement_fingerprint(row), account=str(row.connection_id), owner=str(row.owner_id),
        symbol=row.symbol, subject=f"execution.order:{row.id}", correlation_id=row.correlation_id,
        expected="an answer to the order", actual="none",
        remedies=[{"action": "look_up", "label": "Look it up now", "trades": False}],
    )  # fmt: skip


def placement_fingerprint(row: OrderIntent) -> tuple[str, ...]:
    """What makes two reports of one unsettled placement the same exception."""
    return ("placement", str(row.id))


def not_sent(intent: OrderIntent, fence: int, error: BrokerError, *, now: datetime) -> None:
    """Provably never left us: NOT_SENT, which only a person sends again."""
    with recording(now) as record:
        row = _lock(intent)
        if not _mine(row, fence):
            return
        _move(record, row, IntentEvent.NOT_SENT, "send.not_sent", text=error.text, now=now)
        if isinstance(error, BrokerAuthExpired):
            require_login(row.connection, owner=str(row.owner_id), now=now)


def rejected(intent: OrderIntent, fence: int, error: BrokerError, *, now: datetime) -> None:
    """The broker's definite refusal at entry: there is no order."""
    with recording(now) as record:
        row = _lock(intent)
        if not _mine(row, fence):
            return
        _move(record, row, IntentEvent.REJECTED, "order.rejected", text=error.text, now=now)
        raise_rejected(row, error.text, now=now)


def raise_rejected(row: OrderIntent, text: str, *, now: datetime) -> None:
    """One exception per rejected order, with the broker's words as quoted text."""
    raise_exception(
        code=ExceptionCode.ORDER_REJECTED, type_="order", severity=Severity.MEDIUM, now=now,
        summary=f"The broker rejected {row.side} {row.quantity} {row.symbol}.",
        fingerprint=("rejected", str(row.id)), account=str(row.connection_id), owner=str(row.owner_id),
        symbol=row.symbol, subject=f"execution.order:{row.id}", correlation_id=row.correlation_id,
        expected="accepted", actual=text[:300],
    )  # fmt: skip


def fenced(intent: OrderIntent, *, now: datetime) -> None:
    """This process woke up too late to send: it did not, and look-ups will show that (FAULTS A19)."""
    with recording(now) as record:
        row = _lock(intent)
        record.event(row.correlation_id, "egress.fenced", {"intent": row.id, "state": row.state, "fence": row.fence})


def throttled(model: type[OrderIntent] | type[OrderCommand], pk: uuid.UUID, *, now: datetime) -> None:
    """The rate budget is spent: it stays prepared and the sweep tries again while the approval lasts."""
    with recording(now) as record:
        rows = model._default_manager.filter(pk=pk)
        rows.update(next_check_at=now + timedelta(seconds=1))
        for correlation_id in rows.values_list("correlation_id", flat=True):
            record.event(correlation_id, "egress.throttled", {"subject": pk})


def command_moved(command: OrderCommand, fence: int, event: CommandEvent, text: str, *, now: datetime) -> None:
    """The outcome of a modify or cancel, as far as the answer tells."""
    with recording(now) as record:
        row = OrderCommand.objects.select_for_update(no_key=True).get(pk=command.pk)
        if row.state != CommandState.SENDING.value or row.fence != fence:
            return
        before = row.state
        row.state = apply_command(CommandState(row.state), event).value
        row.detail = text[:500]
        row.next_check_at = now + timedelta(seconds=FIRST_POLL_S)
        row.updated_at = now
        row.save()
        word = f"{row.kind}.unknown" if event is CommandEvent.OUTCOME_UNKNOWN else f"{row.kind}.{event.value}"
        record.event(row.correlation_id, word, {"command": row.id, "from": before, "to": row.state, "text": text[:200]})


def command_needs_login(command: OrderCommand, fence: int, text: str, *, now: datetime) -> None:
    """It did not leave, as a login is due: a cancel waits for that, a modify has to be asked for again."""
    event = CommandEvent.LOGIN_NEEDED if command.kind == "cancel" else CommandEvent.NOT_SENT
    with recording(now):
        command_moved(command, fence, event, text or "The broker session needs a login.", now=now)
        require_login(command.connection, owner=str(command.connection.owner_id), now=now)


def command_lapsed(command: OrderCommand, text: str, *, now: datetime) -> None:
    """A command that never left and has nothing to be about any more."""
    with recording(now) as record:
        row = OrderCommand.objects.select_for_update(no_key=True).get(pk=command.pk)
        if row.state != CommandState.PREPARED.value:
            return
        row.state = apply_command(CommandState.PREPARED, CommandEvent.DENIED).value
        row.detail, row.next_check_at, row.updated_at = text[:500], None, now
        row.save()
        record.event(row.correlation_id, "egress.denied", {"command": row.id, "code": "DAY_OVER", "detail": text})


def require_login(connection: BrokerConnection, *, owner: str, now: datetime) -> None:
    """One clear state and one notice: sends wait until a person has logged in (FAULTS A33)."""
    fresh = BrokerConnection.objects.filter(pk=connection.pk).exclude(authorized=False).update(authorized=False)
    connection.authorized = False
    if not fresh and has_open_fingerprint(token_fingerprint(connection)):
        return
    raise_exception(
        code=ExceptionCode.TOKEN_EXPIRED, type_="session", severity=Severity.HIGH, now=now,
        summary="The broker session needs a log-in; sends are paused until then.",
        fingerprint=token_fingerprint(connection), account=str(connection.pk), owner=owner,
        expected="an authorised session", actual="log-in required",
    )  # fmt: skip


def login_seen(connection: BrokerConnection, *, now: datetime) -> None:
    """The broker answered what only a logged-in session gets: sends go on, and the notice resolves by itself."""
    BrokerConnection.objects.filter(pk=connection.pk, authorized=False).update(authorized=True)
    connection.authorized = True
    close_fingerprint(
        fingerprint=token_fingerprint(connection), note="The session is authorised again.", actor="recovery", now=now
    )


def token_fingerprint(connection: BrokerConnection) -> tuple[str, ...]:
    """What makes two reports of one connection's missing login the same exception."""
    return ("token", str(connection.pk))


def has_open_fingerprint(fingerprint: tuple[str, ...]) -> bool:
    """Whether the exception of this cause stands, in whatever hands it is."""
    found = ExceptionRecord.objects.filter(fingerprint=fingerprint_digest(fingerprint))
    return found.exclude(status=ExceptionStatus.RESOLVED.value).exists()


def _move(record: Recorder, row: OrderIntent, event: IntentEvent, word: str, *, text: str, now: datetime) -> None:
    before = row.state
    row.state = apply(IntentState(row.state), event).value
    row.status_message = text[:500]
    row.next_check_at = None
    row.updated_at = now
    row.save()
    data = {"intent": row.id, "from": before, "to": row.state, "attempt": row.attempts, "text": text[:200]}
    record.event(row.correlation_id, word, data)


def _first_row(row: OrderIntent, *, now: datetime) -> None:
    """The order's row in our copy of the book; one that a read has already brought stays as it is."""
    order = Order(
        connection_id=row.connection_id, broker_order_id=row.broker_order_id, owner_id=row.owner_id, intent=row,
        symbol=row.symbol, side=row.side, quantity=row.quantity, order_type=row.order_type,
        limit_price=row.limit_price, trigger_price=row.trigger_price, product=row.product, validity=row.validity,
        variety=row.variety, status=_ACK_STATUS, tag=row.tag, placed_at=now, first_seen=now, last_read=now,
    )  # fmt: skip
    Order.objects.bulk_create([order], ignore_conflicts=True)


def _lock(intent: OrderIntent) -> OrderIntent:
    return OrderIntent.objects.select_for_update(of=("self",), no_key=True).get(pk=intent.pk)


def _mine(row: OrderIntent, fence: int) -> bool:
    return row.state == IntentState.SENDING.value and row.fence == fence
