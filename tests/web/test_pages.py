"""Pages as a browser gets them: signed in, own records only, nothing inline, nothing from elsewhere."""

from __future__ import annotations

import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from risk.models import TradingState
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import ExceptionRecord
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import TraceOutcome

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("/", "/orders", "/traces", "/exceptions", "/settings")
pytestmark = pytest.mark.django_db


class Tags(HTMLParser):
    """Collects what a strict policy would refuse, and controls without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.refused += [
            f"{tag} {name}" for name in found if name == "style" or (name.startswith("on") and name != "on")
        ]
        if tag == "style" or (tag == "script" and not (found.get("src") or "").startswith("/static/")):
            self.refused.append(f"inline {tag}")
        for name in ("src", "href"):
            if (found.get(name) or "").startswith(("http", "//")):
                self.refused.append(f"{tag} {name} {found[name]}")
        if found.get("id"):
            self.ids.append(str(found["id"]))


def tell(user: Any, now: datetime, *, message: str = "buy 10 INFY at 1500") -> str:
    """A small finished trace of ``user``."""
    cid = new_correlation_id()
    with recording(now) as record:
        record.open(
            cid, kind="order", actor=user.get_username(), origin="assistant", owner=str(user.pk), message=message
        )
        record.link(cid, "symbol", "NSE:INFY")
        record.event(cid, "risk.decided", {"outcome": "deny", "denials": ["ORDER_VALUE_MAX"]})
        record.close(cid, TraceOutcome.DENIED, "Nothing was sent.")
    return cid


@pytest.mark.parametrize(
    "path", [*PAGES, "/traces/01JDC7000000000000000000AA", "/cards/9f3ac2d0-0000-4000-8000-000000000001"]
)
def test_every_page_needs_sign_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_nothing_inline_nothing_from_elsewhere_and_every_id_once(trader_client: Client, path: str) -> None:
    response = trader_client.get(path)
    assert response.status_code == 200
    tags = Tags()
    tags.feed(response.content.decode())
    assert tags.refused == []
    assert sorted(tags.ids) == sorted(set(tags.ids))


@pytest.mark.parametrize("path", PAGES)
def test_the_kill_switch_the_ticket_and_the_assistant_are_on_every_page(trader_client: Client, path: str) -> None:
    page = trader_client.get(path).content.decode()
    for name in ("kill-switch", "kill-switch-cancel-all", "ticket", "assistant-panel", "assistant-input"):
        assert f'data-testid="{name}"' in page, name


def test_a_halt_is_on_every_page_with_who_and_why(trader_client: Client, now: datetime) -> None:
    TradingState.objects.create(scope="global", state="HALTED", reason="odd fills", set_by="meera", set_at=now)
    for path in PAGES:
        page = trader_client.get(path).content.decode()
        assert 'data-testid="halted-strip"' in page
        assert "By meera at 10:30:00: odd fills" in page


def test_with_the_assistant_off_the_panel_says_so_and_the_ticket_stands(trader_client: Client) -> None:
    page = trader_client.get("/").content.decode()
    assert "The assistant is off" in page
    assert 'data-testid="ticket-submit"' in page


def test_a_trace_is_its_owners_alone(trader_client: Client, trader: Any, other_trader: Any, now: datetime) -> None:
    mine, theirs = tell(trader, now), tell(other_trader, now, message="sell their TCS")
    assert trader_client.get(f"/traces/{mine}").status_code == 200
    assert trader_client.get(f"/traces/{theirs}").status_code == 404
    listed = trader_client.get("/traces").content.decode()
    assert mine in listed
    assert theirs not in listed
    assert "sell their TCS" not in listed


def test_a_trace_tells_failures_and_that_its_hashes_match(trader_client: Client, trader: Any, now: datetime) -> None:
    page = trader_client.get(f"/traces/{tell(trader, now)}").content.decode()
    assert "Hashes match" in page
    assert "DENY · ORDER_VALUE_MAX" in page
    assert page.count("data-failed") == 1


def test_an_event_whose_hash_does_not_fit_is_shown_as_broken(
    trader_client: Client, trader: Any, now: datetime, settings: Any
) -> None:
    cid = tell(trader, now)
    settings.AUDIT_KEY = "another key than the one it was written with"
    page = trader_client.get(f"/traces/{cid}").content.decode()
    assert "3 events changed after being written" in page
    assert "Hashes match" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=INFY", True), ("q=WIPRO", False), ("outcome=denied", True), ("outcome=filled", False),
        ("from=2026-11-23", True), ("to=2026-11-22", False),
    ],
)  # fmt: skip
def test_traces_are_filtered(trader_client: Client, trader: Any, now: datetime, query: str, found: bool) -> None:
    cid = tell(trader, now)
    assert (cid in trader_client.get(f"/traces?{query}").content.decode()) is found


def test_exceptions_show_expected_actual_and_difference_by_severity(
    trader_client: Client, trader: Any, now: datetime
) -> None:
    common = {"type": "position", "code": "RECON_DELTA", "owner": str(trader.pk), "first_seen": now, "last_seen": now}
    ExceptionRecord.objects.create(**common, severity="low", summary="average differs", fingerprint="a")
    ExceptionRecord.objects.create(
        **common,
        severity="critical",
        summary="TCS is short",
        fingerprint="b",
        expected="350",
        actual="200",
        difference="−150",
    )
    page = trader_client.get("/exceptions").content.decode()
    assert page.index("Critical") < page.index("TCS is short") < page.index("Low") < page.index("average differs")
    assert all(text in page for text in (">350<", ">200<", "−150"))
    assert 'st-count-stop" data-testid="exceptions-count">2<' in page


def test_an_empty_list_says_that_nothing_was_reconciled_instead_of_that_all_agrees(trader_client: Client) -> None:
    assert "Nothing has been reconciled yet" in trader_client.get("/exceptions").content.decode()


def test_a_poll_that_finds_the_same_gets_no_content(trader_client: Client) -> None:
    page = trader_client.get("/orders").content.decode()
    address = re.search(r'hx-get="(/orders\?[^"]+)"', page)
    assert address is not None
    response = trader_client.get(address[1].replace("&amp;", "&"), headers={"HX-Request": "true"})
    assert response.status_code == 204


def test_a_page_that_stands_open_learns_of_a_halt_by_its_small_poll(trader_client: Client, now: datetime) -> None:
    def poll(address: str) -> Any:
        return trader_client.get(address, headers={"HX-Request": "true"})

    address = re.search(r'hx-get="(/live\?seen=[^"]+)"', trader_client.get("/").content.decode())
    assert address is not None
    assert poll(address[1]).status_code == 204
    TradingState.objects.create(scope="global", state="HALTED", reason="odd fills", set_by="meera", set_at=now)
    told = poll(address[1])
    assert told.status_code == 200
    page = told.content.decode()
    assert 'data-testid="halted-strip"' in page
    assert page.count('hx-swap-oob="true"') == 6
    newer = re.search(r'hx-get="(/live\?seen=[^"]+)"', page)
    assert newer is not None
    assert poll(newer[1]).status_code == 204


def test_traces_leave_routine_out_until_it_is_asked_for(trader_client: Client, trader: Any, now: datetime) -> None:
    cid = new_correlation_id()
    with recording(now) as record:
        record.open(cid, kind="reconcile", actor="reconciler", origin="schedule", owner=str(trader.pk))
        record.close(cid, TraceOutcome.ANSWERED, "No differences.")
    assert cid not in trader_client.get("/traces").content.decode()
    page = trader_client.get("/traces?all=1").content.decode()
    assert cid in page
    assert "Books compared with the broker" in page


def test_the_admin_wears_the_products_colours_within_the_same_policy(trader_client: Client, trader: Any) -> None:
    type(trader).objects.filter(pk=trader.pk).update(is_staff=True, is_superuser=True)
    response = trader_client.get("/admin/")
    assert response.status_code == 200
    page = response.content.decode()
    assert "Back to trading" in page
    assert "css/admin.css" in page
    assert "script-src 'self';" in response["Content-Security-Policy"]
    tags = Tags()
    tags.feed(page)
    assert [found for found in tags.refused if "inline" in found or "http" in found] == []


def test_shortcuts_are_switched_per_person(trader_client: Client, trader: Any) -> None:
    assert trader_client.post("/settings/shortcuts", {"on": "false"}).status_code == 302
    trader.refresh_from_db()
    assert trader.single_key_shortcuts is False
    assert 'data-shortcuts="off"' in trader_client.get("/").content.decode()


def test_the_theme_of_the_cookie_is_on_the_page_before_any_script(trader_client: Client) -> None:
    trader_client.cookies["st-theme"] = "dark"
    assert '<html lang="en-IN" data-bs-theme="dark"' in trader_client.get("/").content.decode()
    trader_client.cookies["st-theme"] = '"><script>'
    assert "data-bs-theme" not in trader_client.get("/").content.decode().split("<head>")[0]


def test_every_icon_named_in_a_template_or_script_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'symbol id="([^"]+)"', (ROOT / "static/img/icons.svg").read_text()))
    used: set[str] = set()
    for path in (ROOT / "templates").rglob("*.html"):
        used |= set(re.findall(r'{% icon "([^"]+)"', path.read_text()))
    for path in (ROOT / "static/js").glob("*.js"):
        used |= set(re.findall(r'icon\("([^"]+)"', path.read_text()))
    assert used - sprite == set()


def test_no_page_module_reaches_the_broker() -> None:
    banned = re.compile(r"httpx|broker\.adapters|adapter_for|reader_for|broker\.factory")
    sources = [*(ROOT / "sigmatrader/pages").glob("*.py"), ROOT / "sigmatrader/context.py"]
    assert [path.name for path in sources if banned.search(path.read_text())] == []
