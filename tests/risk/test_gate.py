"""The gate as a whole: healthy orders pass, every hole named for pre-trade gates is closed, and laws hold for all."""

from __future__ import annotations

import ast
import json
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.domain import OrderType, Product, SessionPhase, Side, Validity, Variety
from risk import codec, gate
from risk.codes import Code
from risk.controls.registry import CONTROLS, LegControl
from risk.domain import UNTOUCHED, Actor, Counters, Outcome, RequestKind, Standing, TradingStateName, Verdict
from risk.policy import LIMIT_RULES, Allowed, default_policy
from tests.risk.build import NOW, D, book, holding, info, open_order, order, position, purse, quote

POLICY = default_policy(version=3)
settings.register_profile("risk", max_examples=50, deadline=None)
settings.load_profile("risk")
SELL = {"side": Side.SELL}
MIS = {"product": Product.MIS}


def judged(*orders, policy=POLICY, now=NOW, **changes):
    given_orders = orders or (order(),)
    changes.setdefault("margin_required", {each.leg: D("15020.50") for each in given_orders})
    return gate.evaluate(given_orders, book=book(**changes), policy=policy, now=now)


def row(decision, code):
    return next(control for control in decision.controls if control.code == code)


def stands(**changes):
    return replace(UNTOUCHED, **changes)


def limits(**changes):
    return replace(POLICY, limits=replace(POLICY.limits, **changes))


def allowed(**changes):
    return replace(POLICY, allowed=replace(POLICY.allowed, **changes))


def test_a_healthy_order_passes_with_a_row_of_every_control():
    decision = judged()
    assert (decision.outcome, decision.denials, decision.warnings) == (Outcome.ALLOW, (), ())
    assert [control.code for control in decision.controls] == [
        code.value for code in Code if code in {control.code for control in CONTROLS} and code != "MARGIN_INSUFFICIENT"
    ] + ["MARGIN_INSUFFICIENT"]
    assert decision.policy_version == 3
    assert decision.metrics_before["position_quantity"] == "0"
    assert decision.metrics_after | {"order_value": "15000", "free_margin": "984979.5"} == decision.metrics_after
    assert decision.metrics_after["weight_percent"] == "1.5"


