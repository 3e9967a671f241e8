"""A session and records in memory, for tests of their owner: every call is counted, nothing waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.mcp_session import ServerFacts
from broker.adapters.tool_client import ToolAnswer
from broker.session.keeper import Keeper
from broker.session.records import Facts, Past, RecordsDown
from broker.session.terms import Pace, Rules

ACCOUNT = "0b0d2c8e-8a0e-4b38-9f2c-3b1b6e0f6a11"
PAPER = Facts(ACCOUNT, "paper", "http://127.0.0.1:8765/sse", "auto")
KITE = Facts(ACCOUNT, "kite_mcp", "https://mcp.kite.trade/sse", "auto")
START = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LOGIN_URL = "https://kite.zerodha.com/connect/login?api_key=k&v=3&redirect_params=session_id%3Dcanary-5e551077"
PAPER_LOGIN_URL = "http://127.0.0.1:8765/authorize?link=canary-5e551077"
REFUSED = ToolAnswer("Please log in first using the login tool", is_error=True)
FAST = Pace(
    lease_s=0.3, renew_s=0.02, claim_s=0.01, first_pause_s=0.005, longest_pause_s=0.02, look_s=0.01, ping_after_s=15.0,
    ping_s=0.05, wait_s=0.3, profile_s=0.02, paper_profile_s=0.02, login_s=0.01, confirm_s=0.001,
)  # fmt: skip


class FakeServer:
    """What outlives a session: whether it answers, who is logged in, and every call that reached it."""

    def __init__(self) -> None:
        self.up = True
        self.logged_in = True
        self.login_text = f"Warning. [Login to Kite]({LOGIN_URL})\n\n{LOGIN_URL}"
        self.calls: list[str] = []
        self.opened: list[FakeSession] = []
        self.active = 0
        self.most_logins = 0
        self.glitches = 0
        self.hang: asyncio.Event | None = None

    def dial(self, facts: Facts, saved: object) -> FakeSession:
        return FakeSession(self)

    @property
    def living(self) -> int:
        return sum(session.is_open for session in self.opened)

    async def answer(self, tool: str) -> ToolAnswer:
        self.calls.append(tool)
        if tool == "login":
            self.active += 1
            self.most_logins = max(self.most_logins, self.active)
            await asyncio.sleep(0.01)
            self.active -= 1
            return ToolAnswer(self.login_text, is_error=False)
        if self.hang is not None:
            await self.hang.wait()
        if self.glitches:
            self.glitches -= 1
            return ToolAnswer(f"Failed to execute {tool}", is_error=True)
        if not self.logged_in:
            return REFUSED
        return ToolAnswer(json.dumps({"user_id": "AB1234", "user_name": "Asha Rao"}), is_error=False)


class FakeSession:
    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.lost = asyncio.Event()
        self.is_open = False
        self.silent_s = 0.0
        self.session_id = f"canary-session-{len(server.opened)}"
        self.ended_login = False
        self.pings = 0

    def saved(self) -> None:
        return None

    async def open(self) -> ServerFacts:
        if not self.server.up:
            raise CallFailed(Fault.NOT_SENT, f"cannot connect to /message?sessionId={self.session_id}")
        self.is_open = True
        self.server.opened.append(self)
        return ServerFacts("Kite MCP Server", "1", "2025-03-26", "HTTP/2", "sse", {})

    async def call(self, tool: str, arguments: object, *, timeout_s: float | None = None) -> ToolAnswer:
        if not self.is_open:
            raise CallFailed(Fault.NOT_SENT, "the session is not open")
        ended = asyncio.ensure_future(self.lost.wait())
        answer = asyncio.ensure_future(self.server.answer(tool))
        await asyncio.wait({ended, answer}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if answer.done():
            return answer.result()
        answer.cancel()
        raise CallFailed(Fault.LOST, "the stream ended")

    async def list_tools(self) -> list[dict[str, object]]:
        return [{"name": "get_profile"}, {"name": "place_order"}]

    async def ping(self, *, timeout_s: float) -> None:
        self.pings += 1
        if self.silent_s > 1:
            raise CallFailed(Fault.LOST, "no answer")

    async def close(self, *, end_login: bool = False) -> None:
        self.is_open, self.ended_login = False, self.ended_login or end_login

    def die(self) -> None:
        self.is_open = False
        self.lost.set()


class FakeRecords:
    """One row, one lease; ``rivals`` lets another process have it."""

    def __init__(self) -> None:
        self.row: dict[str, object] = {"epoch": 0, "authorized": None, "mcp_session": "", "session_expires_at": None}
        self.fence = 0
        self.taken = False
        self.down = False
        self.losses: list[str] = []
        self.writes: list[dict[str, object]] = []
        self.released = 0

    async def take(self, account: str) -> int | None:
        self._ask()
        if self.taken:
            return None
        self.fence += 1
        return self.fence

    async def renew(self, account: str, fence: int) -> bool:
        self._ask()
        return not self.taken and fence == self.fence

    async def release(self, account: str, fence: int) -> None:
        self.released += 1

    async def past(self, account: str) -> Past | None:
        self._ask()
        row = self.row
        return Past(int(str(row["epoch"])), str(row["mcp_session"]), row["authorized"], row["session_expires_at"])  # type: ignore[arg-type]

    async def note(self, account: str, fence: int, changes: dict[str, object]) -> bool:
        self._ask()
        if self.taken or fence != self.fence:
            return False
        differing = {name: value for name, value in changes.items() if self.row.get(name) != value}
        if differing:
            self.writes.append(differing)
        self.row |= changes
        return True

    async def lost(self, account: str, fence: int, reason: str) -> None:
        self.losses.append(reason)

    async def active(self) -> list[Facts]:
        return []

    async def find(self, account: str) -> Facts | None:
        return None

    def _ask(self) -> None:
        if self.down:
            raise RecordsDown("OperationalError")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def on(self, **by: float) -> None:
        self.now += timedelta(**by)


class Stage:
    """A keeper that runs, and all that is around it."""

    def __init__(self, facts: Facts = KITE, *, pace: Pace = FAST, by_itself: bool = True) -> None:
        self.server, self.records, self.clock = FakeServer(), FakeRecords(), Clock()
        self.confirmed: list[str] = []
        rules = Rules(
            frozenset({"kite.zerodha.com"}),
            self._log_in if facts.is_paper and by_itself else None,
            lambda tools: [{"tool": "cancel_order", "what": "missing"}],
        )
        self.keeper = Keeper(
            facts, records=self.records, dial=self.server.dial, rules=rules, pace=pace, clock=self.clock
        )

    async def _log_in(self, url: str) -> bool:
        self.confirmed.append(url)
        self.server.logged_in = True
        return True

    async def __aenter__(self) -> Stage:
        self.task = asyncio.create_task(self.keeper.run())
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.keeper.stop()
        await asyncio.wait_for(self.task, 5)
        assert self.server.living == 0

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition)

    async def opened(self, epoch: int = 1) -> None:
        await until(lambda: self.keeper.state().connected and self.keeper.state().epoch == epoch)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
