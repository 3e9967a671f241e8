"""The built-in interpreter as a provider: no key, no network, the same answer every time."""

from __future__ import annotations

from collections.abc import Sequence

from ai.context import Context
from ai.interpreter import read
from ai.ports import ChatRole, ChatTurn, FinishReason, Limits, ProviderInfo, Tool, ToolCall, Turn
from ai.tools import SUBMIT_INTENT


class BuiltinProvider:
    """Reads the last message of the user by rules; earlier turns have no authority (FAULTS I5)."""

    info = ProviderInfo(id="builtin", label="Built-in")

    def __init__(self, context: Context) -> None:
        self._context = context

    def turn(self, messages: Sequence[ChatTurn], tools: Sequence[Tool], limits: Limits) -> Turn:
        """One ``submit_intent`` call. Never raises."""
        text = next((m.content for m in reversed(messages) if m.role is ChatRole.USER), "")
        reading = read(text, context=self._context)
        call = ToolCall("intent", SUBMIT_INTENT, {"intent": reading.intent, "assumed": list(reading.assumed)})
        return Turn(tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS)
