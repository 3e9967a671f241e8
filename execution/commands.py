"""The life of a modify or cancel: sent once, then settled by what the order's rows say (FAULTS A25-A26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from broker.domain import BrokerOrder, BrokerOrderStatus, ModifyOrder
from execution.domain import CommandState
from execution.lifecycle import IllegalTransition
from risk.domain import RequestKind


class CommandEvent(StrEnum):
    """What can happen to a command. ``refused`` is the broker's definite no, ``denied`` ours."""

    CLAIMED = "claimed"
    DENIED = "denied"
    ACKED = "acked"
    NOT_SENT = "not_sent"
    LOGIN_NEEDED = "login_needed"
    REFUSED = "refused"
    OUTCOME_UNKNOWN = "outcome_unknown"
    DONE = "done"
    TOO_LATE = "too_late"
    FAILED = "failed"


_S, _E = CommandState, CommandEvent

COMMAND_TRANSITIONS: Mapping[tuple[CommandState, CommandEvent], CommandState] = MappingProxyType(
    {
        (_S.PREPARED, _E.CLAIMED): _S.SENDING,
        (_S.NOT_SENT, _E.CLAIMED): _S.SENDING,
        (_S.PREPARED, _E.DENIED): _S.DENIED,
        (_S.NOT_SENT, _E.DENIED): _S.DENIED,
        (_S.SENDING, _E.DENIED): _S.DENIED,
        (_S.SENDING, _E.ACKED): _S.ACKED,
        (_S.SENDING, _E.NOT_SENT): _S.NOT_SENT,
        (_S.SENDING, _E.LOGIN_NEEDED): _S.PREPARED,  # provably not sent: a cancel waits for the login
        # Kite refuses with one text what is being processed, filled or cancelled (FACTS c8): the row tells which.
        (_S.SENDING, _E.REFUSED): _S.FAILED,
        (_S.SENDING, _E.OUTCOME_UNKNOWN): _S.UNKNOWN,
        (_S.FAILED, _E.TOO_LATE): _S.TOO_LATE,
        (_S.FAILED, _E.DONE): _S.DONE,
    }
    | {
        (state, event): target
        for state in (_S.ACKED, _S.UNKNOWN)
        for event, target in ((_E.DONE, _S.DONE), (_E.TOO_LATE, _S.TOO_LATE), (_E.FAILED, _S.FAILED))
    }
)


def apply_command(state: CommandState, event: CommandEvent) -> CommandState:
    """The state after ``event``. Raises IllegalTransition for a pair that is not in the table."""
    try:
        return COMMAND_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


def is_settled(state: CommandState) -> bool:
    """True once nothing more is to be found out about the command."""
    return state in (_S.DONE, _S.FAILED, _S.TOO_LATE, _S.DENIED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command was to bring about. A field that is None was not to change; a cancel has none."""

    kind: RequestKind
    quantity: int | None = None
    order_type: str | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


def wanted_of(order: ModifyOrder) -> Wanted:
    """What a modify, complete as it is sent, is to bring about."""
    return Wanted(
        RequestKind.MODIFY,
        quantity=order.quantity,
        order_type=order.order_type.value,
        limit_price=order.limit_price,
        trigger_price=order.trigger_price,
    )


def settle(wanted: Wanted, rows: Sequence[BrokerOrder]) -> CommandEvent | None:
    """What the order's rows since the send say of the command, oldest first, the last being how it stands now.

    None while they do not tell yet. A cancel that met a fill is TOO_LATE, never repeated.
    """
    if not rows:
        return None
    last = rows[-1]
    if wanted.kind is RequestKind.CANCEL:
        return _settle_cancel(last, rows)
    if _holds(wanted, last):
        return CommandEvent.DONE
    if last.is_final:
        return CommandEvent.TOO_LATE
    return CommandEvent.FAILED if _says(rows, BrokerOrderStatus.NOT_MODIFIED) else None


def _settle_cancel(last: BrokerOrder, rows: Sequence[BrokerOrder]) -> CommandEvent | None:
    if last.status == BrokerOrderStatus.CANCELLED:
        return CommandEvent.DONE
    if last.is_final:
        return CommandEvent.TOO_LATE
    return CommandEvent.FAILED if _says(rows, BrokerOrderStatus.NOT_CANCELLED) else None


def _says(rows: Sequence[BrokerOrder], word: BrokerOrderStatus) -> bool:
    return any(row.status == word for row in rows)


def _holds(wanted: Wanted, order: BrokerOrder) -> bool:
    """True if the row stands with every wanted value; a row still on its way to being modified does not."""
    if order.status in (BrokerOrderStatus.MODIFY_VALIDATION_PENDING, BrokerOrderStatus.MODIFY_PENDING):
        return False
    pairs: tuple[tuple[object, object], ...] = (
        (wanted.quantity, order.quantity),
        (wanted.order_type, order.order_type),
        (wanted.limit_price, order.price),
        (wanted.trigger_price, order.trigger_price),
    )
    return all(want is None or want == found for want, found in pairs)
