"""Keeps the one session of a connection: by the database's lease, opened again when it is lost, its login watched.

Calls of others are carried on it; nothing is ever carried twice, and a write goes only while the lease is surely ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping

from broker.adapters.failures import LOGIN_TEXT, CallFailed, Fault
from broker.adapters.mcp_session import Saved, ServerFacts
from broker.adapters.tool_client import ToolAnswer
from broker.session.authority import Authority
from broker.session.messages import LoginOffer, SessionState
from broker.session.records import Facts, Past, Records, RecordsDown
from broker.session.terms import Clock, Dial, Pace, Rules, Session, utc_now
from sigmatrader.audit.redaction import redact_text

log = logging.getLogger("broker.session")


class Keeper:
    """``run`` it as a task until ``stop``. All methods belong to one loop."""

    def __init__(
        self,
        facts: Facts,
        *,
        records: Records,
        dial: Dial,
        rules: Rules,
        pace: Pace | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.facts = facts
        self._records = records
        self._dial = dial
        self._rules = rules
        self._pace = pace or Pace()
        self._clock = clock
        self._authority = Authority(facts, rules=rules, pace=self._pace, clock=clock, report=self._note)
        self._session: Session | None = None
        self._server: ServerFacts | None = None
        self._opened = asyncio.Event()
        self._again = asyncio.Event()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._paused = False
        self._fence = 0
        self._owned_until = 0.0
        self._trying_since = time.monotonic()
        self._epoch = 0
        self._error = ""
        self._unsaved: dict[str, object] = {}

    # --- life --------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until ``stop``: takes the lease whenever it is free, and keeps a session while it has it."""
        while not self._stopping.is_set():
            if await self._take():
                await self._own()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pace.claim_s)

    def stop(self) -> None:
        self._stopping.set()

    @property
    def owned(self) -> bool:
        """Whether the lease is ours by our own count, which started before the database's."""
        return time.monotonic() < self._owned_until

    @property
    def login_open(self) -> bool:
        return self._authority.login_open

    async def _take(self) -> bool:
        began = time.monotonic()
        try:
            fence = await self._records.take(self.facts.account)
        except RecordsDown:
            return False
        if fence is None:
            return False
        self._fence, self._owned_until = fence, began + self._pace.lease_s
        self._trying_since = time.monotonic()
        return True

    async def _own(self) -> None:
        """Until the lease is lost or we stop; what was kept is closed, and a lease that still is ours let go."""
        tasks = {asyncio.create_task(work) for work in (self._renew(), self._sessions(), self._stopping.wait())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        if self.owned:
            with contextlib.suppress(RecordsDown):
                await self._records.release(self.facts.account, self._fence)
        self._owned_until = 0.0

    async def _renew(self) -> None:
        """Returns when the lease is lost, or ran out while the database could not be asked."""
        while self.owned:
            await asyncio.sleep(self._pace.renew_s)
            began = time.monotonic()
            try:
                kept = await self._records.renew(self.facts.account, self._fence)
            except RecordsDown as exc:
                log.warning("the lease of %s could not be renewed: %s", self.facts.account, exc)
                continue
            self._owned_until = began + self._pace.lease_s if kept else 0.0
        log.warning("the session of %s belongs to another process now", self.facts.account)

    async def _sessions(self) -> None:
        """One session after the other."""
        pause = self._pace.first_pause_s
        while True:
            await self._while_paused()
            try:
                session = await self._open()
            except CallFailed as exc:
                await self._not_opened(exc)
                await asyncio.sleep(pause * (0.5 + secrets.randbelow(500) / 1000))
                pause = min(2 * pause, self._pace.longest_pause_s)
                continue
            pause = self._pace.first_pause_s
            try:
                reason = await self._live(session)
            finally:
                await self._drop(session)
            if reason:
                log.warning("the session of %s was lost: %s", self.facts.account, reason)
                await self._lost(reason)

    async def _while_paused(self) -> None:
        if self._paused:
            await self._note({"last_status": "disconnected", "authorized": None, "session_expires_at": None})
        while self._paused:
            self._wake.clear()
            await self._wake.wait()

    # --- one session -------------------------------------------------------------------------------------------
    async def _open(self) -> Session:
        """A session with its login looked at. Raises CallFailed; then nothing is left open."""
        self._again.clear()
        past = await self._past()
        session, server, resumed = await self._connect(past)
        try:
            self._authority.begin(expires_at=past.expires_at if resumed else None)
            self._epoch = past.epoch if resumed else past.epoch + 1
            self._unsaved |= self._greeting(session, server)
            authorized = await self._authority.check(session)
            tools = await session.list_tools()
            await self._note({
                "tools": sorted(str(tool.get("name", "")) for tool in tools),
                "tool_faults": list(self._rules.tool_faults(tools)),
            })  # fmt: skip
            self._session, self._server, self._error = session, server, ""
        except BaseException:  # a cancelled opening must not leave its session behind; raised on
            await session.close()
            raise
        self._opened.set()
        log.info(
            "the session of %s is open: %s over %s, %s, epoch %d", self.facts.account, server.transport,
            server.http_version, "authorised" if authorized else "log-in needed", self._epoch,
        )  # fmt: skip
        return session

    async def _past(self) -> Past:
        try:
            found = await self._records.past(self.facts.account)
        except RecordsDown as exc:
            raise CallFailed(Fault.NOT_SENT, f"the connection cannot be read: {exc}") from exc
        if found is None:
            raise CallFailed(Fault.NOT_SENT, "the connection is gone")
        return found

    async def _connect(self, past: Past) -> tuple[Session, ServerFacts, bool]:
        """The saved session if the server still has it, else a new one."""
        saved = Saved.load(past.saved) if past.saved else None
        if saved is not None:
            session = self._dial(self.facts, saved)
            try:
                return session, await session.open(), True
            except CallFailed as exc:
                await session.close()
                if exc.fault is not Fault.SESSION_LOST:
                    raise
                await self._lost("the server does not know it any more")
        session = self._dial(self.facts, None)
        return session, await session.open(), False

    def _greeting(self, session: Session, server: ServerFacts) -> dict[str, object]:
        saved = session.saved()
        return {
            "last_status": "connected", "last_connected_at": self._clock(), "last_error": "", "epoch": self._epoch,
            "mcp_session": saved.dump() if saved is not None else "", "http_version": server.http_version,
            "protocol_version": server.protocol_version,
            "server_info": {"name": server.name, "version": server.version, "transport": server.transport},
        }  # fmt: skip

    async def _live(self, session: Session) -> str:
        """Until it is lost or a new one is asked for; the reason, empty when nothing was lost."""
        watchers = {
            asyncio.create_task(work)
            for work in (
                _until(session.lost, "the stream ended"), _until(self._again, ""), self._watch_silence(session),
                self._authority.watch(session),
            )
        }  # fmt: skip
        try:
            done, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
            return next((reason for task in done if (reason := task.result())), "")
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _watch_silence(self, session: Session) -> str:
        while True:
            await asyncio.sleep(self._pace.look_s)
            if session.silent_s >= self._pace.ping_after_s:
                try:
                    await session.ping(timeout_s=self._pace.ping_s)
                except CallFailed as exc:
                    return f"silent for {session.silent_s:.0f} s ({exc.fault.value})"

    async def _drop(self, session: Session, *, end_login: bool = False) -> None:
        self._forget(session)
        await session.close(end_login=end_login)

    def _forget(self, session: Session) -> None:
        if self._session is session:
            self._session = None
            self._opened.clear()
            self._trying_since = time.monotonic()

    async def _not_opened(self, exc: CallFailed) -> None:
        text = redact_text(exc.text)[:500]
        if text != self._error:
            log.warning("no session for %s: %s", self.facts.account, text)
        self._error = text
        await self._note({"last_status": "error", "last_error": text})

    # --- records -----------------------------------------------------------------------------------------------
    async def _note(self, changes: Mapping[str, object]) -> None:
        """Puts them on the connection; what cannot be written now goes with the next."""
        self._unsaved |= changes
        wanted = dict(self._unsaved)
        try:
            ours = await self._records.note(self.facts.account, self._fence, wanted)
        except RecordsDown as exc:
            log.warning("the state of %s could not be stored: %s", self.facts.account, exc)
            return
        if not ours:
            self._owned_until = 0.0
        self._unsaved = {k: v for k, v in self._unsaved.items() if k not in wanted or v is not wanted[k]}

    async def _lost(self, reason: str) -> None:
        with contextlib.suppress(RecordsDown):
            await self._records.lost(self.facts.account, self._fence, reason)

    # --- what others ask ---------------------------------------------------------------------------------------
    async def call(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """A read, carried once; once more where the paper exchange only wanted its login. Raises CallFailed."""
        session = await self._ready(self._pace.wait_s)
        answer = await self._carry(session, tool, arguments)
        if not _wants_login(answer):
            return answer
        if self._authority.logs_in_itself and await self._authority.check(session):
            return await self._carry(session, tool, arguments)
        self._authority.doubt()
        return answer

    async def write(self, tool: str, arguments: Mapping[str, object], *, not_after: float) -> ToolAnswer:
        """Carried once, on a session just proven alive, before ``not_after`` (monotonic) and under our lease; else
        CallFailed(NOT_SENT)."""
        try:
            session = await self._proven(not_after)
        except CallFailed as exc:
            raise CallFailed(Fault.NOT_SENT, exc.text) from exc
        if not self.owned:
            raise CallFailed(Fault.NOT_SENT, "the session belongs to another process")
        if time.monotonic() > not_after:
            raise CallFailed(Fault.NOT_SENT, "too late to send")
        answer = await self._carry(session, tool, arguments)
        if _wants_login(answer):
            self._authority.doubt()
        return answer

    async def list_tools(self) -> list[Mapping[str, object]]:
        session = await self._ready(self._pace.wait_s)
        return await session.list_tools()

    async def login(self) -> LoginOffer:
        """See ``Authority.login``; a paused connection is opened for it."""
        self.resume()
        return await self._authority.login(await self._ready(2 * self._pace.wait_s, anew=True))

    async def refresh(self) -> None:
        """Looks at the login now. Raises CallFailed."""
        await self._authority.check(await self._ready(self._pace.wait_s))

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._trying_since = time.monotonic()
            self._wake.set()

    async def reconnect(self) -> None:
        """A new session; a saved one is not gone on with."""
        self.resume()
        self._trying_since = time.monotonic()
        await self._note({"mcp_session": ""})
        self._again.set()

    async def disconnect(self) -> None:
        """Ends session and login, until somebody asks for them."""
        self._paused = True
        if self._session is not None:
            await self._drop(self._session, end_login=True)
        self._again.set()
        await self._note({
            "mcp_session": "", "last_status": "disconnected", "authorized": None, "session_expires_at": None,
        })  # fmt: skip

    def state(self) -> SessionState:
        session, server, authority = self._session, self._server, self._authority
        return SessionState(
            account=self.facts.account, connected=session is not None, epoch=self._epoch, error=self._error,
            authorized=authority.authorized if session is not None else None, user=authority.user,
            transport=server.transport if server else "", http_version=server.http_version if server else "",
            protocol_version=server.protocol_version if server else "", server=server.name if server else "",
            silent_s=round(session.silent_s, 1) if session is not None else None, paused=self._paused,
            expires_at=authority.expires_at, login_open=authority.login_open, owned=self.owned,
        )  # fmt: skip

    # --- inside ------------------------------------------------------------------------------------------------
    async def _ready(self, wait_s: float, *, anew: bool = False) -> Session:
        """The open session, waited for while it has not been gone for long. Raises CallFailed(LOST)."""
        if self._paused and self.facts.is_paper:
            self.resume()
        if self._session is None:
            since = time.monotonic() if anew else self._trying_since
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), max(0.0, since + wait_s - time.monotonic()))
        if self._session is None:
            raise CallFailed(Fault.LOST, self._why_not())
        return self._session

    def _why_not(self) -> str:
        if self._paused:
            return "the connection is disconnected"
        if not self.owned:
            return "the session belongs to another process"
        return self._error or "the session is being opened"

    async def _proven(self, not_after: float) -> Session:
        session = await self._ready(min(self._pace.wait_s, not_after - time.monotonic()))
        if session.silent_s <= self._pace.prove_after_s:
            return session
        try:
            await session.ping(timeout_s=self._pace.prove_s)
        except CallFailed:
            self._give_up(session)
            return await self._ready(min(self._pace.wait_s, not_after - time.monotonic()))
        return session

    async def _carry(self, session: Session, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        try:
            return await session.call(tool, arguments)
        except CallFailed as exc:
            if exc.fault is Fault.SESSION_LOST:
                self._give_up(session)
            raise

    def _give_up(self, session: Session) -> None:
        """This one is of no use; whoever keeps it learns that as of any lost one."""
        self._forget(session)
        session.lost.set()


async def _until(event: asyncio.Event, reason: str) -> str:
    await event.wait()
    return reason


def _wants_login(answer: ToolAnswer) -> bool:
    return answer.is_error and LOGIN_TEXT.match(answer.text) is not None
