"""Where the gate's figures about the past come from: the database, attempts counted, reservations too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from broker.domain import Product
from execution import approval, gathering
from execution.models import Authorization, Fill, OrderIntent, ReconciliationRun
from execution.translation import order_requests, plan_from_json
from risk.account import prepare
from risk.codes import Code
from risk.domain import Actor
from risk.history import PastFill, Streak, losing_streak, median
from risk.models import AccountDay, RiskDecision
from risk.selectors import peak_value
from risk.services import decide
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from tests.execution.api import utcnow
from tests.execution.conftest import buy
from tests.risk.build import NOW, D, book, holding, position, purse
from tests.support.fake_broker import START

pytestmark = pytest.mark.django_db


@pytest.fixture
def standing(connection, broker):
    """The standing as a look at this moment shows it."""

    def look(*, orders=()):
        view = gathering.look(connection, {"NSE:INFY"}, now=utcnow())
        return gathering.book_for(view, actor=Actor.TRADER, margin_by_leg={}, orders=orders).standing

    return look


@pytest.fixture
def unsent(monkeypatch):
    """What is approved stays committed and is not sent."""
    monkeypatch.setattr(approval.door, "send_intent", lambda intent_id: None)


class TestHistory:
    def fill(self, n, sign, quantity, price, *, order=None, pool=("NSE:INFY", "MIS")):
        return PastFill(order or f"o{n}", pool, sign, quantity, D(price), NOW + timedelta(minutes=n))

    def streak(self, *fills, stakes=None):
        return losing_streak(fills, stakes=stakes or {})

    def test_losses_in_a_row_count_and_a_gain_ends_them(self):
        lost = [self.fill(1, 1, 10, 100), self.fill(2, -1, 10, 99), self.fill(3, -1, 10, 99), self.fill(4, 1, 10, 100)]
        assert self.streak(*lost) == Streak(2, NOW + timedelta(minutes=4))
        assert self.streak(*lost, self.fill(5, 1, 10, 100), self.fill(6, -1, 10, 101)) == Streak()

    def test_several_fills_of_one_order_are_one_trade(self):
        fills = [self.fill(1, 1, 10, 100), self.fill(2, -1, 4, 99, order="x"), self.fill(3, -1, 6, 99, order="x")]
        assert self.streak(*fills).losses == 1
        assert self.streak(*fills[:2], self.fill(3, -1, 6, 102, order="x")).losses == 0

    def test_what_was_held_before_has_its_cost(self):
        sale = self.fill(1, -1, 10, 99, pool=("NSE:INFY", "CNC"))
        assert self.streak(sale, stakes={("NSE:INFY", "CNC"): (10, D(100))}).losses == 1
        assert self.streak(sale, stakes={("NSE:INFY", "CNC"): (10, D(98))}).losses == 0
        assert self.streak(sale).losses == 0

    def test_going_through_zero_closes_and_opens(self):
        fills = [self.fill(1, 1, 10, 100), self.fill(2, -1, 15, 99), self.fill(3, 1, 5, 98)]
        assert self.streak(*fills) == Streak()
        assert self.streak(*fills[:2]).losses == 1

    def test_the_median_is_the_lower_middle(self):
        assert (median([]), median([D(3), D(1)]), median([D(5), D(1), D(2)])) == (D(0), D(1), D(2))


class TestStanding:
    def test_a_fresh_account_is_untouched_and_connected(self, standing):
        found = standing()
        assert (found.connected, found.reconciled, found.losses_in_a_row, found.peak_value) == (True, True, 0, 0)
        assert (found.typical_orders, found.first_prices, found.automated, found.modifications) == (0, {}, {}, {})
        assert (found.used_order_ids, found.reserved_margin) == ((), {})

    def test_a_broken_connection_counts_once_its_books_are_old(self, standing, connection, clock, broker):
        type(connection).objects.filter(pk=connection.pk).update(last_status="disconnected", last_error="stream cut")
        connection.refresh_from_db()
        assert standing().connected is True
        view = gathering.look(connection, {"NSE:INFY"}, now=utcnow())
        clock.shift(31)
        later = gathering.book_for(replace(view, now=utcnow()), actor=Actor.TRADER, margin_by_leg={})
        assert (later.standing.connected, later.standing.connection_note) == (False, "stream cut")

    def test_a_failed_comparison_is_not_reconciled(self, standing, connection, trader):
        ReconciliationRun.objects.create(
            owner=trader, connection=connection, correlation_id="c", trigger="t", status="failed",
            started_at=START, finished_at=START,
        )  # fmt: skip
        assert standing().reconciled is False

    def test_sent_orders_make_the_typical_size_and_the_first_price(self, standing, make_card, approve, clock):
        approve(make_card(buy(10, "1500")))
        clock.shift(2)
        approve(make_card(buy(4, "1501")))
        found = standing()
        assert (found.typical_orders, found.typical_value) == (2, Decimal(6004))
        assert found.first_prices == {"NSE:INFY": Decimal(1500)}
        clock.shift(301)
        assert standing().first_prices == {}

    def test_only_what_nobody_pressed_for_is_automated(self, standing, make_card, approve):
        approve(make_card(buy(10, "1500")))
        assert standing().automated == {}
        Authorization.objects.update(kind="mandate")
        assert standing().automated == {"NSE:INFY BUY": 1}

    def test_losing_trades_are_read_from_the_fills(self, standing, connection):
        for n, (side, price) in enumerate([("BUY", 100), ("SELL", 99), ("BUY", 100), ("SELL", 98)]):
            Fill.objects.create(
                connection=connection, trade_id=f"t{n}", broker_order_id=f"b{n}", symbol="NSE:INFY", side=side,
                product="MIS", quantity=1, price=price, filled_at=START + timedelta(seconds=n), recorded_at=START,
            )  # fmt: skip
        found = standing()
        assert (found.losses_in_a_row, found.last_loss_at) == (2, START + timedelta(seconds=3))

    def test_an_order_id_is_used_once(self, standing, make_card, approve):
        card = make_card()
        requests = order_requests(plan_from_json(card.plan.document), plan_id=card.plan.id)
        assert standing(orders=requests).used_order_ids == ()
        (intent,) = approve(card).intents
        assert requests[0].client_order_id == intent.client_order_id
        assert standing(orders=requests).used_order_ids == (intent.client_order_id,)

    def test_sectors_are_those_of_the_master(self, standing):
        assert standing().sectors == {}


class TestReservations:
    def test_a_committed_order_takes_its_part_before_it_is_sent(self, connection, make_card, approve, unsent):
        approve(make_card(buy(10, "1500")))
        intent = OrderIntent.objects.get()
        assert (intent.state, intent.attempts) == ("PREPARED", 0)
        view = gathering.look(connection, {"NSE:INFY"}, now=utcnow())
        found = gathering.book_for(view, actor=Actor.TRADER, margin_by_leg={})
        assert (found.counters.orders_today, found.counters.value_today) == (1, Decimal(15000))
        assert found.standing.reserved_margin["equity"] > 15000
        assert [row.quantity for row in found.open_orders] == [10]

    def test_what_will_never_be_sent_gives_it_back(self, connection, make_card, approve, unsent):
        approve(make_card(buy(10, "1500")))
        OrderIntent.objects.update(state="EXPIRED")
        view = gathering.look(connection, {"NSE:INFY"}, now=utcnow())
        found = gathering.book_for(view, actor=Actor.TRADER, margin_by_leg={})
        assert (found.counters.orders_today, found.standing.reserved_margin) == (0, {})

    def test_the_same_order_again_is_denied_while_the_first_waits(self, make_card, approve, unsent, broker):
        first, second = make_card(), make_card()
        approve(first)
        with pytest.raises(Problem) as caught:
            approve(second)
        assert caught.value.code == "RISK_DENIED"
        denied = [code for row in RiskDecision.objects.all() for code in row.denials]
        assert Code.DUPLICATE_ORDER in denied
        assert (OrderIntent.objects.count(), broker.sent) == (1, [])


class TestPeak:
    def kept(self, **changes):
        story = new_correlation_id()
        decide([], book=book(**changes), owner="7", correlation_id=story, plan_id="", content_hash="", now=NOW)

    def test_the_days_highest_value_is_kept(self):
        for net in ("900000", "1000000", "950000"):
            self.kept(margins={"equity": purse(net)})
        assert [(row.account, row.high) for row in AccountDay.objects.all()] == [("paper-1", D(1000000))]
        self.kept(holdings=(holding(),), positions=(position(m2m=D(-500), pnl=D(-500)),))
        day = AccountDay.objects.get().day
        assert peak_value("paper-1", day=day, days=30) == D("1149400")
        assert peak_value("paper-1", day=day + timedelta(days=30), days=30) == D(0)
        assert peak_value("other", day=day, days=30) == D(0)

    def test_books_that_are_not_whole_keep_nothing(self):
        self.kept(margins=None)
        self.kept(positions=None)
        assert AccountDay.objects.count() == 0

    def test_shares_sold_out_of_holdings_are_no_loss_of_the_day(self):
        sold = position(product=Product.CNC.value, quantity=-10, m2m=D(-500), last_price=D(1550), close_price=D(1490))
        assert prepare(book(positions=(sold,))).day_pnl == D(100)
        assert prepare(book(positions=None)).day_pnl is None
