"""Sockets and HTTP below the exchange's server: HTTP/1.1 and HTTP/2 on one port (h2 with prior knowledge, or by ALPN
under TLS), spoken by hypercorn one connection at a time. Who serves keeps the sockets, the signals and the order of
the ending; hypercorn's own runner would take all three.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, cast

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, Updated

from broker.paper.web import ABORT, App

BACKLOG = 128
KEEP_ALIVE_S = 75.0
MAX_STREAMS = 256


class ServerProblem(Exception):
    """The exchange cannot be served; the text says why and what to do."""


class Listeners:
    """Serves one app on any number of sockets."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._config = _config()
        self._context = WorkerContext(None)
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def open(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        handshake_s = 10.0 if tls is not None else None
        server = await asyncio.start_server(
            self._serve, sock=listener, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake_s
        )
        self._servers.append(server)

    async def close(self, grace_s: float) -> None:
        """Takes no more, lets what runs end within ``grace_s`` seconds, then breaks what is left."""
        for server in self._servers:
            server.close()
        await self._context.terminated.set()
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=grace_s)
        for writer in list(self._connections.values()):
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=grace_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # asyncio runs this in a task of its own
            raise RuntimeError("not in a task")
        self._connections[task] = writer
        task.add_done_callback(lambda done: self._connections.pop(done, None))
        app = cast("Any", _Abortable(self._app, writer.transport.abort))
        loop = asyncio.get_running_loop()
        await _Connection(app, loop, self._config, self._context, {}, reader, writer)


class _Connection(TCPServer):
    """One connection. hypercorn would keep one whose client has left until its keep-alive time is over."""

    _is_over = False

    async def protocol_send(self, event: Event) -> None:
        if not (self._is_over and isinstance(event, Updated)):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        try:
            await super()._read_data()
        finally:
            self._is_over = True
            await self.idle_task.stop()


class _Abortable:
    """The app of one connection, which it can break."""

    def __init__(self, app: App, abort: Callable[[], None]) -> None:
        self._app = app
        self._abort = abort

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        scope["extensions"][ABORT] = self._abort
        await self._app(scope, receive, send)


def listening_socket(host: str, port: int) -> socket.socket:
    """Raises ServerProblem when the address cannot be had."""
    # The protocol is named so that asyncio turns Nagle off on what it accepts: without that an answer waits 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise ServerProblem(
                f"Port {port} on {host} is in use. Stop what uses it or choose another --port."
            ) from exc
        raise ServerProblem(f"Cannot listen on {host}:{port}: {exc}") from exc
    return listener


def _config() -> Config:
    config = Config()
    config.include_server_header = False
    config.loglevel = "ERROR"
    config.accesslog = None
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = sys.maxsize  # by default a connection ends, stream and all, after a thousand
    config.h2_max_concurrent_streams = MAX_STREAMS
    config.websocket_max_message_size = 0
    return config