DENIED = [
    ("ORDER_INVALID", order(quantity=0), {}),
    ("ORDER_INVALID", order(quantity=-5), {}),
    ("ORDER_INVALID", order(limit_price=None), {}),
    ("ORDER_INVALID", order(limit_price=D(0)), {}),
    ("ORDER_INVALID", order(order_type=OrderType.MARKET), {}),
    ("ORDER_INVALID", order(trigger_price=D(1490)), {}),
    ("ORDER_INVALID", order(symbol="INFY"), {}),
    ("ORDER_INVALID", order(kind=RequestKind.MODIFY, replaces="nowhere"), {}),
    ("ACTOR_NOT_AUTHORISED", order(), {"actor": Actor.MONITOR, "policy": allowed(actors=("trader",))}),
    ("TRADING_HALTED", order(), {"trading_state": TradingStateName.HALTED}),
    ("TRADING_REDUCING", order(), {"trading_state": TradingStateName.REDUCING}),
    ("TRADING_REDUCING", order(**SELL, **MIS), {"trading_state": TradingStateName.REDUCING}),
    (
        "REDUCE_WOULD_FLIP",
        order(**SELL, **MIS, quantity=11),
        {"trading_state": TradingStateName.REDUCING, "positions": (position(),)},
    ),
    ("REDUCE_WOULD_FLIP", order(**SELL, **MIS, quantity=11, reduce_only=True), {"positions": (position(),)}),
    ("REDUCE_ONLY_INCREASES", order(reduce_only=True), {}),
    ("BOOKS_MISSING", order(), {"books_as_of": None}),
    ("BOOKS_MISSING", order(), {"books_as_of": NOW - timedelta(seconds=31)}),
    ("BOOKS_MISSING", order(), {"books_as_of": NOW + timedelta(seconds=31)}),
    ("MARKET_DATA_STALE", order(), {"quotes": {"NSE:INFY": quote(age_s=11)}}),
    ("MARKET_DATA_STALE", order(), {"quotes": {"NSE:INFY": quote(age_s=-11)}}),
    ("MARKET_DATA_STALE", order(), {"quotes": {}}),
    ("MARKET_DATA_STALE", order(), {"quotes": {"NSE:INFY": quote(last="0")}}),
    ("SYMBOL_RESTRICTED", order(symbol="NSE:NOWHERE"), {}),
    ("SYMBOL_RESTRICTED", order(), {"policy": allowed(restricted_symbols=("NSE:INFY",))}),
    ("SYMBOL_RESTRICTED", order(), {"policy": allowed(exchanges=("BSE",))}),
    ("SYMBOL_RESTRICTED", order(), {"instruments": {"NSE:INFY": info(segment="INDICES")}}),
    ("ORDER_TYPE_UNSUPPORTED", order(product=Product.MTF), {}),
    ("ORDER_TYPE_UNSUPPORTED", order(product=Product.NRML), {}),
    ("ORDER_TYPE_UNSUPPORTED", order(validity=Validity.TTL), {}),
    ("ORDER_TYPE_UNSUPPORTED", order(variety=Variety.ICEBERG), {}),
    ("ORDER_TYPE_UNSUPPORTED", order(), {"policy": allowed(order_types=("SL",))}),
    ("ORDER_TYPE_UNSUPPORTED", order(
        symbol="BSE:INFY", order_type=OrderType.SL_M, limit_price=None, trigger_price=D(1510)), {}),
    ("MARKET_PROTECTION", order(order_type=OrderType.MARKET, limit_price=None), {"is_live": True}),
    ("ORDER_QTY_MAX", order(quantity=11), {"policy": limits(order_quantity_max=10)}),
    ("FREEZE_QTY", order(quantity=11), {"instruments": {"NSE:INFY": info(freeze_quantity=10)}}),
    ("FREEZE_QTY", order(quantity=11), {
        "instruments": {"NSE:INFY": info(freeze_quantity=None)}, "policy": limits(freeze_quantity_equity=10)}),
    ("LOT_SIZE", order(quantity=11), {"instruments": {"NSE:INFY": info(lot_size=10)}}),
    ("ORDER_VALUE_MIN", order(), {"policy": limits(order_value_min=D(15001))}),
    ("ORDER_VALUE_MAX", order(quantity=134), {}),
    ("ORDER_VALUE_MAX", order(quantity=134, order_type=OrderType.MARKET, limit_price=None), {}),
    ("ORDER_VALUE_DAY", order(), {"counters": Counters(value_today=D("985000.01"))}),
    ("TICK_SIZE", order(limit_price=D("1500.05")), {}),
    ("TICK_SIZE", order(order_type=OrderType.SL, limit_price=D(1510), trigger_price=D("1505.07")), {}),
    ("PRICE_COLLAR", order(limit_price=D("1574")), {}),
    ("PRICE_COLLAR", order(limit_price=D("1424")), {}),
    ("PRICE_COLLAR", order(order_type=OrderType.SL, trigger_price=D(1505), limit_price=D("1580.50")), {}),
    ("PRICE_BAND", order(), {"quotes": {"NSE:INFY": quote(upper_circuit=D("1499.90"))}}),
    ("PRICE_BAND", order(), {"quotes": {"NSE:INFY": quote(lower_circuit=D("1500.10"))}}),
    ("PRICE_BAND", order(), {"quotes": {"NSE:INFY": quote(upper_circuit=None)}}),
    ("TRIGGER_PRICE", order(order_type=OrderType.SL, trigger_price=D(1499), limit_price=D(1505)), {}),
    ("TRIGGER_PRICE", order(order_type=OrderType.SL, trigger_price=D(1510), limit_price=D(1505)), {}),
    ("TRIGGER_PRICE", order(**SELL, **MIS, order_type=OrderType.SL, trigger_price=D(1499), limit_price=D(1490)), {}),
    ("TRIGGER_PRICE", order(**SELL, **MIS, order_type=OrderType.SL, trigger_price=D(1480), limit_price=D(1490)), {}),
    ("SHORT_NOT_COVERED", order(**SELL), {}),
    ("SHORT_NOT_COVERED", order(**SELL, quantity=61), {"holdings": (holding(),), "open_orders": (open_order(),)}),
    ("SHORT_NOT_COVERED", order(**SELL, quantity=91), {"holdings": (holding(used_quantity=10),)}),
    ("SHORT_NOT_COVERED", order(**SELL, **MIS), {"policy": limits(intraday_shorts=False)}),
    ("SELF_TRADE", order(), {"open_orders": (open_order(price=D(1500)),), "holdings": (holding(),)}),
    ("DUPLICATE_ORDER", order(), {"counters": Counters(same_order_recent=1)}),
    ("DUPLICATE_ORDER", order(), {
        "open_orders": (open_order(side="BUY", quantity=10, price=D(1500), placed_at=NOW - timedelta(seconds=10)),)}),
    ("POSITION_MAX", order(), {"holdings": (holding(),), "policy": limits(position_percent=D(14))}),
    ("POSITION_MAX", order(), {
        "open_orders": (open_order(side="BUY", quantity=160, price=D(1480)),)}),
    ("POSITION_COUNT_MAX", order(**MIS), {
        "positions": (position("NSE:TCS"),), "policy": limits(open_positions_max=1)}),
    ("EXPOSURE_MAX", order(), {"margins": {"equity": purse("20000")}, "positions": (position(),),
                               "policy": limits(position_percent=D(100))}),
    ("OPEN_VALUE_MAX", order(), {"policy": limits(open_value_max=D(14000))}),
    ("OPEN_VALUE_MAX", order(), {
        "open_orders": (open_order(side="BUY", quantity=1, price=D(1480)),), "policy": limits(open_orders_max=1)}),
    ("MARGIN_INSUFFICIENT", order(), {"margin_required": {1: D("1000000.01")}}),
    ("MARGIN_INSUFFICIENT", order(), {"margin_required": {}}),
    ("MARGIN_INSUFFICIENT", order(), {"margins": {"equity": purse(enabled=False)}}),
    ("REJECT_STREAK", order(), {"counters": Counters(rejects_recent=3)}),
    ("UNCONFIRMED_ORDERS", order(), {"counters": Counters(unconfirmed=3)}),
    ("ORDER_RATE", order(), {"counters": Counters(orders_last_second=10)}),
    ("ORDER_RATE", order(), {"counters": Counters(orders_last_minute=200)}),
    ("ORDER_COUNT_DAY", order(), {"counters": Counters(orders_today=1000)}),
    ("BROKER_DISCONNECTED", order(), {"standing": stands(connected=False, connection_note="stream lost")}),
    ("NOT_RECONCILED", order(), {"standing": stands(reconciled=False)}),
    ("DAILY_LOSS_LIMIT", order(), {"positions": (position(m2m=D(-20000), pnl=D(-20000)),)}),
    ("DAILY_LOSS_LIMIT", order(), {"positions": (position(quantity=0, m2m=D(-15000), pnl=D(-15000)),
                                                 position("NSE:TCS", m2m=D(-5000), pnl=D(-5000)))}),
    ("DRAWDOWN_LIMIT", order(), {"standing": stands(peak_value=D(1200000))}),
    ("COOLDOWN", order(), {"standing": stands(losses_in_a_row=3, last_loss_at=NOW - timedelta(seconds=899))}),
    ("FAT_FINGER", order(quantity=40), {"standing": stands(typical_orders=10, typical_value=D(5999))}),
    ("PRICE_DRIFT", order(limit_price=D(1560)), {"standing": stands(first_prices={"NSE:INFY": D(1485)})}),
    ("REPEAT_EXECUTION", order(), {"actor": Actor.MONITOR, "standing": stands(automated={"NSE:INFY BUY": 5})}),
    ("MODIFY_LIMIT", order(kind=RequestKind.MODIFY, replaces="7"), {
        "open_orders": (open_order("7", side="BUY"),), "standing": stands(modifications={"7": 25})}),
    ("DUPLICATE_ORDER_ID", order(client_order_id="x-1"), {"standing": stands(used_order_ids=("x-1",))}),
    ("EXPOSURE_MAX", order(), {
        "standing": stands(sectors={"NSE:INFY": "IT", "NSE:TCS": "IT"}), "policy": limits(sector_percent=D(4)),
        "positions": (position("NSE:TCS", quantity=20),), "quotes": {"NSE:INFY": quote()}}),
    ("MARGIN_INSUFFICIENT", order(), {"standing": stands(reserved_margin={"equity": D("984979.51")})}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "request_", "changes"), DENIED, ids=[f"{n}-{c[0]}" for n, c in enumerate(DENIED)])
