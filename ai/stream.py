"""The events of one run: made with AG-UI names, stored before they are handed on, so that a stream can be resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ai.models import ChatMessage, ChatThread, StreamEvent
from sigmatrader.audit.api.renderers import json_text

RUN_STARTED = "RUN_STARTED"
RUN_FINISHED = "RUN_FINISHED"
RUN_ERROR = "RUN_ERROR"
STATE_SNAPSHOT = "STATE_SNAPSHOT"


class Clock:
    """The run's time: the moment it was given, moving on with the monotonic clock."""

    def __init__(self, start: datetime) -> None:
        self._start, self._mark = start, time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._mark)


@dataclass(slots=True)
class ToolRow:
    """One call of a tool as its row shows it; ``result`` is a summary, never the raw data."""

    name: str
    arguments: dict[str, object]
    ok: bool = True
    ms: int = 0
    result: str = ""

    def shape(self) -> dict[str, object]:
        return {"name": self.name, "arguments": self.arguments, "ok": self.ok, "ms": self.ms, "result": self.result}


@dataclass(slots=True)
class Stream:
    """Collects events and writes them in batches; ``flush`` returns the rows in order, each with its id."""

    thread: ChatThread
    reply: ChatMessage
    clock: Clock
    tools: list[ToolRow] = field(default_factory=list)
    pending: list[StreamEvent] = field(default_factory=list)

    def emit(self, type_: str, **data: object) -> None:
        plain = json.loads(json_text({"type": type_, **data}))
        self.pending.append(
            StreamEvent(thread=self.thread, message=self.reply, type=type_, data=plain, ts=self.clock.now())
        )

    def flush(self) -> list[StreamEvent]:
        rows, self.pending = self.pending, []
        return StreamEvent.objects.bulk_create(rows) if rows else []

    @contextmanager
    def tool(self, name: str, arguments: Mapping[str, object]) -> Iterator[ToolRow]:
        """Times a call and tells it; the block says how it went by setting ``ok`` and ``result`` of the row."""
        row = ToolRow(name, dict(arguments))
        call_id = f"{self.reply.pk}-{len(self.tools) + 1}"
        self.tools.append(row)
        self.emit("TOOL_CALL_START", toolCallId=call_id, toolCallName=name, parentMessageId=str(self.reply.pk))
        self.emit("TOOL_CALL_ARGS", toolCallId=call_id, delta=json_text(row.arguments))
        self.emit("TOOL_CALL_END", toolCallId=call_id)
        began = time.monotonic()
        row.ok = False
        try:
            yield row
        finally:
            row.ms = round((time.monotonic() - began) * 1000)
            self.emit(
                "TOOL_CALL_RESULT", messageId=f"{call_id}-result", toolCallId=call_id, role="tool",
                content=row.result, ok=row.ok, ms=row.ms,
            )  # fmt: skip

    def text(self, text: str) -> None:
        """The whole answer; it is computed, so it comes at once."""
        message_id = str(self.reply.pk)
        self.emit("TEXT_MESSAGE_START", messageId=message_id, role="assistant")
        self.emit("TEXT_MESSAGE_CONTENT", messageId=message_id, delta=text)
        self.emit("TEXT_MESSAGE_END", messageId=message_id)
