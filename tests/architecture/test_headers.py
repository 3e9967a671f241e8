"""What every answer carries."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
PATHS = ["/sign-in", "/api/health", "/api/settings/ai", "/admin/login/", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_the_policy_is_strict_everywhere(path):
    policy = Client().get(path)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_kept_sniffed_or_framed(path):
    headers = Client().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"]
    assert "camera=()" in headers["Permissions-Policy"]


def test_practice_on_loopback_promises_no_https():
    assert "Strict-Transport-Security" not in Client().get("/sign-in").headers