def test_each_control_denies_what_it_is_for(code, request_, changes):
    decision = judged(request_, **dict(changes))
    assert code in decision.denials
    assert decision.outcome is Outcome.DENY
    assert "POLICY_ERROR" not in decision.denials
    assert row(decision, code).message.endswith((".", "it"))


def test_every_control_is_shown_to_deny():
    assert {code for code, _, _ in DENIED} | {"MARKET_CLOSED"} == {control.code.value for control in CONTROLS}


@pytest.mark.parametrize("phase", [phase for phase in SessionPhase if phase is not SessionPhase.CONTINUOUS])
def test_only_continuous_trading_is_open(phase):
    decision = judged(market=replace(book().market, phase=phase, practice=False))
    assert decision.denials == ("MARKET_CLOSED",)
    assert row(decision, "MARKET_CLOSED").actual == phase.value


AT_THE_LIMIT = [
    (order(quantity=10), {"policy": limits(order_quantity_max=10)}),
    (order(quantity=133, limit_price=D("1500")), {"margin_required": {1: D(1)}}),
    (order(), {"counters": Counters(value_today=D(985000))}),
    (order(), {"counters": Counters(orders_today=999, orders_last_second=9, orders_last_minute=199)}),
    (order(), {"counters": Counters(rejects_recent=2, unconfirmed=2)}),
    (order(), {"margin_required": {1: D("1000000")}}),
    (order(), {"quotes": {"NSE:INFY": quote(age_s=10)}}),
    (order(), {"books_as_of": NOW - timedelta(seconds=30)}),
    (order(limit_price=D("1573.90")), {}),
    (order(limit_price=D("1424.10")), {}),
    (order(), {"quotes": {"NSE:INFY": quote(upper_circuit=D(1500), lower_circuit=D(1500))}}),
    (order(order_type=OrderType.SL, trigger_price=D("1499.10"), limit_price=D("1499.10")), {}),
    (order(**SELL, quantity=60), {"holdings": (holding(),), "open_orders": (open_order(),)}),
    (order(), {"open_orders": (open_order(price=D("1500.10")),), "holdings": (holding(),)}),
    (order(), {
        "open_orders": (open_order(side="BUY", quantity=10, price=D(1500), placed_at=NOW - timedelta(seconds=11)),)}),
    (order(), {"positions": (position(m2m=D("-19999.99"), pnl=D("-19999.99")),)}),
    (order(), {"standing": stands(peak_value=D(1176470))}),
    (order(), {"standing": stands(losses_in_a_row=3, last_loss_at=NOW - timedelta(seconds=900))}),
    (order(), {"standing": stands(losses_in_a_row=2, last_loss_at=NOW)}),
    (order(quantity=40), {"standing": stands(typical_orders=10, typical_value=D(6000))}),
    (order(quantity=40), {"standing": stands(typical_orders=9, typical_value=D(1))}),
    (order(quantity=33), {"standing": stands(typical_orders=10, typical_value=D(1))}),
    (order(limit_price=D(1575)), {
        "standing": stands(first_prices={"NSE:INFY": D(1500)}), "quotes": {"NSE:INFY": quote(last="1510")}}),
    (order(), {"actor": Actor.MONITOR, "standing": stands(automated={"NSE:INFY BUY": 4, "NSE:INFY SELL": 9})}),
    (order(client_order_id="x-1"), {"standing": stands(used_order_ids=("x-2",))}),
    (order(kind=RequestKind.MODIFY, replaces="7"), {
        "open_orders": (open_order("7", side="BUY", quantity=5),), "standing": stands(modifications={"7": 24})}),
    (order(), {
        "standing": stands(sectors={"NSE:INFY": "IT", "NSE:TCS": "Banks"}), "policy": limits(sector_percent=D(4)),
        "positions": (position("NSE:TCS", quantity=20),)}),
    (order(), {"standing": stands(reserved_margin={"equity": D("984979.50"), "commodity": D(10**9)})}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "changes"), AT_THE_LIMIT)
