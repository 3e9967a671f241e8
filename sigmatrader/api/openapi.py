"""What the generated OpenAPI document cannot know by itself: how one signs in, what errors and pages are like."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.schema import ALWAYS, MEANINGS, example

_BODY = (400, 413, 415)
_WRITES = (409, 422, 429)
_TRACE_PARTS = {
    "plan": "Plan", "decision": "Decision", "orders": "Order", "commands": "Command", "reconciliation": "Run",
}  # fmt: skip


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped base
    """``Authorization: Token <token>``."""

    target_class = "sigmatrader.accounts.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>`; make one with `manage.py api_token USER`.",
        }


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A post-processing hook: every operation that needs a user says which errors it answers, all of one shape."""
    for path, item in result.get("paths", {}).items():
        for method, operation in item.items():
            if isinstance(operation, dict) and operation.get("security"):
                _add(operation, path=path, method=method)
    return result


def _add(operation: dict[str, Any], *, path: str, method: str) -> None:
    found = [*ALWAYS, *((404,) if "{" in path else ()), *(_BODY if method in ("post", "put", "patch") else ())]
    found += (422,) if method == "get" else _WRITES
    for status in found:
        operation["responses"].setdefault(str(status), _problem(status))
    operation["responses"] = dict(sorted(operation["responses"].items()))


def add_pages(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A post-processing hook: what answers a page takes ``limit`` and ``cursor``."""
    parameters = KeysetPagination().get_schema_operation_parameters(None)
    for item in result.get("paths", {}).values():
        if "get" in item and "/Paginated" in str(item["get"]["responses"].get("200")):
            item["get"].setdefault("parameters", []).extend(parameters)
    return result


def name_trace_parts(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A post-processing hook: the parts of a trace that other apps fill bear those apps' components."""
    properties = result["components"]["schemas"]["TraceOut"]["properties"]
    for name, component in _TRACE_PARTS.items():
        reference = {"$ref": f"#/components/schemas/{component}"}
        many = properties[name].get("type") == "array"
        properties[name] = {"type": "array", "items": reference} if many else {"oneOf": [reference, {"type": "null"}]}
    return result


def _problem(status: int) -> dict[str, Any]:
    shown = example(status)
    return {
        "description": MEANINGS[status],
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {shown.name: {"value": shown.value}},
            }
        },
    }


def without_slash_twins(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A pre-processing hook: of a path that answers with and without its slash, only the form without is listed."""
    paths = {path for path, *_ in endpoints}
    return [entry for entry in endpoints if not (entry[0].endswith("/") and entry[0].rstrip("/") in paths)]
