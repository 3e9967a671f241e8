"""A session's owner of the tests' own making, behind the one seam the settings ask it through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker import sessions
from broker.adapters.failures import CallFailed
from broker.models import BrokerConnection
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag

SECRET = "session_id=canary-7f3a"
LOGIN = f"https://kite.zerodha.com/connect/login?api_key=kitemcp&v=3&redirect_params={SECRET}"


class Owner:
    """Answers as the session process does; ``asked`` lists what it was asked."""

    def __init__(self, now: datetime) -> None:
        self.asked: list[str] = []
        self.fails: CallFailed | None = None
        self.offer = sessions.LoginOffer(LOGIN, now + timedelta(minutes=30))
        self.found = sessions.SessionState("", connected=True, authorized=False, epoch=3)

    def log_in(self) -> None:
        """The person is done at the broker's page."""
        self.found = replace(self.found, authorized=True, user="Meera Trader")

    def login(self, connection: BrokerConnection) -> sessions.LoginOffer:
        self._ask("login")
        return self.offer

    def state(self, connection: BrokerConnection, *, refresh: bool = False) -> sessions.SessionState:
        self._ask("state")
        return self.found

    def reconnect(self, connection: BrokerConnection) -> None:
        self._ask("reconnect")

    def disconnect(self, connection: BrokerConnection) -> None:
        self._ask("disconnect")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def live(staff: Any, make_connection: Callable[..., BrokerConnection], now: datetime) -> BrokerConnection:
    """The staff's active connection to Kite's own server, not logged in."""
    set_flag(Flag.KITE_MCP_ENABLED, enabled=True, actor="test", now=now)
    return make_connection(
        staff, name="Kite", kind="kite_mcp", server_url="https://mcp.kite.trade/sse", last_status="connected",
        authorized=False, tools=["get_profile"],
    )  # fmt: skip


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch, now: datetime) -> Owner:
    """In the place of the session process."""
    made = Owner(now)
    for name in ("login", "state", "reconnect", "disconnect"):
        monkeypatch.setattr(sessions, name, getattr(made, name))
    monkeypatch.setattr(sessions, "is_owned", lambda connection: connection.kind in sessions.KINDS)
    return made
