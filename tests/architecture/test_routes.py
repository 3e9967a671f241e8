"""Every address needs authentication except those named here."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

PUBLIC = {
    "api/health", "api/health/", "api/ready", "api/ready/", "sign-in", "sign-in/link/<str:token>",
    "admin/login/",
}  # fmt: skip
_PARAMETER = re.compile(r"<(?:(?P<kind>\w+):)?\w+>|\(\?P<\w+>[^)]*\)")
_SAMPLES = {"uuid": str(uuid.uuid4()), "int": "1", "str": "x", "slug": "x", "path": "x", None: "x"}


def routes(patterns=None, prefix=""):
    """(route, view) of the whole URLconf."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


ROUTES = sorted(dict(routes()).items())


def address_of(route):
    filled = _PARAMETER.sub(lambda match: _SAMPLES.get(match["kind"], "x"), route)
    return "/" + filled.replace("^", "").replace("\\.", ".").rstrip("$?Z\\")


def answers_without_a_user(client, route, method):
    """Whether anybody gets more than a closed door: 401 or 403 below /api, the sign-in page elsewhere."""
    response = client.generic(method, address_of(route), data="{}", content_type="application/json")
    if response.status_code in (401, 403):
        return False
    leads_to_sign_in = (
        response.status_code == 302 and "/sign-in" in response["Location"]
    ) or "/admin/login/" in response.get("Location", "")
    return not leads_to_sign_in


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_route_needs_authentication(method):
    client = Client()
    assert [route for route, _ in ROUTES if route not in PUBLIC and answers_without_a_user(client, route, method)] == []


def test_the_public_ones_exist():
    assert {route for route, _ in ROUTES} >= PUBLIC


def test_api_answers_with_and_without_its_slash():
    known = {route for route, _ in ROUTES}
    api = [route for route in known if route.startswith("api/")]
    assert [route for route in api if (route[:-1] if route.endswith("/") else f"{route}/") not in known] == []


def test_no_view_below_api_opens_itself():
    opened = [
        route
        for route, view in ROUTES
        if route not in PUBLIC
        and issubclass(getattr(view, "cls", object), APIView)
        and (AllowAny in view.cls.permission_classes or not view.cls.permission_classes)
    ]
    assert opened == []


@pytest.mark.django_db
def test_an_undeclared_open_route_is_found(settings):
    settings.ROOT_URLCONF = "tests.architecture.open_urls"
    assert answers_without_a_user(Client(), "open", "GET")
