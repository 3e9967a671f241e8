"""The paper exchange as a process of its own: a Kite MCP server over SSE (/sse with /message) and over /mcp, on
HTTP/1.1 and HTTP/2.

    python -m broker.paper.server --port 8765          the same as: manage.py paper_exchange --port 8765

Kept free of Django, so that it starts fast and stays small.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.paper.account import AccountBooks, AccountError, load_account
from broker.paper.config import ClockMode, Delays, ExchangeConfig
from broker.paper.desk import Clock, Desk
from broker.paper.face import Face
from broker.paper.faults import FaultProblem
from broker.paper.ledger import DurableExchange, LedgerError
from broker.paper.listeners import Listeners, ServerProblem, listening_socket
from broker.paper.pages import checked_faults
from broker.paper.sessions import LoginMode
from broker.paper.tools import Profile

__all__ = ["Options", "ServerProblem", "add_arguments", "main", "open_exchange", "options_from", "serve"]
CONTROL = "SIGMATRADER_PAPER_CONTROL"
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What one exchange is started with. ``delay`` scales the exchange's own delays; 0 takes them out. ``tls_port``
    None serves no TLS, 0 takes a free port."""

    port: int
    host: str = "127.0.0.1"
    account: Path | None = None
    seed: int = 7
    clock: ClockMode = ClockMode.PRACTICE
    ledger: Path | None = None
    delay: float = 1.0
    profile: Profile = Profile.SELF_HOSTED
    login: LoginMode = LoginMode.OFF
    fault: tuple[str, ...] = ()
    tls_port: int | None = None
    ping: float = 10.0


def utc_now() -> datetime:
    return datetime.now(UTC)


def open_exchange(options: Options, *, now: datetime) -> DurableExchange:
    """Raises ServerProblem. What an existing ledger was opened with counts, whatever the options say."""
    account: AccountBooks | None = None
    try:
        if options.account is not None:
            account = load_account(options.account)
        config = ExchangeConfig(seed=options.seed, mode=options.clock, delays=_delays(options.delay))
        return DurableExchange(options.ledger or default_ledger(options), opened_at=now, config=config, account=account)
    except AccountError as exc:
        raise ServerProblem(f"The account cannot be used: {exc}") from exc
    except LedgerError as exc:
        raise ServerProblem(f"The ledger cannot be used: {exc}. Stop the other exchange or choose --ledger.") from exc
    except OSError as exc:
        raise ServerProblem(f"The ledger cannot be used: {exc}") from exc


def var_folder() -> Path:
    return Path(os.environ.get("SIGMATRADER_VAR") or Path(__file__).resolve().parents[2] / "var") / "paper"


def default_ledger(options: Options) -> Path:
    """One file per account, clock and seed, under the project's var directory."""
    name = "demo"
    if options.account is not None:
        folder = options.account.resolve()
        name = f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    return var_folder() / f"{name}-{options.clock.value}-{options.seed}.sqlite3"


def serve(options: Options, *, announce: Callable[[str], None] = print, clock: Clock = utc_now) -> None:
    """Serves until a signal or a broken ledger ends it. Raises ServerProblem."""
    try:
        checked_faults(list(options.fault), options.login)
    except FaultProblem as exc:
        raise ServerProblem(f"--fault: {exc}") from exc
    with contextlib.ExitStack() as sockets:
        plain = sockets.enter_context(contextlib.closing(listening_socket(options.host, options.port)))
        secure = None
        if options.tls_port is not None:
            secure = sockets.enter_context(contextlib.closing(listening_socket(options.host, options.tls_port)))
        exchange = open_exchange(options, now=clock())
        asyncio.run(_Serving(options, exchange, announce, clock).run(plain, secure))


