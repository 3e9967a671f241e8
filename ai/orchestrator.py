"""One message from the trader's words to a card or an answer, told as a stream of events.

Nothing here sends an order: an order becomes a plan whose card the trader approves elsewhere. Law: what a provider
read is only a proposal; ``execution.planning`` validates, sizes and judges it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError

from ai import gathering, replying
from ai.factory import BUILTIN, provider_for
from ai.models import ChatMessage, ChatThread, StreamEvent
from ai.ports import ChatRole, ChatTurn, Limits, ProviderError
from ai.replying import Reply
from ai.run import Run
from ai.shapes import message_shape
from ai.stream import RUN_ERROR, RUN_FINISHED, RUN_STARTED, STATE_SNAPSHOT, Clock, Stream
from ai.tools import SUBMIT_INTENT_TOOL
from broker.ports import BrokerError
from broker.selectors import active_connection
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.chain import AuditUnavailable
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import TraceOutcome

MODES = ("auto", "analyze", "monitor", "execute", "explain")
TITLE_LENGTH = 80


def run_message(
    thread: ChatThread,
    text: str,
    mode: str,
    *,
    user: User,
    correlation_id: str,
    now: datetime,
    client_correlation_id: str = "",
    page: Mapping[str, object] | None = None,
) -> Iterator[StreamEvent]:
    """Stores the message with its trace, then returns the run's events, each stored before it is handed on.

    Raises Problem 409 FEATURE_DISABLED while the assistant is off and NO_CONNECTION without a broker, before anything
    is stored or read.
    """
    require_flag(Flag.AI_ASSISTANT_ENABLED)
    connection = active_connection(user)
    clock = Clock(now)
    question = ChatMessage(
        thread=thread, correlation_id=correlation_id, role="user", mode=mode, text=text, created_at=now,
        finished_at=now, details={"context": json.loads(json_text(page))} if page else {},
    )  # fmt: skip
    reply = ChatMessage(
        thread=thread, correlation_id=correlation_id, role="assistant", mode=mode, provider=BUILTIN, state="partial",
        created_at=now + timedelta(microseconds=1),  # a question sorts before its reply
    )  # fmt: skip
    run = Run(thread, user, connection, question, reply, Stream(thread, reply, clock), clock)
    return _events(run, _store(run, client_correlation_id))


def _store(run: Run, client_correlation_id: str) -> list[StreamEvent]:
    """Question, reply, opened trace and the first events in one transaction; the events, stored."""
    question, reply, now = run.question, run.reply, run.question.created_at
    correlation_id, owner = run.correlation_id, run.user
    with recording(now) as record:
        record.open(
            correlation_id, kind="message", actor=owner.get_username(), origin="assistant",
            account=run.connection.account, owner=str(owner.pk), message=question.text,
            client_correlation_id=client_correlation_id,
        )  # fmt: skip
        data = {"thread": run.thread.pk, "message": question.pk, "mode": question.mode, "length": len(question.text)}
        record.event(correlation_id, "message.received", data)
        record.link(correlation_id, "message", question.pk)
        ChatMessage.objects.bulk_create([question, reply])
        title = run.thread.title or " ".join(question.text.split())[:TITLE_LENGTH]
        ChatThread.objects.filter(pk=run.thread.pk).update(title=title, updated_at=now)
        run.stream.emit(
            RUN_STARTED, threadId=str(run.thread.pk), runId=str(reply.pk), correlationId=correlation_id,
            userMessageId=str(question.pk), provider=BUILTIN,
        )  # fmt: skip
        run.stream.emit("STEP_STARTED", stepName="read_books")
        return run.stream.flush()


def _events(run: Run, first: list[StreamEvent]) -> Iterator[StreamEvent]:
    yield from first
    try:
        yield from _work(run)
    except (BrokerError, ProviderError, Problem, AuditUnavailable, DatabaseError) as exc:
        yield from _fail(run, exc)


def _work(run: Run) -> Iterator[StreamEvent]:
    """Reads the books, then the message, then answers or makes the card."""
    stream = run.stream
    look = gathering.look(run.connection, run.question.text, stream=stream, correlation_id=run.correlation_id)
    stream.emit("STEP_FINISHED", stepName="read_books")
    stream.emit("STEP_STARTED", stepName="read_message")
    intent, assumed, told = _read(run, look)
    yield from told
    if run.was_stopped:
        yield from _finish(run, Reply("Stopped. Nothing was made.", outcome=TraceOutcome.DECLINED), {"type": "stopped"})
        return
    reply = replying.reply_to(run, intent, assumed, look)
    yield from _finish(run, reply, _outcome_of(reply))


def _read(run: Run, look: gathering.AssistantLook) -> tuple[dict[str, Any], tuple[str, ...], list[StreamEvent]]:
    """What the provider read, put on record as read with the events so far: one commit for all of it."""
    provider = provider_for(BUILTIN, context=look.context)
    with run.stream.tool("read_message", {"provider": provider.info.id, "length": len(run.question.text)}) as row:
        turn = provider.turn([ChatTurn(ChatRole.USER, run.question.text)], [SUBMIT_INTENT_TOOL], Limits())
        if not turn.tool_calls or not isinstance(turn.tool_calls[0].arguments.get("intent"), dict):
            raise ProviderError("BAD_RESPONSE", "The reader gave no intent.")
        arguments = turn.tool_calls[0].arguments
        intent: dict[str, Any] = dict(arguments["intent"])  # type: ignore[call-overload]
        assumed = tuple(str(name) for name in arguments.get("assumed", ()))  # type: ignore[attr-defined]
        row.ok, row.result = True, str(intent.get("kind"))
    now = run.clock.now()
    run.reply.intent = intent
    with recording(now) as record:
        record.event(
            run.correlation_id, "intent.read",
            {"intent": intent, "assumed": list(assumed), "provider": provider.info.id, "snapshot": look.snapshot_hash},
        )  # fmt: skip
        if look.snapshot_id:
            record.link(run.correlation_id, "snapshot", look.snapshot_id)
        run.stream.emit("STEP_FINISHED", stepName="read_message")
        return intent, assumed, run.stream.flush()


def _outcome_of(reply: Reply) -> dict[str, object]:
    """AG-UI's end of a run: an open card waits for the trader's decision, which is given on the card alone."""
    card = reply.card
    if card is None or card["state"] != "open":
        return {"type": "success"}
    interrupt = {
        "id": card["id"], "reason": "approval_required", "message": card["title"], "toolCallId": None,
        "responseSchema": {
            "type": "object", "additionalProperties": False, "required": ["content_hash"],
            "properties": {"content_hash": {"const": card["content_hash"]}},
        },
        "expiresAt": card["expires_at"],
    }  # fmt: skip
    return {"type": "interrupt", "interrupts": [interrupt]}


def _finish(run: Run, said: Reply, outcome: Mapping[str, object]) -> Iterator[StreamEvent]:
    """Stores the reply with the end of its trace and the last events in one transaction, then tells them."""
    stream, reply = run.stream, run.reply
    stream.text(said.text)
    if said.card is not None:
        stream.emit("ACTIVITY_SNAPSHOT", messageId=str(reply.pk), activityType="ACTION_CARD", content=said.card)
    state = "stopped" if outcome["type"] == "stopped" else "complete"
    _keep(run, said, state=state)
    with recording(run.clock.now()) as record:
        if said.outcome is not None:
            record.close(run.correlation_id, said.outcome, said.text[:500])
        reply.save()
        stream.emit(STATE_SNAPSHOT, snapshot={"message": message_shape(reply, [said.card] if said.card else [])})
        stream.emit(RUN_FINISHED, threadId=str(run.thread.pk), runId=str(reply.pk), outcome=outcome)
        rows = stream.flush()
    yield from rows


def _keep(run: Run, said: Reply, *, state: str) -> None:
    reply = run.reply
    reply.text, reply.facts, reply.details = said.text, said.facts, said.details
    reply.card_ids = [str(said.card["id"])] if said.card is not None else []
    reply.tools = [row.shape() for row in run.stream.tools]
    reply.state, reply.finished_at = state, run.clock.now()


def _fail(run: Run, exc: Exception) -> Iterator[StreamEvent]:
    """A run that cannot go on says why, keeps what there is, and is marked failed."""
    code, words = _told(exc)
    _keep(run, Reply(words), state="failed")
    rows: list[StreamEvent] = []
    with recording(run.clock.now()) as record:
        record.event(run.correlation_id, "run.failed", {"code": code})
        record.close(run.correlation_id, TraceOutcome.FAILED, words)
        run.reply.save()
        run.stream.text(words)
        run.stream.emit(RUN_ERROR, runId=str(run.reply.pk), code=code, message=words)
        rows = run.stream.flush()
    yield from rows


def _told(exc: Exception) -> tuple[str, str]:
    if isinstance(exc, Problem):
        return exc.code, exc.text
    if isinstance(exc, ProviderError):
        return exc.code, exc.text
    if isinstance(exc, BrokerError):
        return "BROKER_UNAVAILABLE", "The broker does not answer just now, so nothing was made. Try again in a moment."
    return "STORAGE_UNAVAILABLE", "The records could not be written, so nothing was made. Try again in a moment."
