"""Settings → AI as one document over rows that each keep their own truth: the flags, and a view of the kill switch."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from broker.models import BrokerConnection
from risk.domain import TradingStateName
from risk.models import TradingState
from sigmatrader.accounts import selectors
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import set_flags
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.problems import FieldFault, Problem
from sigmatrader.audit.api.serializers import StrictSerializer

GLOBAL = "global"


class FlagsInput(StrictSerializer):
    ai_assistant_enabled = serializers.BooleanField(required=False)
    ai_execution_enabled = serializers.BooleanField(required=False)
    kite_mcp_enabled = serializers.BooleanField(required=False)
    monitoring_enabled = serializers.BooleanField(required=False)


class AISettingsInput(StrictSerializer):
    """Partial: only the keys that are sent change. ``version`` refuses a change to what was changed since."""

    feature_flags = FlagsInput(required=False)
    version = serializers.IntegerField(required=False, min_value=0)


class FlagsSerializer(serializers.Serializer[dict[str, object]]):
    ai_assistant_enabled = serializers.BooleanField()
    ai_execution_enabled = serializers.BooleanField()
    kite_mcp_enabled = serializers.BooleanField()
    monitoring_enabled = serializers.BooleanField()


class KillSwitchSerializer(serializers.Serializer[dict[str, object]]):
    ai_execution_kill_switch = serializers.BooleanField()
    execution_disabled_until_ts = serializers.DateTimeField(allow_null=True)
    trading_state = serializers.ChoiceField(choices=[state.value for state in TradingStateName])


class AISettingsSerializer(serializers.Serializer[dict[str, object]]):
    feature_flags = FlagsSerializer()
    kill_switch = KillSwitchSerializer()
    version = serializers.IntegerField()


class AISettingsView(APIView):
    """Everyone signed in reads; staff writes."""

    staff_writes = True

    @extend_schema(responses=AISettingsSerializer, operation_id="ai_settings_read")
    def get(self, request: Request) -> Response:
        return Response(document(now=timezone.now()))

    @extend_schema(request=AISettingsInput, responses=AISettingsSerializer, operation_id="ai_settings_write")
    def put(self, request: Request) -> Response:
        now = timezone.now()
        values = AISettingsInput.parsed(request.data)
        changes = {Flag(name): enabled for name, enabled in values.get("feature_flags", {}).items()}
        if changes.get(Flag.AI_EXECUTION_ENABLED) and not selectors.flag_enabled(Flag.AI_EXECUTION_ENABLED):
            require_preconditions(request.user, now=now)
        set_flags(
            changes, actor=request.user.get_username(), now=now, expected_version=values.get("version"),
            correlation_id=str(getattr(request, "correlation_id", "")),
        )  # fmt: skip
        return Response(document(now=now))


def document(*, now: datetime) -> dict[str, object]:
    """The settings as read; ``version`` is the flags' own, so that no other write makes it stale."""
    return {
        "feature_flags": {flag.value: enabled for flag, enabled in selectors.flags().items()},
        "kill_switch": kill_switch(now=now),
        "version": selectors.flags_version(),
    }


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


def _missing(user: object, *, now: datetime) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    connection = BrokerConnection.objects.filter(owner=user, is_active=True).first() if isinstance(user, User) else None
    if connection is None or connection.last_status != "connected":
        found.append(("CONNECTION_NOT_TESTED", "The active broker connection has not passed its test."))
    if connection is None or not _has_order_tools(connection):
        found.append(("ORDER_TOOLS_MISSING", "The active broker offers no order tools."))
    if kill_switch(now=now)["trading_state"] != TradingStateName.ACTIVE.value:
        found.append(("TRADING_NOT_ACTIVE", "The kill switch is on."))
    return found


def _has_order_tools(connection: BrokerConnection) -> bool:
    names = {str(tool.get("name", "")) if isinstance(tool, dict) else str(tool) for tool in connection.tools}
    return {"place_order", "modify_order", "cancel_order"} <= names
