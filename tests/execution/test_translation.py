"""From intent to plan: complete legs, prices every connection can carry, figures, and clear refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.rounding import is_on_tick
from execution.domain import Changes, IntentKind, OrderInstruction, QuantityRule, RuleType, TradeIntent
from execution.plan_documents import modify_order_of
from execution.sizing import NotTranslatable
from execution.translation import (
    Expiry,
    order_requests,
    place_order_of,
    plan_from_json,
    plan_wire,
    translate,
)
from execution.wire import parse_intent
from risk.domain import RequestKind
from sigmatrader.audit import canonical
from tests.execution.values import (
    INFY,
    NOW,
    OPTION,
    QUOTE,
    D,
    broker_order,
    holding,
    order_view,
    plan_inputs,
    position,
)


def order(**fields):
    base = OrderInstruction(Side.BUY, "NSE", "INFY", OrderType.LIMIT, Product.CNC, quantity=10, price=D("1490"))
    return replace(base, **fields)


def intent(*orders, **fields):
    kind = IntentKind.ORDER if len(orders) == 1 else IntentKind.ORDERS
    return TradeIntent(kind, orders, **fields)


def modify(**changes):
    return TradeIntent(IntentKind.MODIFY, order_ids=("o1",), changes=Changes(**changes))


CANCEL = TradeIntent(IntentKind.CANCEL, order_ids=("o1",))
MARKET = {"order_type": OrderType.MARKET, "price": None}
STOP = {"order_type": OrderType.SL_M, "price": None, "trigger_price": D("1480")}


def refusal(asked, **fields):
    with pytest.raises(NotTranslatable) as raised:
        translate(asked, inputs=plan_inputs(**fields))
    assert raised.value.message.endswith(".")
    return raised.value.code, raised.value.field


def test_a_limit_order_goes_out_as_it_was_said():
    plan = translate(intent(order()), inputs=plan_inputs())
    (leg,) = plan.legs
    assert place_order_of(leg, "T1") == PlaceOrder(
        "NSE:INFY", Side.BUY, 10, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "T1", D("1490")
    )
    assert (leg.n, leg.converted_from_market) == (1, False)
    assert plan.reference_prices == {"NSE:INFY": D("1500")}
    assert plan.valid_until == NOW + timedelta(minutes=5)
    assert (plan.connection, plan.connection_kind) == ("c1", "paper")


@pytest.mark.parametrize(
    ("side", "quote", "limit"),
    [
        (Side.BUY, QUOTE, D("1515.0")),
        (Side.SELL, QUOTE, D("1485.0")),
        (Side.BUY, replace(QUOTE, last_price=D("1500.55")), D("1515.5")),
        (Side.SELL, replace(QUOTE, last_price=D("1500.55")), D("1485.6")),
        (Side.BUY, replace(QUOTE, upper_circuit=D("1510.07")), D("1510.0")),
        (Side.SELL, replace(QUOTE, lower_circuit=D("1490.01")), D("1490.1")),
        (Side.BUY, replace(QUOTE, upper_circuit=None), D("1515.0")),
    ],
)
def test_market_becomes_a_limit_that_crosses_within_the_band(side, quote, limit):
    plan = translate(intent(order(side=side, **MARKET)), inputs=plan_inputs(quotes={"NSE:INFY": quote}))
    (leg,) = plan.legs
    assert (leg.order_type, leg.limit_price, leg.converted_from_market) == (OrderType.LIMIT, limit, True)
    assert plan.valid_until == NOW + timedelta(seconds=60)
    assert plan.sizing[-1].value == canonical.decimal_text(limit)


@pytest.mark.parametrize(("side", "limit"), [(Side.SELL, D("1465.2")), (Side.BUY, D("1494.8"))])
def test_sl_m_becomes_an_sl_with_its_limit_beyond_the_trigger(side, limit):
    plan = translate(intent(order(side=side, **STOP)), inputs=plan_inputs())
    (leg,) = plan.legs
    assert (leg.order_type, leg.trigger_price, leg.limit_price) == (OrderType.SL, D("1480"), limit)
    assert leg.converted_from_market


@given(
    st.sampled_from(list(Side)),
    st.decimals("10", "90000", places=2),
    st.sampled_from(["0.01", "0.05", "0.1", "1", "5"]),
)
def test_a_protected_price_is_on_the_tick_and_never_past_the_protection(side, last, tick):
    info = replace(INFY, tick_size=D(tick))
    quote = replace(QUOTE, last_price=last, lower_circuit=None, upper_circuit=None)
    inputs = plan_inputs(instruments={info.symbol: info}, quotes={info.symbol: quote})
    (leg,) = translate(intent(order(side=side, **MARKET)), inputs=inputs).legs
    assert leg.limit_price is not None
    assert is_on_tick(leg.limit_price, D(tick))
    beyond = (leg.limit_price - last) * side.sign
    assert beyond <= last / 100
    assert beyond > last / 100 - D(tick)


def test_figures_of_a_delivery_buy_on_top_of_a_holding():
    plan = translate(intent(order()), inputs=plan_inputs(holdings=(holding(100),)))
    charges = plan.estimates.charges
    assert plan.estimates.order_value == D("14900")
    assert (
        charges.total == charges.brokerage + charges.stt + charges.exchange + charges.sebi + charges.stamp + charges.gst
    )
    assert charges.dp == 0
    assert plan.estimates.margin_required == D("14900") + charges.total
    assert plan.margin_by_leg == {1: D("14900") + charges.total}
    assert plan.estimates.margin_available == D(1_000_000)
    after = plan.before_after
    assert after.quantity == (100, 110)
    assert after.average_price == (D("1400.0000"), D("1408.1818"))
    assert after.cash == (D(1_000_000), D(1_000_000) - D("14900") - charges.total)
    assert after.weight_percent == (D("100.00"), D("100.00"))


def test_figures_of_a_delivery_sale():
    plan = translate(
        intent(order(side=Side.SELL, quantity=40, price=D("1510"))), inputs=plan_inputs(holdings=(holding(100),))
    )
    estimates, after = plan.estimates, plan.before_after
    assert estimates.order_value == D("60400")
    assert estimates.margin_required == 0
    assert estimates.charges.dp > 0
    assert after.quantity == (100, 60)
    assert after.average_price == (D("1400.0000"), D("1400.0000"))
    assert after.cash[1] == D(1_000_000) + D("60400") - estimates.charges.total - estimates.charges.dp


def test_a_sale_below_the_market_is_valued_at_the_market():
    plan = translate(intent(order(side=Side.SELL, price=D("1490"))), inputs=plan_inputs(holdings=(holding(),)))
    assert plan.estimates.order_value == D("15000")


def test_a_short_that_turns_long_starts_a_new_average():
    plan = translate(intent(order(product=Product.MIS, quantity=30)), inputs=plan_inputs(positions=(position(-10),)))
    assert plan.before_after.quantity == (-10, 20)
    assert plan.before_after.average_price == (D("1450.0000"), D("1490.0000"))
    assert plan.before_after.weight_percent == (None, None)


@pytest.mark.parametrize("missing", [{"holdings": None}, {"positions": None}])
def test_books_not_read_leave_the_figures_unknown(missing):
    after = translate(intent(order()), inputs=plan_inputs(**missing)).before_after
    assert (after.quantity, after.average_price) == ((None, None), (None, None))


def test_margins_not_read_are_unknown_not_zero():
    plan = translate(intent(order()), inputs=plan_inputs(margins=None))
    assert plan.estimates.margin_available is None
    assert plan.before_after.cash == (None, None)


def test_a_share_sold_on_the_other_exchange_counts_against_the_holding():
    sold = position(-40, symbol="BSE:INFY", product="CNC")
    half = QuantityRule(RuleType.PERCENT_OF_HOLDING, percent=D(50))
    plan = translate(
        intent(order(side=Side.SELL, quantity=None, quantity_rule=half)),
        inputs=plan_inputs(holdings=(holding(100, used_quantity=40),), positions=(sold,)),
    )
    assert plan.legs[0].quantity == 30


def test_several_orders_are_numbered_and_the_bought_option_goes_first():
    option = order(
        exchange="NFO", tradingsymbol=OPTION.tradingsymbol, product=Product.NRML, quantity=75, price=D("100")
    )
    sold = replace(option, side=Side.SELL)
    plan = translate(intent(sold, order(), option), inputs=plan_inputs())
    assert [(leg.n, leg.side, leg.symbol) for leg in plan.legs] == [
        (1, Side.BUY, "NSE:INFY"), (2, Side.BUY, OPTION.symbol), (3, Side.SELL, OPTION.symbol),
    ]  # fmt: skip
    assert plan.valid_until == NOW + timedelta(seconds=60)
    assert set(plan.margin_by_leg) == {1, 2, 3}


def test_a_monitors_plan_lives_shorter():
    plan = translate(intent(order()), inputs=plan_inputs(expiry=Expiry(at_most_s=120)))
    assert plan.valid_until == NOW + timedelta(seconds=120)


def test_a_modify_is_complete_and_says_what_changes():
    plan = translate(modify(price=D("1495")), inputs=plan_inputs(orders={"o1": order_view(filled_quantity=4)}))
    (leg,) = plan.legs
    sent = modify_order_of(leg)
    assert (sent.broker_order_id, sent.quantity, sent.order_type) == ("250101000000001", 10, OrderType.LIMIT)
    assert (sent.limit_price, sent.trigger_price, sent.validity) == (D("1495"), None, Validity.DAY)
    assert (leg.action, leg.target) == (RequestKind.MODIFY, "o1")
    assert [(line.step, line.value) for line in plan.sizing] == [("Limit price changes", "1490 -> 1495")]
    assert plan.estimates.order_value == D("8970")
    assert D(30) < plan.margin_by_leg[1] < D("30.1")


def test_a_modify_that_lowers_the_order_blocks_nothing_more():
    plan = translate(modify(quantity=5), inputs=plan_inputs(orders={"o1": order_view()}))
    assert (plan.legs[0].quantity, plan.margin_by_leg) == (5, {1: D(0)})


def test_a_modify_to_market_is_protected_too():
    plan = translate(modify(order_type=OrderType.MARKET), inputs=plan_inputs(orders={"o1": order_view()}))
    (leg,) = plan.legs
    assert (leg.order_type, leg.limit_price, leg.converted_from_market) == (OrderType.LIMIT, D("1515.0"), True)
    assert plan.valid_until == NOW + timedelta(seconds=60)


def test_a_cancel_needs_no_price_no_books_and_costs_nothing():
    inputs = plan_inputs(
        orders={"o1": order_view()}, quotes={}, instruments={}, holdings=None, positions=None, margins=None
    )
    plan = translate(CANCEL, inputs=inputs)
    assert [(leg.action, leg.target, leg.broker_order_id) for leg in plan.legs] == [
        (RequestKind.CANCEL, "o1", "250101000000001")
    ]
    assert (plan.estimates.order_value, plan.estimates.charges.total, plan.reference_prices) == (0, 0, {})


@pytest.mark.parametrize(
    ("asked", "inputs", "expected"),
    [
        (intent(order(tradingsymbol="NOPE")), {}, ("UNKNOWN_SYMBOL", "symbol")),
        (intent(order(tradingsymbol="NIFTY 50")), {}, ("NOT_TRADABLE", "symbol")),
        (intent(order(), order(tradingsymbol="NOPE")), {}, ("UNKNOWN_SYMBOL", "orders.1.symbol")),
        (intent(order(**MARKET)), {"quotes": {}}, ("NO_QUOTE", "price")),
        (intent(order(**MARKET)), {"quotes": {"NSE:INFY": replace(QUOTE, last_price=D(0))}}, ("NO_QUOTE", "price")),
        (CANCEL, {}, ("ORDER_NOT_FOUND", "order_ids.0")),
        (CANCEL, {"orders": {"o1": order_view(is_final=True)}}, ("ORDER_FINAL", "order_ids.0")),
        (CANCEL, {"orders": {"o1": order_view(broker_order_id="")}}, ("ORDER_NOT_CONFIRMED", "order_ids.0")),
        (CANCEL, {"orders": {"o1": order_view(product="CO")}}, ("ORDER_UNSUPPORTED", "order_ids")),
        (modify(price=D("1490")), {"orders": {"o1": order_view()}}, ("NOTHING_CHANGES", "changes")),
        (modify(trigger_price=D(1)), {"orders": {"o1": order_view()}}, ("CONFLICT", "changes.trigger_price")),
        (modify(order_type=OrderType.SL), {"orders": {"o1": order_view()}}, ("PRICE_MISSING", "changes.trigger_price")),
        (
            modify(quantity=4),
            {"orders": {"o1": order_view(filled_quantity=4)}},
            ("QUANTITY_BELOW_FILLED", "changes.quantity"),
        ),
    ],
)
def test_what_cannot_become_a_plan_says_why(asked, inputs, expected):
    assert refusal(asked, **inputs) == expected


def test_a_limit_order_without_a_quote_is_left_to_the_gate():
    plan = translate(intent(order()), inputs=plan_inputs(quotes={}))
    assert (plan.legs[0].limit_price, plan.reference_prices) == (D("1490"), {})


def test_the_gate_is_told_every_leg_and_what_it_replaces():
    place, change = order_requests(translate(intent(order(), order(**MARKET)), inputs=plan_inputs()))
    assert (place.leg, change.leg, change.converted_from_market) == (1, 2, True)
    (request,) = order_requests(translate(CANCEL, inputs=plan_inputs(orders={"o1": order_view()})))
    assert (request.kind, request.replaces) == (RequestKind.CANCEL, "250101000000001")


def test_only_what_can_be_told_whole_is_sent():
    (leg,) = translate(intent(order()), inputs=plan_inputs()).legs
    for bad in (
        replace(leg, validity=Validity.TTL),
        replace(leg, variety=Variety.ICEBERG),
        replace(leg, variety=Variety.GTT),
        replace(leg, action=RequestKind.CANCEL),
    ):
        with pytest.raises(ValueError, match="leg 1"):
            place_order_of(bad, "T")
    with pytest.raises(ValueError, match="leg 1"):
        modify_order_of(leg)


PLANS = st.builds(
    lambda side, kind, quantity, price, assumed: translate(
        intent(
            order(
                side=side,
                order_type=kind,
                quantity=quantity,
                price=price if kind.has_limit else None,
                trigger_price=price if kind.has_trigger else None,
            ),
            text="as said ₹ \u2028",
            assumed=assumed,
        ),
        inputs=plan_inputs(holdings=(holding(7),)),
    ),
    st.sampled_from(list(Side)),
    st.sampled_from(list(OrderType)),
    st.integers(1, 10_000),
    st.decimals("1400", "1600", places=1),
    st.sampled_from([(), ("product",)]),
)


@given(PLANS)
def test_a_plan_is_read_back_from_its_text_to_an_equal_plan_and_hash(plan):
    text = canonical.dumps(plan)
    again = plan_from_json(text)
    assert again == plan
    assert canonical.dumps(again) == text
    assert canonical.digest(again) == canonical.digest(plan)


def test_a_modify_plan_is_read_back_too():
    plan = translate(modify(price=D("1495")), inputs=plan_inputs(orders={"o1": order_view()}))
    assert plan_from_json(canonical.dumps(plan)) == plan


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"legs":[]}', '{"intent":{"kind":"buy"}}', '{"x":1}'])
def test_other_texts_are_no_plan(text):
    with pytest.raises(ValueError, match=r"."):
        plan_from_json(text)


def test_every_change_of_content_changes_the_hash():
    base = translate(intent(order()), inputs=plan_inputs())
    (leg,) = base.legs
    others = [
        replace(base, legs=(replace(leg, quantity=11),)),
        replace(base, legs=(replace(leg, limit_price=D("1490.1")),)),
        replace(base, connection="c2"),
        replace(base, valid_until=NOW),
        replace(base, margin_by_leg={1: D(1)}),
        replace(base, reference_prices={"NSE:INFY": D("1500.05")}),
    ]
    assert len({canonical.digest(plan) for plan in [base, *others]}) == 7


def test_the_wire_form_has_the_fields_of_the_contract():
    payload = {
        "kind": "order", "side": "BUY", "symbol": "INFY", "exchange": "NSE", "quantity": 10, "order_type": "LIMIT",
        "price": "1490", "product": "CNC", "exits": {"stop_loss": "1450", "target": None},
    }  # fmt: skip
    shape = plan_wire(translate(parse_intent(payload), inputs=plan_inputs()))
    assert shape["legs"] == [
        {
            "n": 1, "action": "place", "symbol": "NSE:INFY", "side": "BUY", "quantity": 10, "order_type": "LIMIT",
            "limit_price": D("1490"), "trigger_price": None, "product": "CNC", "validity": "DAY", "variety": "regular",
            "depends_on": None, "target": None, "broker_order_id": None, "converted_from_market": False,
        }
    ]  # fmt: skip
    assert shape["sizing"] == [{"step": "Quantity as said", "value": "10", "unit": "units"}]
    assert set(shape["estimates"]) == {"order_value", "charges", "margin_required", "margin_available"}
    assert set(shape["estimates"]["charges"]) >= {
        "brokerage", "stt", "exchange", "sebi", "stamp", "gst", "total", "source", "dp",
    }  # fmt: skip
    assert shape["before_after"]["quantity"] == {"before": 0, "after": 10}
    assert shape["exits"] == [{"symbol": "NSE:INFY", "stop_loss": D("1450"), "target": None}]
    assert shape["intent"]["price"] == "1490"


def test_open_orders_do_not_change_a_translation():
    with_order = translate(intent(order()), inputs=plan_inputs(open_orders=(broker_order(),)))
    assert with_order == translate(intent(order()), inputs=plan_inputs(open_orders=None))