def test_exactly_at_a_limit_still_passes(request_, changes):
    assert judged(request_, **dict(changes)).denials == ()


def test_all_faults_are_named_not_only_the_first():
    decision = judged(order(quantity=200, limit_price=D("1600.03")), trading_state=TradingStateName.HALTED)
    assert decision.denials == (
        "TRADING_HALTED", "ORDER_VALUE_MAX", "TICK_SIZE", "PRICE_COLLAR", "POSITION_MAX",
    )  # fmt: skip


class TestMissingInputs:
    @pytest.mark.parametrize("part", ["holdings", "positions", "open_orders", "margins"])
    def test_a_part_that_was_not_read_denies_entries_and_exits(self, part):
        held = {"holdings": (holding(),), "positions": (), "open_orders": ()} | {part: None}
        for request_ in (order(), order(**SELL)):
            decision = judged(request_, **held)
            assert "BOOKS_MISSING" in decision.denials

    def test_no_margins_also_fails_the_margin_control(self):
        assert "MARGIN_INSUFFICIENT" in judged(margins=None).denials

    def test_an_unknown_instrument_fails_everything_that_needs_it(self):
        assert set(judged(instruments={}).denials) == {"SYMBOL_RESTRICTED", "FREEZE_QTY", "LOT_SIZE", "TICK_SIZE"}

    def test_no_quote_fails_everything_that_needs_a_price(self):
        decision = judged(order(order_type=OrderType.MARKET, limit_price=None), quotes={})
        assert {"MARKET_DATA_STALE", "ORDER_VALUE_MAX", "ORDER_VALUE_DAY", "ORDER_VALUE_MIN", "POSITION_MAX"} <= set(
            decision.denials
        )

    def test_a_far_limit_without_a_reference_price_does_not_pass(self):
        assert {"PRICE_COLLAR", "PRICE_BAND", "MARKET_DATA_STALE"} <= set(judged(quotes={}).denials)

    def test_no_orders_at_all_is_a_denial(self):
        assert gate.evaluate([], book=book(), policy=POLICY, now=NOW).denials == ("ORDER_INVALID",)


class TestErrors:
    def test_an_erring_control_denies_and_the_others_still_answer(self):
        def broken(leg):
            raise ZeroDivisionError("secret detail")

        controls = [LegControl(Code.TICK_SIZE, broken) if c.code is Code.TICK_SIZE else c for c in CONTROLS]
        decision = gate.evaluate([order()], book=book(), policy=POLICY, now=NOW, controls=controls)
        assert decision.denials == ("POLICY_ERROR",)
        assert len(decision.controls) == len(CONTROLS)
        failed = row(decision, "POLICY_ERROR")
        assert (failed.actual, failed.leg) == ("TICK_SIZE", 1)
        assert "secret" not in failed.message

    def test_inputs_that_cannot_be_read_are_a_denial(self):
        decision = gate.evaluate([order(limit_price=D("NaN"))], book=book(), policy=POLICY, now=NOW)
        assert decision.outcome is Outcome.DENY
        assert "POLICY_ERROR" in decision.denials

    def test_a_quantity_that_is_no_number_is_a_denial(self):
        decision = gate.evaluate([order(quantity="10")], book=book(), policy=POLICY, now=NOW)
        assert decision.outcome is Outcome.DENY


