"""The login tool's answer, and how long a login lasts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.session.logins import BadLoginAddress, already_logged_in, expiry, login_address

HOSTS = {"kite.zerodha.com"}
GOOD = "https://kite.zerodha.com/connect/login?api_key=k&v=3&redirect_params=session_id%3Da%7C1795413322.dlQ%3D"
PAPER = "http://127.0.0.1:8765/sse"


def test_the_address_is_found_once_though_shown_twice():
    text = f"IMPORTANT: a warning.\n\n[Login to Kite]({GOOD})\n\nIf your client cannot show links: {GOOD}"
    assert login_address(text, hosts=HOSTS) == GOOD


@pytest.mark.parametrize(
    "url",
    [
        "http://kite.zerodha.com/connect/login",
        "https://kite.zerodha.com:8443/connect/login",
        "https://kite.zerodha.com.evil.example/connect/login",
        "https://evil.example/kite.zerodha.com/connect/login",
        "https://kite.zerodha.com@evil.example/connect/login",
        "https://user:word@kite.zerodha.com/connect/login",
        "https://127.0.0.1/connect/login",
        "http://127.0.0.1:8765/authorize?link=a",
        "https://kite.zerodha.com:x/connect/login",
        "https://kite.zerodha.com/" + "a" * 2000,
        "ftp://kite.zerodha.com/connect/login",
        "javascript:alert(1)",
        "",
        f"{GOOD} https://evil.example/",
    ],
)
def test_no_other_address_is_taken(url):
    with pytest.raises(BadLoginAddress) as refused:
        login_address(f"Log in: {url}", hosts=HOSTS)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8765/authorize?link=a", True),
        ("http://localhost:8765/authorize?link=a", True),
        ("http://127.0.0.1:8766/authorize?link=a", False),
        ("https://127.0.0.1:8765/authorize?link=a", False),
        ("http://10.0.0.1:8765/authorize?link=a", False),
        (GOOD, False),
    ],
)
def test_the_paper_exchange_sends_to_itself_only(url, allowed):
    if allowed:
        assert login_address(url, hosts=HOSTS, paper_url=PAPER) == url
        return
    with pytest.raises(BadLoginAddress):
        login_address(url, hosts=HOSTS, paper_url=PAPER)


def test_already_logged_in():
    assert already_logged_in("You are already logged in as Asha Rao") == "Asha Rao"
    assert already_logged_in(f"Please log in: {GOOD}") is None


@pytest.mark.parametrize(
    ("began", "logged_in", "ends"),
    [
        ("2026-11-23T03:00", "2026-11-23T03:00", "2026-11-23T15:00"),  # 08:30 in India: twelve hours
        ("2026-11-23T20:00", "2026-11-23T20:00", "2026-11-24T00:30"),  # 01:30: the token dies at six
        ("2026-11-23T20:00", "2026-11-24T00:29", "2026-11-24T00:30"),
        ("2026-11-23T20:00", "2026-11-24T00:30", "2026-11-24T08:00"),  # a new login on the old session
    ],
)
def test_when_a_login_ends(began, logged_in, ends):
    first, second, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (began, logged_in, ends))
    assert expiry(first, logged_in=second) == end
