"""The answers of the assistant's endpoints, for the OpenAPI document (the dicts themselves come from ``ai.shapes``)."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ai.orchestrator import MODES
from execution.api.outputs import CardSerializer

Out = serializers.Serializer[Any]
ROLES = ("user", "assistant")
MESSAGE_STATES = ("complete", "partial", "stopped", "failed")
EVENT_TYPES = (
    "RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "STEP_STARTED", "STEP_FINISHED", "TOOL_CALL_START", "TOOL_CALL_ARGS",
    "TOOL_CALL_END", "TOOL_CALL_RESULT", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
    "ACTIVITY_SNAPSHOT", "STATE_SNAPSHOT",
)  # fmt: skip
_EVENT_WORDS = (
    "threadId", "runId", "messageId", "correlationId", "userMessageId", "parentMessageId", "toolCallId", "toolCallName",
    "provider", "role", "stepName", "activityType", "delta", "code", "message",
)  # fmt: skip


class UsageSerializer(Out):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()


class ToolRowSerializer(Out):
    """One call of a tool; ``result`` is a summary."""

    name = serializers.CharField()
    arguments = serializers.DictField()
    ok = serializers.BooleanField()
    ms = serializers.IntegerField()
    result = serializers.CharField(allow_blank=True)


class FactSerializer(Out):
    """A figure of the text, and the record it came from."""

    text = serializers.CharField()
    value = serializers.CharField()
    unit = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field of that name, taken off the class by DRF
    verified = serializers.BooleanField()


class MessageSerializer(Out):
    id = serializers.UUIDField()
    thread_id = serializers.UUIDField()
    correlation_id = serializers.CharField()
    role = serializers.ChoiceField(ROLES)
    mode = serializers.ChoiceField(MODES)
    text = serializers.CharField(allow_blank=True)
    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    usage = UsageSerializer(allow_null=True)
    intent = serializers.DictField(allow_null=True, help_text="How the message was read, of whatever kind.")
    cards = CardSerializer(many=True)
    tools = ToolRowSerializer(many=True)
    facts = FactSerializer(many=True)
    details = serializers.DictField(help_text="A table, the choices of a question, the link of a refusal.")
    state = serializers.ChoiceField(MESSAGE_STATES)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ReplySerializer(MessageSerializer):
    """The assistant's reply, the message it answers, and the last event of the run."""

    question = MessageSerializer()
    last_event_id = serializers.IntegerField()


class ThreadSerializer(Out):
    id = serializers.UUIDField()
    title = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ThreadDetailSerializer(ThreadSerializer):
    """A conversation with its messages, oldest first."""

    messages = MessageSerializer(many=True)
    last_event_id = serializers.IntegerField()


class EventSerializer(Out):
    """One event of a run, with the AG-UI fields of its ``type``; streamed as ``id:`` and one ``data:`` line of JSON."""

    id = serializers.IntegerField()
    ts = serializers.DateTimeField()
    type = serializers.ChoiceField(EVENT_TYPES)
    ok = serializers.BooleanField(required=False)
    ms = serializers.IntegerField(required=False)
    content = serializers.JSONField(required=False, help_text="A tool's summary as text; a card as an object.")
    outcome = serializers.DictField(required=False, help_text="How the run ended; an open card is an interrupt.")
    snapshot = serializers.DictField(required=False, help_text="`message`: the reply as it was stored.")

    def get_fields(self) -> dict[str, Any]:
        """The fields, and those that are a word or a text."""
        return {**super().get_fields(), **{name: serializers.CharField(required=False) for name in _EVENT_WORDS}}


class EventsSerializer(Out):
    events = EventSerializer(many=True)
    last_event_id = serializers.IntegerField()
    running = serializers.BooleanField()


class StoppedSerializer(Out):
    stopped = serializers.IntegerField(help_text="How many runs were asked to stop.")
