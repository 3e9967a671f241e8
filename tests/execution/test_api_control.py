"""The kill switch, reconciliation on request, and their lists."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from broker.ports import BrokerUnavailable
from execution.models import OrderIntent, ReconciliationRun
from risk.domain import TradingStateName
from risk.models import TradingState
from risk.services import set_trading_state
from sigmatrader.audit.models import DecisionTrace, TraceClosing
from tests.execution.api import execute, plan, problem, utcnow

pytestmark = pytest.mark.django_db
RUN_FIELDS = {"id", "correlation_id", "trigger", "status", "started_at", "finished_at", "snapshot", "snapshot_hash",
              "checked", "delta_count", "deltas", "note"}  # fmt: skip


def pull(api, state="HALTED", **more):
    return api.post("/api/kill-switch", {"state": state, **more}, format="json")


def halt(reason="stop"):
    set_trading_state(scope="global", state=TradingStateName.HALTED, actor="t", now=utcnow(), reason=reason)


class TestKillSwitch:
    def test_pulling_needs_nothing_and_stops_the_next_approval(self, trader_api, broker):
        made = plan(trader_api)
        response = pull(trader_api)
        body = response.json()
        assert response.status_code == 200
        assert (body["trading_state"], body["cancelled"], body["until"]) == ("HALTED", [], None)
        assert body["set_by"]
        problem(execute(trader_api, made), 409, "TRADING_HALTED")
        assert broker.sent == []

    def test_it_leaves_a_closed_trace(self, trader_api, broker):
        cid = pull(trader_api).json()["correlation_id"]
        assert TraceClosing.objects.get(trace_id=cid).outcome == "changed"

    def test_release_needs_reauthentication_and_a_reason(self, trader_api, broker, reauthenticated):
        halt()
        problem(pull(trader_api, "ACTIVE", reason="all well"), 403, "REAUTH_REQUIRED")
        reauthenticated(trader_api)
        found = problem(pull(trader_api, "ACTIVE"), 422, "REASON_REQUIRED")
        assert found["errors"][0]["field"] == "reason"
        problem(pull(trader_api, "ACTIVE", reason="   "), 422, "REASON_REQUIRED")
        assert TradingState.objects.get(scope="global").state == "HALTED"
        assert pull(trader_api, "ACTIVE", reason="all well").json()["trading_state"] == "ACTIVE"

    def test_from_halted_to_reducing_is_a_release_too(self, trader_api, broker):
        halt()
        problem(pull(trader_api, "REDUCING", reason="exits"), 403, "REAUTH_REQUIRED")

    def test_reducing_may_be_tightened_at_once(self, trader_api, broker):
        assert pull(trader_api, "REDUCING").status_code == 200
        assert pull(trader_api, "HALTED").json()["trading_state"] == "HALTED"

    def test_after_its_time_is_over_trading_is_active_again(self, trader_api, broker, clock):
        until = (utcnow() + timedelta(minutes=1)).isoformat()
        assert pull(trader_api, until=until).json()["until"]
        made = plan(trader_api)
        clock.shift(timedelta(seconds=61))
        broker.now += timedelta(seconds=61)
        made = plan(trader_api)
        assert execute(trader_api, made).status_code == 202

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "VALIDATION"),
            ({"state": "OFF"}, "VALIDATION"),
            ({"state": "HALTED", "scope": "x"}, "UNKNOWN_FIELD"),
            ({"state": "HALTED", "cancel_open": "yes"}, "BAD_TYPE"),
            ({"state": "HALTED", "until": "tomorrow"}, None),
            ({"state": "HALTED", "until": "2026-11-23T06:00:00"}, None),
        ],
    )
    def test_bad_input_changes_nothing(self, trader_api, broker, body, code):
        response = trader_api.post("/api/kill-switch", body, format="json")
        assert response.status_code == 422
        assert code is None or response.json()["code"] == code
        assert not TradingState.objects.filter(state="HALTED").exists()

    def test_viewer_and_anonymous_may_not(self, viewer_api, anonymous_api, broker):
        problem(pull(viewer_api), 403, "FORBIDDEN")
        assert pull(anonymous_api).status_code == 401
        assert not TradingState.objects.filter(state="HALTED").exists()


class TestReconcile:
    def test_run_is_201_with_every_field_and_its_trace(self, trader_api, broker):
        response = trader_api.post("/api/reconcile", {}, format="json")
        body = response.json()
        assert response.status_code == 201
        assert set(body) >= RUN_FIELDS
        assert (body["status"], body["delta_count"], body["deltas"]) == ("ok", 0, [])
        assert body["checked"] == {"holdings": 0, "positions": 0, "orders": 0}
        assert DecisionTrace.objects.filter(correlation_id=body["correlation_id"]).exists()
        assert trader_api.get(f"/api/reconciliation/runs/{body['id']}").json() == body
        assert trader_api.get("/api/reconciliation/runs").json()["results"] == [body]

    def test_books_that_cannot_be_read_are_a_failed_run_with_its_own_ended_trace(self, trader_api, broker, monkeypatch):
        def down():
            raise BrokerUnavailable("refused")

        for part in ("holdings", "positions", "orders", "trades", "margins"):
            monkeypatch.setattr(broker, part, down)
        body = trader_api.post("/api/reconcile", {}, format="json").json()
        assert (body["status"], body["delta_count"]) == ("failed", 0)
        assert "could not be read" in body["note"]
        assert TraceClosing.objects.get(trace_id=body["correlation_id"]).outcome == "failed"

    def test_deltas_of_the_newest_run_by_severity(self, trader_api, broker, connection):
        ReconciliationRun.objects.create(
            owner=connection.owner, connection=connection, trigger="test", status="deltas", delta_count=2,
            deltas=[{"code": "A", "severity": "high"}, {"code": "B", "severity": "low"}],
            started_at=utcnow(), finished_at=utcnow(),
        )  # fmt: skip
        every = trader_api.get("/api/reconciliation/deltas").json()
        assert [row["code"] for row in every["results"]] == ["A", "B"]
        assert [r["code"] for r in trader_api.get("/api/reconciliation/deltas?severity=low").json()["results"]] == ["B"]
        assert trader_api.get("/api/reconciliation/deltas?severity=awful").status_code == 422

    def test_others_see_and_start_nothing(self, api_for, other_trader, viewer_api, anonymous_api, trader_api, broker):
        run = trader_api.post("/api/reconcile", {}, format="json").json()
        other = api_for(other_trader)
        problem(other.get(f"/api/reconciliation/runs/{run['id']}"), 404, "NOT_FOUND")
        assert other.get("/api/reconciliation/runs").json()["results"] == []
        problem(other.post("/api/reconcile", {}, format="json"), 409, "NO_CONNECTION")
        problem(other.post("/api/reconcile", {"connection": run["connection"]}, format="json"), 404, "NOT_FOUND")
        problem(viewer_api.post("/api/reconcile", {}, format="json"), 403, "FORBIDDEN")
        for path in ("runs", f"runs/{uuid.uuid4()}", "deltas"):
            assert anonymous_api.get(f"/api/reconciliation/{path}").status_code == 401

    def test_no_such_run(self, trader_api, broker):
        problem(trader_api.get(f"/api/reconciliation/runs/{uuid.uuid4()}"), 404, "NOT_FOUND")

    def test_unknown_field(self, trader_api, broker):
        problem(trader_api.post("/api/reconcile", {"force": True}, format="json"), 422, "UNKNOWN_FIELD")
        assert not ReconciliationRun.objects.exists()


def test_nothing_here_sends(trader_api, broker):
    pull(trader_api, cancel_open=True)
    trader_api.post("/api/reconcile", {}, format="json")
    assert broker.sent == []
    assert not OrderIntent.objects.exists()
