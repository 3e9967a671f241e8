"""Headers that every answer carries, and the end of sessions that lasted too long or stood still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from sigmatrader.accounts.sessions import SEEN_AT, SIGNED_IN_AT, is_over, moment

GetResponse = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "microphone", "usb")
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeadersMiddleware:
    """One policy for every path, the admin included; nothing a person sees is kept by a cache on the way.

    A view may name a stricter header of its own (the sign-in link sends no referrer at all); it is left as it is.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if self.is_async:
            return self.__acall__(request)  # type: ignore[return-value]  # awaited by the handler
        return _with_headers(request, self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self.get_response(request)  # type: ignore[misc]  # async when is_async
        return _with_headers(request, response)


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith(str(settings.STATIC_URL)):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


class SessionLifetimeMiddleware:
    """Ends a session 12 hours after sign-in or after the idle limit, whichever comes first (settings SESSION_*)."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if self.is_async:
            return self.__acall__(request)  # type: ignore[return-value]  # awaited by the handler
        _age_session(request)
        return self.get_response(request)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        await sync_to_async(_age_session)(request)
        return await self.get_response(request)  # type: ignore[misc, no-any-return]  # async when is_async


def _age_session(request: HttpRequest) -> None:
    session = request.session
    if SIGNED_IN_AT not in session:
        return
    now = timezone.now()
    if is_over(session, now=now):
        logout(request)
    elif (seen := moment(session, SEEN_AT)) is None or now - seen > timedelta(minutes=5):
        session[SEEN_AT] = now.isoformat()  # written every few minutes, not on every poll of a page
