"""What became of a modify or cancel, read from the order itself; never repeated blind (FAULTS A25, A26)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from broker.domain import BrokerOrder
from execution import commands
from execution.commands import CommandEvent, Wanted, apply_command, wanted_of
from execution.domain import CommandState
from execution.models import OrderCommand, OrderIntent
from execution.recovery_rules import LOOKUP_SCHEDULE_S
from execution.requests import modify_of
from risk.domain import RequestKind
from sigmatrader.audit.recording import recording

_RETRY_S = 0.5


def settle(command: OrderCommand, orders: Sequence[BrokerOrder], *, now: datetime) -> None:
    """Applies one complete read to one command. A command the book never answers is FAILED after three minutes."""
    rows = [row for row in orders if row.broker_order_id == command.order.broker_order_id]
    event = commands.settle(_wanted(command), rows)
    if event is None or not _applies(command, event):
        event = _out_of_time(command, now=now)
    if event is None:
        OrderCommand.objects.filter(pk=command.pk).update(
            next_check_at=now + timedelta(seconds=_RETRY_S), lookups=command.lookups + 1
        )
        return
    _store(command, event, now=now)


def _store(command: OrderCommand, event: CommandEvent, *, now: datetime) -> None:
    with recording(now) as record:
        rows = OrderCommand.objects.select_for_update(of=("self",), no_key=True).select_related("order")
        row = rows.get(pk=command.pk)
        if not _applies(row, event):
            OrderCommand.objects.filter(pk=row.pk).update(next_check_at=None)
            return
        before = row.state
        row.state = apply_command(CommandState(row.state), event).value
        row.next_check_at = None
        row.updated_at = now
        row.save()
        if event is CommandEvent.DONE and row.kind == RequestKind.MODIFY.value:
            _carry_over(row, now=now)
        word = f"{row.kind}.{event.value}"
        record.event(row.correlation_id, word, {"command": row.id, "from": before, "to": row.state})


def _carry_over(row: OrderCommand, *, now: datetime) -> None:
    """A modify that took makes its values those of the intent, so that later reads compare with what is wanted now."""
    if row.order.intent_id is None:
        return
    wanted = modify_of(row)
    price = wanted.limit_price if wanted.limit_price is not None else wanted.trigger_price
    OrderIntent.objects.filter(pk=row.order.intent_id).update(
        quantity=wanted.quantity, order_type=wanted.order_type.value, limit_price=wanted.limit_price,
        trigger_price=wanted.trigger_price, order_value=(price or 0) * wanted.quantity, updated_at=now,
    )  # fmt: skip


def _wanted(command: OrderCommand) -> Wanted:
    if command.kind == RequestKind.CANCEL.value:
        return Wanted(RequestKind.CANCEL)
    return wanted_of(modify_of(command))


def _applies(command: OrderCommand, event: CommandEvent) -> bool:
    return (CommandState(command.state), event) in commands.COMMAND_TRANSITIONS


def _out_of_time(command: OrderCommand, *, now: datetime) -> CommandEvent | None:
    since = command.sending_at or command.created_at
    if command.state == CommandState.FAILED.value:
        return CommandEvent.FAILED if (now - since).total_seconds() > LOOKUP_SCHEDULE_S[3] else None
    over = (now - since).total_seconds() > LOOKUP_SCHEDULE_S[-1]
    return CommandEvent.FAILED if over else None
