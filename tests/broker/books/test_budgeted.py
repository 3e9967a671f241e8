"""Reads inside the budget: each waits its turn or fails as unavailable; quotes of many are asked for once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.adapters.budgeted import BudgetedAdapter
from broker.budget import Kind, Taken
from broker.domain import OrderType, PlaceOrder, Product, Quote, Side, Validity, Variety
from broker.ports import BrokerUnavailable
from tests.support.fake_broker import START, FakeBroker

ORDER = PlaceOrder("NSE:INFY", Side.BUY, 1, OrderType.MARKET, Product.CNC, Validity.DAY, Variety.REGULAR, "ST1")


class Budget:
    """Grants ``free`` tokens of each kind, then one after ``wait_s``; the time only moves by sleeping."""

    def __init__(self, free: int = 100, wait_s: float = 0.5) -> None:
        self.free, self.wait_s, self.passed = free, wait_s, 0.0
        self.taken: list[Kind] = []

    def take(self, kind: Kind, now: datetime) -> Taken:
        if self.free > 0:
            self.free -= 1
            self.taken.append(kind)
            return Taken(True)
        return Taken(False, self.wait_s)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.free += 1

    def wrap(self, broker: Any) -> BudgetedAdapter:
        return BudgetedAdapter(
            broker, None, taken=self.take, clock=lambda: START + timedelta(seconds=self.passed),  # type: ignore[arg-type]
            monotonic=lambda: self.passed, sleep=self.sleep,
        )  # fmt: skip


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        ("profile", Kind.READS), ("holdings", Kind.READS), ("positions", Kind.READS), ("orders", Kind.READS),
        ("trades", Kind.READS), ("margins", Kind.READS), ("tools", Kind.READS),
    ],
)  # fmt: skip
def test_a_read_takes_one_token_of_its_kind(broker: FakeBroker, read: str, kind: Kind) -> None:
    budget = Budget()
    assert getattr(budget.wrap(broker), read)() == getattr(FakeBroker(), read)()
    assert (budget.taken, broker.reads) == ([kind], {read: 1})


def test_kinds_of_the_others(broker: FakeBroker) -> None:
    budget = Budget()
    adapter = budget.wrap(broker)
    adapter.candles(1, "day", START, START)
    adapter.instruments("INFY")
    for tool in ("get_quotes", "get_ltp", "get_historical_data", "get_orders"):
        adapter.call_read_tool(tool, {})
    adapter.market_state()
    assert budget.taken == [Kind.HISTORY, Kind.READS, Kind.QUOTES, Kind.QUOTES, Kind.HISTORY, Kind.READS]


def test_a_read_waits_for_its_turn(broker: FakeBroker) -> None:
    budget = Budget(free=0)
    budget.wrap(broker).margins()
    assert (budget.passed, broker.reads) == (0.5, {"margins": 1})


def test_a_turn_too_far_away_is_unavailable_and_nothing_is_asked(broker: FakeBroker) -> None:
    budget = Budget(free=0, wait_s=5.1)
    with pytest.raises(BrokerUnavailable, match="rate budget of reads"):
        budget.wrap(broker).orders()
    assert (budget.passed, broker.reads) == (0.0, {})


def test_writes_take_no_token_here(broker: FakeBroker) -> None:
    budget = Budget(free=0)
    adapter = budget.wrap(broker)
    order_id = adapter.place_order(ORDER)
    broker.run_to_end()
    assert (budget.taken, budget.passed, len(broker.sent), order_id) == ([], 0.0, 1, "261123000000001")


def test_all_books_take_a_token_each(broker: FakeBroker) -> None:
    budget = Budget()
    books = budget.wrap(broker).books(["NSE:INFY"])
    assert books.is_complete
    assert sorted(budget.taken) == [Kind.QUOTES, *[Kind.READS] * 5]


def test_what_a_broker_has_beyond_the_port_is_a_read(broker: FakeBroker) -> None:
    budget = Budget()
    broker.instrument_dump = lambda: iter([{"id": 1}])  # type: ignore[attr-defined]
    adapter = budget.wrap(broker)
    assert list(adapter.instrument_dump()) == [{"id": 1}]
    assert (budget.taken, adapter.cash) == ([Kind.READS], broker.cash)
    with pytest.raises(AttributeError):
        _ = adapter.nothing_of_the_kind


# --- quotes together -----------------------------------------------------------------------------------------------
def test_a_quote_of_the_last_second_comes_from_memory(broker: FakeBroker) -> None:
    budget = Budget()
    adapter = budget.wrap(broker)
    first = adapter.quotes(["NSE:INFY", "NSE:NOPE"])
    budget.passed += 1.0
    assert adapter.quotes(["NSE:INFY"]) == first
    assert adapter.quotes(["NSE:NOPE"]) == {}  # that it is absent was told too
    assert broker.reads == {"quotes": 1}
    budget.passed += 0.01
    adapter.quotes(["NSE:INFY"])
    assert (broker.reads, budget.taken) == ({"quotes": 2}, [Kind.QUOTES] * 2)


def test_only_what_is_missing_is_asked_for(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(broker, "quotes", lambda symbols: asked.append(list(symbols)) or {})
    adapter = Budget().wrap(broker)
    adapter.quotes(["NSE:A", "NSE:B", "NSE:A"])
    adapter.quotes(["NSE:B", "NSE:C"])
    assert asked == [["NSE:A", "NSE:B"], ["NSE:C"]]
    assert adapter.quotes([]) == {}


def test_more_than_one_request_holds_takes_a_token_each(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(broker, "quotes", lambda symbols: sizes.append(len(symbols)) or {})
    budget = Budget(free=0, wait_s=1.0)
    assert budget.wrap(broker).quotes([f"NSE:S{n}" for n in range(1100)]) == {}
    assert (sizes, budget.taken, budget.passed) == ([500, 500, 100], [Kind.QUOTES] * 3, 3.0)


class Slow(FakeBroker):
    """Its first request of quotes waits until it is let go; ``entered`` tells that it is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()
        self.asked: list[list[str]] = []

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        self.asked.append(sorted(symbols))
        self.entered.set()
        assert self.go.wait(5)
        return super().quotes(symbols)


def test_who_waits_for_the_turn_is_served_together() -> None:
    broker, answers = Slow(), dict[str, list[str]]()
    adapter = Budget().wrap(broker)

    def ask(symbol: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({symbol: list(adapter.quotes([symbol]))}))
        thread.start()
        return thread

    threads = [ask("NSE:INFY")]
    assert broker.entered.wait(5)
    threads += [ask(symbol) for symbol in ("NSE:TCS", "NSE:ITC", "NSE:SBIN")]
    deadline = threading.Event()
    while len(adapter._desk._wanted) < 4 and not deadline.wait(0.001):
        pass
    broker.go.set()
    for thread in threads:
        thread.join(5)
    assert answers == {symbol: [symbol] for symbol in ("NSE:INFY", "NSE:TCS", "NSE:ITC", "NSE:SBIN")}
    assert broker.asked == [["NSE:INFY"], ["NSE:ITC", "NSE:SBIN", "NSE:TCS"]]


def test_a_failure_is_everyones_own(broker: FakeBroker) -> None:
    broker.fail_read("quotes", BrokerUnavailable("cut"))
    adapter = Budget().wrap(broker)
    with pytest.raises(BrokerUnavailable):
        adapter.quotes(["NSE:INFY"])
    assert list(adapter.quotes(["NSE:TCS"])) == ["NSE:TCS"]
    assert list(adapter.quotes(["NSE:INFY"])) == ["NSE:INFY"]
