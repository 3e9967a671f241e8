"""Settings → AI as one document over rows that each keep their own truth: the flags, and a view of the kill switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from broker.adapters.kite_tools import ORDER_TOOLS
from broker.connection_trial import is_saved, try_connection
from broker.kite_settings import change_kite_settings, kite_document, shown_connection
from broker.models import BrokerConnection
from risk.domain import TradingStateName
from risk.models import TradingState
from risk.services import set_trading_state
from sigmatrader.accounts import rate, selectors
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_reauthentication, set_flags
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.api.settings_fields import (
    AISettingsInput,
    AISettingsSerializer,
    KiteTestInput,
    KiteTestSerializer,
    SettingsEventSerializer,
)
from sigmatrader.audit.api.problems import FieldFault, Problem
from sigmatrader.audit.api.schema import PERIOD, problems, query
from sigmatrader.audit.api.views import SystemEventList
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.recording import recording
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

GLOBAL = "global"


class AISettingsView(APIView):
    """Everyone signed in reads; staff writes."""

    staff_writes = True

    @extend_schema(responses=AISettingsSerializer, operation_id="ai_settings_read")
    def get(self, request: Request) -> Response:
        return Response(document(_user(request), now=timezone.now()))

    @extend_schema(request=AISettingsInput, responses=AISettingsSerializer, operation_id="ai_settings_write")
    def put(self, request: Request) -> Response:
        now, user = timezone.now(), _user(request)
        values = AISettingsInput.parsed(request.data)
        ids = _ids(str(getattr(request, "correlation_id", "")))
        with recording(now):  # all that was sent, or none of it
            _write_flags(user, values, now=now, ids=ids)
            if "kite_mcp" in values:
                change_kite_settings(user, values["kite_mcp"], now=now, correlation_id=next(ids))
            if "kill_switch" in values:
                _write_kill_switch(request, values["kill_switch"], now=now, correlation_id=next(ids))
        return Response(document(user, now=now))


class KiteTestView(APIView):
    """``POST /api/settings/ai/kite/test``: traders try the saved connection; staff any address that is allowed."""

    @extend_schema(
        request=KiteTestInput,
        responses={200: KiteTestSerializer, **problems(409, 422, 429, codes={422: "URL_NOT_ALLOWED names the rule."})},
        operation_id="ai_settings_kite_test",
    )
    def post(self, request: Request) -> Response:
        now, user = timezone.now(), _user(request)
        values = KiteTestInput.parsed(request.data or {})
        url, transport = values.get("server_url"), values.get("transport")
        if not user.is_staff and not is_saved(shown_connection(user), url, transport):
            raise PermissionDenied("Only staff may try an address that is not saved.")
        rate.hit(f"kite-test:{user.pk}", limit=20, window_s=60, now=now)
        found = try_connection(
            user, server_url=url, transport=transport, fetch_capabilities=values["fetch_capabilities"], now=now,
            correlation_id=str(getattr(request, "correlation_id", "")),
        )  # fmt: skip
        return Response(found)


class SettingsAuditView(SystemEventList):
    """``GET /api/settings/ai/audit``: what was changed and tried, newest first."""

    @extend_schema(
        operation_id="ai_settings_audit",
        parameters=[
            query("category", "", enum=[c.value for c in EventCategory]),
            query("level", "", enum=[level.value for level in EventLevel]),
            *PERIOD,
        ],
        responses={200: SettingsEventSerializer(many=True), **problems(422)},
    )
    def get(self, request: Request) -> Response:
        return super().get(request)


def document(user: User, *, now: datetime) -> dict[str, object]:
    """The settings as read. ``version`` is the flags' own and ``kite_mcp.version`` the connection's, so that no other
    write makes either stale."""
    return {
        "feature_flags": {flag.value: enabled for flag, enabled in selectors.flags().items()},
        "kill_switch": kill_switch(now=now),
        "authorization": {"delegated_execution": False, "card_expiry_s": settings.CARD_EXPIRY_S["limit"]},
        "kite_mcp": kite_document(user),
        "llm_provider": dict(BUILTIN),
        "version": selectors.flags_version(),
    }


BUILTIN: Mapping[str, object] = {
    "enabled": True, "provider": "builtin", "model": None, "do_not_send_pii": None,
    "limits": {"max_tokens_per_request": None, "max_cost_usd_per_request": None, "max_cost_usd_per_day": None},
}  # fmt: skip


def _write_flags(user: User, values: Mapping[str, Any], *, now: datetime, ids: Iterator[str]) -> None:
    changes = {Flag(name): enabled for name, enabled in values.get("feature_flags", {}).items()}
    if changes.get(Flag.AI_EXECUTION_ENABLED) and not selectors.flag_enabled(Flag.AI_EXECUTION_ENABLED):
        require_preconditions(user, now=now)
    if not changes and "version" not in values:
        return
    set_flags(
        changes, actor=user.get_username(), now=now, expected_version=values.get("version"), correlation_id=next(ids)
    )


def _write_kill_switch(request: Request, values: Mapping[str, Any], *, now: datetime, correlation_id: str) -> None:
    """A view of the global trading state: on is HALTED, off is ACTIVE and a release like any other."""
    on, until = values.get("ai_execution_kill_switch"), values.get("execution_disabled_until_ts")
    if on is None and "execution_disabled_until_ts" not in values:
        return
    halted = on if on is not None else until is not None
    set_trading_state(
        scope=GLOBAL, state=TradingStateName.HALTED if halted else TradingStateName.ACTIVE,
        actor=_user(request).get_username(), now=now, reason=values.get("reason", ""),
        until=until if halted else None, correlation_id=correlation_id,
        before_release=lambda: require_reauthentication(request),
    )  # fmt: skip


def _ids(first: str) -> Iterator[str]:
    """The request's own id for its first change, new ones for further stories."""
    if first:
        yield first
    while True:
        yield new_correlation_id()


