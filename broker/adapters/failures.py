"""What a failed call proves. A write that is not proven unsent counts as possibly done (FAULTS 0.5)."""

from __future__ import annotations

import re
from enum import StrEnum

from broker.ports import BrokerAuthExpired, BrokerError, BrokerOutcomeUnknown, BrokerUnavailable

LOGIN_TEXT = re.compile(r"Please log in first\b")
_UNSENT_TEXT = re.compile(
    r"Failed to establish a session\b.*|parameter '[^']{1,60}': (is required|cannot be empty)", re.DOTALL
)
_UNKNOWN_TOOL = re.compile(r"tool '.{0,100}' not found: tool not found", re.DOTALL)
UNKNOWN_TOOL_CODE = -32602


class Fault(StrEnum):
    """How far a call got when it failed below the tool."""

    NOT_SENT = "not_sent"  # no byte of it left this machine
    SESSION_LOST = "session_lost"  # the server does not know our session
    LOST = "lost"  # it may have arrived
    PROTOCOL = "protocol"  # the server answered with a JSON-RPC error
    UNREADABLE = "unreadable"  # it answered, but not in MCP's shape


class CallFailed(Exception):
    """A call that got no tool result; ``code`` is the JSON-RPC error's where the server sent one."""

    def __init__(self, fault: Fault, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.code = code


def write_failure(exc: CallFailed) -> BrokerError:
    """The error of a write that got no tool result."""
    unknown_tool = exc.code == UNKNOWN_TOOL_CODE and _UNKNOWN_TOOL.fullmatch(exc.text) is not None
    if exc.fault is Fault.NOT_SENT or unknown_tool:
        return BrokerUnavailable(exc.text)
    return BrokerOutcomeUnknown(exc.text)


def write_refusal(text: str) -> BrokerError:
    """The error of a write whose tool result says it failed: only a few texts prove that nothing was sent."""
    if LOGIN_TEXT.match(text):
        return BrokerAuthExpired(text)
    if _UNSENT_TEXT.fullmatch(text.strip()):
        return BrokerUnavailable(text)
    return BrokerOutcomeUnknown(text)


def read_refusal(tool: str, text: str) -> BrokerError:
    """The error of a read whose tool result says it failed. Only a failed profile means "log in" (FACTS a16)."""
    if LOGIN_TEXT.match(text) or tool == "get_profile":
        return BrokerAuthExpired(text)
    return BrokerUnavailable(text)
