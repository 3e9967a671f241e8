"""Settings → AI over HTTP: the Kite MCP part with its own version, the connection test, the record of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from broker import sessions
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerUnavailable
from broker.probe import ProbeCode, ProbeResult
from sigmatrader.accounts.selectors import flag_enabled, flags_version
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import SystemEvent
from tests.broker.console.conftest import Owner
from tests.support.fake_broker import FakeBroker, install

pytestmark = pytest.mark.django_db
PATH, TEST = "/api/settings/ai", "/api/settings/ai/kite/test"
KITE = "https://mcp.kite.trade/sse"


@pytest.fixture
def mine(staff: Any, make_connection: Callable[..., BrokerConnection]) -> BrokerConnection:
    return make_connection(staff)


@pytest.fixture
def fake_mine(mine: BrokerConnection) -> Iterator[FakeBroker]:
    with install(mine, FakeBroker()) as found:
        yield found


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every address that would have been connected to; each answers as a server without order tools."""
    seen: list[tuple[str, str]] = []

    def look(url: str, transport: str, **options: Any) -> ProbeResult:
        seen.append((url, transport))
        return ProbeResult(
            latency_ms=12, http_version="HTTP/2", protocol_version="2025-03-26", transport="sse",
            server_info={"name": "Kite MCP Server", "version": "v1"}, capabilities={"tools": {}},
            tools=("get_profile", "login"),
        )  # fmt: skip

    monkeypatch.setattr(sessions, "probe", look)
    return seen


def put(api: APIClient, **body: Any) -> Any:
    return api.put(PATH, body, format="json")


# --- the document ----------------------------------------------------------------------------------------------------
def test_without_a_connection_it_says_so_with_nulls(viewer_api: APIClient) -> None:
    kite = viewer_api.get(PATH).json()["kite_mcp"]
    assert (kite["connection_id"], kite["server_url"], kite["broker_adapter"], kite["version"]) == (None, None, None, 0)
    assert (kite["last_status"], kite["links"], kite["scopes"]) == (
        "unknown", [], {"read_only": True, "trade": False},
    )  # fmt: skip


def test_it_is_a_view_of_the_active_connection(staff_api: APIClient, live: BrokerConnection) -> None:
    body = staff_api.get(PATH).json()
    kite = body["kite_mcp"]
    assert (kite["server_url"], kite["broker_adapter"], kite["authorized"]) == (KITE, "kite_mcp", False)
    assert (kite["failed_link"], kite["tools_available_count"]) == ("authorised", 1)
    assert [link["state"] for link in kite["links"]] == ["ok", "ok", "ok", "failed", "waiting", "waiting"]
    assert body["llm_provider"]["provider"] == "builtin"
    assert body["authorization"] == {"delegated_execution": False, "card_expiry_s": 300}


def test_anothers_connection_is_not_in_it(trader_api: APIClient, live: BrokerConnection) -> None:
    assert trader_api.get(PATH).json()["kite_mcp"]["server_url"] is None


def test_a_new_address_drops_the_session_and_its_status(
    staff_api: APIClient, live: BrokerConnection, owner: Owner
) -> None:
    live.mcp_session = "kitemcp-secret"
    live.save()
    answer = put(staff_api, kite_mcp={"server_url": "https://mcp.kite.trade/mcp", "version": 1})
    kite = answer.json()["kite_mcp"]
    assert (answer.status_code, kite["version"]) == (200, 2)
    assert (kite["last_status"], kite["authorized"], kite["tools_available_count"]) == ("unknown", None, 0)
    live.refresh_from_db()
    assert (live.server_url, live.mcp_session) == ("https://mcp.kite.trade/mcp", "")


