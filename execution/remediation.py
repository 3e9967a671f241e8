"""What a person can do about a difference. None of these trades: they read again, or take over the broker's figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from broker.models import BrokerConnection
from execution import poller, reconciler
from execution.alarms import ENDED, NOT_PLACED
from execution.blocks import ACCEPT_TOOLS, changed_order_tools, tools_fingerprint
from execution.deltas import DeltaAction
from execution.domain import IntentState
from execution.ledger import LedgerPosition, adjustment_entries
from execution.lifecycle import IntentEvent, apply
from execution.models import Fill, LedgerEntry, OrderIntent, ReconciliationRun
from risk.domain import TradingStateName
from risk.services import set_trading_state
from sigmatrader.accounts.models import User
from sigmatrader.audit import registry
from sigmatrader.audit.api.problems import Problem, conflict
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.recording import recording
from sigmatrader.audit.registry import RemedyRequest
from sigmatrader.audit.services import fingerprint_digest, note_exception, resolve_exception
from sigmatrader.audit.vocabulary import TraceOutcome

Step = Callable[[RemedyRequest, BrokerConnection], str]


def register() -> None:
    """Makes every remedy known by its action's name."""
    steps: Mapping[str, Step] = {
        DeltaAction.REFETCH.value: lambda _request, _connection: "The broker's books were read again.",
        DeltaAction.LOOK_UP.value: _look_up,
        DeltaAction.BOOK_FILL.value: _book_fill,
        DeltaAction.ADOPT_EXTERNAL.value: _adopt,
        "accept_external": _adopt,
        DeltaAction.ACCEPT_DIFFERENCE.value: _accept,
        DeltaAction.FREEZE_SYMBOL.value: _freeze,
        NOT_PLACED: _close_not_placed,
        ENDED: _close_ended,
        ACCEPT_TOOLS: _accept_tools,
    }
    for action, step in steps.items():
        registry.register_remedy(action, _traced(action, step))


def _traced(action: str, step: Step) -> registry.Remedy:
    """The remedy as a story of its own, with a reconciliation after it that shows what it did."""

    def run(request: RemedyRequest) -> Mapping[str, object]:
        exception, now = request.exception, request.now
        connection = BrokerConnection.objects.select_related("owner").get(pk=exception.account)
        cid = request.correlation_id
        if action == DeltaAction.LOOK_UP.value:
            poller.poll_connection(connection.id, now=now)  # asks the broker, so outside the transaction below
        with recording(now) as record:
            said = step(request, connection)
            record.open(
                cid, kind="remedy", actor=str(request.user), origin="exceptions", account=exception.account,
                owner=exception.owner,
            )  # fmt: skip
            record.link(cid, "exception", exception.id)
            record.event(cid, "remedy.applied", {"exception": exception.id, "action": action, "result": said})
            record.close(cid, TraceOutcome.CHANGED, said)
        after = reconciler.reconcile(connection, trigger="remedy", correlation_id=new_correlation_id(), now=now)
        return {"result": said, "reconciliation": str(after.id), "delta_count": after.delta_count}

    return run


def _look_up(request: RemedyRequest, connection: BrokerConnection) -> str:
    still_open = len(poller.watched(connection.id, now=request.now))
    return f"The order book was read; {still_open} orders are still open."


def _book_fill(request: RemedyRequest, connection: BrokerConnection) -> str:
    delta = _delta_of(request.exception)
    fills = Fill.objects.filter(connection=connection, ledger_entry__isnull=True)
    wanted = fills.filter(trade_id=delta["trade_id"]) if delta["trade_id"] else fills.filter(symbol=delta["symbol"])
    booked = _into_ledger(connection, list(wanted), now=request.now)
    return f"{booked} fills were booked into the expected ledger."


def _adopt(request: RemedyRequest, connection: BrokerConnection) -> str:
    exception = request.exception
    fills = Fill.objects.filter(connection=connection, ledger_entry__isnull=True, symbol=exception.symbol)
    booked = _into_ledger(connection, list(fills.filter(intent__isnull=True)), now=request.now)
    resolve_exception(exception=exception, actor=str(request.user), note="Recorded as made elsewhere.", now=request.now)
    return f"Recorded as made elsewhere; {booked} of its fills were booked into the expected ledger."


