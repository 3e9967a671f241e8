"""The Intent on the wire: what is right is read exactly, what is wrong is named field by field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import OrderType, Product, Side, Validity, Variety
from execution.domain import Changes, Exits, IntentKind, OrderInstruction, QuantityRule, RuleType, TradeIntent
from execution.wire import IntentInvalid, intent_document, parse_intent

ORDER = {
    "kind": "order", "side": "BUY", "symbol": "WIPRO", "exchange": "NSE", "quantity": 40, "order_type": "LIMIT",
    "price": "251.50", "trigger_price": None, "product": "CNC", "validity": "DAY", "variety": "regular",
    "exits": {"stop_loss": "246", "target": "262"},
}  # fmt: skip


def faults(payload):
    with pytest.raises(IntentInvalid) as raised:
        parse_intent(payload)
    return [(fault.field, fault.code) for fault in raised.value.faults]


def order(**fields):
    return ORDER | fields


def test_the_documented_example_is_read_to_the_last_digit():
    intent = parse_intent(ORDER, text="buy 40 wipro")
    assert intent == TradeIntent(
        IntentKind.ORDER,
        (
            OrderInstruction(
                Side.BUY,
                "NSE",
                "WIPRO",
                OrderType.LIMIT,
                Product.CNC,
                quantity=40,
                price=Decimal("251.50"),
                exits=Exits(Decimal(246), Decimal(262)),
            ),
        ),
        text="buy 40 wipro",
    )


@pytest.mark.parametrize(
    ("fields", "order_type", "assumed"),
    [
        ({}, OrderType.MARKET, ("exchange", "order_type", "product")),
        ({"price": "1500"}, OrderType.LIMIT, ("exchange", "order_type", "product")),
        ({"trigger_price": "1500"}, OrderType.SL_M, ("exchange", "order_type", "product")),
        ({"price": "1500", "trigger_price": "1499"}, OrderType.SL, ("exchange", "order_type", "product")),
        ({"order_type": "MARKET", "product": "MIS", "exchange": "BSE"}, OrderType.MARKET, ()),
    ],
)
def test_what_is_left_out_follows_the_reading_rules_and_is_named(fields, order_type, assumed):
    intent = parse_intent({"kind": "order", "side": "BUY", "symbol": "INFY", "quantity": 1} | fields)
    assert (intent.orders[0].order_type, intent.assumed) == (order_type, assumed)


def test_derivatives_default_to_nrml():
    intent = parse_intent(
        {"kind": "order", "side": "BUY", "symbol": "NIFTY26OCTFUT", "exchange": "NFO", "quantity": 75}
    )
    assert intent.orders[0].product is Product.NRML


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, [("intent", "BAD_TYPE")]),
        ([], [("intent", "BAD_TYPE")]),
        ({}, [("kind", "REQUIRED")]),
        ({"kind": "monitor"}, [("kind", "NOT_A_TRADE")]),
        ({"kind": "bracket"}, [("kind", "BAD_VALUE")]),
        ({"kind": 7}, [("kind", "BAD_TYPE")]),
        ({"kind": ["order"]}, [("kind", "BAD_TYPE")]),
        (order(colour="red"), [("colour", "UNKNOWN_FIELD")]),
        (order(order_ids=["1"]), [("order_ids", "UNKNOWN_FIELD")]),
        (order(side=None), [("side", "REQUIRED")]),
        (order(side="buy"), [("side", "BAD_VALUE")]),
        (order(side=1), [("side", "BAD_TYPE")]),
        (order(symbol=None), [("symbol", "REQUIRED")]),
        (order(symbol="NSE:WIPRO"), [("symbol", "BAD_VALUE")]),
        (order(symbol="wipro; drop"), [("symbol", "BAD_VALUE")]),
        (order(symbol="A" * 51), [("symbol", "BAD_VALUE")]),
        (order(symbol=5), [("symbol", "BAD_TYPE")]),
        (order(exchange="NYSE"), [("exchange", "BAD_VALUE")]),
        (order(quantity=None), [("quantity", "REQUIRED")]),
        (order(quantity=0), [("quantity", "OUT_OF_RANGE")]),
        (order(quantity=-5), [("quantity", "OUT_OF_RANGE")]),
        (order(quantity=10_000_001), [("quantity", "OUT_OF_RANGE")]),
        (order(quantity=10.0), [("quantity", "BAD_TYPE")]),
        (order(quantity=Decimal("10.5")), [("quantity", "BAD_TYPE")]),
        (order(quantity="10"), [("quantity", "BAD_TYPE")]),
        (order(quantity=True), [("quantity", "BAD_TYPE")]),
        (order(price=251.5), [("price", "BAD_TYPE")]),
        (order(price=251), [("price", "BAD_TYPE")]),
        (order(price=Decimal("251.5")), [("price", "BAD_TYPE")]),
        (order(price="0"), [("price", "OUT_OF_RANGE")]),
        (order(price="-1"), [("price", "OUT_OF_RANGE")]),
        (order(price="1e3"), [("price", "BAD_VALUE")]),
        (order(price="NaN"), [("price", "BAD_VALUE")]),
        (order(price="Infinity"), [("price", "BAD_VALUE")]),
        (order(price="1,500"), [("price", "BAD_VALUE")]),
        (order(price=" 1500"), [("price", "BAD_VALUE")]),
        (order(price="१५००"), [("price", "BAD_VALUE")]),
        (order(price="1500.00001"), [("price", "BAD_VALUE")]),
        (order(price="9999999999999"), [("price", "OUT_OF_RANGE")]),
        (order(price=None), [("price", "REQUIRED")]),
        (order(trigger_price="250"), [("trigger_price", "CONFLICT")]),
        (order(order_type="MARKET"), [("price", "CONFLICT")]),
        (order(order_type="SL"), [("trigger_price", "REQUIRED")]),
        (order(order_type="SL-M", price=None), [("trigger_price", "REQUIRED")]),
        (order(order_type="SL-M", trigger_price="250"), [("price", "CONFLICT")]),
        (order(order_type="STOP"), [("order_type", "BAD_VALUE"), ("price", "CONFLICT")]),
        (order(product="CO"), [("product", "BAD_VALUE")]),
        (order(validity="GTC"), [("validity", "BAD_VALUE")]),
        (order(validity="TTL"), [("validity_ttl", "REQUIRED")]),
        (order(validity_ttl=5), [("validity_ttl", "CONFLICT")]),
        (order(validity="TTL", validity_ttl=0), [("validity_ttl", "OUT_OF_RANGE")]),
        (order(variety="bo"), [("variety", "BAD_VALUE")]),
        (order(exits={}), [("exits", "REQUIRED")]),
        (order(exits="246"), [("exits", "BAD_TYPE")]),
        (order(exits={"stop_loss": 246}), [("exits.stop_loss", "BAD_TYPE")]),
        (order(exits={"trail": "1", "target": "262"}), [("exits.trail", "UNKNOWN_FIELD")]),
        (order(quantity=None, quantity_rule=5), [("quantity_rule", "BAD_TYPE")]),
        (order(quantity_rule={}), [("quantity_rule.type", "REQUIRED")]),
        (order(quantity_rule={"type": "half"}), [("quantity_rule.type", "BAD_VALUE")]),
        (order(quantity_rule={"type": "notional"}), [("quantity_rule.amount", "REQUIRED")]),
        (order(quantity_rule={"type": "notional", "amount": 5}), [("quantity_rule.amount", "BAD_TYPE")]),
        (
            order(quantity_rule={"type": "percent_of_holding", "percent": "101"}),
            [("quantity_rule.percent", "OUT_OF_RANGE")],
        ),
        (
            order(quantity_rule={"type": "reduce_to", "quantity": 5, "percent": "5"}),
            [("quantity_rule.percent", "UNKNOWN_FIELD")],
        ),
        (order(assumed="product"), [("assumed", "BAD_TYPE")]),
        (order(assumed=["a b"]), [("assumed", "BAD_VALUE")]),
        ({"kind": "orders"}, [("orders", "REQUIRED")]),
        ({"kind": "orders", "orders": {}}, [("orders", "BAD_TYPE")]),
        ({"kind": "orders", "orders": []}, [("orders", "OUT_OF_RANGE")]),
        ({"kind": "orders", "orders": [ORDER] * 21}, [("orders", "OUT_OF_RANGE")]),
        ({"kind": "orders", "orders": [ORDER, 5]}, [("orders.1", "BAD_TYPE")]),
        ({"kind": "orders", "orders": [ORDER, order(quantity=0)]}, [("orders.1.quantity", "OUT_OF_RANGE")]),
        ({"kind": "orders", "orders": [order(kind="cancel")]}, [("orders.0.kind", "BAD_VALUE")]),
        ({"kind": "cancel"}, [("order_ids", "REQUIRED")]),
        ({"kind": "cancel", "order_ids": []}, [("order_ids", "OUT_OF_RANGE")]),
        ({"kind": "cancel", "order_ids": "1"}, [("order_ids", "BAD_TYPE")]),
        ({"kind": "cancel", "order_ids": [250101000000001]}, [("order_ids.0", "BAD_TYPE")]),
        ({"kind": "cancel", "order_ids": ["1", "1"]}, [("order_ids.1", "DUPLICATE")]),
        ({"kind": "cancel", "order_ids": ["1' or"]}, [("order_ids.0", "BAD_VALUE")]),
        ({"kind": "cancel", "order_ids": ["1"], "gtt_ids": ["2"]}, [("gtt_ids", "UNKNOWN_FIELD")]),
        ({"kind": "modify", "order_ids": ["1"]}, [("changes", "REQUIRED")]),
        ({"kind": "modify", "order_ids": ["1"], "changes": []}, [("changes", "BAD_TYPE")]),
        ({"kind": "modify", "order_ids": ["1"], "changes": {"price": None}}, [("changes", "REQUIRED")]),
        ({"kind": "modify", "order_ids": ["1"], "changes": {"price": 5}}, [("changes.price", "BAD_TYPE")]),
        (
            {"kind": "modify", "order_ids": ["1"], "changes": {"price": "5", "product": "MIS"}},
            [("changes.product", "UNKNOWN_FIELD")],
        ),
    ],
)
def test_each_fault_is_named(payload, expected):
    assert faults(payload) == expected


def test_every_fault_is_told_at_once():
    assert faults({"kind": "order", "quantity": 0, "price": 5, "validity": "GTC"}) == [
        ("side", "REQUIRED"), ("symbol", "REQUIRED"), ("quantity", "OUT_OF_RANGE"), ("price", "BAD_TYPE"),
        ("validity", "BAD_VALUE"),
    ]  # fmt: skip


def test_fields_of_other_kinds_may_be_there_as_null():
    assert parse_intent(order(order_ids=None, condition=None)).orders == parse_intent(ORDER).orders


def test_what_a_fault_repeats_is_short_and_printable():
    with pytest.raises(IntentInvalid) as raised:
        parse_intent(order(symbol="\x00\ud800" + "x" * 500))
    message = raised.value.faults[0].message
    assert len(message) < 130
    assert message.encode().isascii()


PRICES = st.decimals("0.01", "99999", places=2)
RULES = st.one_of(
    st.builds(lambda v: QuantityRule(RuleType.NOTIONAL, amount=v), PRICES),
    st.builds(lambda v: QuantityRule(RuleType.PERCENT_OF_HOLDING, percent=v), st.decimals("0.5", 100, places=1)),
    st.builds(lambda v: QuantityRule(RuleType.PERCENT_OF_POSITION, percent=v), st.decimals("0.5", 100, places=1)),
    st.builds(lambda v: QuantityRule(RuleType.REDUCE_TO, quantity=v), st.integers(0, 500)),
)


@st.composite
def instructions(draw):
    kind = draw(st.sampled_from(list(OrderType)))
    rule = draw(st.none() | RULES)
    ttl = draw(st.none() | st.integers(1, 60))
    return OrderInstruction(
        side=draw(st.sampled_from(list(Side))), exchange=draw(st.sampled_from(["NSE", "BSE"])),
        tradingsymbol=draw(st.sampled_from(["INFY", "M&M", "BAJAJ-AUTO", "3MINDIA"])), order_type=kind,
        product=draw(st.sampled_from(list(Product))),
        quantity=draw(st.integers(1, 10_000)) if rule is None else draw(st.none() | st.integers(1, 9)),
        quantity_rule=rule, price=draw(PRICES) if kind.has_limit else None,
        trigger_price=draw(PRICES) if kind.has_trigger else None,
        validity=Validity.DAY if ttl is None else Validity.TTL, validity_ttl=ttl, variety=Variety.REGULAR,
        exits=draw(st.none() | st.builds(Exits, PRICES, st.none() | PRICES)),
    )  # fmt: skip


INTENTS = st.one_of(
    st.builds(lambda o: TradeIntent(IntentKind.ORDER, (o,)), instructions()),
    st.builds(
        lambda o, a: TradeIntent(IntentKind.ORDERS, tuple(o), assumed=tuple(a)),
        st.lists(instructions(), min_size=1, max_size=3),
        st.lists(st.sampled_from(["product", "expiry"]), unique=True),
    ),
    st.builds(
        lambda p, q: TradeIntent(IntentKind.MODIFY, order_ids=("a1",), changes=Changes(price=p, quantity=q)),
        PRICES,
        st.none() | st.integers(1, 9),
    ),
    st.builds(lambda n: TradeIntent(IntentKind.CANCEL, order_ids=tuple(map(str, range(n)))), st.integers(1, 20)),
)


@given(INTENTS)
def test_an_intent_survives_the_wire(intent):
    assert parse_intent(intent_document(intent)) == intent


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ORDER, "orders", "x"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["order", "orders", "modify", "cancel"]))
def test_no_document_makes_anything_but_an_intent_or_named_faults(value, kind):
    payload = {**value, "kind": kind} if isinstance(value, dict) else value
    read, found = kind, None
    try:
        read = parse_intent(payload).kind.value
    except IntentInvalid as exc:
        found = exc.faults
    assert read == kind
    assert found is None or len(found) > 0
