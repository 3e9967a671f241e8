"""The admin has no door of its own: one sign-in, with its limits, its record and its session times."""

from __future__ import annotations

import pytest
from django.test import Client

from sigmatrader.accounts.sessions import SIGNED_IN_AT
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/?next=/admin/"


def test_a_password_sent_there_signs_nobody_in(staff):
    client = Client()
    answer = client.post(LOGIN, {"username": staff.username, "password": PASSWORD})
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/sign-in")
    assert "_auth_user_id" not in client.session


def test_the_way_through_our_own_door(staff):
    client = Client()
    answer = client.post("/sign-in", {"username": staff.username, "password": PASSWORD, "next": LOGIN}, follow=True)
    assert [url for url, _status in answer.redirect_chain] == [LOGIN, "/admin/"]
    assert answer.status_code == 200
    assert SIGNED_IN_AT in client.session


def test_who_is_not_staff_is_refused_once(trader_client):
    answer = trader_client.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert len(answer.redirect_chain) == 1


def test_nowhere_else_is_led_to(staff, api_for):
    assert api_for(staff).get("/admin/login/?next=https://example.com/").url == "/"


def test_a_password_is_changed_at_our_page_only(staff, api_for):
    assert api_for(staff).post("/admin/password_change/", {"new_password1": "x"}).url == "/password"
