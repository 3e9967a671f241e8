"""Conversations with the assistant: threads, messages, and the stored events a stream is replayed from."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class ChatThread(models.Model):
    """One conversation of one person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_threads")
    title = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-updated_at", "-id"]

    def __str__(self) -> str:
        return self.title or str(self.id)


class ChatMessage(models.Model):
    """One turn. ``role`` is user or assistant; an assistant's text cites its ``facts``; cards are referred to by id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    thread = models.ForeignKey(ChatThread, on_delete=models.CASCADE, related_name="messages")
    correlation_id = models.CharField(max_length=36, db_index=True)
    role = models.CharField(max_length=10, choices=[("user", "user"), ("assistant", "assistant")])
    mode = models.CharField(max_length=10, default="auto")
    text = models.TextField(blank=True)
    provider = models.CharField(max_length=20, blank=True)
    model = models.CharField(max_length=80, blank=True)
    usage = models.JSONField(null=True, blank=True)
    intent = models.JSONField(null=True, blank=True)
    card_ids = models.JSONField(default=list, blank=True)
    tools = models.JSONField(default=list, blank=True)
    facts = models.JSONField(default=list, blank=True)
    details = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, default="complete")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["thread", "created_at"], name="message_thread_created")]

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:40]}"


class StreamEvent(models.Model):
    """One event of a run as it went over the wire (AG-UI names), so that a reconnect or reload replays it."""

    id = models.BigAutoField(primary_key=True)
    thread = models.ForeignKey(ChatThread, on_delete=models.CASCADE, related_name="stream_events")
    message = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="stream_events")
    type = models.CharField(max_length=40)
    data = models.JSONField()
    ts = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["thread", "id"], name="stream_thread_id")]

    def __str__(self) -> str:
        return self.type
