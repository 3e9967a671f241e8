"""The product in Chromium, as a trader uses it: the sentence, the ticket, a veto, the kill switch, the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sigmatrader.demo.stage import Stage, set_stage

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"
PAGES = ("/", "/orders", "/exceptions", "/traces", "/settings")
PATIENCE_MS = 30_000
SERIOUS = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.filter((row) => ["serious", "critical"].includes(row.impact))
    .map((row) => `${row.id}: ${row.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(" | ")}`);
}"""
pytestmark = [
    pytest.mark.xdist_group("products"),
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@dataclass
class Watch:
    """What a browser complained about, and every address it asked for that is not ours."""

    ours: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def follow(self, page: Any) -> None:
        """Console errors hold refusals by the content security policy too."""
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.ours, "data:", "blob:")):
            self.elsewhere.append(url)


@dataclass
class Desk:
    """A signed-in browser on a running product of its own."""

    stage: Stage
    browser: Any
    watch: Watch
    state: dict[str, Any]

    @property
    def address(self) -> str:
        return self.watch.ours

    def open(self, path: str = "/", *, width: int = 1280, theme: str = "light") -> Any:
        """A new tab at ``path``, ready to use."""
        height = 800 if width > 640 else 780
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, storage_state=self.state
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        self.watch.follow(page)
        page.goto(self.address + path)
        page.wait_for_selector("html[data-ready=yes]")
        return page


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    log = tmp_path_factory.mktemp("browser") / "product.log"
    with log.open("wb") as out, set_stage(account="", log=out) as stage, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        address = f"http://127.0.0.1:{stage.web_port}"
        watch = Watch(address)
        state = sign_in(browser, stage.manage("signin_link", "trader").split()[-1], watch)
        yield Desk(stage, browser, watch, state)
        browser.close()


@pytest.fixture
def page(desk: Desk) -> Iterator[Any]:
    tab = desk.open()
    yield tab
    tab.context.close()
    assert desk.watch.complaints == []
    assert desk.watch.elsewhere == []


