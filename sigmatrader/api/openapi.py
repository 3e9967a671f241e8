"""What the generated OpenAPI document cannot know by itself: how one signs in, and that errors are problem+json."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "correlation_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:sigmatrader:problem:card-stale"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong, what is allowed, what to do."},
        "code": {"type": "string", "examples": ["CARD_STALE"]},
        "correlation_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}
_ALWAYS = ("401", "403")
_WRITES = ("400", "409", "413", "415", "422", "429", "503")
_WORDS = {
    "400": "It could not be read.", "401": "Sign in or send a token.", "403": "Not allowed to this user.",
    "404": "There is no such thing, or it is another user's.", "409": "The state does not allow it now.",
    "413": "Larger than 256 KB.", "415": "Not application/json.", "422": "Readable, but it means nothing allowed.",
    "429": "Too often; Retry-After says when to come back.", "503": "A part is down; the code says which.",
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
    """A post-processing hook: every operation says which errors it answers, all of one shape."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, item in result.get("paths", {}).items():
        for method, operation in item.items():
            if isinstance(operation, dict) and operation.get("security") != []:
                _add(operation, path=path, writes=method in ("post", "put", "patch", "delete"))
    return result


def _add(operation: dict[str, Any], *, path: str, writes: bool) -> None:
    statuses = (*_ALWAYS, *(("404",) if "{" in path else ()), *(_WRITES if writes else ("422",)))
    for status in statuses:
        operation["responses"].setdefault(
            status,
            {
                "description": _WORDS[status],
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )


def without_slash_twins(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """A pre-processing hook: of a path that answers with and without its slash, only the form without is listed."""
    paths = {path for path, *_ in endpoints}
    return [entry for entry in endpoints if not (entry[0].endswith("/") and entry[0].rstrip("/") in paths)]
