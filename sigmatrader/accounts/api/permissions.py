"""Who may do it: everyone signed in reads, traders act, staff writes settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from sigmatrader.accounts.models import User
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

if TYPE_CHECKING:
    from rest_framework.views import APIView  # at run time it imports this module


class RolePermission(BasePermission):
    """The default of every endpoint. A view widens or narrows its unsafe methods by one attribute:

    ``staff_writes = True`` asks for staff, ``viewer_writes = True`` for anyone signed in; without one it is traders.
    """

    message = "Your role does not allow this: ask a trader or a member of staff."

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not isinstance(user, User) or not user.is_active:
            return False
        if request.method in SAFE_METHODS or _may_write(user, view):
            return True
        _note_denial(user, request)
        return False


def _may_write(user: User, view: APIView) -> bool:
    if getattr(view, "viewer_writes", False):
        return True
    return user.is_staff if getattr(view, "staff_writes", False) else user.is_trader


def _note_denial(user: User, request: Request) -> None:
    record_system_event(
        category=EventCategory.SECURITY,
        event_type="ACCESS_DENIED",
        message=f"{request.method} {request.path} needs another role.",
        now=timezone.now(),
        level=EventLevel.WARNING,
        actor=user.get_username(),
        owner=str(user.pk),
        correlation_id=getattr(request, "correlation_id", ""),
    )
