"""Conversations as the API and the templates show them (CONTRACTS section 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ai.models import ChatMessage, ChatThread, StreamEvent
from ai.selectors import cards_by_id, messages_of
from execution.shapes import card_shape
from sigmatrader.accounts.models import User

Shape = dict[str, object]


def thread_shape(thread: ChatThread) -> Shape:
    return {
        "id": str(thread.pk), "title": thread.title, "created_at": thread.created_at, "updated_at": thread.updated_at,
    }  # fmt: skip


def thread_with_messages(thread: ChatThread, user: User) -> Shape:
    """The thread, its messages oldest first, and the last stored event, from which a stream goes on."""
    newest = thread.stream_events.order_by("-pk").values_list("pk", flat=True).first()
    return {
        **thread_shape(thread),
        "messages": message_shapes(messages_of(thread), user),
        "last_event_id": newest or 0,
    }


def message_shapes(messages: Iterable[ChatMessage], user: User) -> list[Shape]:
    """Messages with their cards as they stand now, read in one query."""
    rows = list(messages)
    wanted = [card_id for row in rows for card_id in row.card_ids]
    cards = cards_by_id(wanted, user) if wanted else {}
    return [message_shape(row, [card_shape(cards[c]) for c in row.card_ids if c in cards]) for row in rows]


def message_shape(message: ChatMessage, cards: Sequence[Shape]) -> Shape:
    """CONTRACTS section 8, with the mode, the intent as read and what the page needs beside the text."""
    return {
        "id": str(message.pk),
        "thread_id": str(message.thread_id),
        "correlation_id": message.correlation_id,
        "role": message.role,
        "mode": message.mode,
        "text": message.text,
        "provider": message.provider or None,
        "model": message.model or None,
        "usage": message.usage,
        "intent": message.intent,
        "cards": list(cards),
        "tools": message.tools,
        "facts": message.facts,
        "details": message.details,
        "state": message.state,
        "created_at": message.created_at,
        "finished_at": message.finished_at,
    }


def event_shape(event: StreamEvent) -> Shape:
    return {"id": event.pk, "ts": event.ts, **event.data}
