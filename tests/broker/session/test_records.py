"""What the owner writes on a connection, and what follows from it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from broker.models import BrokerConnection
from broker.session import lease
from broker.session.records import (
    DatabaseRecords,
    Facts,
    RecordsDown,
    active_connections,
    note,
    note_loss,
    one_connection,
)
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import ExceptionRecord, SystemEvent

pytestmark = pytest.mark.django_db
ME = "elsewhere:1:a"


@pytest.fixture
def owned(connection):
    assert lease.take(connection.pk, ME) == 1
    return connection


def events():
    """Their kinds in the alphabet's order: ids tell none."""
    return sorted(SystemEvent.objects.filter(category="KITE_MCP").values_list("event_type", flat=True))


def exceptions():
    return list(ExceptionRecord.objects.order_by("pk").values_list("code", "status", "count"))


def test_a_login_that_is_gone_is_one_event_and_one_exception(owned, now):
    for minute in range(3):
        assert note(owned.account, ME, 1, {"authorized": False}, now=now + timedelta(minutes=minute))
    assert events() == ["AUTH_REQUIRED"]
    assert exceptions() == [("TOKEN_EXPIRED", "open", 1)]
    owned.refresh_from_db()
    assert (owned.authorized, owned.last_checked_at) == (False, now)


def test_it_is_settled_by_the_login(owned, now):
    note(owned.account, ME, 1, {"authorized": False}, now=now)
    note(owned.account, ME, 1, {"authorized": True, "user_name": "A" * 200}, now=now)
    assert events() == ["AUTHORIZED", "AUTH_REQUIRED"]
    assert exceptions() == [("TOKEN_EXPIRED", "resolved", 1)]
    owned.refresh_from_db()
    assert owned.user_name == "A" * 150


def test_a_login_found_missing_by_execution_is_settled_too(owned, now):
    from execution.outcomes import require_login

    note(owned.account, ME, 1, {"authorized": True}, now=now)
    require_login(owned, owner=str(owned.owner_id), now=now)
    note(owned.account, ME, 1, {"authorized": True}, now=now)
    owned.refresh_from_db()
    assert owned.authorized is True
    assert exceptions() == [("TOKEN_EXPIRED", "resolved", 1)]


def test_who_was_fenced_off_writes_nothing(owned, now):
    lease.release(owned.pk, ME, 1)
    assert lease.take(owned.pk, "elsewhere:2:b") == 2
    assert note(owned.account, ME, 1, {"authorized": False, "epoch": 9}, now=now) is False
    note_loss(owned.account, ME, 1, "the stream ended", now=now)
    owned.refresh_from_db()
    assert (owned.authorized, owned.epoch, events(), exceptions()) == (None, 0, [], [])


def test_what_is_so_already_is_not_written(owned, now, django_assert_num_queries):
    note(owned.account, ME, 1, {"authorized": True, "epoch": 1}, now=now)
    with django_assert_num_queries(1):
        assert note(owned.account, ME, 1, {"authorized": True, "epoch": 1}, now=now)


def test_a_lost_stream_is_an_event_and_settled_by_the_next(owned, now):
    note(owned.account, ME, 1, {"last_status": "connected"}, now=now)
    note_loss(owned.account, ME, 1, "gone: /message?sessionId=canary-5e551077", now=now)
    assert events() == ["MCP_SESSION_LOST"]
    assert exceptions() == [("MCP_SESSION_LOST", "open", 1)]
    assert "canary" not in str(list(SystemEvent.objects.values()) + list(ExceptionRecord.objects.values()))
    note(owned.account, ME, 1, {"last_status": "error", "last_error": "no /message?sessionId=canary-5e551077"}, now=now)
    note(owned.account, ME, 1, {"last_status": "connected"}, now=now)
    assert exceptions() == [("MCP_SESSION_LOST", "resolved", 1)]
    owned.refresh_from_db()
    assert owned.last_error == "no /message?sessionId=****"


def test_the_saved_session_is_stored_encrypted(owned, now):
    from django.db import connection as database

    note(owned.account, ME, 1, {"mcp_session": '{"session_id": "canary-5e551077"}'}, now=now)
    with database.cursor() as cursor:
        cursor.execute("SELECT mcp_session FROM broker_brokerconnection")
        assert "canary" not in str(cursor.fetchall())
    owned.refresh_from_db()
    assert owned.mcp_session == '{"session_id": "canary-5e551077"}'


def test_whose_sessions_are_kept(connection, other_trader, make_connection, now):
    live = make_connection(other_trader, kind="kite_mcp", server_url="https://mcp.kite.trade/sse")
    paper = Facts(connection.account, "paper", connection.server_url, "auto")
    assert active_connections() == [paper]
    assert one_connection(live.account) is None
    set_flag(Flag.KITE_MCP_ENABLED, enabled=True, actor="test", now=now)
    assert {facts.kind for facts in active_connections()} == {"paper", "kite_mcp"}
    BrokerConnection.objects.update(is_active=False)
    assert active_connections() == []
    assert one_connection(connection.account) == paper
    assert one_connection("no id") is None


def test_a_database_that_fails_is_said_so(connection, monkeypatch):
    from django.db import OperationalError

    from broker.session import records

    def fail():
        raise OperationalError("locked")

    monkeypatch.setattr(records, "active_connections", fail)
    kept = DatabaseRecords(ME)
    with pytest.raises(RecordsDown, match="OperationalError"):
        asyncio.run(kept.active())
    kept.close()


def test_a_secret_that_cannot_be_read_is_no_session_and_no_crash(connection, monkeypatch):
    from cryptography.fernet import InvalidToken

    from broker.session import records

    def fail():
        raise InvalidToken

    monkeypatch.setattr(records, "active_connections", fail)
    kept = DatabaseRecords(ME)
    with pytest.raises(RecordsDown, match="SECRET_UNREADABLE"):
        asyncio.run(kept.active())
    kept.close()
