"""Whether the broker knows who we are on a session: asked of ``get_profile``, never of ``login``, which can end a login
that works (FACTS a14). A person logs in; the paper exchange's own login we confirm ourselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import datetime

from broker.adapters.failures import LOGIN_TEXT, CallFailed, Fault
from broker.adapters.kite_values import document
from broker.adapters.tool_client import ToolAnswer
from broker.ports import BrokerSchemaError
from broker.session import logins
from broker.session.messages import LoginOffer
from broker.session.records import Facts
from broker.session.terms import Clock, Pace, Report, Rules, Session

log = logging.getLogger("broker.session")


class Authority:
    """The login of one connection. ``report`` takes what changed on the connection."""

    def __init__(self, facts: Facts, *, rules: Rules, pace: Pace, clock: Clock, report: Report) -> None:
        self.authorized: bool | None = None
        self.user = ""
        self.expires_at: datetime | None = None
        self._facts = facts
        self._rules = rules
        self._pace = pace
        self._clock = clock
        self._report = report
        self._began = clock()
        self._login_until = 0.0
        self._doubted = asyncio.Event()
        self._looking = asyncio.Lock()
        self._logging_in = asyncio.Lock()

    @property
    def login_open(self) -> bool:
        """Whether a person was sent to the broker and is not back yet."""
        return self.authorized is not True and time.monotonic() < self._login_until

    @property
    def logs_in_itself(self) -> bool:
        return self._facts.is_paper and self._rules.log_in is not None

    def begin(self, *, expires_at: datetime | None) -> None:
        """A session was opened; one that goes on keeps the end it had."""
        self._began = expires_at - logins.SESSION_LIFE if expires_at else self._clock()
        self.authorized, self.expires_at = None, expires_at
        self._login_until = 0.0

    def doubt(self) -> None:
        """Something was answered that a login would not be: look soon."""
        self._doubted.set()

    async def check(self, session: Session) -> bool:
        """Asks once, logs in at the paper exchange if need be, and reports. Raises CallFailed when nobody answers."""
        async with self._looking:
            user = await self._look(session)
            if user is None and self.logs_in_itself and await self._log_in(session):
                user = await self._look(session)
            await self._set(user)
            return user is not None

    async def login(self, session: Session) -> LoginOffer:
        """Where the person logs in. One at a time, and not at all while the session works. Raises CallFailed."""
        async with self._logging_in:
            if await self.check(session):
                return LoginOffer("", self.expires_at, already=True, user=self.user)
            answer = await session.call("login", {})
            name = logins.already_logged_in(answer.text)
            if name is not None:
                await self._set(name)
                return LoginOffer("", self.expires_at, already=True, user=name)
            try:
                url = logins.login_address(
                    answer.text,
                    hosts=self._rules.login_hosts,
                    paper_url=self._facts.url if self._facts.is_paper else "",
                )
            except logins.BadLoginAddress as exc:
                raise CallFailed(Fault.UNREADABLE, str(exc)) from None
            self._login_until = time.monotonic() + logins.LINK_LIFE.total_seconds()
            self._doubted.set()
            return LoginOffer(url, self._clock() + logins.LINK_LIFE)

    async def watch(self, session: Session) -> str:
        """Looks from time to time, until the session is of no use; then says why."""
        while True:
            await self._until_next()
            if self._clock() >= self._began + logins.SESSION_LIFE:
                await self._set(None)
                return "its twelve hours are over"
            if self._is_dead_by_the_clock():
                await self._set(None)
                continue
            was = self.authorized
            try:
                works = await self.check(session)
            except CallFailed as exc:
                if exc.fault is Fault.SESSION_LOST:
                    return "the server does not know it any more"
                continue
            if self.logs_in_itself and was and not works:
                return "its login ended"

    async def _until_next(self) -> None:
        every = self._pace.paper_profile_s if self._facts.is_paper else self._pace.profile_s
        every = self._pace.login_s if self.login_open else every
        if self.authorized and self.expires_at is not None:
            every = min(every, max(0.0, (self.expires_at - self._clock()).total_seconds()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await self._doubted.wait()
                await asyncio.sleep(0)
        self._doubted.clear()

    def _is_dead_by_the_clock(self) -> bool:
        """A live token dies at 06:00 IST whether or not the server has noticed."""
        over = self.expires_at is not None and self._clock() >= self.expires_at
        return bool(self.authorized and over and not self._facts.is_paper)

    async def _look(self, session: Session) -> str | None:
        """The user's name, or None when a log-in is needed. One failure of an unclear kind is asked about again."""
        answer = await session.call("get_profile", {})
        if answer.is_error and not LOGIN_TEXT.match(answer.text):
            await asyncio.sleep(self._pace.confirm_s)
            answer = await session.call("get_profile", {})
        return None if answer.is_error else _user(answer)

    async def _set(self, user: str | None) -> None:
        now = self._clock()
        if user is None:
            self.authorized, self.expires_at = False, None
        else:
            if not self.authorized or self.expires_at is None or now >= self.expires_at:
                known = self.authorized is None and self.expires_at is not None and now < self.expires_at
                self.expires_at = self.expires_at if known else logins.expiry(self._began, logged_in=now)
            self.authorized, self.user = True, user
        await self._report(
            {"authorized": self.authorized, "user_name": self.user, "session_expires_at": self.expires_at}
        )

    async def _log_in(self, session: Session) -> bool:
        """The login of our own paper exchange, which nobody but us needs to confirm."""
        log_in = self._rules.log_in
        try:
            answer = await session.call("login", {})
            if logins.already_logged_in(answer.text) is not None:
                return True
            url = logins.login_address(answer.text, hosts=(), paper_url=self._facts.url)
        except (CallFailed, logins.BadLoginAddress) as exc:
            log.warning("the paper exchange's login failed for %s: %s", self._facts.account, type(exc).__name__)
            return False
        return log_in is not None and await log_in(url)


def _user(answer: ToolAnswer) -> str:
    try:
        found = document(answer.text)
    except BrokerSchemaError as exc:
        raise CallFailed(Fault.UNREADABLE, "the profile is not readable") from exc
    if not isinstance(found, dict) or not found.get("user_id"):
        raise CallFailed(Fault.UNREADABLE, "the profile has no user")
    return str(found.get("user_name") or found["user_id"])[:150]
