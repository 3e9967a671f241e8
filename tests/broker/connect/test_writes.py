"""Writes over the double: what is sent, once, and what each failure proves, with the count that reached Kite."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker.adapters.kite_connect import KiteConnectAdapter
from broker.adapters.kite_connect_orders import PlacedOrder, SliceFault
from broker.adapters.kite_connect_terms import Options
from broker.domain import ModifyOrder, OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerUnavailable,
)
from tests.broker.connect.conftest import NOW
from tests.broker.connect.double import KiteRest, error

D = Decimal
PLACE = ("POST", "/orders/regular")
TAG = "ST0000000001"


def order(**values: Any) -> PlaceOrder:
    usual: dict[str, Any] = {
        "symbol": "NSE:INFY", "side": Side.BUY, "quantity": 3, "order_type": OrderType.LIMIT, "product": Product.CNC,
        "validity": Validity.DAY, "variety": Variety.REGULAR, "tag": TAG, "limit_price": D("1400.05"),
    }  # fmt: skip
    return PlaceOrder(**{**usual, **values})


def change(order_id: str, **values: Any) -> ModifyOrder:
    usual: dict[str, Any] = {
        "broker_order_id": order_id, "variety": Variety.REGULAR, "order_type": OrderType.LIMIT, "quantity": 5,
        "validity": Validity.DAY, "limit_price": D("1401.00"),
    }  # fmt: skip
    return ModifyOrder(**{**usual, **values})


# --- what is sent ------------------------------------------------------------------------------------------------
def test_a_limit_order_goes_as_it_is_written(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    order_id = adapter.place_order(order())
    assert order_id == "261123000000001"
    (seen,) = kite.seen
    assert (seen.method, seen.path) == PLACE
    assert seen.form == {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "3",
        "product": "CNC", "order_type": "LIMIT", "validity": "DAY", "disclosed_quantity": "0", "tag": TAG,
        "price": "1400.05", "trigger_price": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order_type", "prices", "sent"),
    [
        (OrderType.MARKET, {}, ("0", "0")),
        (OrderType.SL_M, {"trigger_price": D("1390.10")}, ("0", "1390.10")),
    ],
)
def test_market_orders_bear_market_protection(
    make_adapter: Callable[..., KiteConnectAdapter],
    kite: KiteRest,
    order_type: OrderType,
    prices: dict[str, Decimal],
    sent: tuple[str, str],
) -> None:
    wanted = order(order_type=order_type, **{"limit_price": None, **prices})
    make_adapter().place_order(wanted)
    make_adapter(market_protection=D("2.5")).place_order(wanted)
    assert [row.form["market_protection"] for row in kite.seen] == ["-1", "2.5"]
    assert [(row.form["price"], row.form["trigger_price"]) for row in kite.seen] == [sent, sent]


@pytest.mark.parametrize("order_type", [OrderType.LIMIT, OrderType.SL])
def test_orders_with_a_limit_bear_none(adapter: KiteConnectAdapter, kite: KiteRest, order_type: OrderType) -> None:
    adapter.place_order(order(order_type=order_type, trigger_price=D("1399")))
    assert "market_protection" not in kite.seen[0].form


@pytest.mark.parametrize("percent", ["0", "-2", "100.01", "-0.5"])
def test_market_protection_has_a_range(percent: str) -> None:
    with pytest.raises(ValueError, match="market protection"):
        Options(market_protection=D(percent))


def test_large_and_small_prices_stay_what_they_are(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    adapter.place_order(order(limit_price=D("1E+5")))
    adapter.place_order(order(limit_price=D("0.0500")))
    assert [row.form["price"] for row in kite.seen] == ["100000", "0.0500"]


def test_a_modify_is_complete(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    order_id = adapter.place_order(order())
    assert adapter.modify_order(change(order_id)) == order_id
    assert (kite.seen[1].method, kite.seen[1].path) == ("PUT", f"/orders/regular/{order_id}")
    assert kite.seen[1].form == {
        "variety": "regular", "order_id": order_id, "quantity": "5", "order_type": "LIMIT", "validity": "DAY",
        "disclosed_quantity": "0", "price": "1401.00", "trigger_price": "0",
    }  # fmt: skip
    adapter.modify_order(change(order_id, order_type=OrderType.MARKET, limit_price=None))
    assert kite.seen[2].form["market_protection"] == "-1"


def test_a_cancel(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    order_id = adapter.place_order(order())
    assert adapter.cancel_order(order_id, "regular") == order_id
    assert (kite.seen[1].method, kite.seen[1].path) == ("DELETE", f"/orders/regular/{order_id}")
    assert adapter.orders()[0].status == "CANCELLED"


def test_slices_are_reported_with_those_that_were_refused(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest
) -> None:
    refused = {"error": {"code": 400, "error_type": "MarginException", "message": "Insufficient funds.", "data": None}}
    data = {"order_id": "1911", "children": [{"order_id": "1912"}, refused, {"order_id": "1914"}]}
    kite.say(*PLACE, body={"status": "success", "data": data})
    found = make_adapter(autoslice=True).place_order(order(quantity=5000))
    assert isinstance(found, PlacedOrder)
    assert (found, found.children, found.faults) == (
        "1911", ("1912", "1914"), (SliceFault("MarginException", "Insufficient funds."),),
    )  # fmt: skip
    assert kite.seen[0].form["autoslice"] == "true"


def test_without_slices_there_are_no_children(make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest) -> None:
    sliced, plain = make_adapter(autoslice=True).place_order(order()), make_adapter().place_order(order(tag="ST2"))
    assert (sliced.children, sliced.faults, plain.children) == ((), (), ())
    assert ["autoslice" in row.form for row in kite.seen] == [True, False]


@pytest.mark.parametrize(
    "values",
    [
        {"quantity": 0}, {"quantity": True}, {"tag": ""}, {"tag": "a tag"}, {"tag": "x" * 21}, {"limit_price": None},
        {"limit_price": D(0)}, {"limit_price": D("NaN")}, {"order_type": OrderType.SL}, {"symbol": "INFY"},
        {"order_type": OrderType.SL_M, "trigger_price": D(-1)}, {"variety": Variety.GTT}, {"variety": Variety.ICEBERG},
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_not(adapter: KiteConnectAdapter, kite: KiteRest, values: dict[str, Any]) -> None:
    with pytest.raises(BrokerUnavailable, match="not sent"):
        adapter.place_order(order(**values))
    assert kite.seen == []


# --- what a refusal proves -----------------------------------------------------------------------------------------
MARKET = "Market orders without market protection are not allowed via API. Please set market protection or use a Limit order."  # noqa: E501
MARGIN = "Insufficient funds. Required margin is 95417.84 but available margin is 74251.80. Check the orderbook for open orders."  # noqa: E501
TIMED_OUT = "Order request timed out. Please check the order book and confirm before placing again."
REFUSALS = [
    (400, "InputException", MARKET, BrokerRejected),
    (400, "InputException", "Maximum allowed order requests exceeded.", BrokerRejected),
    (400, "MarginException", MARGIN, BrokerRejected),
    (400, "HoldingException", "Insufficient holdings", BrokerRejected),
    (428, "HoldingException", "10 quantity needs authorisation at depository", BrokerRejected),
    (428, "GeneralException", "10 quantity needs authorisation at depository", BrokerRejected),
    (403, "PermissionException", "Insufficient permission for that call.", BrokerRejected),
    (403, "UserException", "The account is blocked.", BrokerRejected),
    (403, "TokenException", "Incorrect `api_key` or `access_token`.", BrokerAuthExpired),
    (403, "TokenException", "Token is invalid or has expired.", BrokerAuthExpired),
    (403, "TokenException", "Something about a token", BrokerOutcomeUnknown),
    (500, "TokenException", "Incorrect `api_key` or `access_token`.", BrokerOutcomeUnknown),
    (400, "OrderException", TIMED_OUT, BrokerOutcomeUnknown),
    (400, "InputException", TIMED_OUT, BrokerOutcomeUnknown),
    (400, "OrderException", "Order could not be placed", BrokerOutcomeUnknown),
    (400, "NetworkException", "Maximum allowed order modifications exceeded.", BrokerOutcomeUnknown),
    (429, "NetworkException", "Too many requests", BrokerOutcomeUnknown),
    (429, "InputException", "Too many requests", BrokerOutcomeUnknown),
    (404, "GeneralException", "Route not found", BrokerOutcomeUnknown),
    (500, "GeneralException", "Something went wrong", BrokerOutcomeUnknown),
    (500, "InputException", "bad", BrokerOutcomeUnknown),
    (502, "NetworkException", "OMS down", BrokerOutcomeUnknown),
    (502, "DataException", "OMS said nothing", BrokerOutcomeUnknown),
    (503, "NetworkException", "Service unavailable", BrokerOutcomeUnknown),
    (504, "NetworkException", "Gateway timeout", BrokerOutcomeUnknown),
    (200, "InputException", "an error under 200", BrokerOutcomeUnknown),
    (400, "__class__", "a kind that is no kind", BrokerOutcomeUnknown),
]


@pytest.mark.parametrize(("status", "kind", "text", "expected"), REFUSALS)
@pytest.mark.parametrize("write", ["place", "modify", "cancel"])
def test_a_refused_write_is_sent_once_and_judged(
    adapter: KiteConnectAdapter,
    kite: KiteRest,
    write: str,
    status: int,
    kind: str,
    text: str,
    expected: type[BrokerError],
) -> None:
    path = ("POST", "/orders/regular") if write == "place" else ("PUT" if write == "modify" else "DELETE",
                                                                 "/orders/regular/77")  # fmt: skip
    kite.say(*path, status, error(kind, text), times=3)
    calls: dict[str, Callable[[], object]] = {
        "place": lambda: adapter.place_order(order()),
        "modify": lambda: adapter.modify_order(change("77")),
        "cancel": lambda: adapter.cancel_order("77", "regular"),
    }
    with pytest.raises(BrokerError) as caught:
        calls[write]()
    assert type(caught.value) is expected
    assert text in caught.value.text
    assert len(kite.seen) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "<html>", "text/html"),
        (200, "not json", "application/json"),
        (200, [], "application/json"),
        (200, {}, "application/json"),
        (200, {"status": "success", "data": None}, "application/json"),
        (200, {"status": "success", "data": {}}, "application/json"),
        (200, {"status": "success", "data": {"order_id": ""}}, "application/json"),
        (200, {"status": "success", "data": {"order_id": "1/2"}}, "application/json"),
        (200, {"status": "success", "data": {"order_id": 1.5}}, "application/json"),
        (200, {"status": "success", "data": ["x"]}, "application/json"),
        (200, "order_id\n1\n", "text/csv"),
        (400, "<html>bad", "text/html"),
        (302, "", "text/html"),
    ],
)
@pytest.mark.parametrize("autoslice", [False, True])
def test_an_unreadable_answer_to_a_write_is_an_unknown_outcome(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, status: int, body: Any, kind: str, autoslice: bool
) -> None:
    kite.say(*PLACE, status, body, kind=kind, headers={"Location": f"{kite.root}/orders/regular"})
    with pytest.raises(BrokerOutcomeUnknown):
        make_adapter(autoslice=autoslice).place_order(order())
    assert len(kite.seen) == 1


def test_a_cut_line_after_the_order_was_taken(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    adapter.profile()  # the line is open, so that it is a kept one that is cut
    kite.say(*PLACE, cut=True, takes=True)
    with pytest.raises(BrokerOutcomeUnknown, match="cut"):
        adapter.place_order(order())
    assert len(kite.sent(*PLACE)) == 1
    assert [row.tag for row in adapter.orders()] == [TAG]


def test_no_answer_in_time(make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest) -> None:
    never = threading.Event()
    kite.say(*PLACE, body={"status": "success", "data": {"order_id": "1"}}, wait=never)
    with pytest.raises(BrokerOutcomeUnknown, match="cut: ReadTimeout"):
        make_adapter(timeout_s=0.1).place_order(order())
    never.set()
    assert len(kite.sent(*PLACE)) == 1


def test_an_answer_that_ends_too_soon(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say(
        *PLACE,
        body={"status": "success", "data": {"order_id": "1"}},
        headers={"Content-Length": "500"},
        drip=lambda: True,
    )
    with pytest.raises(BrokerOutcomeUnknown, match="cut"):
        adapter.place_order(order())
    assert len(kite.sent(*PLACE)) == 1


def test_an_answer_that_never_ends(make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest) -> None:
    kite.say(*PLACE, body=" " * 4000, drip=lambda: True)
    with pytest.raises(BrokerOutcomeUnknown, match="did not end in time"):
        make_adapter(timeout_s=0.1).place_order(order())
    assert len(kite.sent(*PLACE)) == 1


def test_a_server_that_is_not_there_was_provably_not_sent_anything(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest
) -> None:
    adapter = make_adapter(root="http://127.0.0.1:1")
    for call in (
        lambda: adapter.place_order(order()),
        lambda: adapter.modify_order(change("77")),
        lambda: adapter.cancel_order("77", "regular"),
    ):
        with pytest.raises(BrokerUnavailable, match="cannot connect"):
            call()
    assert kite.seen == []


# --- the login --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["no token", "past its end"])
def test_without_a_live_token_nothing_is_sent(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, how: str
) -> None:
    told: list[str] = []
    values: dict[str, Any] = {"token": ""} if how == "no token" else {"expires_at": NOW}
    adapter = make_adapter(**values, on_login_lost=lambda: told.append("lost"))
    for call in (lambda: adapter.place_order(order()), adapter.orders, lambda: adapter.cancel_order("77", "regular")):
        with pytest.raises(BrokerAuthExpired, match="authorize the connection again"):
            call()
    assert (kite.seen, told) == ([], ["lost"])


def test_a_token_works_until_its_end(make_adapter: Callable[..., KiteConnectAdapter]) -> None:
    assert make_adapter(expires_at=NOW + timedelta(seconds=1)).profile().user_id == "AB1234"


def test_a_dead_token_is_told_once(make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest) -> None:
    told: list[str] = []
    adapter = make_adapter(on_login_lost=lambda: told.append("lost"))
    adapter.profile()
    kite.valid_token = "another"
    with pytest.raises(BrokerAuthExpired):
        adapter.orders()
    with pytest.raises(BrokerAuthExpired):
        adapter.place_order(order())
    assert (len(kite.seen), told) == (3, ["lost"])
