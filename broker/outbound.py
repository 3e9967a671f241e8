"""The one way out to addresses that a person may set: judged and pinned (``addresses.AddressGuard``), no redirect, no
proxy from the environment, TLS always verified, and no endless answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import lru_cache

import httpcore2
import httpx2

from broker.addresses import AddressGuard, UrlNotAllowed, is_literal

CONNECT_S = 2.0
MAX_BODY = 6_000_000
MAX_CONNECTIONS = 50
KEEP_S = 60.0
SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]] | None


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """An httpx2 transport that connects only where its guard allows.

    ``trust`` is the path of a CA file that is trusted instead of the system's; ``http1=False`` with ``http2=True``
    speaks HTTP/2 at once, also over plain text; ``limit`` caps the bytes of one answer, 0 does not.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        trust: str = "",
        secure: bool = True,
        http1: bool = True,
        http2: bool = True,
        connections: int = MAX_CONNECTIONS,
        limit: int = MAX_BODY,
    ) -> None:
        context = tls_context(trust) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=context, trust_env=False)
        self._limit = limit
        # The parent has no argument for the backend that connects, so its pool is made again with ours.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            keepalive_expiry=KEEP_S,
            http1=http1,
            http2=http2,
            network_backend=_Pinned(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if self._limit and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Capped(response.stream, self._limit)
        return response


class GuardedSyncTransport(httpx2.HTTPTransport):
    """The same for synchronous clients."""

    def __init__(self, guard: AddressGuard, *, trust: str = "", limit: int = MAX_BODY) -> None:
        context = tls_context(trust)
        super().__init__(verify=context, trust_env=False)
        self._limit = limit
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_S,
            http2=True,
            network_backend=_PinnedSync(guard),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _CappedSync(response.stream, self._limit)
        return response


def open_client(
    url: str, *, guard: AddressGuard, timeout_s: float, trust: str = "", limit: int = MAX_BODY
) -> httpx2.Client:
    """A synchronous client for one address a person has set, and for nothing else. Raises UrlNotAllowed.

    Its requests raise httpx2.ConnectError where the guard says no; a redirect is an answer, not a way.
    """
    return httpx2.Client(
        base_url=guard.check(url),
        transport=GuardedSyncTransport(guard, trust=trust, limit=limit),
        timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        follow_redirects=False,
        trust_env=False,
    )


@lru_cache(maxsize=8)
def tls_context(trust: str = "") -> ssl.SSLContext:
    """Kept: making one reads every certificate of the system."""
    if trust:
        return ssl.create_default_context(cafile=trust)
    return httpx2.create_ssl_context(trust_env=False)


class _Pinned(httpcore2.AsyncNetworkBackend):
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore2.AsyncNetworkStream:
        problem: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                problem = exc
        raise problem or httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("a socket file is no address of a server")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            if is_literal(host):  # nothing to resolve, so nothing to wait for
                return self._guard.addresses(host, port)
            return await asyncio.to_thread(self._guard.addresses, host, port)
        except (UrlNotAllowed, OSError) as exc:
            raise httpcore2.ConnectError(str(exc)) from exc


class _PinnedSync(httpcore2.NetworkBackend):
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = self._guard.addresses(host, port)
        except (UrlNotAllowed, OSError) as exc:
            raise httpcore2.ConnectError(str(exc)) from exc
        problem: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in found:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                problem = exc
        raise problem or httpcore2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: SocketOptions = None
    ) -> httpcore2.NetworkStream:
        raise httpcore2.ConnectError("a socket file is no address of a server")


class AnswerTooLarge(httpx2.ReadError):
    """The answer is longer than any honest one."""


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int) -> None:
        self._inner = inner
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise AnswerTooLarge("the answer is too large")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CappedSync(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, limit: int) -> None:
        self._inner = inner
        self._left = limit

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise AnswerTooLarge("the answer is too large")
            yield chunk

    def close(self) -> None:
        self._inner.close()