def test_each_concern_has_its_own_version(staff_api: APIClient, mine: BrokerConnection, now: datetime) -> None:
    set_flag(Flag.MONITORING_ENABLED, enabled=True, actor="other", now=now)
    assert put(staff_api, kite_mcp={"transport": "sse", "version": 1}).json()["kite_mcp"]["version"] == 2
    before = flags_version()
    stale = put(staff_api, kite_mcp={"transport": "auto", "version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "STALE_VERSION")
    mine.refresh_from_db()
    assert (mine.transport, flags_version()) == ("sse", before)


def test_all_that_was_sent_changes_or_nothing(staff_api: APIClient, mine: BrokerConnection) -> None:
    answer = put(staff_api, feature_flags={"monitoring_enabled": True}, kite_mcp={"transport": "sse", "version": 9})
    assert (answer.status_code, flag_enabled(Flag.MONITORING_ENABLED)) == (409, False)
    both = put(staff_api, feature_flags={"monitoring_enabled": True}, kite_mcp={"transport": "sse", "version": 1})
    assert (both.status_code, flag_enabled(Flag.MONITORING_ENABLED)) == (200, True)


def test_the_first_choice_of_kite_makes_its_connection_and_takes_execution_off(
    staff_api: APIClient, staff: Any, mine: BrokerConnection, now: datetime
) -> None:
    set_flag(Flag.AI_EXECUTION_ENABLED, enabled=True, actor="test", now=now)
    kite = put(staff_api, kite_mcp={"broker_adapter": "kite_mcp", "version": 1}).json()["kite_mcp"]
    assert (kite["server_url"], kite["broker_adapter"], kite["version"]) == (KITE, "kite_mcp", 1)
    assert flag_enabled(Flag.AI_EXECUTION_ENABLED) is False
    back = put(staff_api, kite_mcp={"broker_adapter": "paper"}).json()["kite_mcp"]
    assert (back["connection_id"], back["broker_adapter"]) == (mine.account, "paper")
    assert BrokerConnection.objects.filter(owner=staff, is_active=True).count() == 1


def test_kite_connect_needs_its_connection_first(staff_api: APIClient, mine: BrokerConnection) -> None:
    answer = put(staff_api, kite_mcp={"broker_adapter": "kite_connect"})
    assert (answer.status_code, answer.json()["code"]) == (409, "NO_CONNECTION")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://mcp.kite.trade/sse/api/health", "Did you mean https://mcp.kite.trade/sse?"),
        ("http://mcp.kite.trade/sse", "http is for this machine only"), ("https://10.0.0.1/mcp", "Private"),
        ("https://2130706433/mcp", "four decimal numbers"), ("https://a:b@mcp.kite.trade/sse", "user name or password"),
        ("https://mcp.kite.trade/sse#x", "fragment"), ("ftp://mcp.kite.trade/", "scheme"),
        ("https://169.254.169.254/latest", "metadata"),
    ],
)  # fmt: skip
def test_a_bad_address_names_its_rule_beside_the_field_and_changes_nothing(
    staff_api: APIClient, live: BrokerConnection, probed: list[Any], url: str, words: str
) -> None:
    answer = put(staff_api, kite_mcp={"server_url": url})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "URL_NOT_ALLOWED")
    assert (body["errors"][0]["field"], words in body["errors"][0]["message"]) == ("kite_mcp.server_url", True)
    tested = staff_api.post(TEST, {"server_url": url}, format="json")
    assert (tested.status_code, tested.json()["code"], words in tested.json()["detail"]) == (
        422, "URL_NOT_ALLOWED", True,
    )  # fmt: skip
    live.refresh_from_db()
    assert (live.server_url, live.version, probed) == (KITE, 1, [])


def test_only_staff_writes(trader_api: APIClient) -> None:
    assert put(trader_api, kite_mcp={"transport": "sse"}).status_code == 403
    assert BrokerConnection.objects.count() == 0


@pytest.mark.parametrize("name", ["last_status", "authorized", "scopes", "tools_available_count"])
def test_status_fields_cannot_be_written(staff_api: APIClient, mine: BrokerConnection, name: str) -> None:
    answer = put(staff_api, kite_mcp={name: True})
    assert (answer.status_code, answer.json()["code"]) == (422, "UNKNOWN_FIELD")


def test_the_kill_switch_is_pulled_and_its_release_asks_who_you_are(
    staff_api: APIClient, reauthenticated: Callable[[Any], Any]
) -> None:
    on = put(staff_api, kill_switch={"ai_execution_kill_switch": True}).json()["kill_switch"]
    assert (on["ai_execution_kill_switch"], on["trading_state"]) == (True, "HALTED")
    off = {"ai_execution_kill_switch": False, "reason": "checked"}
    refused = put(staff_api, kill_switch=off)
    assert (refused.status_code, refused.json()["code"]) == (403, "REAUTH_REQUIRED")
    assert put(reauthenticated(staff_api), kill_switch=off).json()["kill_switch"]["trading_state"] == "ACTIVE"


def test_execution_needs_a_login_too(staff_api: APIClient, live: BrokerConnection) -> None:
    answer = put(staff_api, feature_flags={"ai_execution_enabled": True})
    assert [error["code"] for error in answer.json()["errors"]] == ["CONNECTION_NOT_TESTED", "ORDER_TOOLS_MISSING"]


# --- the test ------------------------------------------------------------------------------------------------------
def test_the_saved_connection_is_tried_through_its_own_session(
    staff_api: APIClient, mine: BrokerConnection, fake_mine: FakeBroker, probed: list[Any]
) -> None:
    body = staff_api.post(TEST, {}, format="json").json()
    assert (body["status"], body["error"], body["order_tools"], body["saved"]) == ("connected", None, True, True)
    assert {"name": "place_order", "mode": "write"} in body["tools"]
    assert [link["state"] for link in body["links"]] == ["ok"] * 5 + ["waiting"]
    assert (probed, fake_mine.sent) == ([], [])
    event = SystemEvent.objects.get(event_type="CONNECTION_TESTED")
    assert (event.category, event.level, event.account) == ("KITE_MCP", "INFO", mine.account)