class _Serving:
    """One exchange being served, from the first socket to the closed ledger."""

    def __init__(
        self, options: Options, exchange: DurableExchange, announce: Callable[[str], None], clock: Clock
    ) -> None:
        self._options = options
        self._announce = announce
        self._clock = clock
        self._stop = asyncio.Event()
        self._desk = Desk(exchange, clock=clock, login=options.login, profile=options.profile)
        self._face = Face(
            self._desk, host=options.host, ping_s=options.ping, control=os.environ.get(CONTROL, "").strip()
        )
        self._listeners = Listeners(self._face)

    async def run(self, plain: socket.socket, secure: socket.socket | None) -> None:
        """Raises ServerProblem."""
        for fault in checked_faults(list(self._options.fault), self._options.login):
            self._face.add_fault(fault)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        waits = [asyncio.create_task(event.wait()) for event in (self._stop, self._desk.broken)]
        tick = asyncio.create_task(self._desk.tick())
        try:
            await self._open(plain, secure)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._close([tick, *waits])
        if self._desk.broken.is_set():
            raise ServerProblem("The ledger could not be written; the exchange stopped rather than forget an order.")

    async def _open(self, plain: socket.socket, secure: socket.socket | None) -> None:
        where = f"http://{_address(plain)}/mcp and /sse"
        if secure is not None:
            from broker.paper import certificates  # noqa: PLC0415  # large, and few ask for TLS

            try:
                files = certificates.tls_files(var_folder() / "tls", now=self._clock(), host=self._options.host)
            except OSError as exc:
                raise ServerProblem(f"The certificate cannot be kept: {exc}") from exc
            await self._listeners.open(secure, certificates.server_context(files))
            where += f", https://{_address(secure)}/sse with the certificate authority {files.ca}"
        await self._listeners.open(plain)
        self._announce(f"Paper exchange ready at {where}")

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Streams first, then connections, then the engine and its ledger."""
        self._face.end_streams()
        await self._listeners.close(GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._desk.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command, here and in ``manage.py``."""
    parser.add_argument("--port", type=int, default=8765, help="port to serve on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
    parser.add_argument("--account", type=Path, help="folder of Kite-shaped JSON files to start from")
    parser.add_argument("--seed", type=int, default=7, help="seed of the market")
    parser.add_argument("--clock", choices=[mode.value for mode in ClockMode], default=ClockMode.PRACTICE.value)
    parser.add_argument("--ledger", type=Path, help="the exchange's own durable file")
    parser.add_argument("--delay", type=float, default=1.0, help="factor on the exchange's delays; 0 takes them out")
    parser.add_argument(
        "--profile",
        choices=[profile.value for profile in Profile],
        default=Profile.SELF_HOSTED.value,
        help="hosted offers no order tools",
    )
    parser.add_argument(
        "--login",
        choices=[mode.value for mode in LoginMode],
        default=LoginMode.OFF.value,
        help="off: none needed; auto: the authorize page takes a program's POST; manual: it takes a person",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="TOOL:KIND[:COUNT[:SECONDS]]",
        help="spoil calls on purpose; may be given again",
    )
    parser.add_argument("--tls-port", type=int, help="serve TLS there too; 0 takes a free port")
    parser.add_argument("--ping", type=float, default=10.0, help="seconds between the pings of a stream")


def options_from(values: dict[str, Any]) -> Options:
    names = {field.name for field in fields(Options)}
    found = {name: value for name, value in values.items() if name in names}
    typed = {
        "clock": ClockMode(found["clock"]),
        "profile": Profile(found["profile"]),
        "login": LoginMode(found["login"]),
        "fault": tuple(found["fault"]),
    }
    return Options(**found | typed)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="paper_exchange", description=__doc__.splitlines()[0])
    add_arguments(parser)
    try:
        serve(options_from(vars(parser.parse_args(arguments))), announce=_say)
    except ServerProblem as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _delays(factor: float) -> Delays:
    plain = Delays()
    return Delays(**{field.name: round(getattr(plain, field.name) * factor) for field in fields(Delays)})


if __name__ == "__main__":
    sys.exit(main())
