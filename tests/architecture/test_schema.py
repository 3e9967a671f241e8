"""The OpenAPI document: whole, without a warning, and true to what the endpoints really answer."""

from __future__ import annotations

import functools
import json
import re
import secrets
from datetime import datetime

import jsonschema
import pytest
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.views import APIView

from execution import poller
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from tests.architecture.test_routes import ROUTES
from tests.execution import api
from tests.execution import conftest as trading
from tests.support.fake_broker import Outcome, stays_open

# fmt: off
PROMISED = {
    "/api/broker/connections": "get post", "/api/broker/connections/{connection_id}": "get patch delete",
    "/api/broker/connections/{connection_id}/authorize": "post",
    "/api/broker/connections/{connection_id}/status": "get",
    "/api/broker/connections/{connection_id}/disconnect": "post",
    "/api/broker/connections/{connection_id}/tools": "get",
    "/api/broker/connections/{connection_id}/tools/{name}": "post",
    "/api/broker/connections/{connection_id}/snapshot": "post",
    "/api/snapshots": "get", "/api/snapshots/{snapshot_id}": "get", "/api/snapshots/{snapshot_id}/diff": "get",
    "/api/portfolio": "get", "/api/instruments": "get", "/api/quotes": "get", "/api/candles": "get",
    "/api/plans": "post", "/api/plans/{plan_id}": "get", "/api/plans/{plan_id}/execute": "post",
    "/api/risk/policy": "get put", "/api/risk/policy/versions": "get", "/api/risk/evaluate": "post",
    "/api/risk/decisions/{decision_id}": "get",
    "/api/orders": "get", "/api/orders/{order_id}": "get", "/api/orders/{order_id}/cancel": "post",
    "/api/orders/{order_id}/modify": "post", "/api/kill-switch": "post",
    "/api/traces": "get", "/api/traces/{correlation_id}": "get", "/api/traces/{correlation_id}/export": "get",
    "/api/traces/{correlation_id}/replay": "post", "/api/audit/events": "get", "/api/audit/verify": "get",
    "/api/reconcile": "post", "/api/reconciliation/runs": "get", "/api/reconciliation/runs/{run_id}": "get",
    "/api/reconciliation/deltas": "get",
    "/api/exceptions": "get", "/api/exceptions/{exception_id}": "get",
    **{f"/api/exceptions/{{exception_id}}/{act}": "post" for act in
       ("acknowledge", "snooze", "resolve", "reopen", "assign", "remediate")},
    "/api/ai/threads": "get post", "/api/ai/threads/{thread_id}": "get delete",
    "/api/ai/threads/{thread_id}/messages": "post", "/api/ai/threads/{thread_id}/stop": "post",
    "/api/ai/cards": "get", "/api/ai/cards/{card_id}": "get", "/api/ai/cards/{card_id}/approve": "post",
    "/api/ai/cards/{card_id}/decline": "post",
}
# fmt: on
broker, clock, connection = trading.broker, trading.clock, trading.connection  # fixtures
METHODS = ("get", "post", "put", "patch", "delete")


@functools.cache
def schema():
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))


def operations():
    return [(path, method, item[method]) for path, item in schema()["paths"].items() for method in item]


