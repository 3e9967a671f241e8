"""What the endpoints of the assistant take."""

from __future__ import annotations

from rest_framework import serializers

from ai.language.text import MAX_LENGTH
from ai.orchestrator import MODES
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.api.serializers import StrictSerializer

CONTEXT_LENGTH = 2000


class ThreadInput(StrictSerializer):
    title = serializers.CharField(max_length=120, required=False, allow_blank=True)


class MessageInput(StrictSerializer):
    """``context`` is where the trader was (page, symbol, card); it is kept with the message, never obeyed."""

    text = serializers.CharField(max_length=MAX_LENGTH, trim_whitespace=False)
    mode = serializers.ChoiceField(choices=MODES, required=False)
    context = serializers.DictField(required=False)  # type: ignore[assignment]

    def validate_context(self, value: dict[str, object]) -> dict[str, object]:
        """Bounded: it says where the trader was, it is no second message."""
        if len(json_text(value)) > CONTEXT_LENGTH:
            raise serializers.ValidationError(f"At most {CONTEXT_LENGTH} characters of JSON.", code="TOO_LONG")
        return value
