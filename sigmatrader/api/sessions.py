"""Proving once more who one is, for what needs it."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sigmatrader.accounts import rate, sessions
from sigmatrader.accounts.models import ApiToken, User
from sigmatrader.accounts.services import note_security, redeem_sign_in_link
from sigmatrader.audit.api.problems import Problem, unprocessable
from sigmatrader.audit.api.serializers import StrictSerializer
from sigmatrader.audit.vocabulary import EventLevel


class ReauthenticateSerializer(StrictSerializer):
    """A password, or the last part of a fresh single-use link."""

    password = serializers.CharField(required=False, max_length=1000, trim_whitespace=False)
    link = serializers.CharField(required=False, max_length=200)


class ReauthenticatedSerializer(serializers.Serializer[dict[str, object]]):
    reauthenticated_until = serializers.DateTimeField()


class ReauthenticateView(APIView):
    """Opens, for this browser session and five minutes, what needs a recent proof of identity."""

    viewer_writes = True

    @extend_schema(request=ReauthenticateSerializer, responses=ReauthenticatedSerializer, operation_id="reauthenticate")
    def post(self, request: Request) -> Response:
        now = timezone.now()
        if isinstance(request.auth, ApiToken) or not isinstance(request.user, User):
            raise Problem(
                "SESSION_REQUIRED", "Only a browser session can be re-authenticated, not a token.", status=403
            )
        values = ReauthenticateSerializer.parsed(request.data)
        if len(values) != 1:
            raise unprocessable("VALIDATION", "Send either password or link.")
        rate.hit(f"reauthenticate:{request.user.pk}", limit=10, window_s=300, now=now)
        if not _proves(request.user, values):
            note_security(
                "REAUTHENTICATION_FAILED", "A proof of identity failed.",
                user=request.user, now=now, level=EventLevel.WARNING,
            )  # fmt: skip
            raise Problem("REAUTH_FAILED", "That is not your password, or the link is used up.", status=403)
        until = sessions.open_reauthentication(request.session, now=now)
        note_security("REAUTHENTICATED", "Identity was proven again.", user=request.user, now=now)
        return Response({"reauthenticated_until": until})


def _proves(user: User, values: dict[str, str]) -> bool:
    if "password" in values:
        return user.check_password(values["password"])
    try:
        return redeem_sign_in_link(values["link"].rpartition("/")[2], now=timezone.now()) == user
    except Problem:
        return False
