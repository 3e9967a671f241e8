"""The broker session process, as settings and machine have it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx2
from django.conf import settings

from broker.adapters.mcp_session import McpSession, Saved
from broker.adapters.tool_schemas import faults_of
from broker.addresses import AddressGuard
from broker.services import own_ports
from broker.session import lease
from broker.session.owner import Owner
from broker.session.records import DatabaseRecords, Facts
from broker.session.server import SessionServer, SocketProblem
from broker.session.terms import Rules
from sigmatrader.audit.redaction import redact_text

log = logging.getLogger("broker.session")
HTTP_S = 2.0
MANUAL = "manual"


def serve(announce: Callable[[str], None]) -> None:
    """Runs until TERM or INT. Raises SocketProblem when it cannot start."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(redacted)
    path = Path(settings.BROKER_SOCKET)
    with alone(path.with_suffix(".lock")):
        asyncio.run(_serve(path, announce))


async def _serve(path: Path, announce: Callable[[str], None]) -> None:
    records = DatabaseRecords(lease.new_holder())
    async with httpx2.AsyncClient(timeout=HTTP_S, trust_env=False, verify=_paper_trust()) as plain:
        owner = Owner(records=records, dial=dial, rules=rules(plain), plain=plain)
        server = SessionServer(path, owner)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, owner.end)
        try:
            await server.open()
            announce(f"ready at {path}")
            await owner.run()
        finally:
            await server.close()
            records.close()


def dial(facts: Facts, saved: Saved | None) -> McpSession:
    """A session of a connection, not yet open. Our own exchange speaks HTTP/2 without being asked."""
    guard = AddressGuard() if facts.is_paper else _guard()
    trust = str(tls_authority()) if facts.is_paper and tls_authority().exists() else ""
    return McpSession(
        facts.url, transport=facts.transport or "auto", resume=saved, trust=trust, guard=guard,
        http2_prior=facts.is_paper,
    )  # fmt: skip


def rules(plain: httpx2.AsyncClient) -> Rules:
    """What the settings say of logins."""

    async def log_in(url: str) -> bool:
        try:
            return (await plain.post(url)).status_code == httpx2.codes.OK
        except httpx2.HTTPError as exc:
            log.warning("the paper exchange's authorize page did not answer: %s", type(exc).__name__)
            return False

    def tool_faults(tools: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
        return [{"tool": fault.tool, "what": fault.what} for fault in faults_of(tools)]

    by_itself = settings.PAPER_LOGIN != MANUAL
    return Rules(frozenset(settings.BROKER_LOGIN_HOSTS), log_in if by_itself else None, tool_faults)


def tls_authority() -> Path:
    """Whose certificates our own exchange shows."""
    return Path(settings.VAR_DIR) / "paper" / "tls" / "ca.pem"


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process per socket. Raises SocketProblem when there is another."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(descriptor)
        raise SocketProblem(f"A broker session process already runs on {path.parent}. Stop it first.") from exc
    try:
        yield
    finally:
        os.close(descriptor)


def redacted(record: logging.LogRecord) -> bool:
    """A filter of log handlers: no token, session id or login address leaves by a log line, whoever wrote it."""
    record.msg, record.args = redact_text(record.getMessage()), ()
    if record.exc_info:
        record.exc_text = redact_text(logging.Formatter().formatException(record.exc_info))
    return True


def _guard() -> AddressGuard:
    """Of an address that a person set: ports of this machine only as the operator allows, and none of our own."""
    listed: list[int] | None = getattr(settings, "OUTBOUND_LOOPBACK_PORTS", None)
    allowed = [] if listed is None and settings.PRODUCTION else listed
    return AddressGuard(loopback_ports=allowed, own_ports=own_ports())


def _paper_trust() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls_authority().exists():
        context.load_verify_locations(str(tls_authority()))
    return context
