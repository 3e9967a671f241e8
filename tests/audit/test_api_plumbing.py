"""Parsing, rendering, filters, pages, problems and correlation ids, as every endpoint uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from sigmatrader.audit.api import filters
from sigmatrader.audit.api.handler import problem_response
from sigmatrader.audit.api.parsers import parse_json
from sigmatrader.audit.api.problems import Problem, conflict
from sigmatrader.audit.api.renderers import CanonicalJSONRenderer, json_text
from sigmatrader.audit.api.serializers import StrictSerializer
from sigmatrader.audit.chain import AuditUnavailable
from sigmatrader.audit.models import DecisionTrace, ExceptionRecord
from sigmatrader.audit.vocabulary import Severity


# --- bodies in and out -----------------------------------------------------------------------------------------------
def test_numbers_are_exact() -> None:
    assert parse_json(b'{"price": 1500.05, "quantity": 10}') == {"price": Decimal("1500.05"), "quantity": 10}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "line 1"),
        (b"", "line 1"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[" * 21 + b"]" * 21, "deeper than 20"),
        (b"[" * 100_000, "deeper than 20"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'"a\x00"', "line 1"),
        (b'"\\ud800"', "surrogate"),
        (b"\xff\xfe", "UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1"),
        (b"[" + b"9" * 41 + b"]", "40 digits"),
        (b"[1e999999999]", "40 digits"),
        (b"[1E-50]", "40 digits"),
        (b"{} {}", "line 1"),
    ],
)
def test_bad_json_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_json(body)
    assert (refused.value.status_code, refused.value.code) == (400, "BAD_JSON")
    assert reason in refused.value.text


def test_twenty_levels_are_allowed() -> None:
    assert parse_json(b"[" * 20 + b"]" * 20)


def test_answers_are_written_exactly() -> None:
    value = {
        "price": Decimal("1500.0500"), "at": datetime(2026, 11, 23, 5, tzinfo=UTC), "side": Severity.HIGH, "n": (1, None),  # noqa: E501
    }  # fmt: skip
    assert json_text(value) == '{"price":"1500.05","at":"2026-11-23T05:00:00+00:00","side":"high","n":[1,null]}'
    assert CanonicalJSONRenderer().render(None) == b""
    for bad in (float("nan"), datetime(2026, 1, 1), object()):
        with pytest.raises((TypeError, ValueError)):
            json_text([bad])


# --- input serializers -----------------------------------------------------------------------------------------------
class LegIn(StrictSerializer):
    symbol = serializers.CharField(max_length=20)
    quantity = serializers.IntegerField(min_value=1)
    price = serializers.DecimalField(max_digits=18, decimal_places=4, required=False)


class PlanIn(StrictSerializer):
    legs = LegIn(many=True)
    live = serializers.BooleanField(default=False)
    side = serializers.ChoiceField(["BUY", "SELL"], required=False)
    at = serializers.DateTimeField(required=False)
    state = serializers.CharField(read_only=True)


def test_good_input_is_typed() -> None:
    leg = {"symbol": "NSE:INFY", "quantity": 10}
    values = PlanIn.parsed({"legs": [{**leg, "price": "1500.05"}, {**leg, "price": Decimal("1.5")}], "side": "BUY"})
    assert [row["price"] for row in values["legs"]] == [Decimal("1500.0500"), Decimal("1.5")]
    assert values["live"] is False


@pytest.mark.parametrize(
    ("change", "code", "field", "fault"),
    [
        ({"user_id": 7}, "UNKNOWN_FIELD", "user_id", "UNKNOWN_FIELD"),
        ({"state": "FILLED"}, "UNKNOWN_FIELD", "state", "UNKNOWN_FIELD"),
        ({"live": "true"}, "BAD_TYPE", "live", "BAD_TYPE"),
        ({"live": 1}, "BAD_TYPE", "live", "BAD_TYPE"),
        ({"side": "buy"}, "VALIDATION", "side", "NOT_ALLOWED"),
        ({"side": 1}, "BAD_TYPE", "side", "BAD_TYPE"),
        ({"at": "2026-11-23T10:00:00"}, "VALIDATION", "at", "BAD_RANGE"),
        ({"at": "tomorrow"}, "VALIDATION", "at", "BAD_RANGE"),
        ({"legs": {}}, "VALIDATION", "legs", "NOT_A_LIST"),
        ({"legs": [{"symbol": "NSE:INFY", "quantity": "10"}]}, "BAD_TYPE", "legs.0.quantity", "BAD_TYPE"),
        ({"legs": [{"symbol": "NSE:INFY", "quantity": True}]}, "BAD_TYPE", "legs.0.quantity", "BAD_TYPE"),
        ({"legs": [{"symbol": 5, "quantity": 10}]}, "BAD_TYPE", "legs.0.symbol", "BAD_TYPE"),
        ({"legs": [{"symbol": "X", "quantity": 10, "price": "1e3"}]}, "BAD_TYPE", "legs.0.price", "BAD_TYPE"),
        ({"legs": [{"symbol": "X", "quantity": 10, "price": "NaN"}]}, "BAD_TYPE", "legs.0.price", "BAD_TYPE"),
        ({"legs": [{"symbol": "X", "quantity": 10, "price": "१"}]}, "BAD_TYPE", "legs.0.price", "BAD_TYPE"),
        ({"legs": [{"symbol": "X", "quantity": 0}]}, "VALIDATION", "legs.0.quantity", "MIN_VALUE"),
        ({"legs": [{"quantity": 1}]}, "VALIDATION", "legs.0.symbol", "REQUIRED"),
        ({"legs": [{"quantity": 1, "symbol": "X", "approved_by": "me"}]}, "UNKNOWN_FIELD", "legs.0.approved_by",
         "UNKNOWN_FIELD"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(change: dict[str, Any], code: str, field: str, fault: str) -> None:
    with pytest.raises(Problem) as refused:
        PlanIn.parsed({"legs": [{"symbol": "NSE:INFY", "quantity": 10}], **change})
    problem = refused.value
    assert (problem.status_code, problem.code) == (422, code)
    assert [(f.field, f.code) for f in problem.errors] == [(field, fault)]


# --- query parameters ------------------------------------------------------------------------------------------------
def asked(query: str) -> Request:
    return Request(APIRequestFactory().get(f"/x?{query}"))


def test_periods() -> None:
    start, end = filters.time_range(asked("from=2026-11-23T10:00:00%2B05:30&to=2026-11-23"))
    assert start == datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
    assert end == datetime(2026, 11, 23, 18, 29, 59, 999999, tzinfo=UTC)
    assert filters.time_range(asked("from=2026-11-23T10:00:00+05:30"))[0] == start
    assert filters.time_range(asked("")) == (None, None)


@pytest.mark.parametrize(
    "query",
    ["from=2026-11-23T10:00:00", "from=yesterday", "to=2026-13-01", "from=2026-11-24&to=2026-11-23", "to=9999-12-31",
     "from=0001-01-01T00:00:00%2B23:00", "to=2026-11-23T25:00:00Z"],
)  # fmt: skip
def test_bad_periods(query: str) -> None:
    with pytest.raises(Problem) as refused:
        filters.time_range(asked(query))
    assert (refused.value.status_code, refused.value.code) == (422, "BAD_RANGE")


@pytest.mark.parametrize(
    "read",
    [
        lambda: filters.choice(asked("x=dreadful"), "x", Severity),
        lambda: filters.flag(asked("x=yes"), "x"),
        lambda: filters.words(asked("x=%00"), "x"),
        lambda: filters.words(asked("x=" + "a" * 201), "x"),
        lambda: filters.number(asked("x=1.5"), "x", lowest=0, highest=9),
        lambda: filters.number(asked("x=10"), "x", lowest=0, highest=9),
    ],
)
def test_bad_filters(read: Callable[[], object]) -> None:
    with pytest.raises(Problem) as refused:
        read()
    assert (refused.value.status_code, refused.value.code) == (422, "BAD_FILTER")


def test_good_filters() -> None:
    query = asked("s=high&f=false&w=%20a%20&n=7")
    assert filters.choice(query, "s", Severity) is Severity.HIGH
    assert filters.flag(query, "f") is False
    assert filters.words(query, "w") == "a"
    assert filters.number(query, "n", lowest=0, highest=9) == 7


# --- problems --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (conflict("CARD_STALE", "Look again.", card={"id": 1}), 409, "CARD_STALE"),
        (Http404(), 404, "NOT_FOUND"),
        (exceptions.NotAuthenticated(), 401, "NOT_AUTHENTICATED"),
        (exceptions.PermissionDenied(), 403, "FORBIDDEN"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (exceptions.MethodNotAllowed("PUT"), 405, "METHOD_NOT_ALLOWED"),
        (exceptions.Throttled(wait=3), 429, "RATE_LIMITED"),
        (OperationalError("SELECT secret FROM t"), 503, "STORAGE_UNAVAILABLE"),
        (AuditUnavailable("SELECT secret FROM t"), 503, "AUDIT_UNAVAILABLE"),
        (RuntimeError("SELECT secret FROM t"), 500, "INTERNAL"),
    ],
)
def test_every_error_is_a_problem(error: Exception, status: int, code: str) -> None:
    response = problem_response(error, {})
    body = json.loads(response.content)
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert {"type", "title", "detail", "correlation_id"} <= set(body)
    assert "secret" not in response.content.decode()


def test_waiting_is_told() -> None:
    assert problem_response(exceptions.Throttled(wait=3), {})["Retry-After"] == "4"


# --- over the wire ---------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "BAD_JSON"),
        ("a=1", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ('{"note": "' + "a" * 270_000 + '"}', "application/json", 413, "BODY_TOO_LARGE"),
    ],
)
def test_bad_bodies(trader: Any, trader_api: Any, body: str, content_type: str, status: int, code: str) -> None:
    row = ExceptionRecord.objects.create(
        owner=str(trader.pk), type="t", code="c", severity="low", fingerprint="f", summary="s",
        first_seen=datetime(2026, 1, 1, tzinfo=UTC), last_seen=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    response = trader_api.post(f"/api/exceptions/{row.pk}/resolve", body, content_type=content_type)
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/traces", "/api/audit/events", "/api/audit/verify", "/api/exceptions/"])
def test_nobody_comes_in_unknown(anonymous_api: Any, path: str) -> None:
    response = anonymous_api.get(path)
    assert (response.status_code, response.json()["code"]) == (401, "NOT_AUTHENTICATED")


@pytest.mark.django_db
def test_correlation_ids(trader_api: Any, make_trace: Callable[..., str]) -> None:
    def answer(asked_for: str, method: str = "get") -> str:
        path = "/api/traces" if method == "get" else "/api/traces/x/replay"
        return str(getattr(trader_api, method)(path, headers={"X-Correlation-ID": asked_for})["X-Correlation-ID"])

    fresh = "7b0d4b3e-6f0b-4f57-9a3a-0a4c7d3c2b1a"
    assert answer(fresh) == fresh
    taken = make_trace()
    assert answer(taken) != taken
    assert len(answer("not an id")) == 26
    assert answer(fresh, "post") == fresh
    assert answer(fresh, "post") != fresh  # another action bears it now
    assert DecisionTrace.objects.count() == 1


@pytest.mark.django_db
def test_pages_hold_still_while_rows_arrive(
    trader: Any, trader_api: Any, make_trace: Callable[..., str], now: datetime
) -> None:
    ids = [make_trace(owner=str(trader.pk), at=now + timedelta(seconds=n // 3)) for n in range(7)]
    newest_first = sorted(ids, key=lambda cid: (ids.index(cid) // 3, cid), reverse=True)

    def page(url: str) -> dict[str, Any]:
        body = trader_api.get(url).json()
        return {**body, "ids": [row["correlation_id"] for row in body["results"]]}

    first = page("/api/traces?limit=3&status=closed")
    make_trace(owner=str(trader.pk), at=now + timedelta(hours=1))
    second = page(first["next"])
    third = page(second["next"])
    assert [first["ids"], second["ids"], third["ids"]] == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert (first["previous"], third["next"]) == (None, None)
    back = page(third["previous"])
    assert back["ids"] == newest_first[3:6]
    assert page(back["next"])["ids"] == newest_first[6:]
    assert page(back["previous"])["ids"] == newest_first[:3]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=1000000000", "limit=x", "limit=201", "cursor=x", "cursor=W10", "cursor=WzAsMSwxXQ",
     "cursor=WzAsIngiLCJ5Il0", "cursor=%00", "cursor=" + "a" * 3000, "cursor=WzAsWzFdLDFd"],
)  # fmt: skip
def test_bad_pages(trader_api: Any, query: str) -> None:
    response = trader_api.get(f"/api/traces?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "BAD_PAGE")
