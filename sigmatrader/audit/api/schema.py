"""What the OpenAPI document shares: the problem component and its answers, the filters of lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

MEANINGS = {
    400: "The request cannot be read (BAD_JSON, IDEMPOTENCY_KEY_REQUIRED, IDEMPOTENCY_KEY_INVALID).",
    401: "Not signed in, or the token is not valid.",
    403: "Your role does not allow this, or REAUTH_REQUIRED.",
    404: "There is no such thing, or it is not yours.",
    409: "The state does not allow it now.",
    413: "The body is larger than 256 KB.",
    415: "The body is not application/json.",
    422: "Readable, but it does not mean something allowed; `errors` names the fields.",
    429: "Too many requests; wait as Retry-After says.",
    503: "A part is down: STORAGE_UNAVAILABLE, AUDIT_UNAVAILABLE.",
}
ALWAYS = (401, 403, 503)


class FieldFaultSerializer(serializers.Serializer[Any]):
    """One field at fault."""

    field = serializers.CharField(help_text="Dotted path of the field; empty for the body as a whole.")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An error as application/problem+json (RFC 9457)."""

    type = serializers.CharField(help_text="urn:sigmatrader:problem:<code>")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What was wrong, what is allowed, what to do.")
    code = serializers.CharField()
    correlation_id = serializers.CharField()
    errors = FieldFaultSerializer(many=True, required=False)  # type: ignore[assignment]  # DRF takes it off the class


def problems(*statuses: int, codes: dict[int, str] | None = None) -> dict[Any, Any]:
    """``responses`` for the errors of an endpoint: those given with 401, 403 and 503. ``codes`` adds to a meaning."""
    return {
        (status, "application/problem+json"): OpenApiResponse(
            ProblemSerializer,
            description=" ".join(filter(None, [MEANINGS.get(status, ""), (codes or {}).get(status, "")])),
            examples=[example(status)],
        )
        for status in sorted({*ALWAYS, *statuses})
    }


def query(name: str, description: str, *, enum: Iterable[str] = (), type_: type = str) -> OpenApiParameter:
    """One filter of a list."""
    return OpenApiParameter(name, type_, OpenApiParameter.QUERY, description=description, enum=tuple(enum) or None)


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True,
    description="16 to 255 printable ASCII characters, the same on every retry of one act.",
)  # fmt: skip
PERIOD = (
    query("from", "Earliest time: ISO 8601 with offset, or a date in India."),
    query("to", "Latest time: ISO 8601 with offset, or a date in India."),
)


def example(status: int) -> OpenApiExample:
    """What such an error looks like."""
    code = {401: "NOT_AUTHENTICATED", 404: "NOT_FOUND", 422: "VALIDATION", 503: "STORAGE_UNAVAILABLE"}.get(status)
    code = code or {400: "BAD_JSON", 403: "FORBIDDEN", 409: "BAD_STATE", 429: "RATE_LIMITED"}.get(status, "REFUSED")
    value = {
        "type": f"urn:sigmatrader:problem:{code.lower().replace('_', '-')}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": MEANINGS.get(status, ""),
        "code": code,
        "correlation_id": "01KAQ5Y3M7Q2V9ZB1T4C8N6XWE",
    }
    return OpenApiExample(code, value=value, response_only=True, status_codes=[str(status)])
