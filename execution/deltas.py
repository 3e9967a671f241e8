"""The differences a reconciliation can find, each with its severity and what can be done about it.

Severities and remedies follow CONTROLS section 3. No remedy trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.domain import BrokerOrder, Side, Trade
from execution.domain import IntentView
from sigmatrader.audit.vocabulary import Severity


class DeltaCode(StrEnum):
    POSITION_DIFFERS = "POSITION_DIFFERS"
    POSITION_SIGN = "POSITION_SIGN"
    ORDER_MISSING_AT_BROKER = "ORDER_MISSING_AT_BROKER"
    ORDER_STATUS_BEHIND = "ORDER_STATUS_BEHIND"
    FILL_MISSING = "FILL_MISSING"
    FILL_EXCESS = "FILL_EXCESS"
    EXTERNAL_ORDER = "EXTERNAL_ORDER"
    ORPHAN_TAGGED_ORDER = "ORPHAN_TAGGED_ORDER"
    CASH_DIFFERS = "CASH_DIFFERS"


class DeltaAction(StrEnum):
    """What can be done about a difference. None of them trades."""

    REFETCH = "refetch"
    LOOK_UP = "look_up"
    BOOK_FILL = "book_fill"
    ADOPT_EXTERNAL = "adopt_external"
    ACCEPT_DIFFERENCE = "accept_difference"
    FREEZE_SYMBOL = "freeze_symbol"


_LABELS: Mapping[DeltaAction, str] = {
    DeltaAction.REFETCH: "Read the broker's books again",
    DeltaAction.LOOK_UP: "Look the order up at the broker",
    DeltaAction.BOOK_FILL: "Book the missing fill",
    DeltaAction.ADOPT_EXTERNAL: "Record it as made elsewhere",
    DeltaAction.ACCEPT_DIFFERENCE: "Take over the broker's figure",
    DeltaAction.FREEZE_SYMBOL: "Allow exits only until it is cleared",
}
_A = DeltaAction
_RULES: Mapping[DeltaCode, tuple[Severity, tuple[DeltaAction, ...]]] = {
    DeltaCode.POSITION_DIFFERS: (Severity.HIGH, (_A.REFETCH, _A.ACCEPT_DIFFERENCE)),
    DeltaCode.POSITION_SIGN: (Severity.CRITICAL, (_A.REFETCH, _A.ACCEPT_DIFFERENCE)),
    DeltaCode.ORDER_MISSING_AT_BROKER: (Severity.HIGH, (_A.LOOK_UP, _A.REFETCH)),
    DeltaCode.ORDER_STATUS_BEHIND: (Severity.MEDIUM, (_A.LOOK_UP, _A.REFETCH)),
    DeltaCode.FILL_MISSING: (Severity.MEDIUM, (_A.BOOK_FILL, _A.REFETCH)),
    DeltaCode.FILL_EXCESS: (Severity.HIGH, (_A.REFETCH, _A.FREEZE_SYMBOL)),
    DeltaCode.EXTERNAL_ORDER: (Severity.LOW, (_A.ADOPT_EXTERNAL, _A.REFETCH)),
    DeltaCode.ORPHAN_TAGGED_ORDER: (Severity.CRITICAL, (_A.LOOK_UP, _A.ADOPT_EXTERNAL)),
    DeltaCode.CASH_DIFFERS: (Severity.LOW, (_A.REFETCH, _A.ACCEPT_DIFFERENCE)),
}
RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Delta:
    """One difference with what can be done about it. ``subject`` is our intent's id, if it is about one."""

    code: DeltaCode
    summary: str
    expected: str
    actual: str
    difference: str = ""
    symbol: str = ""
    product: str = ""
    subject: str = ""
    broker_order_id: str = ""
    trade_id: str = ""

    @property
    def severity(self) -> Severity:
        return _RULES[self.code][0]

    @property
    def actions(self) -> tuple[DeltaAction, ...]:
        return _RULES[self.code][1]

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """The same for the same difference found again, whatever its size has become."""
        return (
            "reconciliation",
            self.code.value,
            self.symbol,
            self.product,
            self.subject,
            self.broker_order_id,
            self.trade_id,
        )

    def document(self) -> dict[str, object]:
        """The JSON-able form, remedies included."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "summary": self.summary,
            "expected": self.expected,
            "actual": self.actual,
            "difference": self.difference,
            "symbol": self.symbol,
            "product": self.product,
            "subject": self.subject,
            "broker_order_id": self.broker_order_id,
            "trade_id": self.trade_id,
            "remedies": self.remedies(),
        }

    def remedies(self) -> list[dict[str, object]]:
        """The actions as an ExceptionRecord lists them, the suggested one first."""
        return [{"action": word.value, "label": _LABELS[word], "trades": False} for word in self.actions]


def missing_order(intent: IntentView) -> Delta:
    return Delta(
        DeltaCode.ORDER_MISSING_AT_BROKER,
        f"Order {intent.broker_order_id} is {intent.state} here and not in the broker's book.",
        expected=intent.state.value,
        actual="absent",
        symbol=intent.symbol,
        product=intent.product.value,
        subject=intent.id,
        broker_order_id=intent.broker_order_id,
    )


def order_deltas(intent: IntentView, row: BrokerOrder) -> Iterator[Delta]:
    """Fills and end of one order of ours; a difference in fills says more than one in the word."""
    if row.filled_quantity != intent.filled_quantity:
        behind = row.filled_quantity > intent.filled_quantity
        yield _order_delta(
            DeltaCode.FILL_MISSING if behind else DeltaCode.FILL_EXCESS,
            intent,
            expected=f"{intent.filled_quantity} filled",
            actual=f"{row.filled_quantity} filled",
            difference=f"{row.filled_quantity - intent.filled_quantity:+d}",
        )
    elif row.is_final and intent.state.is_in_flight:
        yield _order_delta(DeltaCode.ORDER_STATUS_BEHIND, intent, expected=intent.state.value, actual=row.status)


def _order_delta(code: DeltaCode, intent: IntentView, *, expected: str, actual: str, difference: str = "") -> Delta:
    return Delta(
        code,
        f"Order {intent.broker_order_id} of {intent.symbol}: {expected} here, {actual} at the broker.",
        expected=expected,
        actual=actual,
        difference=difference,
        symbol=intent.symbol,
        product=intent.product.value,
        subject=intent.id,
        broker_order_id=intent.broker_order_id,
    )


def foreign_order(order: BrokerOrder, *, tagged: bool) -> Delta:
    what = f"{order.side} {order.quantity} {order.symbol}"
    return Delta(
        DeltaCode.ORPHAN_TAGGED_ORDER if tagged else DeltaCode.EXTERNAL_ORDER,
        f"Order {order.broker_order_id} ({what}) bears our tag and is not in our records."
        if tagged
        else f"Order {order.broker_order_id} ({what}) was made elsewhere.",
        expected="no order",
        actual=order.status,
        symbol=order.symbol,
        product=order.product,
        broker_order_id=order.broker_order_id,
    )


def missing_fill(trade: Trade) -> Delta:
    sign = "+" if trade.side == Side.BUY else "-"
    return Delta(
        DeltaCode.FILL_MISSING,
        f"Trade {trade.trade_id}: {trade.side} {trade.quantity} {trade.symbol} is not in our ledger.",
        expected="booked",
        actual="not booked",
        difference=f"{sign}{trade.quantity}",
        symbol=trade.symbol,
        product=trade.product,
        broker_order_id=trade.broker_order_id,
        trade_id=trade.trade_id,
    )