def _accept(request: RemedyRequest, connection: BrokerConnection) -> str:
    delta = _delta_of(request.exception)
    if not _is_whole(delta["actual"]):
        raise conflict("NOTHING_TO_ACCEPT", "This difference is not one of quantities; read the books again instead.")
    symbol, product, actual = delta["symbol"], delta["product"], int(delta["actual"])
    with recording(request.now):
        BrokerConnection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        known = reconciler.ledger_positions(connection).get((symbol, product))
        position = known or LedgerPosition(symbol, product, 0)
        entries = adjustment_entries(position, actual=actual, note=f"accepted by {request.user}")
        LedgerEntry.objects.bulk_create(
            LedgerEntry(
                connection=connection, kind=entry.kind.value, symbol=entry.symbol, product=entry.product,
                quantity=entry.quantity, note=entry.note, ts=request.now,
            )
            for entry in entries
        )  # fmt: skip
    return f"{symbol} {product} is expected to be {actual} from now on, as the broker says."


def _accept_tools(request: RemedyRequest, connection: BrokerConnection) -> str:
    """An administrator looked at the changed order tools and allows sending through them as they are now."""
    exception, now = request.exception, request.now
    if not (isinstance(request.user, User) and request.user.is_staff):
        raise Problem("FORBIDDEN", "Only an administrator accepts changed order tools.", status=403)
    changed = changed_order_tools(connection)
    if not changed or exception.fingerprint != fingerprint_digest(tools_fingerprint(connection, changed)):
        raise conflict("DIFFERENCE_GONE", "The order tools are not as this exception says any more.")
    words = "; ".join(f"{tool}: {what}" for tool, what in changed.items())
    note_exception(exception=exception, action=ACCEPT_TOOLS, actor=str(request.user), note=words, now=now)
    resolve_exception(exception=exception, actor=str(request.user), note="The changed tools were accepted.", now=now)
    return f"The changed order tools were accepted: {words}"


def _close_ended(request: RemedyRequest, connection: BrokerConnection) -> str:
    """A person looked: the order in review ended with the fills we know of."""
    return _close_review(request, connection, IntentEvent.CANCELLED, "order.cancelled", "It ended with its day.")


def _close_not_placed(request: RemedyRequest, connection: BrokerConnection) -> str:
    """A person looked: the order in review is not at the broker."""
    return _close_review(request, connection, IntentEvent.REVIEWED, "order.not_placed", "It was not placed.")


def _close_review(
    request: RemedyRequest, connection: BrokerConnection, event: IntentEvent, word: str, note: str
) -> str:
    exception, now = request.exception, request.now
    intent_id = exception.subject.rpartition(":")[2]
    with recording(now) as record:
        row = OrderIntent.objects.select_for_update(no_key=True).get(pk=intent_id, connection=connection)
        if row.state != IntentState.NEEDS_REVIEW.value:
            raise conflict("NOTHING_TO_REVIEW", f"The order is {row.state}; there is nothing left to decide.")
        row.state = apply(IntentState(row.state), event).value
        row.updated_at = now
        row.save()
        data = {"intent": row.id, "from": IntentState.NEEDS_REVIEW, "to": row.state, "by": str(request.user)}
        record.event(row.correlation_id, word, data)
        resolve_exception(exception=exception, actor=str(request.user), note=note, now=now)
    return "The order is closed as not placed." if event is IntentEvent.REVIEWED else "The order is closed as ended."


def _freeze(request: RemedyRequest, connection: BrokerConnection) -> str:
    set_trading_state(
        scope=connection.account, state=TradingStateName.REDUCING, actor=str(request.user), now=request.now,
        reason=request.exception.summary, correlation_id=new_correlation_id(),
    )  # fmt: skip
    return "Only exits are allowed on this account until trading is released."


def _into_ledger(connection: BrokerConnection, fills: list[Fill], *, now: datetime) -> int:
    with recording(now):
        for fill in fills:
            sign = 1 if fill.side == "BUY" else -1
            LedgerEntry.objects.get_or_create(
                fill=fill,
                defaults={
                    "connection": connection, "kind": "fill", "symbol": fill.symbol, "product": fill.product,
                    "quantity": sign * fill.quantity, "price": fill.price, "note": "made elsewhere", "ts": now,
                },
            )  # fmt: skip
    return len(fills)


def _delta_of(exception: ExceptionRecord) -> Mapping[str, str]:
    """The difference an exception was raised for, from the newest run that found it."""
    runs = ReconciliationRun.objects.filter(connection__pk=exception.account, delta_count__gt=0)[:20]
    for run in runs:
        for delta in run.deltas:
            if delta["summary"] == exception.summary and delta["symbol"] == exception.symbol:
                found: Mapping[str, str] = delta
                return found
    raise conflict("DIFFERENCE_GONE", "No recent reconciliation shows this difference any more: reconcile again.")


def _is_whole(text: str) -> bool:
    return text.lstrip("-").isdigit()
