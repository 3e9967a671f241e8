"""The API, written out for people: one page of our own over the generated schema, without scripts or outside assets."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator

_METHODS = ("get", "post", "put", "patch", "delete")


def docs(request: HttpRequest) -> HttpResponse:
    """Every operation: what it takes, what it answers, what it refuses."""
    return render(
        request, "api/docs.html", {"groups": groups(), "components": sorted(_schema()["components"]["schemas"].items())}
    )


def groups() -> dict[str, list[dict[str, Any]]]:
    """The operations by the first part of their path below /api."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, item in sorted(_schema()["paths"].items()):
        for method in _METHODS:
            if method in item:
                group = path.removeprefix("/api/").split("/")[0]
                found[group].append(_operation(path, method, item[method]))
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return dict(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation.get("operationId", ""),
        "method": method.upper(),
        "path": path,
        "text": operation.get("description", ""),
        "parameters": operation.get("parameters", []),
        "body": _name_of(_first(body).get("schema", {})),
        "responses": [_response(status, answer) for status, answer in operation.get("responses", {}).items()],
    }


def _response(status: str, answer: dict[str, Any]) -> dict[str, str]:
    content = _first(answer.get("content", {}))
    return {"status": status, "text": answer.get("description", ""), "schema": _name_of(content.get("schema", {}))}


def _first(content: dict[str, Any]) -> dict[str, Any]:
    return dict(next(iter(content.values()), {}))


def _name_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_name_of(schema.get('items', {}))}"
    return str(schema.get("type", ""))
