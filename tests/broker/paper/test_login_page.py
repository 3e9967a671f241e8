"""The authorize page in Chromium: a person opens the link, reads, presses, and the session is logged in."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx2
import pytest

from tests.broker.paper.test_serving import Streaming, streaming
from tests.broker.paper.wire import error_of, text_of
from tests.support.paper import start_paper

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parents[2] / "vendor" / "axe-core" / "axe.min.js"
SERIOUS = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter((row) => ["serious", "critical"].includes(row.impact)).map((row) => row.id)"""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_a_person_logs_a_session_in(tmp_path: Path) -> None:
    exchange = start_paper(tmp_path, login="manual")
    try:
        with (
            httpx2.Client(base_url=f"http://127.0.0.1:{exchange.port}", trust_env=False, timeout=60.0) as http,
            streaming(http) as stream,
            sync_api.sync_playwright() as playwright,
        ):
            assert error_of(stream.tool("get_profile")) == "Please log in first using the login tool"
            press(playwright, text_of(stream.tool("login")).split("[Login to Kite](")[1].split(")")[0], stream)
    finally:
        exchange.kill()


def press(playwright: object, link: str, stream: Streaming) -> None:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # type: ignore[attr-defined]
    try:
        page = browser.new_context(viewport={"width": 360, "height": 640}, bypass_csp=False).new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(link)
        assert "Practice Trader" in page.inner_text("main")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Login done")
        assert "PT0001" in text_of(stream.tool("get_profile"))
        assert complaints == []
    finally:
        browser.close()


def test_the_page_is_open_to_everyone(tmp_path: Path) -> None:
    exchange = start_paper(tmp_path, login="manual")
    try:
        with (
            httpx2.Client(base_url=f"http://127.0.0.1:{exchange.port}", trust_env=False, timeout=60.0) as http,
            streaming(http) as stream,
            sync_api.sync_playwright() as playwright,
        ):
            link = text_of(stream.tool("login")).split("[Login to Kite](")[1].split(")")[0]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for theme in ("light", "dark"):
                page = browser.new_context(color_scheme=theme, bypass_csp=True).new_page()
                page.goto(link)
                page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
                assert page.evaluate(SERIOUS) == []
            browser.close()
    finally:
        exchange.kill()
