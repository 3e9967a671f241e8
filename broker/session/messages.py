"""What goes over the local socket between the session process and those who ask it. Free of Django and of MCP.

A frame is four bytes of length, big-endian, and a JSON object. A question has an ``id`` that its answer repeats, so
that many may be under way on one socket. Texts of tools pass through as they came.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from broker.adapters.failures import CallFailed, Fault

HEAD = struct.Struct(">I")
MAX_FRAME = 32_000_000
MAX_PATH = 100  # bytes that any system takes in a socket's address
Frame = dict[str, object]


class Op(StrEnum):
    """What the process can be asked."""

    PING = "ping"
    CALL = "call"
    WRITE = "write"
    TOOLS = "tools"
    JSON = "json"
    LOGIN = "login"
    STATE = "state"
    RECONNECT = "reconnect"
    DISCONNECT = "disconnect"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class LoginOffer:
    """Where a person logs in. The address is a credential: shown once to whoever asked, stored and logged nowhere."""

    url: str = field(repr=False)
    expires_at: datetime | None
    already: bool = False
    user: str = ""


@dataclass(frozen=True, slots=True)
class SessionState:
    """A connection's session as its owner sees it now. ``authorized`` None is not known."""

    account: str
    connected: bool
    authorized: bool | None
    epoch: int
    user: str = ""
    transport: str = ""
    http_version: str = ""
    protocol_version: str = ""
    server: str = ""
    error: str = ""
    silent_s: float | None = None
    expires_at: datetime | None = None
    login_open: bool = False
    paused: bool = False
    owned: bool = True


def pack(message: Mapping[str, object]) -> bytes:
    """The frame of a message. Raises CallFailed(UNREADABLE) for one larger than ``MAX_FRAME``."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME:
        raise CallFailed(Fault.UNREADABLE, "the message is too large")
    return HEAD.pack(len(body)) + body


def size_of(head: bytes) -> int:
    """The length of the body that follows. Raises ValueError for one that is too long."""
    size: int = HEAD.unpack(head)[0]
    if size > MAX_FRAME:
        raise ValueError("the frame is too large")
    return size


def unpack(body: bytes) -> Frame:
    """Raises ValueError for anything but a JSON object."""
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004  # one kind of error for all that is no frame
    return found


def state_frame(state: SessionState) -> Frame:
    """The state as JSON has it."""
    frame: Frame = {name: getattr(state, name) for name in SessionState.__slots__}
    return frame | {"expires_at": state.expires_at.isoformat() if state.expires_at else None}


def state_of(frame: object) -> SessionState:
    """Raises CallFailed(UNREADABLE) for what is no state."""
    if not isinstance(frame, dict) or set(frame) != set(SessionState.__slots__):
        raise CallFailed(Fault.UNREADABLE, "the session process answered no state")
    return SessionState(**{**frame, "expires_at": moment(frame["expires_at"])})


def moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
