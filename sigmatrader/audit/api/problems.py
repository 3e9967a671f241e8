"""Errors as they leave the API: problem+json (RFC 9457), each with a code a program can act on and a sentence a person
can. Raise a ``Problem`` anywhere below a view; the handler gives it its form. No stack trace, SQL or raw upstream text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rest_framework.exceptions import APIException


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field at fault: its dotted path, a code, and what is allowed."""

    field: str
    code: str
    message: str


class Problem(APIException):
    """A refusal with its HTTP status, its ``code`` (upper case) and a ``detail``: what was wrong, what is allowed."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int,
        errors: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.text = detail
        self.status_code = status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def not_found(what: str) -> Problem:
    """404, also for another user's object: that it exists is not told."""
    return Problem("NOT_FOUND", f"There is no such {what}.", status=404)


def conflict(code: str, detail: str, **extra: object) -> Problem:
    """409: the state does not allow it now."""
    return Problem(code, detail, status=409, extra=extra)


def unprocessable(code: str, detail: str, errors: Sequence[FieldFault] = ()) -> Problem:
    """422: readable, but it does not mean something allowed."""
    return Problem(code, detail, status=422, errors=errors)