def test_a_login_that_is_missing_is_the_failed_link(
    staff_api: APIClient, mine: BrokerConnection, fake_mine: FakeBroker
) -> None:
    fake_mine.fail_read("profile", BrokerAuthExpired("Please log in first using the login tool"))
    body = staff_api.post(TEST, {}, format="json").json()
    assert (body["error"]["code"], body["authorized"]) == ("AUTH_REQUIRED", False)
    assert [link["link"] for link in body["links"] if link["state"] == "failed"] == ["authorised"]


@pytest.mark.parametrize(
    ("code", "failed"),
    [(ProbeCode.DNS, "reachable"), (ProbeCode.TLS, "reachable"), (ProbeCode.REFUSED, "reachable"),
     (ProbeCode.NOT_MCP, "initialised"), (ProbeCode.HTTP1_ONLY, "initialised"), (ProbeCode.NOT_ALLOWED, "url")],
)  # fmt: skip
def test_a_failure_names_its_link_and_is_200(
    staff_api: APIClient, live: BrokerConnection, monkeypatch: pytest.MonkeyPatch, code: ProbeCode, failed: str
) -> None:
    monkeypatch.setattr(sessions, "probe", lambda *args, **options: ProbeResult(code, "Why, and what to do."))
    answer = staff_api.post(TEST, {"server_url": "https://mcp.example.com/sse"}, format="json")
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]) == (
        200, "error", {"code": code.value, "message": "Why, and what to do."},
    )  # fmt: skip
    assert [link["link"] for link in body["links"] if link["state"] == "failed"] == [failed]


def test_a_saved_connection_that_fails_keeps_the_reason(
    staff_api: APIClient, mine: BrokerConnection, fake_mine: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mine.fail_read("tools", BrokerUnavailable("cannot connect: refused"))
    why = "127.0.0.1 refuses connections on port 9. Is the server running there?"
    monkeypatch.setattr(sessions, "probe", lambda *args, **options: ProbeResult(ProbeCode.REFUSED, why))
    assert staff_api.post(TEST, {}, format="json").json()["error"] == {"code": "REFUSED", "message": why}
    mine.refresh_from_db()
    assert (mine.last_status, mine.last_error) == ("error", why)


def test_an_address_that_is_not_saved_is_tried_and_nothing_of_it_kept(
    staff_api: APIClient, live: BrokerConnection, probed: list[Any]
) -> None:
    body = staff_api.post(TEST, {"server_url": "https://mcp.example.com/sse", "transport": "sse"}, format="json").json()
    assert (body["status"], body["http_version"], body["order_tools"], body["latency_ms"]) == (
        "connected", "HTTP/2", False, 12,
    )  # fmt: skip
    assert (body["server_info"]["name"], body["saved"]) == ("Kite MCP Server", False)
    assert probed == [("https://mcp.example.com/sse", "sse")]
    live.refresh_from_db()
    assert (live.server_url, live.http_version, live.last_checked_at) == (KITE, "", None)


def test_with_the_flag_off_no_kite_address_is_tried(
    staff_api: APIClient, mine: BrokerConnection, probed: list[Any], settings: Any
) -> None:
    answer = staff_api.post(TEST, {"server_url": KITE}, format="json")
    assert (answer.status_code, answer.json()["code"], probed) == (409, "FEATURE_DISABLED", [])
    own = f"http://127.0.0.1:{settings.PAPER_PORT}/sse"
    assert staff_api.post(TEST, {"server_url": own}, format="json").json()["status"] == "connected"
    assert probed == [(own, "auto")]


def test_a_trader_tries_only_what_is_saved(
    trader_api: APIClient, connection: BrokerConnection, fake: FakeBroker, probed: list[Any]
) -> None:
    assert trader_api.post(TEST, {}, format="json").status_code == 200
    answer = trader_api.post(TEST, {"server_url": "https://mcp.example.com/sse"}, format="json")
    assert (answer.status_code, answer.json()["code"], probed) == (403, "FORBIDDEN", [])


# --- the record ----------------------------------------------------------------------------------------------------
def test_the_record_is_filtered_and_ones_own(
    staff_api: APIClient, trader_api: APIClient, mine: BrokerConnection, fake_mine: FakeBroker
) -> None:
    put(staff_api, kite_mcp={"transport": "sse"})
    staff_api.post(TEST, {}, format="json")
    path = f"{PATH}/audit?category=KITE_MCP"
    rows = staff_api.get(path).json()["results"]
    assert [row["event_type"] for row in rows] == ["CONNECTION_TESTED", "CONNECTION_CHANGED"]
    assert rows[0].keys() >= {"id", "ts", "level", "category", "event_type", "message", "details", "actor"}
    assert staff_api.get(f"{PATH}/audit?category=RISK_POLICY").json()["results"] == []
    assert trader_api.get(path).json()["results"] == []
    assert staff_api.get(f"{PATH}/audit?category=NOPE").json()["code"] == "BAD_FILTER"
    assert staff_api.get(f"{PATH}/audit?from=2026-11-23&to=2026-11-01").json()["code"] == "BAD_RANGE"
