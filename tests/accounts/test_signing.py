"""Signing in and out as a browser does it, CSRF checks on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from sigmatrader.accounts import services
from sigmatrader.accounts.models import SignInLink
from sigmatrader.audit.models import SystemEvent
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


def _post(browser, path, **values):
    page = browser.get(path)
    token = page.context["csrf_token"] if page.context else browser.cookies["csrftoken"].value
    return browser.post(path, {"csrfmiddlewaretoken": str(token), **values})


def _path(user):
    return services.make_sign_in_link(user, now=timezone.now(), base_url="http://testserver").removeprefix(
        "http://testserver"
    )


class TestPassword:
    def test_signs_in_under_a_new_session(self, browser, trader):
        browser.get("/sign-in")
        answer = _post(browser, "/sign-in", username=trader.username, password=PASSWORD)
        assert (answer.status_code, answer["Location"]) == (302, "/")
        assert browser.session["_auth_user_id"] == str(trader.pk)
        assert SystemEvent.objects.get().event_type == "SIGNED_IN"

    def test_without_the_csrf_token_it_is_refused(self, browser, trader):
        answer = browser.post("/sign-in", {"username": trader.username, "password": PASSWORD})
        assert answer.status_code == 403
        assert Session.objects.count() == 0

    def test_a_wrong_one_tells_nothing_but_the_log(self, browser, trader):
        answer = _post(browser, "/sign-in", username=trader.username, password="wrong")
        assert answer.status_code == 400
        event = SystemEvent.objects.get()
        assert (event.event_type, event.category, event.level) == ("SIGN_IN_FAILED", "SECURITY", "WARNING")
        assert "wrong" not in f"{event.message}{event.details}"

    def test_leads_to_no_other_site(self, browser, trader):
        answer = _post(browser, "/sign-in", username=trader.username, password=PASSWORD, next="https://evil.example/")
        assert answer["Location"] == "/"

    def test_the_eleventh_try_waits(self, browser, trader):
        with time_machine.travel(datetime(2026, 11, 23, 5, 0, tzinfo=UTC), tick=False):
            for _ in range(10):
                assert _post(browser, "/sign-in", username=trader.username, password="wrong").status_code == 400
            answer = _post(browser, "/sign-in", username=trader.username, password=PASSWORD)
        assert (answer.status_code, answer["Retry-After"]) == (429, "300")
        assert "_auth_user_id" not in browser.session


class TestLink:
    def test_looking_uses_nothing_up(self, browser, trader):
        path = _path(trader)
        for _ in range(2):
            answer = browser.get(path)
            assert (answer.status_code, answer["Referrer-Policy"]) == (200, "no-referrer")
        assert SignInLink.objects.get().used_at is None

    def test_signs_in_and_opens_reauthentication(self, browser, trader):
        answer = _post(browser, _path(trader))
        assert (answer.status_code, answer["Location"]) == (302, "/")
        assert "reauthenticated_at" in browser.session

    def test_works_once(self, browser, trader):
        path = _path(trader)
        _post(browser, path)
        other = Client(enforce_csrf_checks=True)
        assert _post(other, path).status_code == 401
        assert "_auth_user_id" not in other.session


class TestLeaving:
    def test_ends_the_session_on_the_server(self, trader_client):
        assert trader_client.post("/sign-out").status_code == 302
        assert Session.objects.count() == 0

    def test_not_by_get(self, trader_client):
        assert trader_client.get("/sign-out").status_code == 405

    @pytest.mark.parametrize(("idle", "status"), [(timedelta(hours=3), 200), (timedelta(hours=5), 401)])
    def test_a_session_that_stands_still_ends(self, trader, idle, status):
        client = Client()
        start = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
        with time_machine.travel(start, tick=False):
            client.post("/sign-in", {"username": trader.username, "password": PASSWORD})
        with time_machine.travel(start + idle, tick=False):
            assert client.get("/api/settings/ai").status_code == status

    def test_a_session_ends_twelve_hours_after_sign_in_however_busy(self, trader):
        client = Client()
        start = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
        with time_machine.travel(start, tick=False):
            client.post("/sign-in", {"username": trader.username, "password": PASSWORD})
        statuses = []
        for hours in (3, 6, 9, 11, 13):
            with time_machine.travel(start + timedelta(hours=hours), tick=False):
                statuses.append(client.get("/api/settings/ai").status_code)
        assert statuses == [200, 200, 200, 200, 401]


class TestSettingAPassword:
    def test_needs_a_recent_proof(self, trader_client, trader):
        answer = trader_client.post(
            "/password", {"new_password1": "a fresh long one", "new_password2": "a fresh long one"}
        )
        trader.refresh_from_db()
        assert answer.status_code == 403
        assert trader.check_password(PASSWORD)

    def test_ends_the_other_sessions(self, trader_client, trader, reauthenticated):
        other = Client()
        other.force_login(trader)
        new = {"new_password1": "a fresh long one", "new_password2": "a fresh long one"}
        assert reauthenticated(trader_client).post("/password", new).status_code == 302
        assert trader_client.get("/api/settings/ai").status_code == 200
        assert other.get("/api/settings/ai").status_code == 401

    def test_a_short_one_is_refused(self, trader_client, trader, reauthenticated):
        answer = reauthenticated(trader_client).post("/password", {"new_password1": "short", "new_password2": "short"})
        trader.refresh_from_db()
        assert answer.status_code == 200
        assert trader.check_password(PASSWORD)
