"""What a session's owner works with: its paces, its rules, and the session as it sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from broker.adapters.mcp_session import Saved, ServerFacts
from broker.adapters.tool_client import ToolAnswer
from broker.session.lease import LEASE_S
from broker.session.records import Facts


class Session(Protocol):
    """``mcp_session.McpSession``, as far as it is used here."""

    lost: asyncio.Event

    @property
    def is_open(self) -> bool: ...

    @property
    def silent_s(self) -> float: ...

    @property
    def session_id(self) -> str: ...

    def saved(self) -> Saved | None: ...

    async def open(self) -> ServerFacts: ...

    async def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float | None = None
    ) -> ToolAnswer: ...

    async def list_tools(self) -> list[Mapping[str, object]]: ...

    async def ping(self, *, timeout_s: float) -> None: ...

    async def close(self, *, end_login: bool = False) -> None: ...


Dial = Callable[[Facts, Saved | None], Session]
Report = Callable[[Mapping[str, object]], Awaitable[None]]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. A stream that says nothing is asked after ``ping_after_s`` and given up ``ping_s`` later: within 30."""

    lease_s: float = LEASE_S
    renew_s: float = 3.0
    claim_s: float = 0.5
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0
    look_s: float = 1.0
    ping_after_s: float = 15.0
    ping_s: float = 10.0
    prove_after_s: float = 2.0
    prove_s: float = 1.5
    wait_s: float = 2.0
    profile_s: float = 60.0
    paper_profile_s: float = 5.0
    login_s: float = 2.0
    confirm_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """``log_in`` confirms a login at our own paper exchange; None leaves that to a person too. ``tool_faults`` says how
    a list of tools differs from what we know, as {tool, what}."""

    login_hosts: Collection[str]
    log_in: Callable[[str], Awaitable[bool]] | None
    tool_faults: Callable[[Sequence[Mapping[str, object]]], Sequence[Mapping[str, object]]]


def utc_now() -> datetime:
    return datetime.now(UTC)