def sign_in(browser: Any, link: str, watch: Watch) -> dict[str, Any]:
    """Follows the printed link; the signed-in state for further tabs."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    watch.follow(page)
    page.goto(link)
    page.wait_for_url(watch.ours + "/")
    state: dict[str, Any] = context.storage_state()
    context.close()
    return state


def say(page: Any, words: str) -> Any:
    """Types ``words`` to the assistant and sends them with Enter; the newest card of the conversation."""
    page.get_by_test_id("assistant-input").fill(words)
    before = page.get_by_test_id("assistant-turn").count()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "n => document.querySelectorAll('[data-testid=assistant-turn]').length > n"
        " && !document.querySelector('[data-testid=assistant-progress]')", arg=before,
    )  # fmt: skip
    return page.get_by_test_id("assistant-turn").last.get_by_test_id("card")


def fill_ticket(page: Any, *, symbol: str, quantity: int, price: str = "", order_type: str = "LIMIT") -> None:
    page.get_by_test_id("ticket-symbol").fill(symbol)
    page.locator("#ticket-options [role=option]", has_text=symbol).first.click()
    page.locator(f"label:has([data-testid=type-{order_type}])").click()
    page.get_by_test_id("ticket-quantity").fill(str(quantity))
    if price:
        page.get_by_test_id("ticket-price").fill(price)


def has_text(card: Any, words: str) -> None:
    sync_api.expect(card).to_contain_text(words, timeout=PATIENCE_MS)


def sideways(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def set_flags(desk: Desk, *, on: bool) -> None:
    """All four switches, by the settings page as a person would."""
    tab = desk.open("/settings")
    for switch in tab.locator("[data-flag]").all():
        if switch.is_checked() != on:
            with tab.expect_response(lambda answer: answer.request.method == "PUT") as answered:
                switch.click()
            assert answered.value.status == 200
    tab.context.close()


def test_one_sentence_becomes_one_filled_order_whose_books_agree(desk: Desk, page: Any) -> None:
    sent = desk.stage.orders_at_exchange()
    card = say(page, "buy 10 INFY at 1500")
    has_text(card, "Approve · BUY 10")
    assert desk.stage.orders_at_exchange() == sent
    card.get_by_test_id("card-approve").click()
    has_text(card, "10 of 10")
    has_text(card, "0 differences")
    assert desk.stage.orders_at_exchange() == sent + 1
    page.get_by_test_id("position-NSE:INFY").wait_for()
    assert "CNC" in page.get_by_test_id("position-NSE:INFY").inner_text()
    page.goto(desk.address + "/exceptions")
    assert "0 differences" in page.get_by_test_id("exceptions-empty").inner_text()
    page.goto(desk.address + "/traces")
    page.get_by_text("buy 10 INFY at 1500").first.click()
    for words in ("Hashes match", "RiskGate", "Approved", "Fill booked", "Reconciled"):
        assert words in page.locator("#main").inner_text(), words


def test_the_ticket_works_by_keys_with_every_switch_off(desk: Desk, page: Any) -> None:
    set_flags(desk, on=False)
    try:
        page.goto(desk.address + "/orders")
        assert page.get_by_test_id("assistant-input").is_disabled()
        page.keyboard.press("b")
        fill_ticket(page, symbol="ITC", quantity=5, price="400")
        page.get_by_test_id("ticket-submit").click()
        card = page.locator("#ticket-card").get_by_test_id("card")
        card.get_by_test_id("card-approve").click()
        has_text(card, "WORKING")
        page.keyboard.press("Escape")
        page.get_by_test_id("order-row").filter(has_text="ITC").locator("[data-open]").click()
        page.get_by_test_id("order-cancel").click()
        page.locator('[data-testid=order-row][data-state=CANCELLED]:has-text("ITC")').wait_for()
    finally:
        set_flags(desk, on=True)


def test_a_veto_card_has_no_approve_and_nothing_reaches_the_exchange(desk: Desk, page: Any) -> None:
    sent = desk.stage.orders_at_exchange()
    card = say(page, "buy 2000 RELIANCE at market")
    has_text(card, "ORDER_VALUE_MAX")
    has_text(card, "0 orders sent")
    assert page.get_by_test_id("card-approve").count() == 0
    assert desk.stage.orders_at_exchange() == sent


def test_a_halt_is_seen_in_every_tab_and_is_released_with_a_reason(desk: Desk, page: Any) -> None:
    other = desk.open("/orders")
    other.get_by_test_id("kill-switch").click()
    other.get_by_test_id("halted-strip").wait_for()
    page.get_by_test_id("halted-strip").wait_for(timeout=PATIENCE_MS)
    card = say(page, "buy 1 INFY at 1500")
    assert page.get_by_test_id("card-approve").count() == 0
    has_text(card, "TRADING_HALTED")
    other.get_by_test_id("kill-release").click()
    other.get_by_test_id("release-reason").fill("looked at the books")
    other.get_by_test_id("release-confirm").click()
    other.get_by_test_id("halted-strip").wait_for(state="detached")
    page.get_by_test_id("halted-strip").wait_for(state="detached", timeout=PATIENCE_MS)
    other.context.close()


def test_enter_in_the_composer_never_approves_and_the_focused_button_does(desk: Desk, page: Any) -> None:
    sent = desk.stage.orders_at_exchange()
    card = say(page, "buy 1 INFY at 1500")
    card.get_by_test_id("card-approve").wait_for()
    for _ in range(3):
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "assistant-input"
    assert card.get_attribute("data-state") == "open"
    assert desk.stage.orders_at_exchange() == sent
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.dataset.testid") == "card-approve":
            break
    page.keyboard.press("Enter")
    has_text(card, "Reconciled")
    assert desk.stage.orders_at_exchange() == sent + 1


def test_a_run_goes_on_when_the_page_is_read_again(desk: Desk, page: Any) -> None:
    page.get_by_test_id("assistant-input").fill("what do I hold?")
    with page.expect_request(lambda request: request.url.endswith("/messages")):
        page.keyboard.press("Enter")
    page.reload()
    has_text(page.get_by_test_id("assistant-turn").last, "You hold")
    page.get_by_test_id("assistant-progress").wait_for(state="detached")


def test_nothing_scrolls_sideways_on_a_phone(desk: Desk, page: Any) -> None:
    phone = desk.open("/", width=360)
    for path in PAGES:
        phone.goto(desk.address + path)
        assert not sideways(phone), path
    phone.get_by_test_id("assistant-tab").click()
    assert not sideways(phone)
    phone.get_by_test_id("assistant-close").click()
    phone.keyboard.press("b")
    phone.get_by_test_id("ticket-symbol").wait_for()
    assert not sideways(phone)
    phone.context.close()


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not vendored")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_fault(desk: Desk, theme: str) -> None:
    tab = desk.open("/", theme=theme)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        tab.goto(desk.address + path)
        tab.wait_for_selector("html[data-ready=yes]")
        tab.evaluate(AXE.read_text(encoding="utf-8"))
        if faults := tab.evaluate(SERIOUS):
            found[path] = faults
    tab.context.close()
    assert found == {}
    assert desk.watch.complaints == []
    assert desk.watch.elsewhere == []
