"""The generated OpenAPI document and the page made of it."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(viewer_api):
    return json.loads(viewer_api.get("/api/schema/?format=json").content)


def test_is_openapi_3_1(schema):
    assert schema["openapi"] == "3.1.0"


def test_lists_each_path_once(schema):
    assert "/api/settings/ai" in schema["paths"]
    assert [path for path in schema["paths"] if path.endswith("/")] == []


def test_every_guarded_operation_says_its_problems(schema):
    operation = schema["paths"]["/api/settings/ai"]["put"]
    answer = operation["responses"]["409"]["content"]["application/problem+json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "correlation_id" in schema["components"]["schemas"]["Problem"]["required"]


def test_says_how_one_signs_in(schema):
    schemes = schema["components"]["securitySchemes"]
    assert {scheme["in"] for scheme in schemes.values()} == {"header", "cookie"}


def test_the_page_needs_no_script_and_no_other_site(trader_client):
    answer = trader_client.get("/api/docs")
    text = answer.content.decode()
    main = text[text.index("<main") : text.index("</main>")]
    assert answer.status_code == 200
    assert "/api/settings/ai" in main
    assert "<script" not in main
    assert "http://" not in main
