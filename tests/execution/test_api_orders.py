"""``/api/orders``: one list of ours and of those placed elsewhere, each with its history."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from execution import poller, reconciler
from execution.models import Order
from tests.execution.api import CARD_FIELDS, ORDER_FIELDS, key, placed, problem, utcnow
from tests.support.fake_broker import Outcome, stays_open

pytestmark = pytest.mark.django_db


@pytest.fixture
def resting(trader_api, connection, broker, clock):
    """One of ours and one made elsewhere, both working."""
    broker.script(Outcome.ACK, statuses=stays_open())
    order = placed(trader_api)
    for _ in range(5):
        clock.shift(timedelta(seconds=1))
        poller.poll_connection(connection.id, now=utcnow())
    broker.foreign_orders = [
        replace(broker.orders()[0], broker_order_id="777", symbol="NSE:TCS", tag="", tags=(), status="OPEN")
    ]
    clock.shift(timedelta(seconds=1))
    poller.poll_connection(connection.id, now=utcnow())
    return order


class TestList:
    def test_ours_and_others_newest_first_with_every_field(self, trader_api, resting):
        page = trader_api.get("/api/orders").json()
        assert set(page) == {"next", "previous", "results"}
        external, own = page["results"]
        assert set(own) >= ORDER_FIELDS
        assert set(external) >= ORDER_FIELDS
        assert (own["id"], own["origin"], own["state"], own["broker_status"]) == (
            resting["id"], "ticket", "WORKING", "OPEN",
        )  # fmt: skip
        assert (external["origin"], external["state"], external["symbol"]) == ("external", "WORKING", "NSE:TCS")
        assert external["intent_id"] is None
        assert external["correlation_id"] is None

    @pytest.mark.parametrize(
        ("query", "symbols"),
        [
            ("state=WORKING", ["NSE:TCS", "NSE:INFY"]),
            ("state=FILLED", []),
            ("origin=external", ["NSE:TCS"]),
            ("origin=ticket", ["NSE:INFY"]),
            ("origin=assistant", []),
            ("symbol=NSE:TCS", ["NSE:TCS"]),
            ("from=2026-11-23T06:00:00Z&to=2026-11-23T06:00:01Z", ["NSE:INFY"]),
            ("from=2026-11-24T06:00:00Z", []),
        ],
    )
    def test_filters(self, trader_api, resting, query, symbols):
        assert [row["symbol"] for row in trader_api.get(f"/api/orders?{query}").json()["results"]] == symbols

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("limit=0", "BAD_PAGE"),
            ("cursor=x", "BAD_PAGE"),
            ("from=yesterday", "BAD_RANGE"),
            ("from=2026-11-23T06:00:00", "BAD_RANGE"),
            ("from=2026-11-24T06:00:00Z&to=2026-11-23T06:00:00Z", "BAD_RANGE"),
        ],
    )
    def test_bad_filters(self, trader_api, broker, query, code):
        problem(trader_api.get(f"/api/orders?{query}"), 422, code)

    def test_pages_walk_over_both_kinds_without_gap_or_repeat(self, trader_api, resting, broker, connection, clock):
        row = broker.foreign_orders[0]
        for n in range(4):
            broker.foreign_orders.append(replace(row, broker_order_id=f"80{n}"))
            clock.shift(timedelta(seconds=1))
            poller.poll_connection(connection.id, now=utcnow())
        everything = [found["id"] for found in trader_api.get("/api/orders").json()["results"]]
        walked, url = [], "/api/orders?limit=2"
        while url:
            page = trader_api.get(url).json()
            walked += [found["id"] for found in page["results"]]
            url = page["next"]
        assert walked == everything
        assert len(set(walked)) == 6

    def test_another_users_orders_are_not_there(self, api_for, other_trader, resting):
        other = api_for(other_trader)
        assert other.get("/api/orders").json()["results"] == []
        problem(other.get(f"/api/orders/{resting['id']}"), 404, "NOT_FOUND")


class TestOne:
    def test_history_is_complete_and_in_order(self, trader_api, resting):
        body = trader_api.get(f"/api/orders/{resting['id']}/").json()
        events = body["events"]
        assert all(set(event) == {"ts", "event", "from", "to", "detail"} for event in events)
        names = [event["event"] for event in events]
        assert names[:3] == ["order.prepared", "send.started", "order.acked"]
        assert names[-1] == "status.change"
        assert (events[1]["from"], events[1]["to"]) == ("PREPARED", "SENDING")
        assert events[-1]["to"] == "WORKING"
        assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)

    def test_external_order_has_its_row(self, trader_api, resting):
        row = Order.objects.get(broker_order_id="777")
        body = trader_api.get(f"/api/orders/{row.id}").json()
        assert set(body) >= ORDER_FIELDS | {"events"}
        assert [event["event"] for event in body["events"]] == ["external.seen"]

    def test_unknown(self, trader_api, broker):
        problem(trader_api.get(f"/api/orders/{uuid.uuid4()}"), 404, "NOT_FOUND")


class TestPermissions:
    @pytest.mark.parametrize("act", ["cancel", "modify"])
    def test_others_may_not_change_it(self, api_for, other_trader, viewer, anonymous_api, resting, broker, act):
        before = len(broker.sent)
        path, body = f"/api/orders/{resting['id']}/{act}", {"price": "1400"} if act == "modify" else {}
        problem(api_for(other_trader).post(path, body, format="json", **key()), 404, "NOT_FOUND")
        problem(api_for(viewer).post(path, body, format="json", **key()), 403, "FORBIDDEN")
        assert anonymous_api.post(path, body, format="json", **key()).status_code == 401
        assert len(broker.sent) == before

    @pytest.mark.parametrize("act", ["cancel", "modify"])
    def test_key_is_required(self, trader_api, resting, broker, act):
        response = trader_api.post(f"/api/orders/{resting['id']}/{act}", {}, format="json")
        problem(response, 400, "IDEMPOTENCY_KEY_REQUIRED")
        assert len(broker.sent) == 1

    def test_viewer_reads(self, viewer_api, broker):
        assert viewer_api.get("/api/orders").json()["results"] == []


class TestModifyInput:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"prize": "1"}, "UNKNOWN_FIELD"),
            ({"state": "CANCELLED"}, "UNKNOWN_FIELD"),
            ({"quantity": "5"}, "BAD_TYPE"),
            ({"quantity": 0}, "VALIDATION"),
            ({"quantity": -3}, "VALIDATION"),
            ({"order_type": "limit"}, "VALIDATION"),
            ({}, "NOTHING_CHANGES"),
            ({"price": "1500"}, "NOTHING_CHANGES"),
        ],
    )
    def test_bad_changes_send_nothing(self, trader_api, resting, broker, body, code):
        response = trader_api.post(f"/api/orders/{resting['id']}/modify", body, format="json", **key())
        problem(response, 422, code)
        assert len(broker.sent) == 1

    def test_modify_makes_a_card(self, trader_api, resting, broker):
        body = {"price": "1490"}
        response = trader_api.post(f"/api/orders/{resting['id']}/modify", body, format="json", **key())
        assert response.status_code == 201
        card = response.json()
        assert set(card) >= CARD_FIELDS
        (leg,) = card["plan"]["legs"]
        assert (leg["action"], leg["limit_price"], leg["quantity"], leg["target"]) == (
            "modify", "1490", 10, resting["id"],
        )  # fmt: skip
        assert len(broker.sent) == 1


def test_taken_over_orders_are_shown_and_never_touched(trader_api, connection, broker, clock):
    """What was in the book before us is listed; nothing of ours changes it."""
    broker.script(Outcome.ACK, statuses=stays_open())
    from broker.domain import OrderType, PlaceOrder, Product, Side, Validity, Variety

    broker.place_order(
        PlaceOrder(symbol="NSE:ITC", side=Side.BUY, quantity=1, order_type=OrderType.LIMIT, product=Product.CNC,
                   validity=Validity.DAY, variety=Variety.REGULAR, tag="", limit_price=None, trigger_price=None)
    )  # fmt: skip
    broker.run_to_end()
    reconciler.reconcile(connection, trigger="test", correlation_id="", now=utcnow())
    (shown,) = trader_api.get("/api/orders").json()["results"]
    assert (shown["symbol"], shown["origin"], shown["state"]) == ("NSE:ITC", "external", "WORKING")
    sent = len(broker.sent)
    for act, body in (("cancel", {}), ("modify", {"price": "400"})):
        response = trader_api.post(f"/api/orders/{shown['id']}/{act}", body, format="json", **key())
        assert 400 <= response.status_code < 500
        assert response.json()["code"] == "ORDER_NOT_FOUND"
    assert len(broker.sent) == sent