class TestCancels:
    @given(state=st.sampled_from(list(TradingStateName)), phase=st.sampled_from(list(SessionPhase)))
    def test_a_cancel_passes_whatever_is_wrong(self, state, phase):
        request_ = order(kind=RequestKind.CANCEL, replaces="1", symbol="NSE:GONE", quantity=0, limit_price=None)
        decision = judged(
            request_, trading_state=state, market=replace(book().market, phase=phase), holdings=None, positions=None,
            open_orders=None, margins=None, books_as_of=None, quotes={}, instruments={}, margin_required={},
            counters=Counters(10**6, 10**6, 10**6, D(10**12), 10**6, 10**6, 10**6),
        )  # fmt: skip
        assert decision.outcome is Outcome.ALLOW
        assert len(decision.controls) == len(CONTROLS)
        assert all(control.verdict is Verdict.PASS for control in decision.controls)


HOLES = {
    "a price off the tick though its decimals fit": (order(limit_price=D("1500.05")), {}, "TICK_SIZE"),
    "a far limit with no reference price": (order(limit_price=D("9999")), {"quotes": {}}, "PRICE_COLLAR"),
    "the same order twice": (order(), {"counters": Counters(same_order_recent=1)}, "DUPLICATE_ORDER"),
    "many orders each just under the limit": (
        order(), {"counters": Counters(value_today=D("999999"))}, "ORDER_VALUE_DAY"),
    "a reducing order that flips through zero": (
        order(**SELL, **MIS, quantity=11),
        {"trading_state": TradingStateName.REDUCING, "positions": (position(),)}, "REDUCE_WOULD_FLIP"),
    "a market order that skips every value cap": (
        order(order_type=OrderType.MARKET, limit_price=None, quantity=134), {}, "ORDER_VALUE_MAX"),
    "a market order with no price": (
        order(order_type=OrderType.MARKET, limit_price=None), {"quotes": {}}, "MARKET_DATA_STALE"),
    "an order with no account to judge by": (order(), {"margins": None, "holdings": None}, "BOOKS_MISSING"),
    "a past that nobody counted": (order(), {"standing": Standing()}, "COOLDOWN"),
    "orders committed that the margins cannot show": (
        order(), {"standing": stands(reserved_margin={"equity": D(10**6)})}, "MARGIN_INSUFFICIENT"),
}  # fmt: skip


@pytest.mark.parametrize("hole", list(HOLES))
def test_the_holes_others_have_are_closed(hole):
    asked, changes, code = HOLES[hole]
    assert code in judged(asked, **dict(changes)).denials


def test_a_past_that_was_not_gathered_denies_wherever_it_is_asked_for():
    modify = order(kind=RequestKind.MODIFY, replaces="7", client_order_id="x-1")
    found = judged(modify, standing=Standing(), actor=Actor.MONITOR, open_orders=(open_order("7", side="BUY"),))
    assert set(found.denials) >= {
        "BROKER_DISCONNECTED", "NOT_RECONCILED", "DRAWDOWN_LIMIT", "COOLDOWN", "FAT_FINGER", "PRICE_DRIFT",
        "REPEAT_EXECUTION", "MODIFY_LIMIT", "DUPLICATE_ORDER_ID", "EXPOSURE_MAX", "MARGIN_INSUFFICIENT",
    }  # fmt: skip


