"""What the Kite adapter needs of whoever carries its tool calls: a session of this process, or the session process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The one text a tool answered with."""

    text: str
    is_error: bool


class ToolClient(Protocol):
    """Synchronous, for any thread. Every method raises ``failures.CallFailed`` and nothing else."""

    def call(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """A read, or the login; sent once."""
        ...

    def call_write(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """A write, on a session just proven alive; a session that cannot be had is CallFailed(NOT_SENT)."""
        ...

    def list_tools(self) -> list[Mapping[str, object]]:
        """The tools as the server lists them."""
        ...

    def get_json(self, url: str) -> object:
        """A plain GET beside MCP, of the same server (the paper exchange's status)."""
        ...

    def close(self) -> None: ...
