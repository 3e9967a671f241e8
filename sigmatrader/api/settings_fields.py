"""Fields of Settings → AI: strict where they come in, described where they go out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from broker.chain import Link, LinkState
from broker.domain import BrokerKind
from broker.kite_settings import TRANSPORTS
from risk.domain import TradingStateName
from sigmatrader.audit.api.serializers import StrictSerializer
from sigmatrader.audit.vocabulary import EventCategory, EventLevel

STATUSES = ["connected", "disconnected", "error", "unknown"]
KINDS = [kind.value for kind in BrokerKind]


class FlagsInput(StrictSerializer):
    ai_assistant_enabled = serializers.BooleanField(required=False)
    ai_execution_enabled = serializers.BooleanField(required=False)
    kite_mcp_enabled = serializers.BooleanField(required=False)
    monitoring_enabled = serializers.BooleanField(required=False)


class KiteMcpInput(StrictSerializer):
    """``version`` is the connection's; null for ``server_url`` asks for the default address."""

    server_url = serializers.CharField(max_length=500, required=False, allow_null=True, trim_whitespace=False)
    transport = serializers.ChoiceField(choices=list(TRANSPORTS), required=False)
    broker_adapter = serializers.ChoiceField(choices=KINDS, required=False)
    version = serializers.IntegerField(required=False, min_value=0)


class KillSwitchChange(StrictSerializer):
    """On needs nothing; off needs a reason and a fresh proof of identity."""

    ai_execution_kill_switch = serializers.BooleanField(required=False)
    execution_disabled_until_ts = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, max_length=300)


class AISettingsInput(StrictSerializer):
    """Partial: only the keys that are sent change. ``version`` refuses a change of flags that were changed since."""

    feature_flags = FlagsInput(required=False)
    kill_switch = KillSwitchChange(required=False)
    kite_mcp = KiteMcpInput(required=False)
    version = serializers.IntegerField(required=False, min_value=0)


class KiteTestInput(StrictSerializer):
    """Nothing named: the saved connection is tried."""

    server_url = serializers.CharField(max_length=500, required=False, trim_whitespace=False)
    transport = serializers.ChoiceField(choices=list(TRANSPORTS), required=False)
    fetch_capabilities = serializers.BooleanField(required=False, default=True)


class FlagsSerializer(serializers.Serializer[dict[str, object]]):
    ai_assistant_enabled = serializers.BooleanField()
    ai_execution_enabled = serializers.BooleanField()
    kite_mcp_enabled = serializers.BooleanField()
    monitoring_enabled = serializers.BooleanField()


class KillSwitchSerializer(serializers.Serializer[dict[str, object]]):
    ai_execution_kill_switch = serializers.BooleanField()
    execution_disabled_until_ts = serializers.DateTimeField(allow_null=True)
    trading_state = serializers.ChoiceField(choices=[state.value for state in TradingStateName])


class AuthorizationSerializer(serializers.Serializer[dict[str, object]]):
    delegated_execution = serializers.BooleanField()
    card_expiry_s = serializers.IntegerField()


class ScopesSerializer(serializers.Serializer[dict[str, object]]):
    """What the server offers: order tools to trade with, or reading alone."""

    read_only = serializers.BooleanField()  # type: ignore[assignment]  # a field, not DRF's attribute
    trade = serializers.BooleanField()


class ChainLinkSerializer(serializers.Serializer[dict[str, object]]):
    link = serializers.ChoiceField(choices=[link.value for link in Link])
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not DRF's attribute
    state = serializers.ChoiceField(choices=[state.value for state in LinkState])
    reason = serializers.CharField(allow_null=True)


class CapabilitiesSerializer(serializers.Serializer[dict[str, object]]):
    http_version = serializers.CharField(allow_null=True)
    protocol_version = serializers.CharField(allow_null=True)
    server_info = serializers.DictField()
    tools = serializers.ListField(child=serializers.CharField())
    tool_faults = serializers.ListField(child=serializers.DictField())


class KiteMcpSerializer(serializers.Serializer[dict[str, object]]):
    connection_id = serializers.UUIDField(allow_null=True)
    server_url = serializers.CharField(allow_null=True)
    transport = serializers.ChoiceField(choices=list(TRANSPORTS))
    scopes = ScopesSerializer()
    broker_adapter = serializers.ChoiceField(choices=KINDS, allow_null=True)
    last_status = serializers.ChoiceField(choices=STATUSES)
    authorized = serializers.BooleanField(allow_null=True)
    last_checked_ts = serializers.DateTimeField(allow_null=True)
    last_connected_ts = serializers.DateTimeField(allow_null=True)
    tools_available_count = serializers.IntegerField()
    capabilities_cache = CapabilitiesSerializer(allow_null=True)
    last_error = serializers.CharField(allow_null=True)
    links = ChainLinkSerializer(many=True)
    failed_link = serializers.ChoiceField(choices=[link.value for link in Link], allow_null=True)
    version = serializers.IntegerField()


class LlmLimitsSerializer(serializers.Serializer[dict[str, object]]):
    max_tokens_per_request = serializers.IntegerField(allow_null=True)
    max_cost_usd_per_request = serializers.DecimalField(max_digits=12, decimal_places=6, allow_null=True)
    max_cost_usd_per_day = serializers.DecimalField(max_digits=12, decimal_places=6, allow_null=True)


class LlmProviderSerializer(serializers.Serializer[dict[str, object]]):
    """The built-in interpreter needs no model, key or limit: those are null."""

    enabled = serializers.BooleanField()
    provider = serializers.CharField()
    model = serializers.CharField(allow_null=True)
    do_not_send_pii = serializers.BooleanField(allow_null=True)
    limits = LlmLimitsSerializer()


class AISettingsSerializer(serializers.Serializer[dict[str, object]]):
    feature_flags = FlagsSerializer()
    kill_switch = KillSwitchSerializer()
    authorization = AuthorizationSerializer()
    kite_mcp = KiteMcpSerializer()
    llm_provider = LlmProviderSerializer()
    version = serializers.IntegerField()


class TestedToolSerializer(serializers.Serializer[dict[str, object]]):
    name = serializers.CharField()
    mode = serializers.ChoiceField(choices=["read", "write", "login"])


class TestErrorSerializer(serializers.Serializer[dict[str, object]]):
    code = serializers.CharField()
    message = serializers.CharField()


class KiteTestSerializer(serializers.Serializer[dict[str, object]]):
    """``links`` names the link that failed; ``saved`` says whether the stored connection was tried."""

    status = serializers.ChoiceField(choices=STATUSES)
    http_version = serializers.CharField(allow_null=True)
    protocol_version = serializers.CharField(allow_null=True)
    server_info = serializers.DictField(allow_null=True)
    capabilities = serializers.DictField()
    tools = TestedToolSerializer(many=True)
    order_tools = serializers.BooleanField()
    latency_ms = serializers.IntegerField()
    checked_ts = serializers.DateTimeField()
    error = TestErrorSerializer(allow_null=True)
    authorized = serializers.BooleanField(allow_null=True)
    links = ChainLinkSerializer(many=True)
    saved = serializers.BooleanField()


class SettingsEventSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    ts = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=[level.value for level in EventLevel])
    category = serializers.ChoiceField(choices=[category.value for category in EventCategory])
    event_type = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()
    actor = serializers.CharField()
    account = serializers.CharField(allow_null=True)
    correlation_id = serializers.CharField(allow_null=True)
