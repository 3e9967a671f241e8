"""Authorize: the address goes to whoever asked and nowhere else; completion is seen by the profile, never by login."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from broker import connect, sessions
from broker.adapters.failures import CallFailed, Fault
from broker.models import BrokerConnection
from sigmatrader.audit.models import DecisionTrace, SystemEvent, TraceEvent
from tests.broker.console.conftest import LOGIN, SECRET, Owner

pytestmark = pytest.mark.django_db


def base(connection: BrokerConnection) -> str:
    return f"/api/broker/connections/{connection.pk}"


def test_the_address_is_answered_with_its_end(staff_api: APIClient, live: BrokerConnection, owner: Owner) -> None:
    answer = staff_api.post(f"{base(live)}/authorize", {}, format="json")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["login_url"], body["authorized"]) == (LOGIN, False)
    assert datetime.fromisoformat(body["expires_at"]) == owner.offer.expires_at
    assert answer["Cache-Control"] == "no-store"
    assert owner.asked == ["login"]


def test_no_record_and_no_line_of_a_log_has_the_address(
    staff_api: APIClient, live: BrokerConnection, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert SECRET in staff_api.post(f"{base(live)}/authorize", {}, format="json").json()["login_url"]
    kept = [json.dumps([row.message, row.details]) for row in SystemEvent.objects.all()]
    kept += [str(row.data) for row in TraceEvent.objects.all()]
    kept += [str(value) for value in BrokerConnection.objects.filter(pk=live.pk).values().get().values()]
    assert [text for text in [*kept, caplog.text, repr(owner.offer)] if "canary" in text] == []
    event = SystemEvent.objects.get(event_type="LOGIN_OFFERED")
    assert (event.category, event.details["already"], event.account) == ("KITE_MCP", False, live.account)


def test_a_page_that_waits_sees_completion_and_never_logs_in(
    staff_api: APIClient, live: BrokerConnection, owner: Owner
) -> None:
    path = f"{base(live)}/status?poll=true"
    assert staff_api.get(path).json()["authorized"] is False
    owner.log_in()
    body = staff_api.get(path).json()
    assert (body["connected"], body["authorized"], body["user_name_masked"]) == (True, True, "M**** T*****")
    assert owner.asked == ["state", "state"]


def test_a_session_that_works_needs_no_login(
    staff_api: APIClient, live: BrokerConnection, owner: Owner, now: datetime
) -> None:
    owner.offer = sessions.LoginOffer("", now + timedelta(hours=8), already=True, user="Meera Trader")
    body = staff_api.post(f"{base(live)}/authorize", {}, format="json").json()
    assert body == {"login_url": None, "expires_at": None, "authorized": True}


@pytest.mark.parametrize(
    "url",
    ["http://kite.zerodha.com/connect/login", "http://127.0.0.1:9/authorize", "javascript:alert(1)", "data:text/html,x",
     "https://kite.zerodha.com:x@evil.example/", "//kite.zerodha.com/", ""],
)  # fmt: skip
def test_an_address_that_is_not_safe_is_given_to_nobody(
    staff_api: APIClient, live: BrokerConnection, owner: Owner, url: str
) -> None:
    owner.offer = sessions.LoginOffer(url, None)
    answer = staff_api.post(f"{base(live)}/authorize", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (502, "LOGIN_REFUSED")
    assert not url or url not in answer.content.decode()
    assert SystemEvent.objects.filter(event_type="LOGIN_OFFERED").count() == 0


def test_our_own_exchange_may_have_its_page_on_this_machine(
    staff_api: APIClient, staff: Any, make_connection: Callable[..., BrokerConnection], owner: Owner
) -> None:
    paper, page = make_connection(staff), "http://127.0.0.1:9/authorize?x=1"
    owner.offer = sessions.LoginOffer(page, None)
    assert staff_api.post(f"{base(paper)}/authorize", {}, format="json").json()["login_url"] == page


@pytest.mark.parametrize(
    ("fault", "text", "status", "code", "words"),
    [
        (Fault.UNREADABLE, "The broker's login address is not at a host we know, so it is not shown.", 502,
         "LOGIN_REFUSED", "not at a host we know"),
        (Fault.NOT_SENT, "the broker session process is not running", 503, "BROKER_UNAVAILABLE", "not running"),
        (Fault.LOST, "no answer in time", 503, "BROKER_UNAVAILABLE", "no answer in time"),
    ],
)  # fmt: skip
def test_an_owner_that_cannot_says_why(
    staff_api: APIClient, live: BrokerConnection, owner: Owner, fault: Fault, text: str, status: int, code: str,
    words: str,
) -> None:  # fmt: skip
    owner.fails = CallFailed(fault, text)
    answer = staff_api.post(f"{base(live)}/authorize", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert words in answer.json()["detail"]


def test_with_the_flag_off_nobody_is_asked(
    staff_api: APIClient, live: BrokerConnection, owner: Owner, now: datetime
) -> None:
    staff_api.put("/api/settings/ai", {"feature_flags": {"kite_mcp_enabled": False}}, format="json")
    answer = staff_api.post(f"{base(live)}/authorize", {}, format="json")
    assert (answer.status_code, answer.json()["code"], owner.asked) == (409, "FEATURE_DISABLED", [])


def test_logins_are_limited(staff_api: APIClient, live: BrokerConnection, owner: Owner) -> None:
    statuses = [staff_api.post(f"{base(live)}/authorize", {}, format="json").status_code for _ in range(21)]
    assert 429 in statuses
    assert len(owner.asked) == statuses.count(200) <= 20


def test_a_viewer_logs_nobody_in(viewer: Any, api_for: Callable[[Any], APIClient], live: BrokerConnection,
                                 owner: Owner) -> None:  # fmt: skip
    BrokerConnection.objects.filter(pk=live.pk).update(owner=viewer)
    answer = api_for(viewer).post(f"{base(live)}/authorize", {}, format="json")
    assert (answer.status_code, owner.asked) == (403, [])


def test_reconnect_and_disconnect_ask_the_owner(staff_api: APIClient, live: BrokerConnection, owner: Owner) -> None:
    assert staff_api.post(f"{base(live)}/reconnect", {}, format="json").json()["connected"] is True
    ended = staff_api.post(f"{base(live)}/disconnect", {}, format="json").json()
    assert (ended["connected"], ended["authorized"], owner.asked) == (False, None, ["reconnect", "state", "disconnect"])
    assert DecisionTrace.objects.filter(account=live.account, kind="connection").count() == 1


def test_an_end_that_the_owner_did_not_hear_is_not_noted(
    staff_api: APIClient, live: BrokerConnection, owner: Owner
) -> None:
    owner.fails = CallFailed(Fault.LOST, "no answer in time")
    assert staff_api.post(f"{base(live)}/disconnect", {}, format="json").status_code == 503
    live.refresh_from_db()
    assert (live.last_status, DecisionTrace.objects.filter(kind="connection").count()) == ("connected", 0)


def test_kite_connect_has_its_own_login(
    staff_api: APIClient, staff: Any, make_connection: Callable[..., BrokerConnection], owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    row = make_connection(staff, name="KC", kind="kite_connect", server_url="")
    monkeypatch.setattr("broker.api.connections.require_available", lambda kind: None)
    monkeypatch.setattr(connect, "login_url", lambda connection, *, user, now: sessions.LoginOffer(LOGIN, None))
    body = staff_api.post(f"{base(row)}/authorize", {}, format="json").json()
    assert (body["login_url"], owner.asked) == (LOGIN, [])
