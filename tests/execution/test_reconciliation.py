"""What we expect against what the broker says: true differences only, each with what can be done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import Side
from execution.deltas import DeltaAction, DeltaCode
from execution.domain import IntentState as S
from execution.ledger import LedgerPosition, fold, opening_entries
from execution.reconciliation import Known, RunStatus, compare
from execution.tags import tag_for
from sigmatrader.audit.vocabulary import Severity
from tests.execution.values import INFY, INFY_BSE, NOW, D, books, broker_order, holding, position, purse, trade, view

KNOWN = Known(instruments={INFY.symbol: INFY, INFY_BSE.symbol: INFY_BSE})
OLD = NOW - timedelta(seconds=60)
FRESH = NOW - timedelta(seconds=3)
TAG = tag_for(UUID(int=1), b"k")


def ledger(quantity=100, *, symbol="NSE:INFY", product="CNC"):
    return {(symbol, product): LedgerPosition(symbol, product, quantity)}


def run(expected, rows, *intents, known=KNOWN, **fields):
    return compare(expected, intents, rows, known=known, now=NOW, **fields)


def codes(report):
    return [delta.code for delta in report.deltas]


def test_equal_books_are_ok_and_counted():
    expected = ledger() | ledger(-5, product="MIS")
    rows = books(holdings=(holding(),), positions_net=(position(-5),), orders=(broker_order(),))
    report = run(expected, rows, view(state=S.WORKING, updated_at=OLD))
    assert (report.status, report.deltas, report.delta_count) == (RunStatus.OK, (), 0)
    assert (report.holdings_checked, report.positions_checked, report.orders_checked) == (1, 1, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (books(positions_net=(position(10, product="CNC"),)), 10),  # bought today: a position, no holding yet
        (books(holdings=(holding(0, t1_quantity=10),)), 10),  # next morning: T+1
        (books(holdings=(holding(10, used_quantity=4),), positions_net=(position(-4, product="CNC"),)), 6),
        (books(holdings=(holding(6, used_quantity=4),), positions_net=(position(-4, product="CNC"),)), 6),
        (books(holdings=(holding(10),), positions_net=(position(-4, product="CNC"),)), 6),
        (books(holdings=(holding(6), holding(4, symbol="BSE:INFY"))), 10),
        (books(holdings=(holding(10),), positions_net=(position(0),)), 10),  # flat rows stay for the day
    ],
)
def test_shares_are_counted_once_in_every_form_the_broker_shows_them(rows, expected):
    assert run(ledger(expected), rows).status is RunStatus.OK


def test_a_position_that_differs():
    report = run(ledger(), books(holdings=(holding(90),)))
    (delta,) = report.deltas
    assert (delta.code, delta.severity) == (DeltaCode.POSITION_DIFFERS, Severity.HIGH)
    assert (delta.expected, delta.actual, delta.difference) == ("100", "90", "-10")
    assert delta.actions == (DeltaAction.REFETCH, DeltaAction.ACCEPT_DIFFERENCE)
    assert delta.document()["remedies"][0] == {
        "action": "refetch", "label": "Read the broker's books again", "trades": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "rows", "code"),
    [
        (ledger(), books(), DeltaCode.POSITION_DIFFERS),
        ({}, books(positions_net=(position(5),)), DeltaCode.POSITION_DIFFERS),
        (ledger(5, product="MIS"), books(positions_net=(position(-5),)), DeltaCode.POSITION_SIGN),
    ],
)
def test_gone_unexpected_and_turned(expected, rows, code):
    assert codes(run(expected, rows)) == [code]


def test_a_part_that_was_not_read_is_skipped_never_flat():
    report = run(ledger(), books(holdings=None))
    assert (report.status, report.deltas, report.skipped) == (RunStatus.SKIPPED, (), ("holdings",))
    assert report.note == "Not read, so not compared: holdings."
    assert report.holdings_checked == 0


def test_positions_not_read_skip_every_pool():
    assert run(ledger() | ledger(5, product="MIS"), books(positions_net=None)).deltas == ()


def test_what_could_be_read_is_compared_though_another_part_was_not():
    report = run(ledger() | ledger(5, product="MIS"), books(holdings=None, positions_net=(position(4),)))
    assert (report.status, codes(report)) == (RunStatus.DELTAS, [DeltaCode.POSITION_DIFFERS])


@pytest.mark.parametrize("state", [S.SENDING, S.ACKED, S.WORKING, S.AMBIGUOUS, S.NEEDS_REVIEW])
@pytest.mark.parametrize(("actual", "allowed"), [(100, True), (104, True), (110, True), (111, False), (99, False)])
def test_an_order_under_way_explains_what_it_can_fill_and_no_more(state, actual, allowed):
    intent = view(state=state, updated_at=OLD, broker_order_id="")
    report = run(ledger(), books(holdings=(holding(actual),)), intent)
    assert (report.status is RunStatus.OK) is allowed
    assert report.allowed == (1 if allowed and actual != 100 else 0)


def test_a_sale_under_way_explains_less_not_more():
    intent = view(state=S.WORKING, side=Side.SELL, updated_at=OLD, broker_order_id="")
    assert run(ledger(), books(holdings=(holding(95),)), intent).status is RunStatus.OK
    assert run(ledger(), books(holdings=(holding(105),)), intent).status is RunStatus.DELTAS


def test_a_fresh_fill_may_be_in_one_book_only_an_old_one_not():
    filled = view(state=S.FILLED, filled_quantity=10, broker_order_id="")
    rows = books(holdings=(holding(110),))
    assert run(ledger(), rows, replace(filled, updated_at=FRESH)).status is RunStatus.OK
    assert codes(run(ledger(), rows, replace(filled, updated_at=OLD))) == [DeltaCode.POSITION_DIFFERS]


def test_an_order_the_book_lacks():
    intent = view(state=S.WORKING, updated_at=OLD)
    (delta,) = run({}, books(), intent).deltas
    assert (delta.code, delta.subject, delta.actual) == (DeltaCode.ORDER_MISSING_AT_BROKER, "i1", "absent")
    assert run({}, books(), replace(intent, updated_at=FRESH)).deltas == ()
    assert run({}, books(orders=None), intent).deltas == ()
    assert run({}, books(), replace(intent, state=S.FILLED)).deltas == ()


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (broker_order(status="CANCELLED"), DeltaCode.ORDER_STATUS_BEHIND),
        (broker_order(filled_quantity=4), DeltaCode.FILL_MISSING),
    ],
)
def test_the_broker_is_ahead_of_us(row, code):
    intent = view(state=S.WORKING, updated_at=OLD)
    assert codes(run({}, books(orders=(row,)), intent)) == [code]


def test_fewer_fills_at_the_broker_than_we_booked():
    intent = view(state=S.CANCELLED, filled_quantity=4, updated_at=OLD)
    (delta,) = run({}, books(orders=(broker_order(status="CANCELLED"),)), intent).deltas
    assert (delta.code, delta.difference) == (DeltaCode.FILL_EXCESS, "-4")
    assert DeltaAction.FREEZE_SYMBOL in delta.actions


def test_orders_made_elsewhere_are_told_once_and_a_lost_one_of_ours_is_critical():
    rows = books(orders=(broker_order(), broker_order(broker_order_id="2", tag=TAG)))
    lost, foreign = run({}, rows).deltas
    assert (lost.code, lost.severity, lost.broker_order_id) == (DeltaCode.ORPHAN_TAGGED_ORDER, Severity.CRITICAL, "2")
    assert (foreign.code, foreign.severity) == (DeltaCode.EXTERNAL_ORDER, Severity.LOW)
    known = replace(KNOWN, orders={"250101000000001", "2"})
    assert run({}, rows, known=known).deltas == ()


def test_an_order_about_to_be_adopted_by_its_tag_is_not_foreign():
    rows = books(orders=(broker_order(tags=(TAG,)),))
    assert run({}, rows, view(state=S.AMBIGUOUS, broker_order_id="", tag=TAG)).deltas == ()


def test_a_missing_fill_is_told_instead_of_the_position_it_explains():
    rows = books(holdings=(holding(),), positions_net=(position(10, product="CNC"),), trades=(trade(filled_at=OLD),))
    (delta,) = run(ledger(), rows).deltas
    assert (delta.code, delta.trade_id, delta.difference) == (DeltaCode.FILL_MISSING, "t1", "+10")
    assert run(ledger(110), rows, known=replace(KNOWN, trades={"t1"})).status is RunStatus.OK


def test_a_missing_fill_of_our_own_order_is_told_once():
    rows = books(orders=(broker_order(filled_quantity=10, status="COMPLETE"),), trades=(trade(filled_at=OLD),))
    assert codes(run({}, rows, view(state=S.WORKING, updated_at=OLD))) == [DeltaCode.FILL_MISSING]


def test_trades_before_the_opening_and_fresh_ones_are_no_differences():
    rows = books(trades=(trade(filled_at=OLD),))
    assert run({}, rows, known=replace(KNOWN, opened_at=NOW)).deltas == ()
    assert run({}, books(trades=(trade(filled_at=FRESH),))).deltas == ()


@pytest.mark.parametrize(("net", "differs"), [(D(980_000), False), (D(979_000), True), (D(1_030_000), True)])
def test_cash_differs_beyond_two_percent(net, differs):
    rows = books(margins={"equity": purse(net)})
    report = run({}, rows, known=replace(KNOWN, cash=D(1_000_000)))
    assert codes(report) == ([DeltaCode.CASH_DIFFERS] if differs else [])


def test_cash_is_not_compared_while_orders_are_under_way():
    rows = books(margins={"equity": purse(D(1))}, orders=(broker_order(),))
    known = replace(KNOWN, cash=D(1_000_000))
    assert run({}, rows, view(state=S.WORKING, updated_at=OLD), known=known).deltas == ()


def test_the_list_is_bounded_and_the_count_is_not():
    rows = books(orders=tuple(broker_order(broker_order_id=str(n)) for n in range(80)))
    report = run(ledger(), rows)
    assert (len(report.deltas), report.delta_count) == (50, 81)
    assert report.deltas[0].code is DeltaCode.POSITION_DIFFERS


def test_the_same_difference_found_again_has_the_same_fingerprint():
    first, second = (run(ledger(), books(holdings=(holding(n),))).deltas[0] for n in (90, 80))
    assert first.fingerprint == second.fingerprint
    other = run(ledger(product="MIS"), books()).deltas[0]
    assert other.fingerprint != first.fingerprint


SYMBOLS = st.sampled_from(["NSE:INFY", "BSE:INFY", "NSE:TCS"])
HOLDINGS = st.lists(
    st.builds(
        lambda symbol, quantity, t1, used: holding(
            quantity, symbol=symbol, isin="" if symbol == "NSE:TCS" else INFY.isin, t1_quantity=t1, used_quantity=used
        ),
        SYMBOLS, st.integers(0, 50), st.integers(0, 5), st.integers(0, 60),
    ),
    max_size=4, unique_by=lambda row: row.symbol,
)  # fmt: skip
POSITIONS = st.lists(
    st.builds(
        lambda symbol, product, quantity: position(quantity, symbol=symbol, product=product),
        SYMBOLS, st.sampled_from(["CNC", "MIS", "NRML"]), st.integers(-50, 50),
    ),
    max_size=6, unique_by=lambda row: (row.symbol, row.product),
)  # fmt: skip


@given(HOLDINGS, POSITIONS)
def test_books_just_taken_over_always_agree_with_themselves(holdings, positions):
    rows = books(holdings=tuple(holdings), positions_net=tuple(positions))
    report = run(fold(opening_entries(rows, instruments=KNOWN.instruments)), rows)
    assert (report.status, report.delta_count, report.allowed) == (RunStatus.OK, 0, 0)


@given(HOLDINGS, POSITIONS, st.integers(1, 100))
def test_a_lost_fill_is_always_found(holdings, positions, quantity):
    rows = books(holdings=tuple(holdings), positions_net=tuple(positions))
    expected = fold(opening_entries(rows, instruments=KNOWN.instruments))
    extra = position(quantity, symbol="NSE:ITC", product="MIS")
    report = run(expected, replace(rows, positions_net=(*positions, extra)))
    assert [(d.code, d.symbol, d.difference) for d in report.deltas] == [
        (DeltaCode.POSITION_DIFFERS, "NSE:ITC", f"+{quantity}")
    ]
