"""X-Correlation-ID: taken from the caller where it is free, made otherwise, always returned."""

from __future__ import annotations

from datetime import timedelta

from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from sigmatrader.audit.ids import is_correlation_id, new_correlation_id
from sigmatrader.audit.models import DecisionTrace, IdempotencyRecord
from sigmatrader.audit.vocabulary import RecoveryPoint

HEADER = "X-Correlation-ID"
CLAIM_SCOPE = "correlation"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class CorrelationMiddleware(MiddlewareMixin):
    """Gives every request ``correlation_id`` and ``client_correlation_id`` (asked for, not to be had)."""

    def process_request(self, request: HttpRequest) -> None:
        """Decides the request's id. An id that another action bears never joins that action's trace."""
        asked = request.headers.get(HEADER, "").strip()
        taken = is_correlation_id(asked) and _take(asked, acts=request.method not in _SAFE_METHODS)
        request.correlation_id = asked if taken else new_correlation_id()  # type: ignore[attr-defined]
        request.client_correlation_id = asked if is_correlation_id(asked) and not taken else ""  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Returns the id, unless the view named another (a replayed answer bears the id of the first)."""
        if HEADER not in response and hasattr(request, "correlation_id"):
            response[HEADER] = request.correlation_id
        return response


def _take(asked: str, *, acts: bool) -> bool:
    """Whether the id is free; for a request that may act it is reserved, so that two at once cannot share it."""
    try:
        if DecisionTrace.objects.filter(correlation_id=asked).exists():
            return False
        return _reserve(asked) if acts else True
    except IntegrityError:
        return False
    except DatabaseError:
        return False  # the view will meet the same trouble and tell it; a fresh id is always safe


def _reserve(asked: str) -> bool:
    now = timezone.now()
    with transaction.atomic():
        IdempotencyRecord.objects.create(
            scope=CLAIM_SCOPE,
            key=asked,
            request_digest="",
            recovery_point=RecoveryPoint.STARTED.value,
            claimed_at=now,
            correlation_id=asked,
            expires_at=now + timedelta(days=1),
        )
    return True
