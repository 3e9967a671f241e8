"""What Kite Connect calls: a browser that comes back from the login, and postbacks of orders.

Both are open to the outside and prove themselves: the way back by its signed state and the session of the user it was
made for, a postback by its checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from broker import connect, hints
from sigmatrader.accounts import rate
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.handler import correlation_of, render_problem
from sigmatrader.audit.api.parsers import parse_json
from sigmatrader.audit.api.problems import Problem

SETTINGS_PAGE = "/settings?tab=ai"
MAX_POSTBACK = 16 * 1024
TRIES, TRIES_WINDOW_S = 20, 300


@login_not_required  # it decides itself, so that no sign-in address ever carries Kite's token
def login_return(request: HttpRequest) -> HttpResponse:
    """The browser comes back from Kite; it goes on to the settings, which say what came of it."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return _onward("/sign-in")
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    try:
        _finish(request, user)
    except Problem as problem:
        return _onward(f"{SETTINGS_PAGE}&login={problem.code}")
    return _onward(f"{SETTINGS_PAGE}&login={connect.LOGIN_DONE}")


@csrf_exempt  # no browser sends it: its checksum is its proof
@login_not_required
def postback(request: HttpRequest, connection_id: UUID) -> HttpResponse:
    """An order of this connection moved, says Kite. It is believed only as far as to look at once."""
    if not _is_signed(request, connection_id):
        return render_problem(
            Problem("FORBIDDEN", "This is not a postback of this connection.", status=403),
            correlation_id=correlation_of(request),
        )
    hints.tell(connection_id)
    return JsonResponse({"received": True})


def _finish(request: HttpRequest, user: User) -> None:
    """Raises Problem as ``finish_login`` does."""
    now = timezone.now()
    rate.hit(f"kite-connect-return:{user.pk}", limit=TRIES, window_s=TRIES_WINDOW_S, now=now)
    if not user.is_trader:
        raise Problem("FORBIDDEN", connect.login_text("FORBIDDEN"), status=403)
    if request.GET.get("status", "success") != "success":
        raise Problem("LOGIN_CANCELLED", connect.login_text("LOGIN_CANCELLED"), status=409)
    connect.finish_login(
        user,
        state=request.GET.get("state", ""),
        request_token=request.GET.get("request_token", ""),
        now=now,
        correlation_id=correlation_of(request),
    )


def _is_signed(request: HttpRequest, connection_id: UUID) -> bool:
    body = _small_body(request) if request.method == "POST" else None
    if body is None:
        return False
    try:
        document = parse_json(body)
    except Problem:
        return False
    if not isinstance(document, Mapping):
        return False
    order_id, timestamp, checksum = (document.get(name) for name in ("order_id", "order_timestamp", "checksum"))
    if not isinstance(order_id, str) or not isinstance(timestamp, str) or not isinstance(checksum, str):
        return False
    return connect.is_postback(connection_id, order_id=order_id, order_timestamp=timestamp, checksum=checksum)


def _small_body(request: HttpRequest) -> bytes | None:
    """The body, or None for one above the cap, of which no more than the cap is read."""
    body = request.read(MAX_POSTBACK + 1)
    return body if len(body) <= MAX_POSTBACK else None


def _onward(address: str) -> HttpResponse:
    response = redirect(address)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address here bears Kite's token
    return response
