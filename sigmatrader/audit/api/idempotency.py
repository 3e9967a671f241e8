"""``@idempotent`` for POST methods of API views that can lead to an order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.db import DatabaseError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from sigmatrader.audit import canonical
from sigmatrader.audit.api.correlation import HEADER as CORRELATION_HEADER
from sigmatrader.audit.api.handler import correlation_of
from sigmatrader.audit.api.problems import Problem, unprocessable
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.idempotency import Claim, Standing, claim, in_progress
from sigmatrader.audit.models import DecisionTrace, IdempotencyRecord, SystemEvent, TraceEvent
from sigmatrader.audit.recording import recording
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

__all__ = ["HEADER", "REPLAYED", "Claim", "idempotent"]

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
SHORTEST, LONGEST = 16, 255
_UNREADABLE = (400, 413, 415, 422)
_EVERY = timedelta(seconds=1)

View = Callable[..., HttpResponseBase]


def idempotent(view: View) -> View:
    """Runs the view once per key, user, path and body; later calls get the stored answer (``Idempotent-Replayed``).

    The view finds its ``Claim`` at ``request.idempotency``: it calls ``commit`` inside the recording block that acts,
    and when ``resumed_subject`` is set it answers from what that earlier run left. A refusal before any commit frees
    the key: wholly when the request could not be understood (400, 413, 415, 422), else for the very same request only.
    A streamed answer is kept by the view itself with ``request.idempotency.store``.
    """

    @wraps(view)
    def wrapper(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = _read_key(request)
        now = timezone.now()
        scope, digest = f"user:{request.user.pk}", request_digest(request)
        found = claim(scope=scope, key=key, digest=digest, now=now)
        if found.claim is None:
            return _refuse_or_replay(found.standing, found.record, request, now=now)
        request.idempotency = found.claim  # type: ignore[attr-defined]
        return _run(view, found.claim, self, request, args, kwargs)

    wrapper.requires_idempotency_key = True  # type: ignore[attr-defined]
    return wrapper


def request_digest(request: Request) -> str:
    """What makes two requests the same: method, path (without its trailing slash) and body."""
    return canonical.digest([str(request.method), request.path.rstrip("/"), request.data or None])


def _run(
    view: View, held: Claim, self: Any, request: Request, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> HttpResponseBase:
    forget = False
    try:
        response = view(self, request, *args, **kwargs)
        if response.status_code < 400:
            _store(held, response, request)
        else:
            forget = response.status_code in _UNREADABLE
        return response
    except APIException as exc:
        forget = exc.status_code in _UNREADABLE
        raise
    finally:
        if not held.is_stored:
            _release(held, forget=forget)


def _store(held: Claim, response: HttpResponseBase, request: Request) -> None:
    correlation_id = held.resumed_correlation_id or correlation_of(request)
    if isinstance(response, Response):
        body = "" if response.data is None else json_text(response.data)
        held.store(status=response.status_code, body=body, correlation_id=correlation_id)
    elif isinstance(response, HttpResponse):
        content_type = response.headers.get("Content-Type", "application/json")
        held.store(
            status=response.status_code, body=response.content.decode(), content_type=content_type,
            correlation_id=correlation_id,
        )  # fmt: skip
    else:
        held.is_stored = True  # a stream: its view keeps the answer when it is whole


def _release(held: Claim, *, forget: bool) -> None:
    """Frees the claim; where the database is gone the lease of 30 s does it."""
    try:
        held.release(forget=forget)
    except DatabaseError as exc:
        log.warning("a claim could not be released: %s", type(exc).__name__)


def _refuse_or_replay(
    standing: Standing, record: IdempotencyRecord, request: Request, *, now: datetime
) -> HttpResponseBase:
    event = {Standing.MISMATCH: "mismatch", Standing.RUNNING: "in_progress", Standing.DONE: "replayed"}[standing]
    _leave_evidence(f"idempotency.{event}", record, request, now=now)
    if standing is Standing.MISMATCH:
        raise unprocessable(
            "IDEMPOTENCY_MISMATCH",
            "This Idempotency-Key was used for another request: use a new key for a new request.",
        )
    if standing is Standing.RUNNING:
        raise in_progress()
    response = HttpResponse(
        record.response_body, status=record.response_status or 200, content_type=record.response_type
    )
    response[REPLAYED] = "true"
    if record.correlation_id:
        response[CORRELATION_HEADER] = record.correlation_id
    return response


def _leave_evidence(type_: str, record: IdempotencyRecord, request: Request, *, now: datetime) -> None:
    """Writes that a twin came. At most one line a second per key: a thousand twins at once are one line.

    Nothing was done, so a database too busy to take the line does not turn the answer into an error.
    """
    data = {"key": canonical.text_digest(record.key)[:16], "path": request.path, "subject": record.subject}
    owner, actor = str(request.user.pk), request.user.get_username()
    try:
        if _was_just_said(type_, record, now=now):
            return
        if record.correlation_id and DecisionTrace.objects.filter(correlation_id=record.correlation_id).exists():
            with recording(now) as recorder:
                recorder.event(record.correlation_id, type_, data)
            return
        record_system_event(
            category=EventCategory.EXECUTION, event_type=type_, level=EventLevel.WARNING, now=now, actor=actor,
            owner=owner, message=f"A request came twice with one Idempotency-Key: {request.path}",
            details={**data, "record": record.pk}, correlation_id=record.correlation_id,
        )  # fmt: skip
    except DatabaseError as exc:
        log.warning("%s was not recorded: %s", type_, type(exc).__name__)


def _was_just_said(type_: str, record: IdempotencyRecord, *, now: datetime) -> bool:
    if record.correlation_id:
        said = TraceEvent.objects.filter(correlation_id=record.correlation_id, type=type_, ts__gt=now - _EVERY)
        if said.exists():
            return True
    recent = SystemEvent.objects.filter(category=EventCategory.EXECUTION.value, event_type=type_, ts__gt=now - _EVERY)
    return recent.filter(details__record=str(record.pk)).exists()


def _read_key(request: Request) -> str:
    key = request.headers.get(HEADER)
    if key is None or key == "":
        raise Problem(
            "IDEMPOTENCY_KEY_REQUIRED",
            f"Send an {HEADER} header of {SHORTEST} to {LONGEST} printable ASCII characters, the same on every retry.",
            status=400,
        )
    if not SHORTEST <= len(key) <= LONGEST or not all(" " <= character <= "~" for character in key):
        raise Problem(
            "IDEMPOTENCY_KEY_INVALID",
            f"{HEADER} must be {SHORTEST} to {LONGEST} printable ASCII characters.",
            status=400,
        )
    return key
