"""How an action becomes evidence: one transaction that changes state and appends to the chain, or does neither.

    with recording(now) as record:
        order.save()
        record.event(correlation_id, "send.started", {"attempt": 1})

Events are held back until the outermost block ends and are then written as the last statements before the commit, so
that nobody waits on the chain head for longer than a commit (FAULTS 0.9). If they cannot be written the state change
rolls back with them (FAULTS A51). No network call belongs inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, transaction

from sigmatrader.audit import canonical, chain
from sigmatrader.audit.models import DecisionTrace, TraceClosing, TraceLink
from sigmatrader.audit.vocabulary import TraceOutcome


@dataclass(slots=True)
class Recorder:
    """Collects what one transaction has to say. Make it with ``recording``."""

    now: datetime
    pending: list[chain.PendingEvent] = field(default_factory=list)
    links: list[TraceLink] = field(default_factory=list)

    def open(
        self,
        correlation_id: str,
        *,
        kind: str,
        actor: str,
        origin: str,
        account: str = "",
        owner: str = "",
        message: str = "",
        message_hash: str = "",
        client_correlation_id: str = "",
    ) -> DecisionTrace:
        """Starts a trace, or returns the one under this id. Writes the row and a ``trace.opened`` event."""
        trace, created = DecisionTrace.objects.get_or_create(
            correlation_id=correlation_id,
            defaults={
                "kind": kind, "actor": actor, "origin": origin, "account": account, "owner": owner,
                "message": message, "message_hash": message_hash,
                "client_correlation_id": client_correlation_id, "started_at": self.now,
            },
        )  # fmt: skip
        if created:
            self.event(correlation_id, "trace.opened", opening_facts(trace))
        return trace

    def event(self, correlation_id: str, type_: str, data: Mapping[str, object] | None = None) -> None:
        """Appends one event to the chain at the end of this transaction. ``data`` must have a canonical form."""
        self.pending.append(
            chain.PendingEvent(correlation_id=correlation_id, ts=self.now, type=type_, data=canonical.dumps(data or {}))
        )

    def link(self, correlation_id: str, kind: str, *values: object) -> None:
        """Says what the trace is about, so that it is found by symbol, order, card, plan, decision or snapshot."""
        self.links += [TraceLink(trace_id=correlation_id, kind=kind, value=str(value)) for value in values]

    def close(self, correlation_id: str, outcome: TraceOutcome, explanation: str = "") -> None:
        """Ends the trace with one outcome; a later call corrects the earlier one and both stay."""
        TraceClosing.objects.create(
            trace_id=correlation_id, outcome=outcome.value, explanation=explanation, finished_at=self.now
        )
        self.event(correlation_id, "trace.closed", closing_facts(outcome.value, explanation))


_current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recording(now: datetime, *, savepoint: bool = True) -> Iterator[Recorder]:
    """One atomic unit of state and evidence. A nested block joins the outer one and its time.

    Without ``savepoint`` a nested block that fails fails the outer one, whoever catches the exception.
    """
    outer = _current.get()
    if outer is not None:
        mark, links = len(outer.pending), len(outer.links)
        try:
            with transaction.atomic(savepoint=savepoint):
                yield outer
        except BaseException:
            del outer.pending[mark:], outer.links[links:]
            raise
        return
    recorder = Recorder(now=now)
    token = _current.set(recorder)
    try:
        with transaction.atomic():
            yield recorder
            TraceLink.objects.bulk_create(recorder.links, ignore_conflicts=True)
            _append(recorder.pending)
    finally:
        _current.reset(token)


def _append(pending: list[chain.PendingEvent]) -> None:
    try:
        chain.append(pending)
    except chain.AuditUnavailable:
        raise
    except DatabaseError as exc:
        raise chain.AuditUnavailable(str(exc)) from exc


def closing_facts(outcome: str, explanation: str) -> dict[str, object]:
    """What ``trace.closed`` carries of a closing."""
    return {"outcome": outcome, "explanation": explanation}


def opening_facts(trace: DecisionTrace) -> dict[str, object]:
    """What ``trace.opened`` carries of a trace's row, so that an edit of the row shows."""
    fields = ("kind", "actor", "origin", "account", "owner", "message", "message_hash", "client_correlation_id")
    return {name: getattr(trace, name) for name in fields if getattr(trace, name)}