class TestDocument:
    def test_is_made_without_a_warning(self):
        GENERATOR_STATS.reset()
        made = SchemaGenerator().get_schema(request=None, public=True)
        assert (dict(GENERATOR_STATS._warn_cache), dict(GENERATOR_STATS._error_cache)) == ({}, {})
        assert made["openapi"].startswith("3.1")
        validate_schema(made)

    @pytest.mark.django_db
    def test_is_what_the_address_serves(self, trader_api):
        served = trader_api.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
        assert served.status_code == 200
        assert served.json()["openapi"].startswith("3.1")
        assert served.json()["paths"].keys() == schema()["paths"].keys()

    def test_every_promised_path_has_its_methods(self):
        found = {path: " ".join(m for m in METHODS if m in schema()["paths"].get(path, ())) for path in PROMISED}
        assert found == PROMISED

    def test_every_view_is_in_it_once(self):
        missing = [
            f"{method} {path}"
            for route, view in ROUTES
            if issubclass(getattr(view, "cls", object), APIView) and not route.endswith("/")
            for path in [template(route)]
            for method in METHODS
            if hasattr(view.cls, method) and method not in schema()["paths"].get(path, ())
        ]
        assert missing == []
        assert [path for path in schema()["paths"] if path.endswith("/")] == []

    def test_names_are_given_by_hand_and_once(self):
        names = [operation["operationId"] for path, _, operation in operations() if path != "/api/schema"]
        assert sorted(names) == sorted(set(names))
        assert [name for name in names if re.search(r"_(retrieve|create_\d|update|destroy|partial_update)", name)] == []
        assert [name for name in schema()["components"]["schemas"] if re.search(r"[0-9a-f]{3}Enum$", name)] == []

    def test_every_answer_has_a_body_that_is_described(self):
        bare = [
            operation["operationId"]
            for path, _, operation in operations()
            for status, answer in operation["responses"].items()
            if status != "204" and path != "/api/schema" and not all(m["schema"] for m in answer["content"].values())
        ]
        assert bare == []

    def test_every_operation_lists_its_problems(self):
        for path, method, operation in operations():
            expected = wanted_problems(path, method) if operation.get("security") else set()
            assert expected <= set(operation["responses"]), operation["operationId"]
            for status in expected:
                body = operation["responses"][status]["content"]["application/problem+json"]
                assert body["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert body["examples"], operation["operationId"]

    def test_only_the_health_endpoints_need_no_user(self):
        open_ = {path for path, _, operation in operations() if not operation.get("security")}
        assert open_ == {"/api/health", "/api/ready"}

    def test_what_needs_a_key_says_so(self):
        posts = {template(route): getattr(getattr(view, "cls", None), "post", None) for route, view in ROUTES}
        needing = {path for path, post_ in posts.items() if getattr(post_, "requires_idempotency_key", False)}
        saying = {
            path
            for path, _, operation in operations()
            if any(p["name"] == "Idempotency-Key" and p.get("required") for p in operation.get("parameters", ()))
        }
        assert saying == {path for path in needing if not path.endswith("/")} != set()

    def test_growing_lists_are_pages(self):
        for path, _, operation in operations():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            reference = answer.get("schema", {}).get("$ref", "")
            assert ({"limit", "cursor"} <= names) == ("/Paginated" in reference), path
        assert answer_schema("get", "/api/snapshots") == {
            "$ref": "#/components/schemas/PaginatedSnapshotSummaryOutputList"
        }

    @pytest.mark.parametrize(
        "path",
        ["/api/plans", "/api/risk/evaluate", "/api/plans/{plan_id}/execute", "/api/ai/cards/{card_id}/approve",
         "/api/ai/threads/{thread_id}/messages", "/api/orders/{order_id}/modify", "/api/kill-switch"],
    )  # fmt: skip
    def test_main_bodies_have_examples_that_fit(self, path):
        body = schema()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert body["examples"]
        for example in body["examples"].values():
            assert faults(body["schema"], example["value"]) == []


@pytest.mark.django_db
class TestAnswers:
    """Every field an endpoint answers is described, and every described field is there."""

    def test_plan_dry_run_and_card(self, trader_api, broker):
        made = post(trader_api, "/api/plans", {"intent": api.INTENT})
        get(trader_api, f"/api/plans/{made['id']}")
        post(trader_api, "/api/risk/evaluate", {"intent": api.INTENT})
        get(trader_api, f"/api/ai/cards/{made['card_id']}")
        get(trader_api, f"/api/risk/decisions/{made['risk']['id']}")
        get(trader_api, "/api/risk/policy")
        get(trader_api, "/api/risk/policy/versions")

    def test_denied_plan(self, trader_api, broker):
        made = post(trader_api, "/api/plans", {"intent": {**api.INTENT, "quantity": 200}})
        assert made["risk"]["alternatives"]

    def test_declined_card(self, trader_api, broker):
        made = post(trader_api, "/api/plans", {"intent": api.INTENT})
        post(trader_api, f"/api/ai/cards/{made['card_id']}/decline", {"reason": "no"})
        assert len(get(trader_api, "/api/ai/cards")["results"]) == 1

    def test_order_from_approval_to_its_cancel(self, trader_api, broker, connection, clock):
        broker.script(Outcome.ACK, statuses=stays_open())
        made = post(trader_api, "/api/plans", {"intent": api.INTENT})
        done = post(trader_api, f"/api/ai/cards/{made['card_id']}/approve", {"content_hash": made["content_hash"]})
        order = done["intents"][0]["id"]
        for _ in range(5):
            clock.shift(1)
            poller.poll_connection(connection.id, now=timezone.now())
        assert get(trader_api, f"/api/orders/{order}")["events"]
        post(trader_api, f"/api/orders/{order}/modify", {"price": "1490.00"})
        assert len(get(trader_api, "/api/orders?limit=1")["results"]) == 1
        assert post(trader_api, f"/api/orders/{order}/cancel", {})["command"]
        for path in ("", "/export"):
            get(trader_api, f"/api/traces/{done['correlation_id']}{path}")
        post(trader_api, f"/api/traces/{done['correlation_id']}/replay", {})

    def test_execute_is_the_same_answer(self, trader_api, broker):
        made = post(trader_api, "/api/plans", {"intent": api.INTENT})
        post(trader_api, f"/api/plans/{made['id']}/execute", {"content_hash": made["content_hash"]})

    def test_kill_switch_with_what_was_cancelled(self, trader_api, broker, connection, clock):
        broker.script(Outcome.ACK, statuses=stays_open())
        made = post(trader_api, "/api/plans", {"intent": api.INTENT})
        post(trader_api, f"/api/plans/{made['id']}/execute", {"content_hash": made["content_hash"]})
        clock.shift(1)
        poller.poll_connection(connection.id, now=timezone.now())
        assert post(trader_api, "/api/kill-switch", {"state": "HALTED", "cancel_open": True})["cancelled"]

    def test_reconciliation_with_differences(self, trader_api, broker, connection, clock):
        post(trader_api, "/api/reconcile", {})
        clock.shift(1)
        broker.script(Outcome.ACK, statuses=stays_open())
        api.placed(trader_api)
        row = broker.orders()[0]
        broker.foreign_orders = [type(row)(**{**fields_of(row), "broker_order_id": "777", "tag": "", "tags": ()})]
        run = post(trader_api, "/api/reconcile", {})
        assert run["deltas"]
        get(trader_api, f"/api/reconciliation/runs/{run['id']}")
        get(trader_api, "/api/reconciliation/runs")
        assert get(trader_api, "/api/reconciliation/deltas")["results"]
        shown = get(trader_api, "/api/exceptions")["results"]
        get(trader_api, f"/api/exceptions/{shown[0]['id']}")
        post(trader_api, f"/api/exceptions/{shown[0]['id']}/acknowledge", {"note": "seen"})

    def test_books(self, trader_api, broker, connection):
        snapshot = post(trader_api, f"/api/broker/connections/{connection.pk}/snapshot", {})
        for path in (
            "/api/broker/connections", f"/api/broker/connections/{connection.pk}", "/api/snapshots",
            f"/api/snapshots/{snapshot['id']}", f"/api/snapshots/{snapshot['id']}/diff?against={snapshot['id']}",
            "/api/portfolio", "/api/instruments?q=INFY", "/api/quotes?symbols=NSE:INFY",
        ):  # fmt: skip
            get(trader_api, path)

    def test_conversation(self, trader_api, broker):
        set_flag(Flag.AI_ASSISTANT_ENABLED, enabled=True, actor="test", now=timezone.now())
        thread = post(trader_api, "/api/ai/threads", {"title": "today"})["id"]
        said = post(trader_api, f"/api/ai/threads/{thread}/messages", {"text": "buy 10 INFY at 1500"})
        assert said["cards"]
        post(trader_api, f"/api/ai/threads/{thread}/messages", {"text": "what do I hold"})
        post(trader_api, f"/api/ai/threads/{thread}/stop", {})
        for path in ("/api/ai/threads", f"/api/ai/threads/{thread}", f"/api/ai/threads/{thread}/events"):
            get(trader_api, path)

    def test_settings_health_and_the_record(self, staff_api):
        for path in ("/api/settings/ai", "/api/health", "/api/audit/verify", "/api/audit/events", "/api/traces"):
            get(staff_api, path)

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("get", "/api/orders/5f0e0f6e-4e57-4b8d-9d5d-000000000000", None, 404),
            ("get", "/api/orders?limit=0", None, 422),
            ("post", "/api/plans", {"intent": {"kind": "order"}}, 422),
            ("post", "/api/plans", {"intent": api.INTENT}, 409),
            ("post", "/api/ai/threads", {"title": 5}, 422),
            ("put", "/api/risk/policy", {"policy": {}}, 403),
        ],
    )
    def test_problems(self, trader_api, method, path, body, status):
        response = getattr(trader_api, method)(path, body, format="json" if body is not None else None)
        assert response.status_code == status, response.content
        check(method, path, response)

    def test_an_undescribed_field_is_found(self, trader_api, broker):
        card = get(trader_api, f"/api/ai/cards/{api.plan(trader_api)['card_id']}")
        wanted = answer_schema("get", "/api/ai/cards/{card_id}")
        assert faults(wanted, card) == []
        assert faults(wanted, {**card, "broker_token": "x"}) != []
        assert faults(wanted, {**card, "state": "maybe"}) != []
        assert faults(wanted, {name: value for name, value in card.items() if name != "risk"}) != []