def _user(request: Request) -> User:
    user = request.user
    assert isinstance(user, User)  # the permission let nobody else in
    return user


def kill_switch(*, now: datetime) -> dict[str, object]:
    """A view of the global trading state; one whose time has passed is ACTIVE."""
    row = TradingState.objects.filter(pk=GLOBAL).first()
    over = row is None or (row.until is not None and row.until <= now)
    state = TradingStateName.ACTIVE if row is None or over else TradingStateName(row.state)
    return {
        "ai_execution_kill_switch": state is TradingStateName.HALTED,
        "execution_disabled_until_ts": row.until if row is not None and not over else None,
        "trading_state": state.value,
    }


def require_preconditions(user: object, *, now: datetime) -> None:
    """What must be so before execution by assistant or monitor is allowed; ``Problem`` 409 names each that is not."""
    faults = [FieldFault("feature_flags.ai_execution_enabled", *fault) for fault in _missing(user, now=now)]
    if faults:
        detail = "AI execution cannot be turned on yet: " + " ".join(fault.message for fault in faults)
        raise Problem("PRECONDITION_FAILED", detail, status=409, errors=faults)


def preconditions(user: object, *, now: datetime) -> list[tuple[str, str, bool]]:
    """What execution by assistant or monitor needs: a code, a sentence, and whether it is so."""
    connection = BrokerConnection.objects.filter(owner=user, is_active=True).first() if isinstance(user, User) else None
    tested = connection is not None and connection.last_status == "connected" and connection.authorized is not False
    tools = connection is not None and _has_order_tools(connection)
    active = kill_switch(now=now)["trading_state"] == TradingStateName.ACTIVE.value
    return [
        ("CONNECTION_NOT_TESTED", "The active broker connection has not passed its test.", tested),
        ("ORDER_TOOLS_MISSING", "The active broker offers no order tools.", tools),
        ("TRADING_NOT_ACTIVE", "The kill switch is on.", active),
    ]


def _missing(user: object, *, now: datetime) -> list[tuple[str, str]]:
    return [(code, text) for code, text, met in preconditions(user, now=now) if not met]


def _has_order_tools(connection: BrokerConnection) -> bool:
    names = {str(tool.get("name", "")) if isinstance(tool, dict) else str(tool) for tool in connection.tools}
    return names >= ORDER_TOOLS
