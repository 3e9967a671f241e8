"""Exceptions: one open per cause, moved only by services, seen and worked on over the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from sigmatrader.audit import registry, selectors, services
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import ExceptionRecord, SystemEvent, TraceEvent, TraceLink
from sigmatrader.audit.vocabulary import EventCategory, ExceptionCode, Severity

pytestmark = pytest.mark.django_db


@pytest.fixture
def raised(now: datetime) -> Callable[..., ExceptionRecord]:
    def make(**changes: Any) -> ExceptionRecord:
        facts: dict[str, Any] = {
            "code": ExceptionCode.RECON_DELTA, "type_": "reconciliation", "severity": Severity.MEDIUM,
            "summary": "The broker has 10 more.", "fingerprint": ("RECON_DELTA", "7", "NSE:INFY"), "now": now,
            "account": "7", "expected": "0", "actual": "10", "difference": "10", "symbol": "NSE:INFY",
            "remedies": [{"action": "adopt", "label": "Take over", "trades": False}],
        }  # fmt: skip
        return services.raise_exception(**(facts | changes))

    return make


def test_the_same_cause_is_one_record(raised: Callable[..., ExceptionRecord], now: datetime) -> None:
    first = raised()
    again = raised(now=now + timedelta(minutes=1), severity=Severity.CRITICAL, actual="12", remedies=())
    assert again.pk == first.pk
    assert (again.count, again.first_seen, again.last_seen) == (2, now, now + timedelta(minutes=1))
    assert (again.severity, again.actual, again.remedies) == ("critical", "12", first.remedies)
    assert raised(severity=Severity.LOW).severity == "critical"
    assert raised(fingerprint=("RECON_DELTA", "7", "NSE:TCS")).pk != first.pk


def test_a_resolved_cause_that_comes_back_is_new(raised: Callable[..., ExceptionRecord], now: datetime) -> None:
    first = raised()
    fingerprint = ("RECON_DELTA", "7", "NSE:INFY")
    assert services.close_fingerprint(fingerprint=fingerprint, note="It agrees.", actor="rule", now=now)
    assert not services.close_fingerprint(fingerprint=fingerprint, note="It agrees.", actor="rule", now=now)
    assert raised().pk != first.pk
    first.refresh_from_db()
    assert [(n.action, n.actor, n.note) for n in first.notes.all()] == [("resolve", "rule", "It agrees.")]


def test_it_stands_in_its_trace(
    raised: Callable[..., ExceptionRecord], make_trace: Callable[..., str], now: datetime
) -> None:
    cid = make_trace()
    exception = raised(correlation_id=cid)
    services.resolve_exception(exception=exception, actor="asha", note="seen", now=now)
    types = TraceEvent.objects.filter(correlation_id=cid).order_by("seq").values_list("type", flat=True)
    assert list(types)[3:] == ["exception.raised", "exception.resolved"]
    assert TraceLink.objects.get(kind="exception").value == str(exception.pk)


def test_a_snooze_ends_with_the_next_sighting_after_it(raised: Callable[..., ExceptionRecord], now: datetime) -> None:
    exception = raised()
    services.snooze_exception(exception=exception, actor="asha", until=now + timedelta(hours=1), now=now)
    assert raised(now=now + timedelta(minutes=59)).status == "snoozed"
    assert raised(now=now + timedelta(minutes=61)).status == "open"


ALLOWED = {
    "acknowledge": {"open", "snoozed"},
    "snooze": {"open", "acknowledged", "snoozed"},
    "resolve": {"open", "acknowledged", "snoozed"},
    "reopen": {"resolved"},
    "assign": {"open", "acknowledged", "snoozed"},
}


@pytest.mark.parametrize("status", ["open", "acknowledged", "snoozed", "resolved"])
@pytest.mark.parametrize("action", ALLOWED)
def test_moves(raised: Callable[..., ExceptionRecord], now: datetime, action: str, status: str) -> None:
    exception = raised()
    ExceptionRecord.objects.update(status=status)
    extra: dict[str, Any] = {"snooze": {"until": now + timedelta(hours=1)}, "assign": {"assignee": "ravi"}}.get(
        action, {}
    )
    act = getattr(services, f"{action}_exception")
    if status in ALLOWED[action]:
        act(exception=exception, actor="asha", note="n", now=now, **extra)
        assert [note.action for note in exception.notes.all()] == [action]
        return
    with pytest.raises(Problem) as refused:
        act(exception=exception, actor="asha", note="n", now=now, **extra)
    assert (refused.value.status_code, refused.value.code) == (409, "BAD_STATE")
    assert exception.notes.count() == 0


def test_one_cannot_be_reopened_beside_its_successor(raised: Callable[..., ExceptionRecord], now: datetime) -> None:
    first = raised()
    services.resolve_exception(exception=first, actor="asha", now=now)
    raised()
    with pytest.raises(Problem) as refused:
        services.reopen_exception(exception=first, actor="asha", now=now)
    assert refused.value.code == "ALREADY_OPEN"


def test_what_waits_comes_worst_first(raised: Callable[..., ExceptionRecord], staff: Any, now: datetime) -> None:
    low = raised(fingerprint=("a",), severity=Severity.LOW)
    critical = raised(fingerprint=("b",), severity=Severity.CRITICAL)
    snoozed = raised(fingerprint=("c",), severity=Severity.HIGH)
    services.snooze_exception(exception=snoozed, actor="asha", until=now + timedelta(hours=1), now=now)
    waiting = selectors.unresolved_exceptions(staff, now=now)
    assert [row.pk for row in waiting] == [critical.pk, low.pk]
    assert selectors.count_unresolved(staff, now=now + timedelta(hours=2)) == 3


# --- API -----------------------------------------------------------------------------------------------------------
def test_the_list_is_filtered_and_own(
    raised: Callable[..., ExceptionRecord], trader: Any, other_trader: Any, trader_api: Any, staff_api: Any
) -> None:
    mine = raised(owner=str(trader.pk))
    raised(owner=str(other_trader.pk), fingerprint=("b",))
    nobodys = raised(fingerprint=("c",), severity=Severity.HIGH)
    answer = trader_api.get("/api/exceptions").json()
    assert [row["id"] for row in answer["results"]] == [str(mine.pk)]
    assert [row["id"] for row in staff_api.get("/api/exceptions/?severity=high").json()["results"]] == [str(nobodys.pk)]
    assert trader_api.get("/api/exceptions?symbol=NSE:TCS").json()["results"] == []
    assert trader_api.get("/api/exceptions?status=opened").json()["code"] == "BAD_FILTER"
    for other in (nobodys, ExceptionRecord.objects.get(owner=str(other_trader.pk))):
        assert trader_api.get(f"/api/exceptions/{other.pk}").status_code == 404
        assert trader_api.post(f"/api/exceptions/{other.pk}/resolve", {}, format="json").status_code == 404
    assert trader_api.get("/api/exceptions/x").json()["code"] == "NOT_FOUND"


def test_the_shape(raised: Callable[..., ExceptionRecord], trader: Any, trader_api: Any) -> None:
    exception = raised(owner=str(trader.pk))
    body = trader_api.get(f"/api/exceptions/{exception.pk}").json()
    names = ("code", "severity", "status", "expected", "actual", "difference", "count")
    assert {name: body[name] for name in names} == {
        "code": "RECON_DELTA", "severity": "medium", "status": "open", "expected": "0", "actual": "10",
        "difference": "10", "count": 1,
    }  # fmt: skip
    assert body["remedies"] == [{"action": "adopt", "label": "Take over", "trades": False}]
    assert (body["assignee"], body["correlation_id"], body["notes"]) == (None, None, [])


def test_a_person_works_on_it(raised: Callable[..., ExceptionRecord], trader: Any, trader_api: Any) -> None:
    base = f"/api/exceptions/{raised(owner=str(trader.pk)).pk}"
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    for action, body, status in (
        ("acknowledge", {"note": "seen"}, "acknowledged"),
        ("assign", {"assignee": "ravi"}, "acknowledged"),
        ("snooze", {"until": until}, "snoozed"),
        ("resolve", {"note": "done"}, "resolved"),
        ("reopen", {}, "open"),
    ):
        response = trader_api.post(f"{base}/{action}", body, format="json")
        assert (response.status_code, response.json()["status"]) == (200, status)
    body = trader_api.get(base).json()
    assert body["assignee"] == "ravi"
    assert [note["action"] for note in body["notes"]] == ["acknowledge", "assign", "snooze", "resolve", "reopen"]
    assert {note["actor"] for note in body["notes"]} == {trader.username}


@pytest.mark.parametrize(
    ("action", "body", "code", "field"),
    [
        ("resolve", {"note": 1}, "BAD_TYPE", "note"),
        ("resolve", {"status": "open"}, "UNKNOWN_FIELD", "status"),
        ("resolve", [], "BAD_TYPE", ""),
        ("snooze", {}, "VALIDATION", "until"),
        ("snooze", {"until": "2026-11-23T10:00:00"}, "VALIDATION", "until"),
        ("assign", {"assignee": None}, "VALIDATION", "assignee"),
        ("remediate", {"action": "sell everything"}, "UNKNOWN_ACTION", "action"),
    ],
)
def test_bad_bodies(
    raised: Callable[..., ExceptionRecord], trader: Any, trader_api: Any, action: str, body: Any, code: str, field: str
) -> None:
    exception = raised(owner=str(trader.pk))
    response = trader_api.post(f"/api/exceptions/{exception.pk}/{action}", body, format="json")
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["field"]) == (422, code, field)
    assert exception.notes.count() == 0


def test_a_viewer_only_reads(raised: Callable[..., ExceptionRecord], viewer: Any, viewer_api: Any) -> None:
    exception = raised(owner=str(viewer.pk))
    assert viewer_api.get(f"/api/exceptions/{exception.pk}").status_code == 200
    assert viewer_api.post(f"/api/exceptions/{exception.pk}/resolve", {}, format="json").status_code == 403
    exception.refresh_from_db()
    assert exception.status == "open"


def test_a_remedy_is_the_registered_one(
    raised: Callable[..., ExceptionRecord], trader: Any, trader_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_remedies", {})
    wishes: list[registry.RemedyRequest] = []

    def adopt(wish: registry.RemedyRequest) -> dict[str, object]:
        wishes.append(wish)
        return {"card_id": "c1"}

    path = f"/api/exceptions/{raised(owner=str(trader.pk)).pk}/remediate"
    assert "nothing" in trader_api.post(path, {"action": "adopt"}, format="json").json()["detail"]
    registry.register_remedy("adopt", adopt)
    registry.register_remedy("sell", adopt)
    refused = trader_api.post(path, {"action": "sell"}, format="json")
    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (
        422, "This exception can be remedied by: adopt.",
    )  # fmt: skip
    assert wishes == []
    body = trader_api.post(path, {"action": "adopt", "note": "ok"}, format="json").json()
    assert (body["action"], body["result"]) == ("adopt", {"card_id": "c1"})
    assert body["exception"]["notes"][0]["note"] == "adopt: ok"
    assert (wishes[0].user, len(wishes)) == (trader, 1)


# --- system events ---------------------------------------------------------------------------------------------------
def test_a_system_event_is_one_line_without_secrets(now: datetime) -> None:
    event = services.record_system_event(
        category=EventCategory.AI_PROVIDER, event_type="AI_KEY_CREATED", message="a\r\nINFO forged line", now=now,
        details={"api_key": "sk-very-secret", "key_masked": "sk-****cret", "nested": [{"password": "x"}],
                 "n": "a\x00b"},
    )  # fmt: skip
    event = SystemEvent.objects.get(pk=event.pk)
    assert event.message == "a\\r\\nINFO forged line"
    assert event.details == {
        "api_key": "****", "key_masked": "sk-****cret", "nested": [{"password": "****"}], "n": "a\ufffdb",
    }  # fmt: skip
