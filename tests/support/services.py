"""Tests that need a service say so; without it they are skipped with the reason, or fail where it is required."""

from __future__ import annotations

import os
import shutil

import pytest
from django.db import connection

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str | None:
    """The browser to drive, or None."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


def missing(service: str) -> None:
    """Returns if ``service`` is there, else skips the test, or fails it under SIGMATRADER_REQUIRE_SERVICES=1."""
    reason = _REASONS[service]()
    if not reason:
        return
    if os.environ.get("SIGMATRADER_REQUIRE_SERVICES") == "1" and not reason.startswith("runs on"):
        pytest.fail(reason)
    pytest.skip(reason)


def _postgres() -> str:
    return "" if connection.vendor == "postgresql" else "runs on PostgreSQL only: set DATABASE_URL"


def _browser() -> str:
    return "" if chromium_path() else "Chromium is not installed"


def _redis() -> str:
    import redis

    url = os.environ.get("SIGMATRADER_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=1) as client:
            client.ping()
    except redis.RedisError:
        return f"Redis does not answer at {url}"
    return ""


_REASONS = {"postgres": _postgres, "browser": _browser, "redis": _redis}
