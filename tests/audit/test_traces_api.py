"""Traces and the viewer: whole, filtered, redacted, own; the admin looks and changes nothing by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from sigmatrader.audit import registry, sections, services
from sigmatrader.audit.models import ExceptionRecord, TraceEvent
from sigmatrader.audit.redaction import mask, redact, redact_text
from sigmatrader.audit.vocabulary import EventCategory, TraceOutcome
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_a_trace_is_whole(
    trader: Any, trader_api: Any, make_trace: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_sections", {})
    sections.register("plan", lambda cid: {"id": "p1", "correlation_id": cid})
    cid = make_trace(owner=str(trader.pk))
    body = trader_api.get(f"/api/traces/{cid}").json()
    assert (body["status"], body["outcome"], body["explanation"]) == ("closed", "filled", "Bought 10 INFY.")
    assert (body["message"], body["actor"], body["links"]) == ("buy 10 INFY", "asha", {"symbol": ["NSE:INFY"]})
    assert (body["plan"], body["decision"], body["orders"]) == ({"id": "p1", "correlation_id": cid}, None, [])
    assert [event["type"] for event in body["events"]] == ["trace.opened", "plan.made", "trace.closed"]
    assert body["events"][1]["data"] == {"quantity": 10}
    assert body["chain"] == {"ok": True, "first_bad": None}


def test_traces_are_found_by_what_is_asked(
    trader: Any, trader_api: Any, make_trace: Callable[..., str], now: datetime
) -> None:
    owner = str(trader.pk)
    infy = make_trace(owner=owner)
    tcs = make_trace(owner=owner, symbol="NSE:TCS", outcome=None, at=now + timedelta(days=1), message="sell TCS")
    denied = make_trace(owner=owner, outcome=TraceOutcome.DENIED, at=now + timedelta(days=2))
    make_trace(owner="somebody")
    make_trace()

    def found(query: str) -> list[str]:
        return [row["correlation_id"] for row in trader_api.get(f"/api/traces?{query}").json()["results"]]

    assert found("") == [denied, tcs, infy]
    assert found("status=open") == [tcs]
    assert found("status=closed") == [denied, infy]
    assert found("outcome=denied") == [denied]
    assert found("symbol=NSE:TCS") == found("symbol=TCS") == found("q=sell") == [tcs]
    assert found("actor=ravi") == []
    assert found(f"correlation_id={infy}") == [infy]
    assert found("from=2026-11-24&to=2026-11-24") == [tcs]
    assert trader_api.get("/api/traces?status=ended").json()["code"] == "BAD_FILTER"


def test_another_users_trace_is_not_there(trader_api: Any, staff_api: Any, make_trace: Callable[..., str]) -> None:
    cid = make_trace(owner="somebody")
    for client in (trader_api, staff_api):
        for path in ("", "/export"):
            assert client.get(f"/api/traces/{cid}{path}").status_code == 404
        assert client.post(f"/api/traces/{cid}/replay").status_code == 404


def test_an_export_is_redacted(trader: Any, trader_api: Any, make_trace: Callable[..., str]) -> None:
    secret = {"access_token": "abcdef", "url": "https://kite.zerodha.com/connect/login?session_id=kitemcp-1234&v=3"}
    cid = make_trace(owner=str(trader.pk), message="call me at a@b.in", message_hash="f" * 64, data=secret)
    response = trader_api.get(f"/api/traces/{cid}/export")
    body = response.json()
    assert response["Content-Disposition"] == f'attachment; filename="trace-{cid}.json"'
    assert (body["redacted"], body["message"], body["message_hash"], body["correlation_id"]) == (
        True,
        None,
        "f" * 64,
        cid,
    )
    assert body["events"][1]["data"]["access_token"] == "****"
    text = response.content.decode()
    for leaked in ("abcdef", "kitemcp-1234", "a@b.in"):
        assert leaked not in text
    assert body["events"][0]["hash"] == TraceEvent.objects.get(seq=1).hash


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ****"),
        ("ABCDE1234F of asha@example.com", "**** of ****"),
        ("http://u:p@host/x", "http://****@host/x"),
        ("sk-proj-AbCdEf0123456789xyz", "sk-****9xyz"),
        ("NSE:NIFTY26NOV24000CE at 1500.05", "NSE:NIFTY26NOV24000CE at 1500.05"),
        ("01KAQ5Y3M7Q2V9ZB1T4C8N6XWE " + "a" * 64, "01KAQ5Y3M7Q2V9ZB1T4C8N6XWE " + "a" * 64),
    ],
)
def test_what_a_secret_looks_like(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_masks() -> None:
    assert (mask("123456789012"), mask("1234567890123")) == ("****", "123****0123")
    assert redact({"api_key": "x", "tokens": ["a"], "output_tokens": 7, "has_token": True}) == {
        "api_key": "****", "tokens": ["a"], "output_tokens": 7, "has_token": True,
    }  # fmt: skip


def test_a_replay_is_what_the_apps_find(
    trader: Any, viewer_api: Any, trader_api: Any, make_trace: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_replayers", [])
    path = f"/api/traces/{make_trace(owner=str(trader.pk))}/replay"
    assert (trader_api.post(path).status_code, trader_api.post(path).json()["code"]) == (409, "NOT_REPLAYABLE")
    registry.register_replayer(lambda cid: [])
    assert trader_api.post(path).json() == {"same": True, "differences": []}
    registry.register_replayer(lambda cid: [{"control": "PRICE_COLLAR"}])
    assert trader_api.post(path).json() == {"same": False, "differences": [{"control": "PRICE_COLLAR"}]}
    assert viewer_api.post(path).status_code == 404


def test_system_events_are_filtered_and_own(trader: Any, trader_api: Any, now: datetime) -> None:
    for owner, category in (
        (str(trader.pk), EventCategory.EXECUTION),
        (str(trader.pk), EventCategory.SECURITY),
        ("x",) * 2,
    ):
        category = category if isinstance(category, EventCategory) else EventCategory.SECURITY
        services.record_system_event(category=category, event_type="T", message="m", owner=owner, now=now)
    rows = trader_api.get("/api/audit/events?category=SECURITY&from=2026-11-23").json()["results"]
    assert [(row["category"], row["level"], row["details"]) for row in rows] == [("SECURITY", "INFO", {})]
    assert trader_api.get("/api/audit/events?level=INFO&to=2026-11-22").json()["results"] == []
    assert trader_api.get("/api/audit/events?category=NONSENSE").json()["code"] == "BAD_FILTER"


def test_the_chain_is_verified_over_the_api(trader_api: Any, make_trace: Callable[..., str]) -> None:
    make_trace()
    body = trader_api.get("/api/audit/verify?from=2").json()
    assert (body["ok"], body["events"], body["from_seq"], body["to_seq"], body["first_bad"]) == (True, 2, 2, 3, None)
    assert trader_api.get("/api/audit/verify?from=3&to=2").json()["code"] == "BAD_RANGE"


# --- the admin -----------------------------------------------------------------------------------------------------
MODELS = ("decisiontrace", "traceevent", "exceptionrecord", "snapshot", "systemevent", "idempotencyrecord",
          "chainsegment", "chainhead")  # fmt: skip


@pytest.fixture
def admin_client() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("model", MODELS)
def test_the_viewer_shows_and_adds_nothing(admin_client: Client, make_trace: Callable[..., str], model: str) -> None:
    make_trace()
    assert admin_client.get(f"/admin/audit/{model}/").status_code == 200
    assert admin_client.get(f"/admin/audit/{model}/?q=01KA").status_code == 200
    assert admin_client.get(f"/admin/audit/{model}/add/").status_code == 403


def test_the_viewer_links_a_trace_with_its_records(admin_client: Client, make_trace: Callable[..., str]) -> None:
    cid = make_trace()
    page = admin_client.get(f"/admin/audit/decisiontrace/{cid}/change/").content.decode()
    assert f"/admin/audit/traceevent/?correlation_id={cid}" in page
    assert "plan.made" in page
    assert "sound" in page
    assert "_save" not in page
    assert admin_client.post(f"/admin/audit/decisiontrace/{cid}/change/", {"actor": "x"}).status_code == 403
    assert admin_client.post(f"/admin/audit/decisiontrace/{cid}/delete/", {"post": "yes"}).status_code == 403


def test_the_viewer_acts_through_services(admin_client: Client, now: datetime) -> None:
    exception = services.raise_exception(
        code=services.ExceptionCode.EXTERNAL_ORDER, type_="order", severity=services.Severity.LOW, summary="Elsewhere.",
        fingerprint=("x",), now=now,
    )  # fmt: skip
    for action, status in (("acknowledge", "acknowledged"), ("resolve", "resolved"), ("resolve", "resolved")):
        body = {"action": action, "_selected_action": [str(exception.pk)]}
        assert admin_client.post("/admin/audit/exceptionrecord/", body).status_code == 302
        assert ExceptionRecord.objects.get().status == status
    assert [note.action for note in exception.notes.all()] == ["acknowledge", "resolve"]
    assert json.loads(json.dumps(exception.remedies)) == []
