"""Postbacks: signed ones are a hint, everything else is a closed door that says nothing."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from broker import hints
from broker.models import BrokerConnection
from tests.broker.connect.double import API_SECRET, KiteRest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_routes")]
ORDER_ID, STAMP = "261123000000001", "2026-11-23 10:15:01"


@pytest.fixture
def _routes(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.broker.connect.urls"


@pytest.fixture
def told() -> Iterator[list[UUID]]:
    found: list[UUID] = []
    hints.register(found.append)
    yield found
    hints.forget(found.append)


def signed(secret: str = API_SECRET, **values: Any) -> dict[str, Any]:
    checksum = hashlib.sha256(f"{ORDER_ID}{STAMP}{secret}".encode()).hexdigest()
    return {"user_id": "AB1234", "unfilled_quantity": 0, "app_id": 1, "order_id": ORDER_ID, "order_timestamp": STAMP,
            "status": "COMPLETE", "filled_quantity": 3, "checksum": checksum, **values}  # fmt: skip


def post(connection_id: object, body: object, **how: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    usual = {"content_type": "application/json", **how}
    return Client(enforce_csrf_checks=True).post(f"/api/broker/connections/{connection_id}/postback", text, **usual)


def test_a_signed_postback_is_told(kite_connection: BrokerConnection, told: list[UUID], kite: KiteRest) -> None:
    answer = post(kite_connection.pk, signed())
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert told == [kite_connection.pk]
    assert kite.seen == []
    kite_connection.refresh_from_db()
    assert kite_connection.epoch == 0


def test_a_duplicate_is_harmless_and_any_content_type_is_read(
    kite_connection: BrokerConnection, told: list[UUID]
) -> None:
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        assert post(kite_connection.pk, signed(), content_type=kind).status_code == 200
    assert told == [kite_connection.pk] * 3


@pytest.mark.parametrize(
    "body",
    [
        signed("another-secret"), signed(""), signed(order_id="261123000000002"), signed(order_timestamp=STAMP[:-1]),
        signed(checksum=""), signed(checksum=None), signed(checksum="A" * 64), signed(checksum="é" * 64),
        signed(order_id=1), signed(order_timestamp=None), {}, [], "", "{", b"\xff", "null", "[" * 5000,
        {**signed(), "pad": "x" * 17_000},
    ],
)  # fmt: skip
def test_anything_else_is_a_closed_door(kite_connection: BrokerConnection, told: list[UUID], body: object) -> None:
    answer = post(kite_connection.pk, body)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert answer.json()["detail"] == "This is not a postback of this connection."
    assert told == []


def test_an_unknown_connection_is_the_same_door(connection: BrokerConnection, told: list[UUID]) -> None:
    for connection_id in (uuid.uuid4(), connection.pk):
        assert post(connection_id, signed("")).status_code == 403
    assert told == []


def test_a_connection_without_a_secret_takes_none(kite_connection: BrokerConnection, told: list[UUID]) -> None:
    kite_connection.api_secret = ""
    kite_connection.save()
    assert post(kite_connection.pk, signed("")).status_code == 403
    assert told == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_a_post_is_one(kite_connection: BrokerConnection, told: list[UUID], method: str) -> None:
    path = f"/api/broker/connections/{kite_connection.pk}/postback"
    answer = Client().generic(method, path, data=json.dumps(signed()), content_type="application/json")
    assert (answer.status_code, told) == (403, [])


def test_a_hint_is_registered_once_and_taken_back() -> None:
    found: list[UUID] = []
    tell = hints.register(found.append)
    hints.register(tell)
    name = uuid.uuid4()
    hints.tell(name)
    hints.forget(tell)
    hints.forget(tell)
    hints.tell(name)
    assert found == [name]
