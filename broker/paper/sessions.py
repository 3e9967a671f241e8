"""Who is logged in: the sessions of the exchange's MCP server and the links that log one in (FACTS a8-a17).

Times are aware and passed in; nothing here touches a network. A session over a stream lives as long as the stream; one
of /mcp as long as it is not ended. Either is 12 hours old at most, and a login dies at 06:00 in India.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from broker.calendar import IST

PREFIX = "kitemcp-"
LIFE = timedelta(hours=12)
SWEEP = timedelta(minutes=30)
LINK_LIFE = timedelta(minutes=30)
TOKEN_DIES = time(6, 0)
MAX_KEPT = 10_000
MAX_LINKS = 1_000


class LoginMode(StrEnum):
    """``off``: every session is logged in. ``auto``: the authorize page takes a bare POST. ``manual``: a person's."""

    OFF = "off"
    AUTO = "auto"
    MANUAL = "manual"


class Access(StrEnum):
    """What a call may do. Only the first call of a session is told plainly that it is not logged in."""

    GRANTED = "granted"
    FIRST = "first"
    REFUSED = "refused"
    ENDED = "ended"


class UnknownSession(Exception):
    """No session of that id."""


class EndedSession(Exception):
    """There was one; it was ended or is too old."""


class LinkRefused(Exception):
    """The login link is used, old or not ours."""


