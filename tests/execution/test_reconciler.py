"""The ledger against the broker's books: takeover, differences, and what a person can do about each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from broker.domain import Trade
from broker.ports import BrokerUnavailable
from execution import reconciler
from execution.models import Fill, LedgerEntry, LedgerOpening, Order, ReconciliationRun
from risk.models import TradingState
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import ExceptionRecord, TraceClosing, TraceEvent
from tests.execution.api import placed, problem, utcnow
from tests.execution.values import holding
from tests.support.fake_broker import Outcome, stays_open

pytestmark = pytest.mark.django_db


@pytest.fixture
def reconcile(connection, broker):
    def run(trigger="test", correlation_id=""):
        return reconciler.reconcile(connection, trigger=trigger, correlation_id=correlation_id, now=utcnow())

    return run


@pytest.fixture
def remedy(trader_api):
    def press(exception, action):
        path = f"/api/exceptions/{exception.pk}/remediate"
        return trader_api.post(path, {"action": action}, format="json")

    return press


@pytest.fixture
def books_say(broker, monkeypatch):
    """Replaces parts of what the books tell from now on."""

    def say(**parts):
        net, day = type(broker).positions(broker)
        told = {"positions": (parts.pop("positions_net", net), parts.pop("positions_day", day)), **parts}
        for part, rows in told.items():
            monkeypatch.setattr(broker, part, lambda rows=rows: rows)

    return say


def foreign_trade(trade_id="9001", quantity=5, minutes=-1):
    at = utcnow() + timedelta(minutes=minutes)
    return Trade(trade_id, "888", "NSE:ITC", "BUY", "CNC", quantity, Decimal("428.60"), at)


def the_exception(**where):
    return ExceptionRecord.objects.exclude(status="resolved").get(**where)


class TestTakeover:
    def test_first_complete_books_open_the_ledger_once_and_traced(self, reconcile, broker, connection):
        broker._holdings = [holding(40)]
        first = reconcile()
        assert (first.status, first.delta_count, first.holdings_checked) == ("ok", 0, 1)
        entry = LedgerEntry.objects.get()
        assert (entry.kind, entry.symbol, entry.quantity) == ("opening", "NSE:INFY", 40)
        opening = LedgerOpening.objects.get(connection=connection)
        assert opening.snapshot_hash == first.snapshot_hash
        assert TraceClosing.objects.get(trace_id=opening.correlation_id).outcome == "changed"
        reconcile()
        assert LedgerEntry.objects.count() == 1
        assert TraceEvent.objects.filter(type="ledger.opened").count() == 1

    @pytest.mark.parametrize("part", ["holdings", "positions", "orders", "trades", "margins"])
    def test_partial_books_are_not_taken_over(self, reconcile, broker, part):
        broker._holdings = [holding(40)]
        broker.fail_read(part, BrokerUnavailable("cut"))
        run = reconcile()
        assert run.status in ("skipped", "deltas")
        assert run.note
        assert not LedgerOpening.objects.exists()
        assert not LedgerEntry.objects.exists()

    def test_trades_in_the_books_taken_over_are_not_missing(self, reconcile, books_say, broker, clock):
        books_say(trades=(foreign_trade(minutes=0),))  # made while the books were read
        assert reconcile().delta_count == 0
        clock.shift(timedelta(minutes=2))
        assert reconcile().delta_count == 0

    def test_an_empty_account_is_opened_too(self, reconcile):
        assert reconcile().status == "ok"
        assert LedgerOpening.objects.count() == 1


class TestDifferences:
    def test_a_trade_of_ours_makes_no_difference(self, trader_api, reconcile, broker, follow):
        placed(trader_api)
        follow(8)
        run = reconcile()
        assert (run.status, run.delta_count, run.orders_checked) == ("ok", 0, 1)
        assert not ExceptionRecord.objects.exists()

    def test_position_differs_until_it_is_gone(self, reconcile, broker, clock):
        broker._holdings = [holding(40)]
        reconcile()
        broker._holdings = [holding(30)]
        runs = [reconcile(), reconcile(), reconcile()]
        assert [run.delta_count for run in runs] == [1, 1, 1]
        (delta,) = runs[0].deltas
        assert (delta["code"], delta["severity"], delta["expected"], delta["actual"], delta["difference"]) == (
            "POSITION_DIFFERS", "high", "40", "30", "-10",
        )  # fmt: skip
        assert [row["action"] for row in delta["remedies"]] == ["refetch", "accept_difference"]
        exception = ExceptionRecord.objects.get()
        assert (exception.status, exception.count, exception.code) == ("open", 3, "RECON_DELTA")
        broker._holdings = [holding(40)]
        assert reconcile().status == "ok"
        exception.refresh_from_db()
        assert exception.status == "resolved"

    def test_a_part_not_read_is_skipped_never_flat(self, reconcile, broker):
        broker._holdings = [holding(40)]
        reconcile()
        broker.fail_read("positions", BrokerUnavailable("cut"))
        run = reconcile()
        assert (run.status, run.delta_count) == ("skipped", 0)
        assert "positions" in run.note
        broker.fail_read("holdings", BrokerUnavailable("cut"))
        assert reconcile().delta_count == 0
        assert not ExceptionRecord.objects.exists()

    def test_a_part_not_read_resolves_nothing(self, reconcile, broker):
        broker._holdings = [holding(40)]
        reconcile()
        broker._holdings = [holding(30)]
        reconcile()
        broker.fail_read("holdings", BrokerUnavailable("cut"))
        reconcile()
        assert the_exception().code == "RECON_DELTA"

    def test_orders_under_way_are_allowed_for(self, trader_api, reconcile, broker, follow, books_say):
        broker.script(Outcome.ACK, statuses=stays_open())
        placed(trader_api)
        follow(5)
        books_say(positions_net=(_position(broker, 6),))
        assert reconcile().delta_count == 0
        books_say(positions_net=(_position(broker, 11),))
        assert reconcile().delta_count == 1

    def test_the_list_is_bounded_and_the_count_is_not(self, reconcile, broker):
        reconcile()
        broker._holdings = [replace(holding(1), symbol=f"NSE:S{n:03}", isin="") for n in range(120)]
        run = reconcile()
        assert (run.delta_count, len(run.deltas)) == (120, 50)

    def test_orders_made_elsewhere_are_low_and_told_once(self, reconcile, broker):
        reconcile()
        broker.foreign_orders = [_order(broker, "777")]
        run = reconcile()
        assert [(delta["code"], delta["severity"]) for delta in run.deltas] == [("EXTERNAL_ORDER", "low")]
        assert Order.objects.get().intent is None
        assert reconcile().delta_count == 0
        assert (the_exception().code, the_exception().count) == ("EXTERNAL_ORDER", 1)
        assert broker.sent == []

    def test_a_lost_order_of_ours_stays_critical_until_a_person_looked(self, reconcile, broker, remedy):
        from execution.tags import tag_for

        reconcile()
        import uuid

        tag = tag_for(uuid.uuid4(), b"key")
        broker.foreign_orders = [replace(_order(broker, "777"), tag=tag, tags=(tag,))]
        run = reconcile()
        assert [(delta["code"], delta["severity"]) for delta in run.deltas] == [("ORPHAN_TAGGED_ORDER", "critical")]
        reconcile()
        orphan = the_exception(code="ORPHAN_TAGGED_ORDER")
        assert orphan.status == "open"
        assert remedy(orphan, "adopt_external").status_code == 200
        orphan.refresh_from_db()
        assert orphan.status == "resolved"

    def test_the_story_of_a_request_tells_the_differences(self, reconcile, broker):
        reconcile()
        broker._holdings = [holding(3)]
        cid = new_correlation_id()
        reconcile(trigger="request", correlation_id=cid)
        words = list(TraceEvent.objects.filter(correlation_id=cid).order_by("seq").values_list("type", flat=True))
        assert words[0] == "trace.opened"
        assert "reconcile.deltas" in words
        assert words[-1] == "trace.closed"


class TestRemedies:
    def test_refetch(self, reconcile, broker, remedy):
        reconcile()
        broker._holdings = [holding(3)]
        reconcile()
        exception = the_exception()
        broker._holdings = []
        assert remedy(exception, "refetch").status_code == 200
        exception.refresh_from_db()
        assert exception.status == "resolved"
        assert broker.sent == []

    def test_accept_difference_is_an_adjustment(self, reconcile, broker, remedy):
        broker._holdings = [holding(40)]
        reconcile()
        broker._holdings = [holding(30)]
        reconcile()
        exception = the_exception()
        response = remedy(exception, "accept_difference")
        assert response.status_code == 200
        assert [(row.kind, row.quantity) for row in LedgerEntry.objects.order_by("id")] == [
            ("opening", 40), ("adjustment", -10),
        ]  # fmt: skip
        exception.refresh_from_db()
        assert exception.status == "resolved"
        assert reconcile().status == "ok"
        assert TraceEvent.objects.filter(type="remedy.applied").count() == 1
        assert broker.sent == []

    def test_book_fill_books_the_trade_made_elsewhere(self, reconcile, books_say, remedy, clock, broker):
        reconcile()
        clock.shift(timedelta(minutes=3))
        trade = foreign_trade()
        books_say(trades=(trade,), positions_net=(_position(broker, 5, "NSE:ITC"),))
        run = reconcile()
        (delta,) = run.deltas
        assert (delta["code"], delta["trade_id"], delta["difference"]) == ("FILL_MISSING", "9001", "+5")
        exception = the_exception()
        assert remedy(exception, "book_fill").status_code == 200
        assert LedgerEntry.objects.get(kind="fill").quantity == 5
        assert Fill.objects.get().intent is None
        exception.refresh_from_db()
        assert exception.status == "resolved"
        assert reconcile().status == "ok"

    def test_accept_external(self, reconcile, broker, remedy):
        reconcile()
        broker.foreign_orders = [_order(broker, "777")]
        reconcile()
        exception = the_exception()
        assert remedy(exception, "accept_external").status_code == 200
        exception.refresh_from_db()
        assert exception.status == "resolved"
        assert broker.sent == []

    def test_look_up_reads_the_book(self, trader_api, reconcile, broker, remedy, clock):
        broker.script(Outcome.UNKNOWN_ACCEPTED)
        order = placed(trader_api)
        assert order["state"] == "AMBIGUOUS"
        clock.shift(timedelta(seconds=1))
        assert remedy(the_exception(code="PLACEMENT_UNKNOWN"), "look_up").status_code == 200
        assert ExceptionRecord.objects.get(code="PLACEMENT_UNKNOWN").status == "resolved"
        assert trader_api.get(f"/api/orders/{order['id']}").json()["broker_order_id"]
        assert len(broker.sent) == 1

    def test_freeze_allows_exits_only(
        self, trader_api, reconcile, broker, follow, books_say, remedy, clock, connection
    ):
        placed(trader_api)
        follow(8)
        clock.shift(timedelta(minutes=1))
        row = replace(broker.orders()[0], filled_quantity=4, pending_quantity=0)
        books_say(orders=(row,))
        reconcile()
        exception = next(e for e in ExceptionRecord.objects.all() if "freeze_symbol" in str(e.remedies))
        assert remedy(exception, "freeze_symbol").status_code == 200
        assert TradingState.objects.get(scope=connection.account).state == "REDUCING"

    def test_an_action_the_exception_does_not_list(self, reconcile, broker, remedy):
        reconcile()
        broker._holdings = [holding(3)]
        reconcile()
        response = remedy(the_exception(), "book_fill")
        assert response.status_code in (409, 422)
        assert LedgerEntry.objects.count() == 0

    def test_another_traders_exception_is_404(self, api_for, other_trader, reconcile, broker):
        reconcile()
        broker._holdings = [holding(3)]
        reconcile()
        path = f"/api/exceptions/{the_exception().pk}/remediate"
        problem(api_for(other_trader).post(path, {"action": "refetch"}, format="json"), 404, "NOT_FOUND")


class TestBeforeTrading:
    def test_one_reconciliation_comes_before_the_first_order(self, trader_api, broker):
        placed(trader_api)
        assert ReconciliationRun.objects.filter(trigger="before_trade").count() == 1
        placed(trader_api, quantity=3)
        assert ReconciliationRun.objects.filter(trigger="before_trade").count() == 1

    def test_an_old_one_is_repeated(self, trader_api, broker, clock):
        placed(trader_api)
        clock.shift(timedelta(seconds=901))
        broker.now += timedelta(seconds=901)
        placed(trader_api, quantity=3)
        assert ReconciliationRun.objects.filter(trigger="before_trade").count() == 2

    def test_books_that_cannot_be_read_refuse_with_503(self, make_card, approve, broker):
        card = make_card()
        broker.fail_read("trades", BrokerUnavailable("cut"), times=3)
        with pytest.raises(Problem) as refused:
            approve(card)
        assert (refused.value.status_code, refused.value.code) == (503, "NOT_RECONCILED")
        card.refresh_from_db()
        assert card.state == "open"
        assert broker.sent == []


def _position(broker, quantity, symbol="NSE:INFY"):
    from tests.execution.values import position

    return position(quantity, symbol=symbol, product="CNC")


def _order(broker, broker_order_id):
    from tests.execution.values import broker_order

    return broker_order(broker_order_id=broker_order_id, symbol="NSE:ITC", tag="", tags=(), status="OPEN")
