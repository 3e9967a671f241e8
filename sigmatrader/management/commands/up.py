"""Starts the whole product on this machine and keeps it running."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone

from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.services import test_connection
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import make_sign_in_link
from sigmatrader.supervisor import children, lock, ports
from sigmatrader.supervisor.console import Console
from sigmatrader.supervisor.prepare import NotPrepared, prepare
from sigmatrader.supervisor.runner import Supervisor

_SESSION_S = 5.0


class Command(BaseCommand):
    help = "Start web, worker, beat and the paper exchange, and print one address to open."
    requires_system_checks = ["security", "engines"]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", default="", help="a folder of Kite-shaped JSON files to practise on")
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT, help="default 8000 or the next free one")
        parser.add_argument("--login", action="store_true", help="let a person log in to the exchange, as at Kite")

    def handle(self, *args: Any, **options: Any) -> None:
        began, console = time.monotonic(), Console()
        if options["login"]:
            settings.PAPER_LOGIN = "manual"
        try:
            held = lock.take(settings.VAR_DIR / "run" / "up.lock", wait_s=15.0)
            port = ports.choose(options["host"], options["port"], default=8000, variable="PORT")
            paper_port = _paper_port()
            settings.PAPER_PORT = paper_port
            user = prepare(now=timezone.now(), say=console.say)
        except (lock.AlreadyRunning, ports.PortTaken, NotPrepared, OSError) as exc:
            raise CommandError(str(exc)) from exc
        connections.close_all()
        specs = children.specs(
            host=options["host"], port=port, paper_port=paper_port, account=options["account"] or settings.PAPER_ACCOUNT
        )
        supervisor = Supervisor(specs, console=console, inherited=(held,))
        base_url = f"http://{children.own_address(options['host'])}:{port}"

        (settings.VAR_DIR / "run" / "base_url").write_text(base_url, encoding="ascii")  # for signin_link

        async def on_ready() -> None:
            link = await asyncio.to_thread(_greet, user, base_url)
            console.say(f"Ready after {time.monotonic() - began:.1f} s. Open this once to sign in as {user.username}:")
            console.say(f"  {link}")
            console.say("Ctrl-C stops everything.")

        code = asyncio.run(supervisor.run(on_ready))
        if code:
            raise CommandError(supervisor.failure)
        console.say("Stopped.")


def _paper_port() -> int:
    """The paper exchange's port: as set, or from 8765 the next free one."""
    wanted = settings.PAPER_PORT if settings.PAPER_PORT_IS_SET else None
    return ports.choose(settings.PAPER_HOST, wanted, default=settings.PAPER_PORT, variable="SIGMATRADER_PAPER_PORT")


def _greet(user: User, base_url: str) -> str:
    """Waits a moment for the paper session, or tests the connection where nobody owns one, and makes the link."""
    now = timezone.now()
    try:
        paper = BrokerConnection.objects.filter(owner=user, is_active=True, kind="paper").first()
        if paper is not None and settings.BROKER_SESSION:
            _await_session(paper)
        elif paper is not None and not (paper.last_status == "connected" and paper.tools):
            test_connection(paper, now=now)
        return make_sign_in_link(user, now=now, base_url=base_url)
    except BrokerError as exc:
        return (
            f"{make_sign_in_link(user, now=now, base_url=base_url)}  (the paper connection could not be tested: {exc})"
        )
    finally:
        connections.close_all()


def _await_session(connection: BrokerConnection) -> None:
    """Until the owner of the session has said how it stands; a page opened before would ask for a login in vain."""
    deadline = time.monotonic() + _SESSION_S
    while not (connection.authorized and connection.tools) and time.monotonic() < deadline:
        if connection.authorized is False and settings.PAPER_LOGIN == "manual":
            return
        time.sleep(0.05)
        connection.refresh_from_db()
