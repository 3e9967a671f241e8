"""What every test shares: a clock, people, clients, and a wall around the network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from tests.factories import StaffFactory, TraderFactory, ViewerFactory
from tests.support.services import missing


def pytest_configure() -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow on purpose elsewhere
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches out of this machine fails at once instead of hanging or, worse, working."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
                raise AssertionError(f"A test tried to reach {address[0]}: only this machine is allowed.")
            return original(self, address)

        return wrapper

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def now() -> datetime:
    """A Monday, 10:30 in Mumbai, while the market is open. Pass it on; read no clock."""
    return datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def trader(db: None) -> Any:
    return TraderFactory()


@pytest.fixture
def other_trader(db: None) -> Any:
    return TraderFactory()


@pytest.fixture
def staff(db: None) -> Any:
    """Trader and staff, as the first user of a checkout."""
    return StaffFactory()


@pytest.fixture
def viewer(db: None) -> Any:
    return ViewerFactory()


@pytest.fixture
def api_for() -> Callable[[Any], APIClient]:
    """An API client signed in as the user, no CSRF checks: ``api_for(trader).post(path, {...}, format="json")``."""

    def make(user: Any) -> APIClient:
        client = APIClient()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def trader_api(trader: Any, api_for: Callable[[Any], APIClient]) -> APIClient:
    return api_for(trader)


@pytest.fixture
def staff_api(staff: Any, api_for: Callable[[Any], APIClient]) -> APIClient:
    return api_for(staff)


@pytest.fixture
def viewer_api(viewer: Any, api_for: Callable[[Any], APIClient]) -> APIClient:
    return api_for(viewer)


@pytest.fixture
def anonymous_api() -> APIClient:
    return APIClient()


@pytest.fixture
def trader_client(trader: Any) -> Client:
    """A browser's client, signed in, for pages."""
    client = Client()
    client.force_login(trader)
    return client


@pytest.fixture
def reauthenticated() -> Callable[[Any], Any]:
    """Opens re-authentication for a signed-in client: ``reauthenticated(trader_api)``."""
    from django.utils import timezone

    from sigmatrader.accounts import sessions

    def open_for(client: Any) -> Any:
        session = client.session
        sessions.open_reauthentication(session, now=timezone.now())
        session.save()
        return client

    return open_for


@pytest.fixture(autouse=True)
def _needs_what_it_is_marked_with(request: pytest.FixtureRequest) -> None:
    """Skips with the reason a test whose service is missing; fails it under SIGMATRADER_REQUIRE_SERVICES=1."""
    for service in ("postgres", "browser", "redis"):
        if request.node.get_closest_marker(service):
            missing(service)