def template(route):
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def wanted_problems(path, method):
    wanted = {"401", "403", "422", "503"} | ({"404"} if "{" in path else set())
    if method == "get":
        return wanted
    return wanted | {"409", "429"} | ({"400", "413", "415"} if method != "delete" else set())


def get(client, path):
    response = client.get(path)
    assert response.status_code == 200, response.content
    return check("get", path, response)


def post(client, path, body):
    response = client.post(path, body, format="json", headers={"Idempotency-Key": secrets.token_hex(16)})
    assert response.status_code in (200, 201, 202), response.content
    return check("post", path, response)


def check(method, path, response):
    """The body, after it was held against the description of exactly this answer."""
    content_type = response.headers["Content-Type"].split(";")[0]
    found = faults(answer_schema(method, path_of(path), response.status_code, content_type), response.json())
    assert found == []
    return response.json()


def path_of(address):
    """The described path that matches an address."""
    plain = address.split("?")[0].rstrip("/")
    fitting = [path for path in schema()["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), plain)]
    assert len(fitting) == 1, (plain, fitting)
    return fitting[0]


def answer_schema(method, path, status=200, content_type="application/json"):
    return schema()["paths"][path][method]["responses"][str(status)]["content"][content_type]["schema"]


@functools.cache
def strict_components():
    """The components, with no field allowed that is not described."""
    components = json.loads(json.dumps(schema()["components"]))
    for component in components["schemas"].values():
        if "properties" in component and "additionalProperties" not in component:
            component["additionalProperties"] = False
    return components


FORMATS = jsonschema.FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_time_with_offset(value):
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def faults(wanted, body):
    whole = {**wanted, "components": strict_components()}
    found = jsonschema.Draft202012Validator(whole, format_checker=FORMATS).iter_errors(body)
    return [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message[:300]}" for fault in found]


def fields_of(row):
    return {name: getattr(row, name) for name in type(row).__dataclass_fields__}
