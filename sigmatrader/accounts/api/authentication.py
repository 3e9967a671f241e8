"""Who is asking: a program with its token, or a browser with its session and CSRF token."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from sigmatrader.accounts.models import ApiToken, User
from sigmatrader.accounts.selectors import token_of

SessionAuthentication = authentication.SessionAuthentication


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Token <token>``; ``request.auth`` is the ``ApiToken``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = authentication.get_authorization_header(request).split()
        if not words or words[0].lower() != b"token":
            return None
        if len(words) != 2:
            raise exceptions.AuthenticationFailed("Send the header as: Authorization: Token <token>")
        token = token_of(words[1].decode("latin-1"))
        if token is None:
            raise exceptions.AuthenticationFailed("The token is unknown, revoked, or its user may not sign in.")
        _note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Token"


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - timedelta(minutes=1))
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
