"""Who looks at a page: the signed-in user as our own model."""

from __future__ import annotations

from django.http import Http404, HttpRequest

from sigmatrader.accounts.models import User


def user_of(request: HttpRequest) -> User:
    """The signed-in user; the sign-in middleware has let nobody else through."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def unchanged(request: HttpRequest, mark: str) -> bool:
    """Whether a polling fragment already shows the state that ``mark`` names."""
    return bool(getattr(request, "htmx", False)) and request.GET.get("seen") == mark