class TestExits:
    HELD = {"holdings": (holding(),)}

    def test_limits_on_exposure_count_value_and_streaks_do_not_hold_an_exit_back(self):
        tight = limits(
            position_percent=D("0.1"), exposure_percent=D("0.1"), open_positions_max=1, open_value_max=D(1),
            order_value_min=D(10**6), day_value_max=D(1), orders_per_day=1,
        )  # fmt: skip
        worn = Counters(orders_today=500, value_today=D(10**9), rejects_recent=50, unconfirmed=50)
        decision = judged(
            order(**SELL),
            **self.HELD,
            policy=tight,
            counters=worn,
            positions=(position("NSE:TCS"), position("NSE:ITC")),
        )
        assert decision.denials == ()
        assert set(decision.warnings) == {"WARN_REJECT_STREAK", "WARN_UNCONFIRMED"}

    def test_an_exit_passes_in_reducing(self):
        assert judged(order(**SELL), **self.HELD, trading_state=TradingStateName.REDUCING).denials == ()

    def test_an_exit_does_not_pass_in_halted(self):
        assert judged(order(**SELL), **self.HELD, trading_state=TradingStateName.HALTED).denials == ("TRADING_HALTED",)

    def test_covering_a_short_is_an_exit(self):
        decision = judged(order(**MIS), positions=(position(quantity=-10),), trading_state=TradingStateName.REDUCING)
        assert decision.denials == ()

    def test_restricted_symbols_may_be_left(self):
        decision = judged(order(**SELL), **self.HELD, policy=allowed(restricted_symbols=("NSE:INFY",)))
        assert (decision.denials, decision.warnings) == ((), ("WARN_SYMBOL_RESTRICTED",))

    def test_a_stale_quote_warns(self):
        decision = judged(order(**SELL), **self.HELD, quotes={"NSE:INFY": quote(age_s=600)})
        assert (decision.denials, decision.warnings) == ((), ("WARN_MARKET_DATA",))

    def test_a_limit_exit_goes_without_a_quote(self):
        decision = judged(order(**SELL), **self.HELD, quotes={})
        assert decision.denials == ()
        assert set(decision.warnings) == {"WARN_MARKET_DATA", "WARN_PRICE_BAND"}

    def test_a_market_exit_without_a_quote_is_denied_with_the_limit_that_passes(self):
        request_ = order(**SELL, order_type=OrderType.MARKET, limit_price=None)
        decision = judged(request_, **self.HELD, quotes={})
        assert decision.denials == ("MARKET_DATA_STALE",)
        assert "A LIMIT at ₹1,499 would pass." in row(decision, "MARKET_DATA_STALE").message
        (found,) = decision.alternatives
        assert (found.limit_price, found.code) == (D(1499), "MARKET_DATA_STALE")

    def test_the_denial_names_the_resting_order_to_cancel(self):
        decision = judged(order(**SELL, quantity=80), **self.HELD, open_orders=(open_order(),))
        assert decision.denials == ("SHORT_NOT_COVERED",)
        assert "Cancel order 240907000001" in row(decision, "SHORT_NOT_COVERED").message
        assert [(found.quantity, found.code) for found in decision.alternatives] == [(60, "SHORT_NOT_COVERED")]

    def test_shares_of_the_other_exchange_are_the_same_shares(self):
        assert judged(order(**SELL, symbol="BSE:INFY"), **self.HELD).denials == ()

    def test_shares_sold_today_are_counted_once(self):
        sold = {"holdings": (holding(used_quantity=30),), "positions": (position(product="CNC", quantity=-30),)}
        assert judged(order(**SELL, quantity=70), **sold).denials == ()
        assert judged(order(**SELL, quantity=71), **sold).denials == ("SHORT_NOT_COVERED",)

    def test_pledged_shares_are_not_for_sale(self):
        pledged = (holding(quantity=5, collateral_quantity=50),)
        assert judged(order(**SELL, quantity=5), holdings=pledged).denials == ()
        assert "SHORT_NOT_COVERED" in judged(order(**SELL, quantity=6), holdings=pledged).denials

    def test_another_products_position_does_not_make_an_exit(self):
        decision = judged(order(**SELL), positions=(position(product="MIS"),))
        assert "SHORT_NOT_COVERED" in decision.denials


class TestPlans:
    def test_legs_count_those_before_them(self):
        legs = (order(**SELL, leg=1, quantity=60), order(**SELL, leg=2, quantity=41, limit_price=D(1505)))
        decision = judged(*legs, holdings=(holding(),))
        assert decision.denials == ("SHORT_NOT_COVERED",)
        assert [c.leg for c in decision.controls if c.verdict is Verdict.DENY] == [2]
        assert judged(legs[0], replace(legs[1], quantity=40), holdings=(holding(),)).denials == ()

    def test_many_orders_each_below_the_limit_are_not_below_it_together(self):
        legs = tuple(order(leg=n, quantity=60, limit_price=D(1490) + n) for n in range(1, 4))
        decision = judged(*legs)
        assert decision.denials == ("POSITION_MAX",)
        assert [c.leg for c in decision.controls if c.code == "POSITION_MAX" and c.verdict is Verdict.DENY] == [3]

    def test_margin_is_for_all_legs_together(self):
        legs = (order(leg=1), order(leg=2, quantity=11))
        decision = judged(*legs, margin_required={1: D(600000), 2: D(400001)})
        assert decision.denials == ("MARGIN_INSUFFICIENT",)
        assert (row(decision, "MARGIN_INSUFFICIENT").limit, row(decision, "MARGIN_INSUFFICIENT").leg) == (
            "1000000",
            None,
        )

    def test_the_same_leg_twice(self):
        assert judged(order(leg=1), order(leg=2)).denials == ("DUPLICATE_ORDER",)

    def test_legs_that_would_trade_with_each_other(self):
        legs = (order(leg=1), order(leg=2, **SELL, quantity=5))
        assert judged(*legs, holdings=(holding(),)).denials == ("SELF_TRADE",)


class TestModify:
    RESTING = open_order(side="BUY", quantity=10, filled_quantity=4, price=D(1480))

    def change(self, **changes):
        request_ = order(kind=RequestKind.MODIFY, replaces="240907000001", **changes)
        return judged(request_, open_orders=(self.RESTING,))

    def test_the_new_values_are_judged_and_only_what_is_left_counts(self):
        decision = self.change(quantity=20)
        assert decision.denials == ()
        assert row(decision, "ORDER_VALUE_MAX").actual == "24000"
        assert row(decision, "ORDER_VALUE_DAY").actual == str(16 * 1500 - 6 * 1480)
        assert row(decision, "POSITION_MAX").message.startswith("INFY would stand at ₹23,984 ")

    def test_it_cannot_go_below_what_has_filled(self):
        assert self.change(quantity=4).denials[0] == "ORDER_INVALID"

    @pytest.mark.parametrize("changes", [SELL, MIS, {"symbol": "BSE:INFY"}])
    def test_it_cannot_become_another_order(self, changes):
        assert "ORDER_INVALID" in self.change(quantity=10, **changes).denials

    def test_a_resting_exit_can_be_modified_to_all_that_is_held(self):
        request_ = order(kind=RequestKind.MODIFY, replaces="240907000001", **SELL, quantity=100, limit_price=D(1510))
        found = judged(request_, open_orders=(open_order(),), holdings=(holding(),))
        assert found.denials == ()


