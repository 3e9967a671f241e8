"""Connections between orders: a login that came back, and tools that are not as we know them any more.

Run with every sweep. What a broker read proves is believed: a profile that answers means logged in, whoever did it.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from broker import factory
from broker.models import BrokerConnection
from broker.ports import BrokerError
from execution import blocks, outcomes
from execution.domain import CommandState, IntentState
from execution.models import OrderCommand, OrderIntent
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.services import fingerprint_digest, raise_exception, resolve_if_open
from sigmatrader.audit.vocabulary import ExceptionCode, ExceptionStatus, Severity

_WAITING = (
    IntentState.PREPARED.value, IntentState.AMBIGUOUS.value, IntentState.ACKED.value, IntentState.WORKING.value,
)  # fmt: skip
_COMMANDS = (CommandState.PREPARED.value, CommandState.ACKED.value, CommandState.UNKNOWN.value)


def tend(*, now: datetime) -> None:
    """Looks after every active connection: its login, then its tools."""
    for connection in BrokerConnection.objects.filter(is_active=True).order_by("id"):
        tend_login(connection, now=now)
        tend_tools(connection, now=now)


def tend_login(connection: BrokerConnection, *, now: datetime) -> None:
    """Ends the notice of a login that was made, and asks for one only where something waits for it."""
    if connection.authorized is None:
        return
    if connection.authorized:
        seen = outcomes.has_open_fingerprint(outcomes.token_fingerprint(connection))
    else:
        seen = _has_waiting(connection) and _answers(connection)
    if seen:
        outcomes.login_seen(connection, now=now)


def tend_tools(connection: BrokerConnection, *, now: datetime) -> None:
    """One open exception while order tools are changed and nobody accepted that; it goes when the change does."""
    changed = blocks.changed_order_tools(connection)
    current = fingerprint_digest(blocks.tools_fingerprint(connection, changed)) if changed else ""
    found = ExceptionRecord.objects.filter(
        code=ExceptionCode.TOOL_SCHEMA_CHANGED.value, account=connection.account, type="tools"
    ).exclude(status=ExceptionStatus.RESOLVED.value)
    standing = list(found)
    for exception in standing:
        if exception.fingerprint != current:
            resolve_if_open(exception=exception, actor="rule", note="The tools are not so any more.", now=now)
    known = any(exception.fingerprint == current for exception in standing)
    if changed and not known and not blocks.is_accepted(connection, changed):
        _report(connection, changed, now=now)


def _report(connection: BrokerConnection, changed: dict[str, str], *, now: datetime) -> None:
    raise_exception(
        code=ExceptionCode.TOOL_SCHEMA_CHANGED, type_="tools", severity=Severity.HIGH, now=now,
        summary=f"The broker's server changed order tools: {', '.join(changed)}. Nothing is sent through it for now.",
        fingerprint=blocks.tools_fingerprint(connection, changed), account=connection.account,
        owner=str(connection.owner_id), expected="the order tools as they are known",
        actual="; ".join(f"{tool}: {what}" for tool, what in changed.items())[:500],
        remedies=[{"action": blocks.ACCEPT_TOOLS, "label": "Accept the changed tools", "trades": False}],
    )  # fmt: skip


def _has_waiting(connection: BrokerConnection) -> bool:
    late = Q(denial_code=blocks.AUTH_REQUIRED, state=IntentState.EXPIRED.value)
    intents = OrderIntent.objects.filter(Q(state__in=_WAITING) | late, connection=connection)
    return intents.exists() or OrderCommand.objects.filter(connection=connection, state__in=_COMMANDS).exists()


def _answers(connection: BrokerConnection) -> bool:
    """Only a profile tells whether anybody is logged in; ``login`` is never called to find out (FACTS a14, a16)."""
    try:
        factory.reader_for(connection).profile()
    except (BrokerError, Problem):
        return False
    return True
