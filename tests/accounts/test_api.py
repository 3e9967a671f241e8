"""Tokens, roles, re-authentication and the flags over HTTP."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from broker.models import BrokerConnection
from sigmatrader.accounts import selectors, services
from sigmatrader.accounts.models import ApiToken
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import SystemEvent
from tests.accounts.factories import FeatureFlagFactory
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
SETTINGS = "/api/settings/ai"


def _program(user, **options):
    token = services.make_token(user, name="bot", now=timezone.now(), **{"may_trade_live": False, **options})
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


class TestWhoIsAsking:
    def test_nobody_is_401(self, anonymous_api):
        answer = anonymous_api.get(SETTINGS)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
        assert answer["Content-Type"] == "application/problem+json"

    def test_a_token_is_known_and_its_use_noted(self, trader):
        assert _program(trader).get(SETTINGS).status_code == 200
        assert ApiToken.objects.get().last_used_at is not None

    @pytest.mark.parametrize("header", ["Token nonsense", "Token", "Token a b", "token \xff"])
    def test_a_wrong_token_is_401_even_with_a_session(self, trader_api, header):
        assert trader_api.get(SETTINGS, HTTP_AUTHORIZATION=header).status_code == 401

    def test_a_session_needs_its_csrf_token(self, staff):
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(staff)
        answer = client.put(SETTINGS, {"feature_flags": {"monitoring_enabled": True}}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "CSRF_FAILED")
        assert not selectors.flag_enabled(Flag.MONITORING_ENABLED)


class TestReauthentication:
    PATH = "/api/reauthenticate"

    def test_by_password(self, trader_api):
        answer = trader_api.post(self.PATH, {"password": PASSWORD}, format="json")
        assert answer.status_code == 200
        assert "reauthenticated_at" in trader_api.session

    def test_by_a_fresh_link(self, trader_api, trader):
        link = services.make_sign_in_link(trader, now=timezone.now(), base_url="http://x")
        assert trader_api.post(self.PATH, {"link": link}, format="json").status_code == 200
        assert trader_api.post(self.PATH, {"link": link}, format="json").status_code == 403

    def test_not_by_another_s_link(self, trader_api, other_trader):
        link = services.make_sign_in_link(other_trader, now=timezone.now(), base_url="http://x")
        assert trader_api.post(self.PATH, {"link": link}, format="json").status_code == 403
        assert "reauthenticated_at" not in trader_api.session

    def test_not_by_a_wrong_password(self, trader_api):
        answer = trader_api.post(self.PATH, {"password": "wrong"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "REAUTH_FAILED")
        assert SystemEvent.objects.filter(event_type="REAUTHENTICATION_FAILED").count() == 1

    def test_not_for_a_token(self, trader):
        answer = _program(trader).post(self.PATH, {"password": PASSWORD}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "SESSION_REQUIRED")

    @pytest.mark.parametrize("body", [{}, {"password": "a", "link": "b"}])
    def test_one_proof_at_a_time(self, trader_api, body):
        assert trader_api.post(self.PATH, body, format="json").status_code == 422


class TestFlags:
    def test_everyone_signed_in_reads(self, viewer_api):
        found = viewer_api.get(SETTINGS).json()
        assert (found["feature_flags"], found["version"]) == ({flag.value: False for flag in Flag}, 0)
        assert found["kill_switch"] == {
            "ai_execution_kill_switch": False, "execution_disabled_until_ts": None, "trading_state": "ACTIVE",
        }  # fmt: skip

    @pytest.mark.parametrize("who", ["viewer_api", "trader_api"])
    def test_only_staff_writes(self, request, who):
        body = {"feature_flags": {"monitoring_enabled": True}}
        answer = request.getfixturevalue(who).put(SETTINGS, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
        assert not selectors.flag_enabled(Flag.MONITORING_ENABLED)
        assert SystemEvent.objects.get().event_type == "ACCESS_DENIED"

    def test_only_what_is_sent_changes(self, staff_api):
        FeatureFlagFactory()
        answer = staff_api.put(SETTINGS, {"feature_flags": {"monitoring_enabled": True}, "version": 1}, format="json")
        assert answer.json()["feature_flags"] == {
            "ai_assistant_enabled": True, "ai_execution_enabled": False, "kite_mcp_enabled": False,
            "monitoring_enabled": True,
        }  # fmt: skip
        assert answer.json()["version"] == 2

    def test_a_stale_version_is_409(self, staff_api):
        FeatureFlagFactory()
        answer = staff_api.put(SETTINGS, {"feature_flags": {"monitoring_enabled": True}, "version": 0}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "STALE_VERSION")
        assert not selectors.flag_enabled(Flag.MONITORING_ENABLED)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"feature_flags": {"monitoring_enabled": "yes"}}, "BAD_TYPE"),
            ({"feature_flags": {"invented": True}}, "UNKNOWN_FIELD"),
            ({"kill_switch": {"trading_state": "ACTIVE"}}, "UNKNOWN_FIELD"),
        ],
    )
    def test_what_it_does_not_know_is_422(self, staff_api, body, code):
        answer = staff_api.put(SETTINGS, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (422, code)

    def test_execution_needs_a_tested_connection_with_order_tools(self, staff_api):
        answer = staff_api.put(SETTINGS, {"feature_flags": {"ai_execution_enabled": True}}, format="json")
        body = answer.json()
        assert (answer.status_code, body["code"]) == (409, "PRECONDITION_FAILED")
        assert [error["code"] for error in body["errors"]] == ["CONNECTION_NOT_TESTED", "ORDER_TOOLS_MISSING"]
        assert not selectors.flag_enabled(Flag.AI_EXECUTION_ENABLED)

    def test_with_them_it_is_turned_on(self, staff_api, staff, now):
        BrokerConnection.objects.create(
            owner=staff, name="Paper", kind="paper", is_active=True, last_status="connected", created_at=now,
            tools=[{"name": "place_order"}, {"name": "modify_order"}, {"name": "cancel_order"}],
        )  # fmt: skip
        answer = staff_api.put(SETTINGS, {"feature_flags": {"ai_execution_enabled": True}}, format="json")
        assert answer.json()["feature_flags"]["ai_execution_enabled"] is True


class TestHealth:
    def test_is_public(self, anonymous_api):
        assert anonymous_api.get("/api/health").json() == {"status": "ok"}

    def test_ready_names_each_part(self, anonymous_api, monkeypatch):
        from sigmatrader import readiness
        from sigmatrader.api import health

        monkeypatch.setattr(health, "_last", None)
        monkeypatch.setattr(readiness, "answers", lambda url, timeout_s=1.0: False)
        answer = anonymous_api.get("/api/ready")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert {name: part["ok"] for name, part in answer.json()["parts"].items()} == {
            "database": True, "migrations": True, "queue": True, "broker": False,
        }  # fmt: skip