class TestAlternatives:
    def passes(self, request_, found, **changes):
        change = replace(
            request_,
            quantity=found.quantity or request_.quantity,
            limit_price=found.limit_price or request_.limit_price,
            order_type=OrderType.LIMIT,
        )
        return judged(change, **changes).denials == ()

    def test_the_nearest_quantity(self):
        decision = judged(order(quantity=150), margin_required={1: D(225100)})
        (found,) = decision.alternatives
        assert (found.change, found.quantity) == ("133 shares would pass: ORDER_VALUE_MAX", 133)
        assert found.passes

    def test_the_nearest_tick(self):
        (found,) = judged(order(limit_price=D("1500.07"))).alternatives
        assert (found.limit_price, found.quantity, found.code) == (D("1500.1"), None, "TICK_SIZE")

    def test_the_edge_of_the_collar(self):
        (found,) = judged(order(limit_price=D("1600"))).alternatives
        assert (found.limit_price, found.code) == (D("1573.9"), "PRICE_COLLAR")

    def test_price_and_quantity_together(self):
        (found,) = judged(order(quantity=1000, limit_price=D("1600.03")), margin_required={1: D(1601000)}).alternatives
        assert (found.quantity, found.limit_price) == (127, D("1573.9"))

    def test_nothing_is_offered_where_nothing_passes(self):
        assert judged(trading_state=TradingStateName.HALTED).alternatives == ()

    @given(
        quantity=st.integers(1, 5000), tenths=st.integers(12000, 18000), free=st.integers(1, 400000),
        lot=st.integers(1, 40),
    )  # fmt: skip
    def test_every_alternative_really_passes_and_the_quantity_is_the_largest(self, quantity, tenths, free, lot):
        price = D(tenths) / 10
        request_ = order(quantity=quantity, limit_price=price)
        world = {
            "margins": {"equity": purse(str(free), debits=D(400000 - free))},
            "instruments": {"NSE:INFY": info(lot_size=lot)},
        }
        decision = judged(request_, margin_required={1: price * quantity}, **world)
        assert len(decision.alternatives) <= 3
        for found in decision.alternatives:
            size = found.quantity or quantity
            at = found.limit_price or price
            need = (max(at, price) * size).to_integral_value("ROUND_CEILING")
            assert self.passes(request_, found, margin_required={1: need}, **world)
            if found.quantity is not None and size + lot < quantity:
                more = replace(found, quantity=size + lot)
                need = (max(at, price) * (size + lot)).to_integral_value("ROUND_CEILING")
                assert not self.passes(request_, more, margin_required={1: need}, **world)


requests = st.builds(
    order,
    symbol=st.sampled_from(["NSE:INFY", "BSE:INFY", "NSE:NOWHERE"]),
    side=st.sampled_from(list(Side)),
    quantity=st.integers(0, 300),
    order_type=st.sampled_from(list(OrderType)),
    product=st.sampled_from(list(Product)),
    limit_price=st.none() | st.integers(13000, 17000).map(lambda n: D(n) / 10),
    trigger_price=st.none() | st.integers(13000, 17000).map(lambda n: D(n) / 10),
)
counters = st.builds(
    Counters,
    orders_last_second=st.integers(0, 12),
    orders_today=st.integers(0, 6000),
    value_today=st.integers(0, 1_200_000).map(Decimal),
    rejects_recent=st.integers(0, 4),
    unconfirmed=st.integers(0, 4),
)
worlds = st.fixed_dictionaries(
    {
        "counters": counters,
        "trading_state": st.sampled_from(list(TradingStateName)),
        "holdings": st.none() | st.integers(0, 200).map(lambda n: (holding(quantity=n),)),
        "positions": st.none() | st.integers(-50, 50).map(lambda n: (position(quantity=n),)),
        "open_orders": st.none() | st.integers(1, 60).map(lambda n: (open_order(quantity=n),)),
        "quotes": st.sampled_from([{}, {"NSE:INFY": quote()}, {"NSE:INFY": quote(age_s=99)}]),
        "margins": st.none() | st.just({"equity": purse("300000")}),
        "standing": st.builds(
            stands,
            reconciled=st.booleans(),
            peak_value=st.none() | st.integers(0, 900_000).map(Decimal),
            losses_in_a_row=st.none() | st.integers(0, 5),
            last_loss_at=st.just(NOW - timedelta(seconds=60)),
            typical_orders=st.integers(0, 20),
            typical_value=st.integers(0, 20_000).map(Decimal),
            first_prices=st.none() | st.just({"NSE:INFY": D(1400)}),
        ),
    }
)


FIGURES = [name for name, rule in LIMIT_RULES.items() if "low" in rule]


