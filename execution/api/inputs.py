"""What the order endpoints take."""

from __future__ import annotations

from rest_framework import serializers

from execution.api.intent_fields import IntentField
from risk.domain import TradingStateName
from sigmatrader.audit.api.serializers import StrictSerializer


class PlanInput(StrictSerializer):
    """An Intent and, if not the active one, the connection to plan for."""

    intent = IntentField()
    connection = serializers.UUIDField(required=False, allow_null=True)
    supersedes = serializers.UUIDField(required=False, allow_null=True)


class HashInput(StrictSerializer):
    """The content hash of what was shown."""

    content_hash = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")


class DeclineInput(StrictSerializer):
    """Why, if the trader says."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class CancelInput(StrictSerializer):
    """Nothing: the order is named by the path."""


class SendAgainInput(StrictSerializer):
    """Nothing: the order is named by the path."""


class ModifyInput(StrictSerializer):
    """What shall be different; what is left out stays."""

    price = serializers.DecimalField(max_digits=14, decimal_places=4, required=False, allow_null=True)
    trigger_price = serializers.DecimalField(max_digits=14, decimal_places=4, required=False, allow_null=True)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000_000, required=False, allow_null=True)
    order_type = serializers.ChoiceField(choices=["MARKET", "LIMIT", "SL", "SL-M"], required=False, allow_null=True)


class KillSwitchInput(StrictSerializer):
    """The state wanted; releasing needs a reason."""

    state = serializers.ChoiceField(choices=[state.value for state in TradingStateName])
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    cancel_open = serializers.BooleanField(required=False, default=False)


class ReconcileInput(StrictSerializer):
    """The connection, if not the active one."""

    connection = serializers.UUIDField(required=False, allow_null=True)
