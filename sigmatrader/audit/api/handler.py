"""The last stop of every API error: whatever was raised leaves as problem+json, with no trace, SQL or upstream text."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.chain import AuditUnavailable

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


def problem_response(exc: Exception, context: Mapping[str, object]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER. An unforeseen error is logged in full here and told as 500 INTERNAL only.

    There is no rollback to ask for: no request runs inside one transaction (FAULTS 0.2).
    """
    request = context.get("request")
    return render_problem(problem_of(exc), correlation_id=correlation_of(request))


def problem_of(exc: Exception) -> Problem:
    """The Problem that tells ``exc`` to the outside."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, AuditUnavailable):
        log.error("the audit chain could not be written", exc_info=exc)
        return Problem(
            "AUDIT_UNAVAILABLE",
            "The audit record could not be written, so nothing was done. Run audit_verify, then try again.",
            status=503,
            headers={"Retry-After": "5"},
            extra={"part": "audit"},
        )
    if isinstance(exc, OperationalError | InterfaceError):
        log.error("the database is unavailable", exc_info=exc)
        return Problem(
            "STORAGE_UNAVAILABLE",
            "The database does not answer or cannot be written. Nothing was sent; try again in a moment.",
            status=503,
            headers={"Retry-After": "2"},
            extra={"part": "database"},
        )
    return _framework_problem(exc) or _unforeseen(exc)


def render_problem(problem: Problem, *, correlation_id: str) -> HttpResponse:
    """``problem`` as an HTTP answer of its own; usable outside DRF too (404, 403 and 500 pages below /api)."""
    body: dict[str, object] = {
        "type": f"urn:sigmatrader:problem:{problem.code.lower().replace('_', '-')}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status_code,
        "detail": problem.text,
        "code": problem.code,
        "correlation_id": correlation_id,
        **problem.extra,
    }
    if problem.errors:
        body["errors"] = [{"field": f.field, "code": f.code, "message": f.message} for f in problem.errors]
    response = HttpResponse(json_text(body), status=problem.status_code, content_type=CONTENT_TYPE)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def correlation_of(request: object) -> str:
    """The request's correlation id, also through DRF's wrapper; empty where the middleware has not run."""
    inner = getattr(request, "_request", request)
    return str(getattr(inner, "correlation_id", ""))


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """For paths below /api that do not exist."""
    return render_problem(
        Problem("NOT_FOUND", f"There is nothing at {request.path}. The endpoints are listed at /api/docs.", status=404),
        correlation_id=correlation_of(request),
    )


def handler500(request: HttpRequest) -> HttpResponse:
    """For errors below /api that no view caught; Django has logged them."""
    return render_problem(_internal(), correlation_id=correlation_of(request))


def _framework_problem(exc: Exception) -> Problem | None:
    if isinstance(exc, Http404):
        return Problem("NOT_FOUND", "There is no such thing, or it is not yours.", status=404)
    if isinstance(exc, RequestDataTooBig):
        return Problem("BODY_TOO_LARGE", "The body is larger than the allowed 256 KB.", status=413)
    if isinstance(exc, SuspiciousOperation):
        return Problem("BAD_REQUEST", "The request could not be read.", status=400)
    if isinstance(exc, DjangoPermissionDenied):
        return Problem("FORBIDDEN", "Your role does not allow this.", status=403)
    if isinstance(exc, exceptions.APIException):
        return _drf_problem(exc)
    return None


_WORDS = {
    exceptions.NotAuthenticated: ("NOT_AUTHENTICATED", "Sign in, or send Authorization: Token <token>."),
    exceptions.AuthenticationFailed: ("AUTHENTICATION_FAILED", "These credentials are not valid, or no longer."),
    exceptions.PermissionDenied: ("FORBIDDEN", "Your role does not allow this."),
    exceptions.NotFound: ("NOT_FOUND", "There is no such thing, or it is not yours."),
    exceptions.ParseError: ("BAD_JSON", "The body is not readable JSON."),
    exceptions.UnsupportedMediaType: ("UNSUPPORTED_MEDIA_TYPE", "Send the body as Content-Type: application/json."),
    exceptions.NotAcceptable: ("NOT_ACCEPTABLE", "The answer is application/json: accept that."),
    exceptions.Throttled: ("RATE_LIMITED", "Too many requests; wait as Retry-After says."),
}


def _drf_problem(exc: exceptions.APIException) -> Problem:
    headers: dict[str, str] = {}
    if getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = str(getattr(exc, "auth_header"))  # noqa: B009  # DRF sets it on the instance
    if isinstance(exc, exceptions.MethodNotAllowed):
        return Problem("METHOD_NOT_ALLOWED", str(exc.detail), status=405, headers=headers)
    if isinstance(exc, exceptions.Throttled):
        headers["Retry-After"] = str(int(getattr(exc, "wait", None) or 0) + 1)
    if isinstance(exc, exceptions.PermissionDenied) and str(exc.detail).startswith("CSRF"):
        return Problem(
            "CSRF_FAILED", "The page is too old or the X-CSRFToken header is missing: reload it.", status=403
        )
    for kind, (code, detail) in _WORDS.items():
        if isinstance(exc, kind):
            return Problem(code, detail, status=exc.status_code, headers=headers)
    if isinstance(exc, exceptions.ValidationError):
        return Problem("VALIDATION", json.dumps(exc.detail, default=str), status=422, headers=headers)
    return Problem("REFUSED", HTTPStatus(exc.status_code).phrase, status=exc.status_code, headers=headers)


def _unforeseen(exc: Exception) -> Problem:
    log.error("unforeseen error in an API view", exc_info=exc)
    return _internal()


def _internal() -> Problem:
    return Problem(
        "INTERNAL", "Something went wrong on our side; it has been logged under this correlation id.", status=500
    )
