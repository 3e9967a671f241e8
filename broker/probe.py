"""The connection test of an address: a session that is thrown away, and where there is none, which link failed and why.

Nothing is logged in, stored or kept. Addresses are judged and pinned by the guard, also for the diagnosis.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from broker.adapters.failures import CallFailed
from broker.addresses import AddressGuard, UrlNotAllowed

if TYPE_CHECKING:
    from broker.adapters.mcp_session import McpSession  # at run time only where a test is made

PROBE_S = 8.0
REACH_S = 2.0


class ProbeCode(StrEnum):
    """Why no session could be opened."""

    DNS = "DNS"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    TLS = "TLS"
    HTTP1_ONLY = "HTTP1_ONLY"
    NOT_MCP = "NOT_MCP"
    NOT_ALLOWED = "NOT_ALLOWED"


INITIALISING = frozenset({ProbeCode.HTTP1_ONLY, ProbeCode.NOT_MCP})
"""The server was reached, and then no session came of it."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a throw-away session found. ``code`` is None when it opened; ``latency_ms`` is all it took."""

    code: ProbeCode | None = None
    message: str = ""
    latency_ms: int = 0
    http_version: str = ""
    protocol_version: str = ""
    transport: str = ""
    server_info: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, object] = field(default_factory=dict)
    tools: Sequence[str] = ()

    @property
    def opened(self) -> bool:
        return self.code is None


def probe(url: str, transport: str, *, guard: AddressGuard, is_paper: bool, list_tools: bool) -> ProbeResult:
    """Opens a session, lists its tools if asked, and closes it; says why if that fails. Never raises for the server.

    ``is_paper``: it is our own exchange, which speaks HTTP/2 without TLS.
    """
    from broker.adapters.mcp_session import McpSession  # noqa: PLC0415  # a second and 45 MB, for whoever tests

    started = time.monotonic()
    session = partial(McpSession, url, transport=transport, timeout_s=PROBE_S / 2, guard=guard, http2_prior=is_paper)
    try:
        found = asyncio.run(_open(session, list_tools=list_tools))
    except (CallFailed, TimeoutError) as exc:
        code, message = diagnose(url, guard=guard, in_time=not _is_late(exc))
        return ProbeResult(code, message, latency_ms=_since(started))
    return found


async def _open(make: Callable[[], McpSession], *, list_tools: bool) -> ProbeResult:
    started, session = time.monotonic(), make()
    try:
        async with asyncio.timeout(PROBE_S):
            facts = await session.open()
            tools = await session.list_tools() if list_tools else []
    finally:
        await session.close(end_login=True)
    return ProbeResult(
        latency_ms=_since(started), http_version=facts.http_version, protocol_version=facts.protocol_version,
        transport=facts.transport, server_info={"name": facts.name, "version": facts.version},
        capabilities=facts.capabilities, tools=tuple(sorted(str(tool.get("name", ""))[:100] for tool in tools)),
    )  # fmt: skip


def diagnose(url: str, *, guard: AddressGuard, in_time: bool = True) -> tuple[ProbeCode, str]:
    """The first link that fails on the way to ``url``, and what a person can do about it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        guard.check(url)
        addresses = guard.addresses(host, port)
    except UrlNotAllowed as exc:
        return ProbeCode.NOT_ALLOWED, str(exc)
    except OSError:
        return ProbeCode.DNS, f"No address is known for {host}. Check how it is spelt, then this machine's DNS."
    try:
        alpn = _reach(addresses, host, port, secure=parts.scheme == "https")
    except ssl.SSLCertVerificationError as exc:
        return ProbeCode.TLS, f"The certificate of {host} is not trusted: {exc.verify_message}."
    except ssl.SSLError as exc:
        return ProbeCode.TLS, f"No TLS with {host} on port {port} ({exc.reason or 'handshake failed'})."
    except TimeoutError:
        return ProbeCode.TIMEOUT, f"{host} does not answer on port {port}. A firewall may drop the connection."
    except OSError:
        return (
            ProbeCode.REFUSED,
            f"{host} refuses connections on port {port}. Is the server running there?",
        )
    return _unanswered(host, parts.path, alpn, in_time=in_time)


def _unanswered(host: str, path: str, alpn: str, *, in_time: bool) -> tuple[ProbeCode, str]:
    if alpn == "http/1.1" and path.endswith("/sse"):
        return ProbeCode.HTTP1_ONLY, (
            f"{host} speaks HTTP/1.1 only, where the stream and its messages may reach different servers. "
            "Use its /mcp address with streamable HTTP."
        )
    if not in_time:
        return ProbeCode.TIMEOUT, f"{host} takes the connection but did not answer MCP's greeting in time. Try again."
    return ProbeCode.NOT_MCP, f"{host} answers, but {path or '/'} is not an MCP endpoint. Usual ones are /sse and /mcp."


def _reach(addresses: Sequence[str], host: str, port: int, *, secure: bool) -> str:
    """Connects, with TLS if ``secure``, and lets go; returns what ALPN agreed on. Raises OSError, ssl.SSLError."""
    problem: OSError | None = None
    for address in addresses:
        try:
            with socket.create_connection((address, port), timeout=REACH_S) as link:
                return _handshake(link, host) if secure else ""
        except ssl.SSLError:
            raise
        except OSError as exc:
            problem = exc
    raise problem or OSError("no address")


def _handshake(link: socket.socket, host: str) -> str:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(link, server_hostname=host) as secured:
        return secured.selected_alpn_protocol() or "http/1.1"


def _is_late(exc: Exception) -> bool:
    return isinstance(exc, TimeoutError) or "in time" in str(exc) or "timed out" in str(exc).lower()


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
