"""What a browser session remembers about when its owner proved who they are."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase

SIGNED_IN_AT = "signed_in_at"
SEEN_AT = "seen_at"
REAUTHENTICATED_AT = "reauthenticated_at"


def moment(session: SessionBase, name: str) -> datetime | None:
    """The aware time kept under ``name``, or None."""
    text = session.get(name)
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def start(session: SessionBase, *, now: datetime) -> None:
    """Marks a session as signed in now; both limits count from here."""
    session[SIGNED_IN_AT] = now.isoformat()
    session[SEEN_AT] = now.isoformat()


def open_reauthentication(session: SessionBase, *, now: datetime) -> datetime:
    """Opens what needs a recent proof of identity; returns until when."""
    session[REAUTHENTICATED_AT] = now.isoformat()
    return now + timedelta(seconds=settings.REAUTHENTICATION_S)


def is_reauthenticated(session: SessionBase, *, now: datetime) -> bool:
    """Whether the owner proved who they are within the last ``settings.REAUTHENTICATION_S`` seconds."""
    at = moment(session, REAUTHENTICATED_AT)
    return at is not None and timedelta(0) <= now - at <= timedelta(seconds=settings.REAUTHENTICATION_S)


def is_over(session: SessionBase, *, now: datetime) -> bool:
    """Whether the session passed its absolute or its idle limit."""
    signed_in, seen = moment(session, SIGNED_IN_AT), moment(session, SEEN_AT)
    if signed_in is None:
        return False
    too_old = now - signed_in > timedelta(seconds=settings.SESSION_COOKIE_AGE)
    too_idle = seen is not None and now - seen > timedelta(seconds=settings.SESSION_IDLE_S)
    return too_old or too_idle
