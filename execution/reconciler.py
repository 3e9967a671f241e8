"""Compares our ledger with the broker's books and works the difference into the Exceptions Center.

The broker's books are the truth, ours are what we expect of them. Reads come first, outside any transaction; rows,
fills, run and exceptions are then written together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from broker.domain import Books
from broker.ingestion import take_snapshot
from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.selectors import instrument_infos
from execution import book_sync, days
from execution.adoption import view_of
from execution.deltas import Delta, DeltaCode
from execution.domain import IntentView
from execution.ledger import Entry, EntryKind, LedgerPosition, fold, opening_entries
from execution.models import Fill, LedgerEntry, LedgerOpening, Order, OrderIntent, ReconciliationRun
from execution.reconciliation import Known, Report, RunStatus, compare
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import ExceptionRecord, Snapshot
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import fingerprint_digest, raise_exception, resolve_if_open
from sigmatrader.audit.vocabulary import ExceptionCode, TraceOutcome

FAILED = "failed"
_STARTED = timezone.now()  # of this process: books compared before it may have moved while nobody looked


def ensure_reconciled(connection: BrokerConnection, *, now: datetime) -> None:
    """No execution before one account reconciliation has run since this process started, and of late.

    Raises Problem 503 NOT_RECONCILED if it cannot.
    """
    fresh = now - timedelta(seconds=settings.RECONCILIATION_AGE_S)
    if settings.RECONCILE_AFTER_START:
        fresh = max(fresh, _STARTED)
    done = ReconciliationRun.objects.filter(connection=connection, finished_at__gte=fresh).exclude(
        status__in=[FAILED, RunStatus.SKIPPED.value]
    )
    if done.exists():  # the door itself asks for the taken-over books
        return
    run = reconcile(connection, trigger="before_trade", correlation_id="", now=now)
    if (
        run.status in (FAILED, RunStatus.SKIPPED.value)
        or not LedgerOpening.objects.filter(connection=connection).exists()
    ):
        raise Problem(
            "NOT_RECONCILED",
            f"The broker's books could not be read, so nothing is sent: {run.note or 'a part of them is missing'}",
            status=503,
        )


def reconcile(
    connection: BrokerConnection, *, trigger: str, correlation_id: str, now: datetime, actor: str = "reconciler"
) -> ReconciliationRun:
    """One comparison, stored with its bounded differences. Never raises for what the broker does: the run says it.

    With a correlation id it is part of that story; asked for by a person it is a story of its own. A difference that
    is gone resolves its exception by itself.
    """
    try:
        snapshot, books = take_snapshot(connection, correlation_id="", now=now)
    except (BrokerError, Problem) as exc:
        return _failed(connection, trigger, correlation_id, str(exc), now=now, actor=actor)
    with recording(now) as record:
        BrokerConnection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        _open_story(record, connection, trigger, correlation_id, actor)
        opening = _take_over(record, connection, snapshot, books, now=now)
        strangers = set(_sync(record, connection, books, taken_over=opening is None, now=now))
        opening = opening or LedgerOpening.objects.filter(connection=connection).first()
        report = _compare(connection, books, opening, strangers, now=now)
        run = _store(connection, snapshot, report, trigger, correlation_id, now=now)
        _raise(connection, run, report.deltas, now=now)
        _tell(record, run, snapshot)
    return run


def ledger_positions(connection: BrokerConnection) -> dict[tuple[str, str], LedgerPosition]:
    """What we expect to own, by (symbol, product)."""
    rows = LedgerEntry.objects.filter(connection=connection).select_related("fill").order_by("id")
    return fold(
        Entry(
            kind=EntryKind(row.kind), symbol=row.symbol, product=row.product, quantity=row.quantity, price=row.price,
            trade_id=row.fill.trade_id if row.fill else "", note=row.note,
        )
        for row in rows
    )  # fmt: skip


def _take_over(
    record: Recorder, connection: BrokerConnection, snapshot: Snapshot, books: Books, *, now: datetime
) -> LedgerOpening | None:
    """The first complete books become the opening; None if they are not complete. Returns the opening in force."""
    known = LedgerOpening.objects.filter(connection=connection).first()
    if known is not None or not books.is_complete:
        return known
    symbols = [h.symbol for h in books.holdings or ()] + [p.symbol for p in books.positions_net or ()]
    entries = opening_entries(books, instruments=instrument_infos(connection, symbols))
    cid = new_correlation_id()
    record.open(
        cid, kind="takeover", actor="reconciler", origin="system", account=connection.account,
        owner=str(connection.owner_id),
    )  # fmt: skip
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            connection=connection, kind=entry.kind.value, symbol=entry.symbol, product=entry.product,
            quantity=entry.quantity, price=entry.price, note=entry.note, snapshot_hash=snapshot.hash, ts=now,
        )
        for entry in entries
    )  # fmt: skip
    record.link(cid, "snapshot", snapshot.id)
    record.event(cid, "ledger.opened", {"snapshot_hash": snapshot.hash, "entries": len(entries)})
    record.close(cid, TraceOutcome.CHANGED, f"Took over {len(entries)} holdings and positions as the expected books.")
    book_sync.store_orders(connection, books.orders or (), now=now, taken_over=True)
    return LedgerOpening.objects.create(connection=connection, snapshot_hash=snapshot.hash, correlation_id=cid, ts=now)


def _sync(
    record: Recorder, connection: BrokerConnection, books: Books, *, taken_over: bool, now: datetime
) -> list[str]:
    """Stores rows and fills of these books; returns the broker ids of orders made elsewhere and new to us."""
    strangers = book_sync.store_orders(connection, books.orders or (), now=now, taken_over=taken_over)
    book_sync.report_strangers(strangers, now=now)
    book_sync.book_fills(record, connection, books.trades or (), now=now)
    return [order.broker_order_id for order in strangers]


def _compare(
    connection: BrokerConnection, books: Books, opening: LedgerOpening | None, strangers: set[str], *, now: datetime
) -> Report:
    taken_over = Q(recorded_at=opening.ts) if opening else Q()  # in the books that were taken over
    booked = Fill.objects.filter(Q(ledger_entry__isnull=False) | taken_over, connection=connection).values_list(
        "trade_id", flat=True
    )
    rows = Order.objects.filter(connection=connection).values_list("broker_order_id", flat=True)
    positions = ledger_positions(connection)
    symbols = {symbol for symbol, _product in positions} | {row.symbol for row in books.positions_net or ()}
    known = Known(
        orders=set(rows) - strangers,
        trades=set(booked),
        opened_at=opening.ts if opening else now,
        instruments=instrument_infos(connection, sorted(symbols)),
    )
    return compare(positions, _views(connection, now=now), books, known=known, now=now)


def _views(connection: BrokerConnection, *, now: datetime) -> list[IntentView]:
    today = days.day_start(now)
    moving = Q(state__in=["SENDING", "ACKED", "WORKING", "AMBIGUOUS", "NEEDS_REVIEW"]) | Q(updated_at__gte=today)
    never_sent = Q(state="NEEDS_REVIEW", attempts=0)
    return [view_of(row) for row in OrderIntent.objects.filter(moving & ~never_sent, connection=connection)]


def _store(
    connection: BrokerConnection,
    snapshot: Snapshot,
    report: Report,
    trigger: str,
    correlation_id: str,
    *,
    now: datetime,
) -> ReconciliationRun:
    return ReconciliationRun.objects.create(
        owner=connection.owner, connection=connection, correlation_id=correlation_id, trigger=trigger,
        status=report.status.value, snapshot_id=str(snapshot.id), snapshot_hash=snapshot.hash,
        holdings_checked=report.holdings_checked, positions_checked=report.positions_checked,
        orders_checked=report.orders_checked, delta_count=report.delta_count,
        deltas=[delta.document() for delta in report.deltas], note=report.note[:300], started_at=now,
        finished_at=now,
    )  # fmt: skip


def _failed(
    connection: BrokerConnection, trigger: str, correlation_id: str, reason: str, *, now: datetime, actor: str
) -> ReconciliationRun:
    with recording(now) as record:
        _open_story(record, connection, trigger, correlation_id, actor)
        run = ReconciliationRun.objects.create(
            owner=connection.owner, connection=connection, correlation_id=correlation_id, trigger=trigger,
            status=FAILED, note=f"The broker could not be read: {reason}"[:300], started_at=now, finished_at=now,
        )  # fmt: skip
        if correlation_id:
            record.event(correlation_id, "reconcile.failed", {"run": run.id, "reason": run.note})
        if correlation_id and trigger != "after_trade":
            record.close(correlation_id, TraceOutcome.FAILED, run.note)
    return run


def _raise(connection: BrokerConnection, run: ReconciliationRun, deltas: Sequence[Delta], *, now: datetime) -> None:
    """One open exception per difference; those of differences that are gone resolve by themselves."""
    standing = set()
    for delta in deltas:
        if delta.code is DeltaCode.EXTERNAL_ORDER:
            continue  # already reported with the order itself
        fingerprint = (connection.account, *delta.fingerprint)
        standing.add(fingerprint_digest(fingerprint))
        raise_exception(
            code=_code_of(delta), type_="reconciliation", severity=delta.severity, summary=delta.summary,
            fingerprint=fingerprint, now=now, account=connection.account, owner=str(connection.owner_id),
            expected=delta.expected, actual=delta.actual, difference=delta.difference, symbol=delta.symbol,
            subject=f"execution.reconciliation:{run.id}", correlation_id=run.correlation_id, remedies=delta.remedies(),
        )  # fmt: skip
    if not run.note:  # a part that was not read says nothing about what was found in it before
        _resolve_gone(connection, standing, now=now)


def _resolve_gone(connection: BrokerConnection, standing: set[str], *, now: datetime) -> None:
    gone = ExceptionRecord.objects.filter(account=connection.account, type="reconciliation").exclude(status="resolved")
    gone = gone.exclude(code=ExceptionCode.ORPHAN_TAGGED_ORDER.value)  # known from then on, and still unexplained
    for exception in gone.exclude(fingerprint__in=standing):
        resolve_if_open(exception=exception, actor="reconciler", note="The difference is gone.", now=now)


def _code_of(delta: Delta) -> ExceptionCode:
    if delta.code is DeltaCode.ORPHAN_TAGGED_ORDER:
        return ExceptionCode.ORPHAN_TAGGED_ORDER
    return ExceptionCode.RECON_DELTA


def _open_story(record: Recorder, connection: BrokerConnection, trigger: str, correlation_id: str, actor: str) -> None:
    if correlation_id and trigger != "after_trade":
        record.open(
            correlation_id, kind="reconcile", actor=actor, origin=trigger, account=connection.account,
            owner=str(connection.owner_id),
        )  # fmt: skip


def _tell(record: Recorder, run: ReconciliationRun, snapshot: Snapshot) -> None:
    cid = run.correlation_id
    if not cid:
        return
    record.link(cid, "reconciliation", run.id)
    record.link(cid, "snapshot", snapshot.id)
    word = "reconcile.deltas" if run.delta_count else "reconcile.ok"
    record.event(
        cid,
        word,
        {"run": run.id, "status": run.status, "snapshot": snapshot.id, "snapshot_hash": snapshot.hash,
         "delta_count": run.delta_count, "deltas": [d["summary"] for d in run.deltas]},
    )  # fmt: skip
    if run.trigger != "after_trade":
        words = f"{run.delta_count} differences" if run.delta_count else "No differences"
        record.close(cid, TraceOutcome.ANSWERED, f"{words} with the broker's books. {run.note}".strip())
