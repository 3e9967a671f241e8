"""Asks the session process, from any thread of any process of the product. Needs the standard library alone.

A question that did not leave whole is NOT_SENT: the process acts on whole frames only. One that left and has no answer
is LOST. A process that is not there is NOT_SENT for a write, at once, and LOST for a read, so that the adapter asks
again within its budget while the process is started anew.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.tool_client import ToolAnswer
from broker.session.messages import HEAD, Frame, LoginOffer, Op, SessionState, moment, pack, size_of, state_of, unpack

CONNECT_S = 1.0
CALL_S = 10.0  # how long the process waits for the broker
GRACE_S = 3.0  # and how much longer we wait for the process
WRITE_LIFE_S = 3.0  # a write that has not left the process by then must not leave it any more
NOT_RUNNING = "the broker session process is not running"
CUT = "the broker session process went away"


class SessionClient:
    """Implements ``ToolClient`` for one connection, and asks for its login and state. Raises CallFailed only.

    Each thread keeps one socket; a forked child makes its own.
    """

    def __init__(self, account: str, socket_path: Path) -> None:
        self.account = account
        self._wire = _Wire(socket_path)

    def call(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        return _answer(self._ask(Op.CALL, CALL_S, tool=tool, arguments=dict(arguments)))

    def call_write(self, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """Sent once, or CallFailed(NOT_SENT): also when the process could not send it within ``WRITE_LIFE_S``."""
        until = time.monotonic() + WRITE_LIFE_S  # one clock for all processes of a machine
        question = {"tool": tool, "arguments": dict(arguments), "not_after": until}
        return _answer(self._wire.ask(Op.WRITE, self.account, question, WRITE_LIFE_S + CALL_S + GRACE_S, write=True))

    def list_tools(self) -> list[Mapping[str, object]]:
        found = self._ask(Op.TOOLS, CALL_S)
        if not isinstance(found, list):
            raise CallFailed(Fault.UNREADABLE, "the session process answered no list")
        return found

    def get_json(self, url: str) -> object:
        return self._ask(Op.JSON, CALL_S, url=url)

    def login(self) -> LoginOffer:
        """Where the person logs in, or that it is not needed. Never call it to see whether a session works."""
        found = self._ask(Op.LOGIN, 3 * CALL_S)
        if not isinstance(found, dict):
            raise CallFailed(Fault.UNREADABLE, "the session process answered no offer")
        return LoginOffer(
            str(found.get("url", "")), moment(found.get("expires_at")), found.get("already") is True,
            str(found.get("user", "")),
        )  # fmt: skip

    def state(self, *, refresh: bool = False) -> SessionState:
        """As the owner knows it; with ``refresh`` after a look at the profile."""
        return state_of(self._ask(Op.STATE, 2 * CALL_S, refresh=refresh))

    def reconnect(self) -> None:
        """A new session instead of the one there is."""
        self._ask(Op.RECONNECT, CALL_S)

    def disconnect(self) -> None:
        """Ends the session and its login, and opens no other until somebody asks for one."""
        self._ask(Op.DISCONNECT, CALL_S)

    def close(self) -> None:
        self._wire.close()

    def _ask(self, op: Op, timeout_s: float, **question: object) -> object:
        return self._wire.ask(op, self.account, question, timeout_s + GRACE_S)


def is_running(socket_path: Path) -> bool:
    """Whether a session process answers there."""
    wire = _Wire(socket_path)
    try:
        return wire.ask(Op.PING, "", {}, CONNECT_S) is True
    except CallFailed:
        return False
    finally:
        wire.close()


def tell_changed(socket_path: Path) -> bool:
    """Tells the process that connections changed; it would see it by itself a little later. Says whether it heard."""
    wire = _Wire(socket_path)
    try:
        return wire.ask(Op.RELOAD, "", {}, CONNECT_S) is True
    except CallFailed:
        return False
    finally:
        wire.close()


class _Wire:
    """The sockets of one client, one per thread; those of a parent process are never used by its child."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._kept = threading.local()
        self._ids = itertools.count(1)

    def ask(
        self, op: Op, account: str, question: Mapping[str, object], timeout_s: float, *, write: bool = False
    ) -> object:
        number = next(self._ids)
        frame = pack({"id": number, "op": op.value, "account": account, **question})
        link = self._send(frame, timeout_s, write=write)
        try:
            answer = _receive(link, number, time.monotonic() + timeout_s)
        except (OSError, ValueError) as exc:
            self.close()
            raise CallFailed(Fault.LOST, "no answer in time" if isinstance(exc, TimeoutError) else CUT) from exc
        return _result(answer)

    def close(self) -> None:
        """This thread's socket; others go with their threads."""
        link = self._mine()
        self._kept.link = None
        if link is not None:
            link.close()

    def _send(self, frame: bytes, timeout_s: float, *, write: bool) -> socket.socket:
        """Where the whole frame went. A kept socket that turns out dead took nothing, so a new one is tried."""
        link = self._mine()
        if link is not None:
            try:
                link.settimeout(timeout_s)
                link.sendall(frame)
                return link
            except OSError:
                self.close()
        absent = Fault.NOT_SENT if write else Fault.LOST
        try:
            link = self._connect()
            link.settimeout(timeout_s)
            link.sendall(frame)
        except OSError as exc:
            self.close()
            raise CallFailed(absent, NOT_RUNNING) from exc
        return link

    def _mine(self) -> socket.socket | None:
        if getattr(self._kept, "pid", 0) != os.getpid():
            self._kept.pid, self._kept.link = os.getpid(), None
        found: socket.socket | None = self._kept.link
        return found

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._kept.link = link
        link.settimeout(CONNECT_S)
        link.connect(self._path)
        return link


def _receive(link: socket.socket, number: int, deadline: float) -> Frame:
    """The answer to this question; one to an earlier question of this socket is dropped."""
    while True:
        body = _exactly(link, size_of(_exactly(link, HEAD.size, deadline)), deadline)
        answer = unpack(body)
        if answer.get("id") == number:
            return answer


def _exactly(link: socket.socket, size: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        link.settimeout(max(0.001, deadline - time.monotonic()))
        piece = link.recv(min(size - len(found), 1_000_000))
        if not piece:
            raise ConnectionResetError(CUT)
        found += piece
    return bytes(found)


def _result(answer: Frame) -> object:
    if "fault" not in answer:
        return answer.get("result")
    try:
        fault = Fault(str(answer["fault"]))
    except ValueError:
        fault = Fault.LOST
    code = answer.get("code")
    raise CallFailed(fault, str(answer.get("text", "")), code if isinstance(code, int) else 0)


def _answer(found: object) -> ToolAnswer:
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise CallFailed(Fault.UNREADABLE, "the session process answered no text")
    return ToolAnswer(found["text"], found.get("is_error") is True)
