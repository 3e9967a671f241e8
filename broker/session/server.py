"""The local socket the session process answers on: for processes of the same user only, many questions at once.

A question that came is carried through even if whoever asked has gone: an order must not be half sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.kite_tools import tool_mode
from broker.adapters.tool_client import ToolAnswer
from broker.session.keeper import Keeper
from broker.session.messages import HEAD, MAX_PATH, Frame, Op, pack, size_of, state_frame, unpack
from sigmatrader.audit.redaction import redact_text

log = logging.getLogger("broker.session")
MAX_WRITE_LIFE_S = 5.0
_PEER = struct.Struct("3i")


class House(Protocol):
    """Who keeps the sessions."""

    async def keeper(self, account: str) -> Keeper:
        """Raises CallFailed for an account that has none."""
        ...

    async def get_json(self, account: str, url: str) -> object: ...

    def reload(self) -> None: ...


class SocketProblem(Exception):
    """The socket cannot be made; the text says why and what to do."""


class SessionServer:
    """Listens from ``open`` to ``close``."""

    def __init__(self, path: Path, house: House) -> None:
        self._path = path
        self._house = house
        self._server: asyncio.Server | None = None
        self._questions: set[asyncio.Task[None]] = set()
        self._links: set[asyncio.StreamWriter] = set()
        self._ops: Mapping[Op, Callable[[Frame], Awaitable[object]]] = {
            Op.PING: self._ping, Op.RELOAD: self._reload, Op.CALL: self._call, Op.WRITE: self._write,
            Op.TOOLS: self._tools, Op.JSON: self._json, Op.LOGIN: self._login, Op.STATE: self._state,
            Op.RECONNECT: self._reconnect, Op.DISCONNECT: self._disconnect,
        }  # fmt: skip

    async def open(self) -> None:
        """Raises SocketProblem. Whatever lies at the path is of a process that is gone: the caller holds the lock."""
        if len(os.fsencode(self._path)) > MAX_PATH:
            raise SocketProblem(
                f"{self._path} is too long for a socket's address; set SIGMATRADER_BROKER_SOCKET to a shorter one."
            )
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, backlog=512)

    async def close(self, *, grace_s: float = 3.0) -> None:
        """Takes nothing new and lets what is under way come to its end for a while."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        if self._questions:
            await asyncio.wait(set(self._questions), timeout=grace_s)
        for link in set(self._links):
            link.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _same_user(writer.get_extra_info("socket")):
            log.warning("a process of another user was turned away")
            writer.close()
            return
        self._links.add(writer)
        try:
            while True:
                size = size_of(await reader.readexactly(HEAD.size))
                question = unpack(await reader.readexactly(size))
                task = asyncio.create_task(self._answer(question, writer))
                self._questions.add(task)
                task.add_done_callback(self._questions.discard)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self._links.discard(writer)
            writer.close()

    async def _answer(self, question: Frame, writer: asyncio.StreamWriter) -> None:
        answer: dict[str, object] = {"id": question.get("id")}
        try:
            answer["result"] = await self._result(question)
        except CallFailed as exc:
            answer |= {"fault": exc.fault.value, "text": redact_text(exc.text), "code": exc.code}
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.write(_packed(answer))
            await writer.drain()

    async def _result(self, question: Frame) -> object:
        try:
            op = Op(str(question.get("op")))
        except ValueError as exc:
            raise CallFailed(Fault.NOT_SENT, "the session process does not know this question") from exc
        return await self._ops[op](question)

    # --- questions ---------------------------------------------------------------------------------------------
    async def _ping(self, question: Frame) -> object:
        return True

    async def _reload(self, question: Frame) -> object:
        self._house.reload()
        return True

    async def _call(self, question: Frame) -> object:
        tool, arguments = _tool(question, "read")
        return _answer_frame(await (await self._keeper(question)).call(tool, arguments))

    async def _write(self, question: Frame) -> object:
        tool, arguments = _tool(question, "write")
        until = question.get("not_after")
        latest = time.monotonic() + MAX_WRITE_LIFE_S
        not_after = min(float(until), latest) if isinstance(until, int | float) else 0.0
        keeper = await self._keeper(question, absent=Fault.NOT_SENT)
        return _answer_frame(await keeper.write(tool, arguments, not_after=not_after))

    async def _tools(self, question: Frame) -> object:
        return await (await self._keeper(question)).list_tools()

    async def _json(self, question: Frame) -> object:
        return await self._house.get_json(str(question.get("account")), str(question.get("url")))

    async def _login(self, question: Frame) -> object:
        offer = await (await self._keeper(question)).login()
        expires = offer.expires_at.isoformat() if offer.expires_at else None
        return {"url": offer.url, "expires_at": expires, "already": offer.already, "user": offer.user}

    async def _state(self, question: Frame) -> object:
        keeper = await self._keeper(question)
        if question.get("refresh") is True:
            with contextlib.suppress(CallFailed):  # the state says what is wrong
                await keeper.refresh()
        return state_frame(keeper.state())

    async def _reconnect(self, question: Frame) -> object:
        await (await self._keeper(question)).reconnect()
        return True

    async def _disconnect(self, question: Frame) -> object:
        await (await self._keeper(question)).disconnect()
        return True

    async def _keeper(self, question: Frame, *, absent: Fault = Fault.LOST) -> Keeper:
        try:
            return await self._house.keeper(str(question.get("account")))
        except CallFailed as exc:
            raise CallFailed(absent, exc.text) from exc


def _packed(answer: Mapping[str, object]) -> bytes:
    try:
        return pack(answer)
    except CallFailed as exc:
        return pack({"id": answer.get("id"), "fault": exc.fault.value, "text": exc.text, "code": 0})


def _tool(question: Frame, mode: str) -> tuple[str, Mapping[str, object]]:
    """The tool and its arguments, if the tool is of this mode: a read cannot write, and nobody logs in by a call."""
    tool, arguments = question.get("tool"), question.get("arguments")
    if not isinstance(tool, str) or not isinstance(arguments, dict) or tool_mode(tool) != mode:
        raise CallFailed(Fault.NOT_SENT, f"this is not a {mode} tool")
    return tool, arguments


def _answer_frame(answer: ToolAnswer) -> Frame:
    return {"text": answer.text, "is_error": answer.is_error}


def _same_user(link: socket.socket) -> bool:
    """Where the system tells who is at the other end; elsewhere the modes of folder and socket see to it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _PEER.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(uid == os.geteuid())
