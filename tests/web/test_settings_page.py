"""Settings → AI as a browser gets it: its five sections, the chain, the words of the buttons, the notice everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from broker.models import BrokerConnection
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory
from tests.web.test_pages import Tags

pytestmark = pytest.mark.django_db
AI = "/settings?tab=ai"
BUTTONS = ["Test Connection", "Authorize", "Refresh status", "List tools", "Fetch snapshot"]
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def staff_client(staff: Any) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def connect(staff: Any, now: datetime) -> Callable[..., BrokerConnection]:
    def make(**values: Any) -> BrokerConnection:
        set_flag(Flag.KITE_MCP_ENABLED, enabled=True, actor="test", now=now)
        facts = {
            "name": "Kite", "kind": "kite_mcp", "server_url": "https://mcp.kite.trade/sse", "is_active": True,
            "last_status": "connected", "authorized": False, "http_version": "HTTP/2", "tools": ["get_profile"],
        }  # fmt: skip
        return BrokerConnection.objects.create(**{"owner": staff, "created_at": now, **facts, **values})

    return make


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def links(page: str) -> dict[str, str]:
    return {name: state for state, name in re.findall(r'st-link-(\w+)" data-link="(\w+)"', page)}


def test_it_has_its_five_sections_each_with_its_address(staff_client: Client) -> None:
    page = staff_client.get(AI).content.decode()
    for section in ("switches", "kite-mcp", "model", "policy", "audit"):
        assert f'id="{section}"' in page
        assert f'href="#{section}"' in page
    assert 'aria-current="page" data-testid="tab-ai"' in page


def test_account_keeps_theme_keys_and_password(staff_client: Client) -> None:
    page = staff_client.get("/settings?tab=account").content.decode()
    assert all(name in page for name in ("theme-dark", "shortcuts-toggle", 'href="/password"'))
    assert "kite-mcp" not in page


def test_the_buttons_bear_the_guides_words(staff_client: Client, connect: Callable[..., BrokerConnection]) -> None:
    connect()
    page = staff_client.get(AI).content.decode()
    section = page[page.index('class="st-pad st-kite-acts"') : page.index('id="kite-result"')]
    assert [text_of(found) for found in re.findall(r"<button.*?</button>", section, re.DOTALL)] == BUTTONS


def test_the_chain_names_the_failed_link_and_what_to_do(
    staff_client: Client, connect: Callable[..., BrokerConnection]
) -> None:
    connect()
    page = staff_client.get(AI).content.decode()
    assert links(page) == {
        "url": "ok", "reachable": "ok", "initialised": "ok", "authorised": "failed", "tools": "waiting",
        "snapshot": "waiting",
    }  # fmt: skip
    assert "Authorised failed. The broker asks for a log-in. Press Authorize; your drafts stay." in text_of(page)
    assert 'data-testid="http-version">HTTP/2<' in page
    assert 'data-testid="kite-badge">not authorised<' in page


def test_what_the_server_said_is_text(staff_client: Client, connect: Callable[..., BrokerConnection]) -> None:
    connect(last_status="error", last_error=HOSTILE, server_info={"name": HOSTILE, "version": "1"}, user_name=HOSTILE,
            tool_faults=[{"tool": HOSTILE, "what": HOSTILE}], name=HOSTILE)  # fmt: skip
    page = staff_client.get(AI).content.decode()
    tags = Tags()
    tags.feed(page)
    assert (tags.refused, HOSTILE in page, HOSTILE in unescape(page)) == ([], False, True)
    assert sorted(tags.ids) == sorted(set(tags.ids))


def test_no_secret_is_on_it(staff_client: Client, connect: Callable[..., BrokerConnection]) -> None:
    connect(mcp_session="canary-session", api_key="canary-key", api_secret="canary-secret", access_token="canary",
            user_name="Meera Trader", authorized=True)  # fmt: skip
    page = staff_client.get(AI).content.decode()
    assert "canary" not in page
    assert ("Meera" in page, "M**** T*****" in page) == (False, True)


def test_without_a_connection_it_says_what_to_do(staff_client: Client) -> None:
    assert "No connection to an MCP server yet." in text_of(staff_client.get(AI).content.decode())


def test_others_see_it_and_change_nothing(trader_client: Client) -> None:
    page = trader_client.get(AI).content.decode()
    form = page[page.index("data-kite-form") : page.index("</form>", page.index("data-kite-form"))]
    assert (form.count("disabled"), "data-kite-save" in form) == (3, False)
    assert "Only staff may change these." in text_of(page)


def test_execution_shows_what_it_still_needs(staff_client: Client, connect: Callable[..., BrokerConnection]) -> None:
    connect()
    page = text_of(staff_client.get(AI).content.decode())
    assert "needs 2 more" in page
    assert "Connection test passes , not met Open Order tools listed , not met Open Kill switch released" in page


def test_a_session_without_its_login_is_told_on_every_page_with_one_button(
    staff_client: Client, connect: Callable[..., BrokerConnection]
) -> None:
    row = connect()
    for path in ("/", "/orders", "/traces", "/exceptions", AI):
        page = staff_client.get(path).content.decode()
        assert page.count('data-testid="login-strip"') == 1, path
        assert page.count(f'data-authorize="{row.pk}" data-testid="login-strip-authorize"') == 1
        assert 'id="authorize-dialog"' in page
    assert "AI systems are unpredictable" in page


@pytest.mark.parametrize(
    "values", [{"authorized": True}, {"authorized": None}, {"is_active": False}], ids=["in", "unknown", "not in use"]
)
def test_otherwise_there_is_no_notice(
    staff_client: Client, connect: Callable[..., BrokerConnection], values: dict[str, Any]
) -> None:
    connect(**values)
    assert "login-strip" not in staff_client.get("/").content.decode()


def test_with_kite_switched_off_nobody_is_asked_to_log_in(
    staff_client: Client, connect: Callable[..., BrokerConnection], now: datetime
) -> None:
    connect()
    set_flag(Flag.KITE_MCP_ENABLED, enabled=False, actor="test", now=now)
    assert "login-strip" not in staff_client.get("/").content.decode()


def test_a_page_that_stands_open_learns_of_it(staff_client: Client, connect: Callable[..., BrokerConnection]) -> None:
    row = connect(authorized=True)
    seen = re.search(r'hx-get="(/live\?seen=[^"]+)"', staff_client.get("/").content.decode())
    assert seen is not None
    assert staff_client.get(seen[1], headers={"HX-Request": "true"}).status_code == 204
    BrokerConnection.objects.filter(pk=row.pk).update(authorized=False)
    told = staff_client.get(seen[1], headers={"HX-Request": "true"})
    assert (told.status_code, 'data-testid="login-strip"' in told.content.decode()) == (200, True)


@pytest.mark.parametrize(("part", "name"), [("status", "kite-status"), ("audit", "settings-audit")])
def test_a_part_is_read_again_alone(
    staff_client: Client, connect: Callable[..., BrokerConnection], part: str, name: str
) -> None:
    connect()
    page = staff_client.get(f"{AI}&part={part}", headers={"HX-Request": "true"}).content.decode()
    assert (f'data-testid="{name}"' in page, "<html" in page, "data-kite-form" in page) == (True, False, False)


def test_the_record_is_filtered_by_our_words_alone(staff_client: Client, staff: Any, now: datetime) -> None:
    for number, category in enumerate((EventCategory.KITE_MCP, EventCategory.SECURITY)):
        record_system_event(category=category, event_type=f"TOLD_{number}", message=HOSTILE, owner=str(staff.pk),
                            now=now + timedelta(seconds=number))  # fmt: skip
    shown = {
        query: re.findall(r"TOLD_\d", staff_client.get(f"{AI}{query}").content.decode())
        for query in ("", "&category=SECURITY", "&category=NOPE", "&level=ERROR")
    }
    assert shown == {"": ["TOLD_0"], "&category=SECURITY": ["TOLD_1"], "&category=NOPE": ["TOLD_0"], "&level=ERROR": []}
    assert HOSTILE not in staff_client.get(AI).content.decode()
