"""Every write to conversations that is not part of a run."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from ai.models import ChatMessage, ChatThread
from sigmatrader.accounts.models import User


def start_thread(user: User, *, title: str = "", now: datetime) -> ChatThread:
    return ChatThread.objects.create(owner=user, title=title, created_at=now, updated_at=now)


def delete_thread(thread: ChatThread, *, now: datetime) -> None:
    """Takes the conversation off every list; its rows stay until retention removes them, its traces stay longer."""
    ChatThread.objects.filter(pk=thread.pk, deleted_at__isnull=True).update(deleted_at=now)


def stop_runs(thread: ChatThread) -> int:
    """Marks what is being worked on as stopped; a run looks before it makes anything. Returns how many there were."""
    return ChatMessage.objects.filter(thread=thread, role="assistant", state="partial", finished_at=None).update(
        state="stopped"
    )


def abandon(reply: ChatMessage, *, now: datetime) -> None:
    """Marks a reply whose run died without an end; what it has stays."""
    ChatMessage.objects.filter(pk=reply.pk, finished_at=None).update(state="failed", finished_at=now)


def prune_chat(*, before: datetime, now: datetime, dry_run: bool) -> int:
    """Removes conversations that have not been touched since ``before``, with their messages and stored events."""
    del now
    old = ChatThread.objects.filter(updated_at__lt=before).exclude(
        Q(messages__state="partial") & Q(messages__finished_at=None)
    )
    count = old.count()
    if not dry_run:
        ChatThread.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    return count
