"""Connections: each change traced, versions kept, addresses judged, paper and live apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker import clock, factory, ingestion, instruments, services
from broker.domain import SessionPhase
from broker.models import BrokerConnection, Instrument
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from broker.selectors import active_connection, all_instruments, find_instruments, instrument_infos
from sigmatrader.accounts.selectors import flag_enabled
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import DecisionTrace, SystemEvent, TraceClosing, TraceEvent
from tests.support.fake_broker import FakeBroker

URL = "http://127.0.0.1:9100/mcp"
pytestmark = pytest.mark.django_db


def events() -> list[str]:
    return list(TraceEvent.objects.filter(type__startswith="connection").values_list("type", flat=True))


def test_the_paper_connection_is_made_once_and_moved_when_its_port_changes(trader: Any, now: datetime) -> None:
    made = services.ensure_paper_connection(trader, server_url=URL, now=now)
    assert services.ensure_paper_connection(trader, server_url=URL, now=now) == made
    moved = services.ensure_paper_connection(trader, server_url="http://127.0.0.1:9200/mcp", now=now)
    assert (moved.pk, moved.server_url, moved.version) == (made.pk, "http://127.0.0.1:9200/mcp", 2)
    assert active_connection(trader) == made
    assert events() == ["connection.made", "connection.changed"]
    assert set(DecisionTrace.objects.values_list("kind", "account")) == {("connection", made.account)}
    assert set(TraceClosing.objects.values_list("outcome", flat=True)) == {"changed"}
    kinds = SystemEvent.objects.filter(category="KITE_MCP").values_list("event_type", flat=True)
    assert sorted(kinds) == ["CONNECTION_CHANGED", "CONNECTION_MADE"]


def test_without_a_connection_there_is_none(trader: Any) -> None:
    with pytest.raises(Problem) as caught:
        active_connection(trader)
    assert (caught.value.status_code, caught.value.code) == (409, "NO_CONNECTION")


def test_a_new_address_drops_the_saved_session(connection: BrokerConnection, now: datetime) -> None:
    connection.mcp_session, connection.authorized, connection.last_status = "secret-session", True, "connected"
    connection.save()
    services.change_connection(connection, {"server_url": URL}, now=now, actor="t", expected_version=1)
    connection.refresh_from_db()
    assert (connection.mcp_session, connection.authorized, connection.last_status) == ("", None, "unknown")
    assert "secret-session" not in "".join(TraceEvent.objects.values_list("data", flat=True))


def test_a_stale_version_changes_nothing(connection: BrokerConnection, now: datetime) -> None:
    with pytest.raises(Problem) as caught:
        services.change_connection(connection, {"name": "Other"}, now=now, actor="t", expected_version=7)
    connection.refresh_from_db()
    assert (caught.value.code, connection.name, connection.version, events()) == ("STALE_VERSION", "Paper", 1, [])


def test_one_connection_is_active_and_going_live_disarms(
    trader: Any, connection: BrokerConnection, now: datetime
) -> None:
    set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="t", now=now)
    live = services.create_connection(
        trader, name="Kite", kind="kite_mcp", server_url="https://mcp.kite.trade/mcp", now=now
    )
    assert (live.is_active, flag_enabled(Flag.AI_EXECUTION_ENABLED)) == (False, True)
    services.change_connection(live, {"is_active": True}, now=now, actor="t")
    assert active_connection(trader) == live
    assert flag_enabled(Flag.AI_EXECUTION_ENABLED) is False


def test_a_kind_this_release_has_not(trader: Any, now: datetime) -> None:
    with pytest.raises(Problem) as caught:
        services.create_connection(trader, name="K", kind="kite_connect", server_url="https://api.kite.trade", now=now)
    assert (caught.value.status_code, caught.value.code) == (409, "CONNECTION_KIND_UNAVAILABLE")
    assert BrokerConnection.objects.count() == 0


def test_a_live_server_is_not_reached_while_its_flag_is_off(
    trader: Any, make_connection: Callable[..., BrokerConnection], now: datetime
) -> None:
    live = make_connection(trader, kind="kite_mcp", server_url="https://mcp.kite.trade/mcp")
    for reach in (factory.reader_for, factory.adapter_for, lambda c: services.test_connection(c, now=now)):
        with pytest.raises(Problem) as caught:
            reach(live)
        assert (caught.value.status_code, caught.value.code) == (409, "FEATURE_DISABLED")
    assert live.account not in factory._adapters


def test_one_adapter_per_connection_and_address(connection: BrokerConnection) -> None:
    first = factory.reader_for(connection)
    assert factory.adapter_for(connection) is first
    connection.server_url = URL
    assert factory.reader_for(connection) is not first
    factory.forget(connection.account)


def test_a_connection_test_notes_what_it_found(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    found = services.test_connection(connection, now=now)
    assert (found["status"], found["authorized"], found["order_tools"], found["error"]) == (
        "connected",
        True,
        True,
        None,
    )
    connection.refresh_from_db()
    assert (connection.last_status, connection.user_name, connection.last_connected_at) == (
        "connected", "Practice Trader", now,
    )  # fmt: skip
    assert (connection.version, fake.sent) == (1, [])


@pytest.mark.parametrize(
    ("error", "status", "authorized", "code"),
    [(BrokerUnavailable("refused"), "error", None, "UNREACHABLE"),
     (BrokerAuthExpired("Failed to execute get_profile"), "connected", False, "AUTH_REQUIRED")],
)  # fmt: skip
def test_a_connection_test_that_fails_says_why(
    connection: BrokerConnection, fake: FakeBroker, now: datetime, error: Any, status: str, authorized: Any, code: str
) -> None:
    fake.fail_read("profile", error)
    found: Any = services.test_connection(connection, now=now)
    assert (found["status"], found["authorized"], found["error"]["code"]) == (status, authorized, code)


def test_deleting_is_traced(connection: BrokerConnection, now: datetime) -> None:
    account = connection.account
    services.delete_connection(connection, now=now, actor="t")
    assert BrokerConnection.objects.count() == 0
    data = json.loads(TraceEvent.objects.get(type="connection.deleted").data)
    assert (data["connection"], data["name"]) == (account, "Paper")


# --- clock and instruments ---------------------------------------------------------------------------------------
def test_the_clock_is_the_markets_own(connection: BrokerConnection, fake: FakeBroker, now: datetime) -> None:
    fake.phase = SessionPhase.CLOSED
    state = clock.market_state(connection, now=now - timedelta(days=3))
    assert (state.now, state.is_open, state.practice) == (fake.now, False, True)


def test_instruments_load_once_and_again_only_after_a_change(connection: BrokerConnection, now: datetime) -> None:
    count = ingestion.load_instruments(now=now)
    newest = Instrument.objects.order_by("-id").values_list("id", flat=True)[0]
    ingestion.load_instruments(now=now)
    assert count == Instrument.objects.count() == len(all_instruments(connection))
    assert Instrument.objects.order_by("-id").values_list("id", flat=True)[0] == newest
    Instrument.objects.filter(tradingsymbol="INFY", exchange="NSE").update(lot_size=9)
    ingestion.load_instruments(now=now)
    assert instrument_infos(connection, ["NSE:INFY", "NSE:NOPE"])["NSE:INFY"].lot_size == 1
    assert list(instrument_infos(connection, ["NSE:NOPE"])) == []


def test_the_best_match_comes_first(connection: BrokerConnection, now: datetime) -> None:
    ingestion.load_instruments(now=now)
    assert find_instruments(connection, "infy", 3, today=now.date())[0].symbol == "NSE:INFY"
    assert find_instruments(connection, "Infosys", 3, today=now.date())[0].symbol == "NSE:INFY"
    assert find_instruments(connection, "  ", 3, today=now.date()) == []


def test_paper_and_live_masters_never_mix(
    trader: Any, make_connection: Callable[..., BrokerConnection], now: datetime
) -> None:
    ingestion.load_instruments(now=now)
    live = make_connection(trader, kind="kite_mcp")
    assert instruments.universe_of(live) == "live"
    assert all_instruments(live) == ()
