"""The port every language model is reached through. What comes back is untrusted: it is validated, never obeyed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class ChatRole(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(StrEnum):
    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message of a conversation as a provider is given it."""

    role: ChatRole
    content: str
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool by its JSON Schema (2020-12, ``additionalProperties: false``)."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one turn; what they bound is cut, not trusted to be polite."""

    max_output_tokens: int = 2000
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a provider answered to one call."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish_reason: FinishReason = FinishReason.STOP


class ProviderError(Exception):
    """A provider did not answer usefully. ``code`` is one of AUTH, MODEL_NOT_FOUND, RATE_LIMITED, TIMEOUT,
    UNREACHABLE, BAD_RESPONSE; ``text`` is for a person and holds nothing of the upstream body.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    id: str
    label: str
    model: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)


class LLMProvider(Protocol):
    """One turn of a conversation. Raises ProviderError; never sends anything to a broker."""

    info: ProviderInfo

    def turn(self, messages: Sequence[ChatTurn], tools: Sequence[Tool], limits: Limits) -> Turn: ...