class TestLaws:
    @given(request_=requests, world=worlds, seed=st.integers(0, 99))
    def test_order_and_duplicates_of_controls_do_not_matter(self, request_, world, seed):
        shuffled = [*CONTROLS, *CONTROLS[:5]]
        random.Random(seed).shuffle(shuffled)
        one = judged(request_, **world)
        other = gate.evaluate(
            [request_],
            book=book(margin_required={1: D("15020.50")}, **world),
            policy=POLICY,
            now=NOW,
            controls=shuffled,
        )
        assert codec.encode_decision(one) == codec.encode_decision(other)

    @given(request_=requests, world=worlds)
    def test_allow_means_that_no_row_denies(self, request_, world):
        decision = judged(request_, **world)
        assert decision.allowed is all(control.verdict is not Verdict.DENY for control in decision.controls)
        assert "POLICY_ERROR" not in decision.denials

    @given(request_=requests, world=worlds)
    def test_an_exit_is_never_held_back_by_limits_on_what_is_added(self, request_, world):
        tight = limits(position_percent=D("0.1"), exposure_percent=D("0.1"), open_positions_max=1, open_value_max=D(1))
        decision = judged(request_, **world, policy=tight)
        held = sum(h.quantity for h in world["holdings"] or ()) if request_.product is Product.CNC else 0
        if request_.product is not Product.CNC:
            held = sum(p.quantity for p in world["positions"] or () if p.product == request_.product)
        known = None not in (world["holdings"], world["positions"], world["open_orders"])
        pending = sum(o.quantity for o in world["open_orders"] or ()) if request_.product is Product.CNC else 0
        reduces = known and held * request_.side.sign < 0 and request_.symbol != "NSE:NOWHERE"
        if (
            reduces
            and 0 < request_.quantity <= abs(held) - pending
            and (request_.product is Product.CNC or request_.symbol == "NSE:INFY")
        ):
            added = {"POSITION_MAX", "EXPOSURE_MAX", "POSITION_COUNT_MAX", "OPEN_VALUE_MAX", "REJECT_STREAK"}
            added |= {"DAILY_LOSS_LIMIT", "DRAWDOWN_LIMIT", "COOLDOWN", "FAT_FINGER", "PRICE_DRIFT", "NOT_RECONCILED"}
            assert not added & set(decision.denials)

    @given(request_=requests, world=worlds, limit=st.sampled_from(FIGURES))
    def test_tightening_a_limit_never_turns_deny_into_allow(self, request_, world, limit):
        """Every figure of the policy, drawn in to the end of its range, whichever end that is."""
        rule = LIMIT_RULES[limit]
        end = rule["high" if rule["tighter"] == "up" else "low"]
        tight = limits(**{limit: type(getattr(POLICY.limits, limit))(end)})
        if judged(request_, **world).outcome is Outcome.DENY:
            assert judged(request_, **world, policy=tight).outcome is Outcome.DENY

    @given(request_=requests, world=worlds)
    def test_the_same_inputs_after_a_round_trip_give_the_same_bytes(self, request_, world):
        one_book = book(margin_required={1: D("15020.50")}, **world)
        text = codec.encode_inputs([request_], book=one_book, policy=POLICY, now=NOW)
        inputs = codec.decode_inputs(text)
        again = gate.evaluate(inputs.orders, book=inputs.book, policy=inputs.policy, now=inputs.now)
        first = gate.evaluate([request_], book=one_book, policy=POLICY, now=NOW)
        assert codec.encode_decision(again) == codec.encode_decision(first)
        assert codec.decode_decision(codec.encode_decision(first)) == first

    @given(request_=requests, world=worlds)
    def test_no_float_and_no_naive_figure_leaves_the_gate(self, request_, world):
        document = codec.encode_decision(judged(request_, **world))
        json.loads(document, parse_float=pytest.fail)

    def test_the_input_hash_tells_every_input_apart(self):
        hashes = {
            judged().input_hash,
            judged(order(quantity=11)).input_hash,
            judged(counters=Counters(orders_today=1)).input_hash,
            judged(policy=limits(order_quantity_max=9)).input_hash,
            judged(now=NOW + timedelta(microseconds=1)).input_hash,
        }
        assert len(hashes) == 5
        assert judged().input_hash == judged().input_hash


def test_the_pure_core_has_no_float_clock_or_django():
    shell = {"models", "services", "selectors", "admin", "apps", "hooks", "replay", "shapes"}
    root = Path(gate.__file__).parent
    modules = [p for p in (*root.glob("*.py"), *(root / "controls").glob("*.py")) if p.stem not in shell]
    assert len(modules) > 15
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [n for n in names if n.partition(".")[0] in ("django", "time", "random", "socket")], module
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), module
            assert not (isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow") and
                        isinstance(node.value, ast.Name) and node.value.id == "datetime"), module  # fmt: skip


def test_warnings_come_before_denials():
    decision = judged(order(quantity=110), margin_required={1: D(900000)})
    assert decision.denials == ()
    assert set(decision.warnings) == {"WARN_ORDER_VALUE", "WARN_MARGIN"}
    assert row(decision, "WARN_ORDER_VALUE").message == "The order is worth ₹1,65,000, 82.5% of the ₹2,00,000 allowed."
    assert Allowed().products == ("CNC", "MIS", "NRML")
