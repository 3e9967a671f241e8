"""What must not pass unseen: exceptions of the order path, and the brakes some of them pull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from broker.domain import BrokerOrder
from execution.lifecycle import FieldDifference
from execution.models import OrderIntent
from risk.domain import TradingStateName
from risk.selectors import STRICTNESS, trading_state_for
from risk.services import tighten_trading_state
from sigmatrader.audit.services import raise_exception
from sigmatrader.audit.vocabulary import ExceptionCode, Severity

NOT_PLACED = "close_not_placed"
NOT_PLACED_REMEDY = {"action": NOT_PLACED, "label": "It was not placed: close it", "trades": False}
ENDED = "close_ended"
ENDED_REMEDY = {"action": ENDED, "label": "It ended without another fill: close it", "trades": False}


def duplicate_tag(row: OrderIntent, rows: Sequence[BrokerOrder], *, now: datetime) -> None:
    """Two unrelated orders bear one tag: execution on the account stops (FAULTS A28)."""
    ids = ", ".join(order.broker_order_id for order in rows)
    _raise(
        row, ExceptionCode.DUPLICATE_TAG, Severity.CRITICAL, now=now,
        summary=f"Two unrelated orders at the broker bear the tag of {row.side} {row.quantity} {row.symbol}.",
        expected="one order", actual=ids,
    )  # fmt: skip
    _brake(row, TradingStateName.HALTED, f"Two orders bear one tag: {ids}", now=now)


def mismatch(row: OrderIntent, order: BrokerOrder, differences: Sequence[FieldDifference], *, now: datetime) -> None:
    """The broker holds something else than we sent, or filled more: exits only until a person looked (FAULTS A29)."""
    words = "; ".join(f"{d.field}: sent {d.sent}, found {d.found}" for d in differences) or "more filled than ordered"
    _raise(
        row, ExceptionCode.ORDER_MISMATCH, Severity.CRITICAL, now=now,
        summary=f"The broker's order {order.broker_order_id} is not what was sent.",
        expected=f"{row.side} {row.quantity} {row.symbol} {row.product}",
        actual=f"{order.side} {order.quantity} {order.symbol} {order.product}, {order.filled_quantity} filled",
        difference=words,
    )  # fmt: skip
    _brake(row, TradingStateName.REDUCING, f"Order mismatch: {words}", now=now)


def late_arrival(row: OrderIntent, *, now: datetime) -> None:
    """An order turned up after the verdict that it was not there (FAULTS A8)."""
    _raise(
        row, ExceptionCode.LATE_ARRIVAL, Severity.CRITICAL, now=now,
        summary=f"{row.side} {row.quantity} {row.symbol} turned up after it was given up; do not place it again.",
        expected="no order at the broker", actual=f"order {row.broker_order_id}",
    )  # fmt: skip


def not_found(row: OrderIntent, *, now: datetime) -> None:
    """Eleven look-ups in three minutes did not find it: it was not placed, and is never sent again by itself."""
    _raise(
        row, ExceptionCode.PLACEMENT_NOT_FOUND, Severity.MEDIUM, now=now,
        summary=f"{row.side} {row.quantity} {row.symbol} did not reach the broker.",
        expected="an order in the broker's book", actual="none in eleven look-ups",
    )  # fmt: skip


def regression(row: OrderIntent, order: BrokerOrder, *, now: datetime) -> None:
    """The broker took back a final word; ours stays as it is until a person looked (FAULTS A21)."""
    _raise(
        row, ExceptionCode.STATUS_REGRESSION, Severity.HIGH, now=now,
        summary=f"The broker now calls {row.symbol} {order.status} after {row.state}.",
        expected=row.state, actual=order.status,
    )  # fmt: skip


def unknown_status(row: OrderIntent, order: BrokerOrder, *, now: datetime) -> None:
    """A status word nobody documented: it counts as in flight and polling goes on (FAULTS A22)."""
    _raise(
        row, ExceptionCode.BROKER_SCHEMA, Severity.LOW, now=now,
        summary=f"The broker uses a status we do not know: {order.status[:40]}.",
        expected="a known status", actual=order.status[:40],
    )  # fmt: skip


def unresolved(row: OrderIntent, *, now: datetime) -> None:
    """The trading day ends and nobody knows: a person has to look at the broker's own records (FAULTS A32)."""
    _raise(
        row, ExceptionCode.PLACEMENT_UNRESOLVED, Severity.CRITICAL, now=now,
        summary=f"Whether {row.side} {row.quantity} {row.symbol} was placed could not be found out today.",
        expected="a settled order", actual="unknown at the end of the day",
        remedies=(NOT_PLACED_REMEDY,),
    )  # fmt: skip


def ended_unseen(row: OrderIntent, *, now: datetime) -> None:
    """It was working when its book was last read, and that book is gone: it may have filled meanwhile (FAULTS A32)."""
    rest = row.quantity - row.filled_quantity
    _raise(
        row, ExceptionCode.PLACEMENT_UNRESOLVED, Severity.CRITICAL, now=now,
        summary=f"Nobody read the book between the last look at {row.side} {row.quantity} {row.symbol} and its close.",
        expected="a filled, cancelled or rejected order",
        actual=f"{row.filled_quantity} filled when last seen; what became of {rest} is not known",
        remedies=(ENDED_REMEDY,),
    )  # fmt: skip


def partial_plan(row: OrderIntent, reason: str, *, now: datetime) -> None:
    """Some legs are at the broker and this one will not follow: a person decides what becomes of the rest (A18)."""
    _raise(
        row, ExceptionCode.PARTIAL_PLAN, Severity.HIGH, now=now,
        summary=f"Leg {row.leg_n}, {row.side} {row.quantity} {row.symbol}, was not sent; other legs of its plan were.",
        expected="all legs of the plan", actual=reason, remedies=(NOT_PLACED_REMEDY,),
    )  # fmt: skip


def _raise(
    row: OrderIntent,
    code: ExceptionCode,
    severity: Severity,
    *,
    now: datetime,
    summary: str,
    expected: str,
    actual: str,
    difference: str = "",
    remedies: Sequence[Mapping[str, object]] = (),
) -> None:
    raise_exception(
        code=code, type_="order", severity=severity, now=now, summary=summary, fingerprint=(code.value, str(row.id)),
        account=str(row.connection_id), owner=str(row.owner_id), symbol=row.symbol, expected=expected, actual=actual,
        difference=difference, subject=f"execution.order:{row.id}", correlation_id=row.correlation_id,
        remedies=remedies,
    )  # fmt: skip


def _brake(row: OrderIntent, state: TradingStateName, reason: str, *, now: datetime) -> None:
    """Pulled once, and never loosened: a brake that is as strict already stays as it is."""
    current, _why = trading_state_for(str(row.connection_id), now=now)
    if STRICTNESS[current] >= STRICTNESS[state]:
        return
    tighten_trading_state(
        scope=str(row.connection_id), state=state, actor="execution", now=now, reason=reason,
        correlation_id=row.correlation_id,
    )  # fmt: skip
