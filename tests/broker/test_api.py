"""The broker's endpoints: owner-scoped, strict, reading only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from broker import ingestion
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerSchemaError, BrokerUnavailable
from sigmatrader.audit.models import DecisionTrace, Snapshot
from tests.support.fake_broker import FakeBroker, install

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9100/mcp"
NEW = {"name": "Mine", "kind": "paper", "server_url": URL}


@pytest.fixture
def mine(staff: Any, make_connection: Callable[..., BrokerConnection]) -> BrokerConnection:
    return make_connection(staff)


@pytest.fixture
def broker(mine: BrokerConnection) -> Iterator[FakeBroker]:
    with install(mine, FakeBroker()) as found:
        yield found


def base(connection: BrokerConnection) -> str:
    return f"/api/broker/connections/{connection.pk}"


def test_a_connection_from_beginning_to_end(staff_api: APIClient) -> None:
    made = staff_api.post("/api/broker/connections", NEW, format="json")
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["kind"], body["practice"], body["is_active"], body["version"]) == ("paper", True, True, 1)
    trace = DecisionTrace.objects.get(correlation_id=made["X-Correlation-ID"])
    assert (trace.kind, trace.account) == ("connection", body["id"])
    path = f"/api/broker/connections/{body['id']}/"
    changed = staff_api.patch(path, {"name": "Renamed", "version": 1}, format="json")
    assert (changed.status_code, changed.json()["name"], changed.json()["version"]) == (200, "Renamed", 2)
    assert staff_api.patch(path, {"name": "Again", "version": 1}, format="json").json()["code"] == "STALE_VERSION"
    listed = staff_api.get("/api/broker/connections").json()
    assert [row["name"] for row in listed["results"]] == ["Renamed"]
    assert staff_api.delete(path).status_code == 204
    assert staff_api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**NEW, "owner": 1}, 422, "UNKNOWN_FIELD"), ({**NEW, "mcp_session": "x"}, 422, "UNKNOWN_FIELD"),
        ({**NEW, "name": 7}, 422, "BAD_TYPE"), ({**NEW, "kind": "PAPER"}, 422, "VALIDATION"),
        ({**NEW, "kind": "kite_connect"}, 409, "CONNECTION_KIND_UNAVAILABLE"),
        ({**NEW, "server_url": "https://mcp.kite.trade/mcp"}, 422, "URL_NOT_ALLOWED"),
        ({"name": "K", "kind": "kite_mcp", "server_url": "https://10.0.0.1/mcp"}, 422, "URL_NOT_ALLOWED"),
        ({"name": "K", "kind": "kite_mcp", "server_url": "https://x.in/sse/api/health"}, 422, "URL_NOT_ALLOWED"),
    ],
)  # fmt: skip
def test_bad_connections_are_refused(staff_api: APIClient, body: dict[str, Any], status: int, code: str) -> None:
    answer = staff_api.post("/api/broker/connections", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert BrokerConnection.objects.count() == 0


def test_a_trader_reads_connections_and_staff_writes_them(
    trader_api: APIClient, connection: BrokerConnection, anonymous_api: APIClient
) -> None:
    assert trader_api.get(base(connection)).json()["id"] == connection.account
    assert trader_api.post("/api/broker/connections", NEW, format="json").status_code == 403
    assert trader_api.delete(base(connection)).status_code == 403
    assert anonymous_api.get(base(connection)).status_code in (401, 403)
    assert BrokerConnection.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "tail"),
    [("get", ""), ("patch", ""), ("delete", ""), ("get", "/status"), ("post", "/authorize"), ("post", "/disconnect"),
     ("get", "/tools"), ("post", "/tools/get_orders"), ("post", "/snapshot")],
)  # fmt: skip
def test_anothers_connection_is_not_there(
    staff_api: APIClient, connection: BrokerConnection, fake: FakeBroker, method: str, tail: str
) -> None:
    body = {"name": "x"} if method == "patch" else {}
    answer = getattr(staff_api, method)(f"{base(connection)}{tail}", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert (fake.reads, fake.sent) == ({}, [])


def test_no_secret_is_shown(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    mine.mcp_session, mine.user_name = "kitemcp-secret", "Practice Trader"
    mine.save()
    for path in (base(mine), "/api/broker/connections", f"{base(mine)}/status"):
        text = staff_api.get(path).content.decode()
        assert "kitemcp-secret" not in text
        assert "Practice Trader" not in text
    assert staff_api.get(f"{base(mine)}/status").json()["user_name_masked"] == "P******* T*****"


def test_status_says_how_it_stands(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    good = staff_api.get(f"{base(mine)}/status").json()
    assert (good["connected"], good["authorized"], good["last_error"]) == (True, True, None)
    broker.fail_read("tools", BrokerUnavailable("cannot connect: refused"))
    bad = staff_api.get(f"{base(mine)}/status").json()
    assert (bad["connected"], bad["authorized"], bad["last_error"]) == (False, None, "cannot connect: refused")


def test_the_paper_exchange_needs_no_login(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    answer = staff_api.post(f"{base(mine)}/authorize", {}, format="json")
    assert (answer.status_code, answer.json()) == (200, {"login_url": None, "expires_at": None, "authorized": True})
    done = staff_api.post(f"{base(mine)}/disconnect", {}, format="json")
    assert (done.status_code, done.json()["connected"], done.json()["authorized"]) == (200, False, None)


def test_the_console_reads_only(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    read = staff_api.post(f"{base(mine)}/tools/get_orders", {"arguments": {}}, format="json")
    assert (read.status_code, read.json()["result"]) == (200, [])
    for name in ("place_order", "cancel_order", "modify_order", "place_gtt_order", "login", "get_it_all"):
        answer = staff_api.post(f"{base(mine)}/tools/{name}", {"arguments": {"quantity": 1}}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "WRITE_TOOL_NOT_ALLOWED")
    assert broker.sent == []
    modes = {tool["name"]: tool["mode"] for tool in staff_api.get(f"{base(mine)}/tools").json()}
    assert (modes["get_orders"], modes["place_order"]) == ("read", "write")


def test_snapshots_are_taken_listed_read_and_compared(
    staff_api: APIClient, trader_api: APIClient, mine: BrokerConnection, broker: FakeBroker
) -> None:
    first = staff_api.post(f"{base(mine)}/snapshot", {}, format="json")
    broker.prices["NSE:INFY"] += 1
    second = staff_api.post(f"{base(mine)}/snapshot", {"symbols": ["NSE:INFY"]}, format="json").json()
    assert (first.status_code, first.json()["holdings"], first.json()["complete"]["orders"]) == (201, [], True)
    assert second["quotes"]["NSE:INFY"]["last_price"] == "1500.5"
    page = staff_api.get("/api/snapshots?limit=1").json()
    assert [row["id"] for row in page["results"]] == [second["id"]]
    assert [row["id"] for row in staff_api.get(page["next"]).json()["results"]] == [first.json()["id"]]
    assert staff_api.get(f"/api/snapshots/{second['id']}").json()["hash"] == second["hash"]
    compared = staff_api.get(f"/api/snapshots/{second['id']}/diff?against={first.json()['id']}").json()
    assert (compared["same"], compared["parts"]["orders"]["comparable"]) == (True, True)
    assert trader_api.get(f"/api/snapshots/{second['id']}").status_code == 404
    assert trader_api.get("/api/snapshots").json()["results"] == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(BrokerUnavailable("down"), 503, "BROKER_UNAVAILABLE"), (BrokerAuthExpired("log in"), 409, "AUTH_REQUIRED"),
     (BrokerSchemaError("<html>"), 502, "BROKER_SCHEMA")],
)  # fmt: skip
def test_a_broker_that_fails_is_named(
    staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker, error: Any, status: int, code: str
) -> None:
    broker.fail_read("quotes", error)
    answer = staff_api.get("/api/quotes?symbols=NSE:INFY")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "<html>" not in answer.content.decode()


def test_nothing_readable_is_no_snapshot(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    for part in ("holdings", "positions", "orders", "trades", "margins"):
        broker.fail_read(part, BrokerUnavailable("down"))
    answer = staff_api.post(f"{base(mine)}/snapshot", {}, format="json")
    assert (answer.status_code, answer.json()["code"], Snapshot.objects.count()) == (503, "BROKER_UNAVAILABLE", 0)


def test_market_data(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker, now: datetime) -> None:
    ingestion.load_instruments(now=now)
    quotes = staff_api.get("/api/quotes?symbols=NSE:INFY,NSE:NOPE").json()
    assert (quotes["quotes"]["NSE:INFY"]["last_price"], quotes["missing"]) == ("1499.5", ["NSE:NOPE"])
    found = staff_api.get("/api/instruments?q=infy&limit=1").json()["results"]
    assert (found[0]["symbol"], found[0]["tick_size"]) == ("NSE:INFY", "0.1")
    candles = staff_api.get("/api/candles?symbol=NSE:INFY&interval=5minute").json()
    assert (candles["interval"], len(candles["candles"])) == ("5minute", 1)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/quotes", "BAD_SYMBOL"), ("/api/quotes?symbols=INFY", "BAD_SYMBOL"),
        ("/api/quotes?symbols=NSE:IN%00FY", "BAD_SYMBOL"), ("/api/candles?symbol=NSE:NOPE", "BAD_SYMBOL"),
        ("/api/candles?symbol=NSE:INFY&interval=2minute", "BAD_FILTER"),
        ("/api/candles?symbol=NSE:INFY&from=2026-11-23T10:00:00", "BAD_RANGE"), ("/api/snapshots?limit=0", "BAD_PAGE"),
        ("/api/instruments?q=x&limit=1000", "BAD_PAGE"), ("/api/snapshots?from=2026-11-23&to=2026-11-01", "BAD_RANGE"),
    ],
)  # fmt: skip
def test_bad_questions_are_422(
    staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker, path: str, code: str
) -> None:
    answer = staff_api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert broker.reads == {}


def test_the_portfolio_is_the_newest_snapshot(staff_api: APIClient, mine: BrokerConnection, broker: FakeBroker) -> None:
    before = staff_api.get("/api/portfolio").json()
    assert (before["as_of"], before["holdings"], before["complete"]["orders"]) == (None, None, False)
    staff_api.post(f"{base(mine)}/snapshot", {}, format="json")
    after = staff_api.get("/api/portfolio").json()
    assert (after["totals"]["cash"], after["holdings"], after["connection"]["practice"]) == ("1000000", [], True)


def test_without_a_connection_it_says_what_to_do(staff_api: APIClient) -> None:
    answer = staff_api.get("/api/portfolio")
    assert (answer.status_code, answer.json()["code"]) == (409, "NO_CONNECTION")