@dataclass(slots=True)
class ToolSession:
    """One client's session. ``used_first`` starts its 12 hours; ``token_ends`` is when its login dies."""

    session_id: str = ""
    mode: LoginMode = LoginMode.OFF
    swept_since: datetime | None = None
    used_first: datetime | None = None
    token_ends: datetime | None = None
    has_data: bool = False
    ended: bool = False

    def access(self, now: datetime) -> Access:
        """May a call that needs a login go on? The asking itself leaves a mark, as at the real server."""
        if self.mode is LoginMode.OFF:
            return Access.GRANTED
        if self._is_over(now):
            return Access.ENDED
        if not self.has_data:
            self._touch(now)
            return Access.FIRST
        return Access.GRANTED if self.is_logged_in(now) else Access.REFUSED

    def is_logged_in(self, now: datetime) -> bool:
        if self.mode is LoginMode.OFF:
            return True
        return self.token_ends is not None and now < self.token_ends

    def start_login(self, now: datetime) -> Access:
        """GRANTED where there is nothing to do; else any login it had is forgotten and a link may be made."""
        if self.mode is not LoginMode.OFF and self._is_over(now):
            return Access.ENDED
        if self.is_logged_in(now):
            return Access.GRANTED
        self._touch(now)
        self.token_ends = None
        return Access.REFUSED

    def log_in(self, now: datetime) -> None:
        self._touch(now)
        self.token_ends = token_death(now)

    def is_too_old(self, now: datetime) -> bool:
        return self.mode is not LoginMode.OFF and self.used_first is not None and now >= self.used_first + LIFE

    def _is_over(self, now: datetime) -> bool:
        """Too old and not yet swept away. Once swept, the next call meets a fresh session."""
        if self.ended:
            return True
        if not self.is_too_old(now):
            return False
        if self.used_first is not None and now < self._sweep_after(self.used_first + LIFE):
            return True
        self.used_first, self.token_ends, self.has_data = None, None, False
        return False

    def _sweep_after(self, moment: datetime) -> datetime:
        since = self.swept_since or moment
        return since + SWEEP * ((moment - since) // SWEEP + 1)

    def _touch(self, now: datetime) -> None:
        self.has_data = True
        self.used_first = self.used_first or now


def token_death(now: datetime) -> datetime:
    """The next 06:00 in India."""
    local = now.astimezone(IST)
    day = local.date() if local.time() < TOKEN_DIES else local.date() + timedelta(days=1)
    return datetime.combine(day, TOKEN_DIES, tzinfo=IST)


@dataclass(slots=True)
class LoginDesk:
    """Makes login links and takes them back, each once. Its key is of this process: a restart voids them all."""

    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _issued: dict[str, datetime] = field(default_factory=dict)
    _serial: int = 0

    def offer(self, session_id: str, now: datetime) -> str:
        """``<session id>|<unix time>.<signature>``, as the real link's redirect parameters carry it."""
        self._serial += 1
        moment = int(now.timestamp())
        link = f"{session_id}|{moment}.{self._signature(f'{session_id}|{moment}|{self._serial}')}"
        while len(self._issued) >= MAX_LINKS:
            del self._issued[next(iter(self._issued))]
        self._issued[link] = now + LINK_LIFE
        return link

    def session_of(self, link: str, now: datetime) -> str:
        """Whose login this is. Raises LinkRefused."""
        ends = self._issued.get(link)
        if ends is None or now >= ends:
            raise LinkRefused("This link was used before, is too old, or was not made here.")
        return link.partition("|")[0]

    def use(self, link: str, now: datetime) -> str:
        """As ``session_of``, and never again. Raises LinkRefused."""
        session_id = self.session_of(link, now)
        del self._issued[link]
        return session_id

    def form_token(self, link: str) -> str:
        """What only the page shown for ``link`` knows."""
        return self._signature(f"form|{link}")

    def forget(self) -> None:
        self._key = secrets.token_bytes(32)
        self._issued.clear()

    def _signature(self, text: str) -> str:
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Sessions:
    """All sessions of one server, in memory only."""

    def __init__(self, mode: LoginMode, *, started: datetime) -> None:
        self.mode = mode
        self.desk = LoginDesk()
        self._started = started
        self._next_sweep = started + SWEEP
        self._found: dict[str, ToolSession] = {}

    def __len__(self) -> int:
        return sum(not session.ended for session in self._found.values())

    def open_stream(self) -> ToolSession:
        """For one stream; its 12 hours start with its first call."""
        return self._add(ToolSession(str(uuid.uuid4()), self.mode, self._started))

    def open_kept(self, now: datetime) -> ToolSession:
        """For /mcp; its 12 hours start now."""
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            self._sweep(now)
        if len(self._found) >= MAX_KEPT:
            self._drop_longest_unused()
        return self._add(ToolSession(f"{PREFIX}{uuid.uuid4()}", self.mode, self._started, used_first=now))

    def stream(self, session_id: str) -> ToolSession:
        """Raises UnknownSession."""
        return self._get(session_id)

    def kept(self, session_id: str, now: datetime) -> ToolSession:
        """Raises UnknownSession, EndedSession."""
        if not session_id.startswith(PREFIX):
            raise UnknownSession
        session = self._get(session_id)
        if session.ended or session.is_too_old(now):
            session.ended, session.token_ends = True, None
            raise EndedSession
        self._found[session_id] = self._found.pop(session_id)  # the longest unused are the first to be dropped
        return session

    def end(self, session_id: str) -> None:
        """Ends one of /mcp and its login; its id is told from an unknown one for as long as it is remembered."""
        session = self._get(session_id)
        session.ended, session.token_ends = True, None

    def drop(self, session_id: str) -> None:
        self._found.pop(session_id, None)

    def log_in(self, link: str, now: datetime) -> None:
        """Uses a link up. Raises LinkRefused."""
        session = self._found.get(self.desk.use(link, now))
        if session is None or session.ended or session.is_too_old(now):
            raise LinkRefused("The session this link was for has ended.")
        session.log_in(now)

    def kill_tokens(self) -> None:
        """Every login dies, as at 06:00."""
        for session in self._found.values():
            session.token_ends = None

    def lose_all(self) -> None:
        """As a restart does: no session, no link."""
        self._found.clear()
        self.desk.forget()

    def _sweep(self, now: datetime) -> None:
        """Forgets what is ended and old; without logins only what was ended."""
        for session in list(self._found.values()):
            old = session.used_first is not None and now >= session.used_first + LIFE
            if session.session_id.startswith(PREFIX) and (session.ended or (old and self.mode is not LoginMode.OFF)):
                self.drop(session.session_id)

    def _add(self, session: ToolSession) -> ToolSession:
        self._found[session.session_id] = session
        return session

    def _get(self, session_id: str) -> ToolSession:
        try:
            return self._found[session_id]
        except KeyError:
            raise UnknownSession from None

    def _drop_longest_unused(self) -> None:
        found = next((key for key in self._found if key.startswith(PREFIX)), None)
        if found is not None:
            self.drop(found)
