"""What a failed write's text proves, from the adapter to the order's state: sent at most once, whatever it says (0.5).

The texts are our own examples and, where they are at hand, all of the field's known errors.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker import factory
from broker.adapters.failures import CallFailed, Fault
from broker.adapters.kite_mcp import KiteMcpAdapter
from broker.adapters.tool_client import ToolAnswer
from execution.models import OrderCommand, OrderIntent
from sigmatrader.audit.models import ExceptionRecord
from tests.execution.working import sole, words, words_of
from tests.support.fake_broker import FakeBroker

pytestmark = pytest.mark.django_db
KNOWN_ERRORS = Path(__file__).resolve().parents[3] / "shared" / "kite" / "synthetic_errors.json"

LOGIN = ["Please log in first using the login tool", "Please log in first."]
UNSENT = [
    "Failed to establish a session. Please try again.",
    "parameter 'tradingsymbol': is required",
    "parameter 'order_id': cannot be empty",
    CallFailed(Fault.NOT_SENT, "connection refused"),
    CallFailed(Fault.PROTOCOL, "tool 'place_order' not found: tool not found", -32602),
]
UNKNOWN = [
    "Failed to place order",
    "Failed to modify order",
    "Failed to cancel order",
    "Failed to execute place_order",
    "Failed to process response data",
    "Order request timed out. Please check the order book and confirm before placing again.",
    "Too many requests",
    "I am sorry: Please log in first",
    "He said: parameter 'quantity': is required",
    "",
    "<html><body>504</body></html>",
    CallFailed(Fault.LOST, "the stream was cut"),
    CallFailed(Fault.SESSION_LOST, "Invalid session ID"),
    CallFailed(Fault.UNREADABLE, "not JSON-RPC"),
    CallFailed(Fault.PROTOCOL, "internal error", -32603),
    CallFailed(Fault.PROTOCOL, "tool not found", -32602),
]


class Speaking:
    """A carrier of tool calls that answers every write with one text or failure, and counts them."""

    def __init__(self) -> None:
        self.says: str | CallFailed = ""
        self.calls: list[str] = []

    def call_write(self, tool, arguments):
        self.calls.append(tool)
        if isinstance(self.says, CallFailed):
            raise self.says
        return ToolAnswer(self.says, is_error=True)

    def call(self, tool, arguments):
        raise AssertionError(f"{tool} is none of this test's calls")

    list_tools = get_json = close = call


class Voiced(FakeBroker):
    """The fake's books, and writes that go through the real adapter once ``speaking`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.speaking: Speaking | None = None

    def place_order(self, order):
        return self._through().place_order(order) if self.speaking else super().place_order(order)

    def modify_order(self, order):
        return self._through().modify_order(order) if self.speaking else super().modify_order(order)

    def cancel_order(self, broker_order_id, variety):
        if self.speaking:
            return self._through().cancel_order(broker_order_id, variety)
        return super().cancel_order(broker_order_id, variety)

    def _through(self) -> KiteMcpAdapter:
        return KiteMcpAdapter("http://127.0.0.1:1/mcp", client=self.speaking)


@pytest.fixture
def broker(connection, clock):
    voiced = Voiced()
    with factory.substituted(str(connection.pk), voiced):
        yield voiced


@pytest.fixture
def speak(broker):
    def say(text) -> Speaking:
        broker.speaking = Speaking()
        broker.speaking.says = text
        return broker.speaking

    return say


def known_errors() -> list[str]:
    if not KNOWN_ERRORS.is_file():
        return []
    return [row["body"]["message"] for row in json.loads(KNOWN_ERRORS.read_text())["errors"]]


CASES = [(text, "login") for text in LOGIN] + [(text, "unsent") for text in UNSENT]
CASES += [(text, "unknown") for text in (*UNKNOWN, *known_errors())]


def test_the_known_errors_are_among_the_texts():
    if not known_errors():
        pytest.skip(f"{KNOWN_ERRORS} is not there: only our own examples are tried")
    assert len(known_errors()) == 16


@pytest.mark.parametrize(("text", "proves"), CASES)
def test_a_failed_placement(make_card, approve, connection, broker, speak, sweep, text, proves):
    card = make_card()
    carrier = speak(text)
    approve(card)
    state, word = {
        "login": ("NOT_SENT", "send.not_sent"),
        "unsent": ("NOT_SENT", "send.not_sent"),
        "unknown": ("AMBIGUOUS", "send.unknown"),
    }[proves]
    assert (sole(card).state, words_of(card).count(word)) == (state, 1)
    connection.refresh_from_db()
    assert connection.authorized is (proves != "login")
    assert ExceptionRecord.objects.filter(code="TOKEN_EXPIRED").count() == (proves == "login")
    assert ExceptionRecord.objects.filter(code="PLACEMENT_UNKNOWN", status="open").count() == (proves == "unknown")
    sweep(3)
    assert carrier.calls == ["place_order"]
    assert OrderIntent.objects.get().state == state


@pytest.mark.parametrize("text", ["Failed to place order", CallFailed(Fault.LOST, "cut")])
def test_one_that_never_shows_is_not_placed_and_was_sent_once(make_card, approve, broker, speak, sweep, text):
    card = make_card()
    carrier = speak(text)
    approve(card)
    sweep(30, step_s=8)
    assert (sole(card).state, carrier.calls) == ("NOT_PLACED", ["place_order"])
    assert words_of(card).count("lookup.miss") == sole(card).lookups >= 11
    assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "resolved"


@pytest.mark.parametrize(("text", "proves"), CASES)
def test_a_failed_cancel(working, cancel, broker, speak, sweep, text, proves):
    order = working()
    carrier = speak(text)
    cancel(order["id"])
    command = OrderCommand.objects.get()
    state, word = {
        "login": ("PREPARED", "cancel.login_needed"),
        "unsent": ("NOT_SENT", "cancel.not_sent"),
        "unknown": ("UNKNOWN", "cancel.unknown"),
    }[proves]
    assert (command.state, words(command).count(word)) == (state, 1)
    assert carrier.calls == ["cancel_order"]
    if proves != "login":
        sweep(3)
        assert carrier.calls == ["cancel_order"]
    assert OrderIntent.objects.get().state == "WORKING"


@pytest.mark.parametrize(("text", "proves"), CASES)
def test_a_failed_modify(working, modify, approve_card, broker, speak, sweep, text, proves):
    card = modify(working()["id"], price="1499")
    carrier = speak(text)
    approve_card(card)
    command = OrderCommand.objects.get()
    state, word = {
        "login": ("NOT_SENT", "modify.not_sent"),
        "unsent": ("NOT_SENT", "modify.not_sent"),
        "unknown": ("UNKNOWN", "modify.unknown"),
    }[proves]
    assert (command.state, words(command).count(word)) == (state, 1)
    sweep(3)
    assert carrier.calls == ["modify_order"]
    assert OrderIntent.objects.get().limit_price == 1500
