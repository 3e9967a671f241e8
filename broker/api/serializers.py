"""Input of the broker endpoints, strict; and the shapes of their answers, for the schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from broker.domain import BrokerKind
from sigmatrader.audit.api.serializers import StrictSerializer

KINDS = [kind.value for kind in BrokerKind]
TRANSPORTS = ["auto", "streamable_http", "sse"]


class ConnectionInput(StrictSerializer):
    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(choices=KINDS)
    server_url = serializers.CharField(max_length=500)
    transport = serializers.ChoiceField(choices=TRANSPORTS, required=False, default="auto")
    is_active = serializers.BooleanField(required=False, default=False)


class ConnectionChange(StrictSerializer):
    name = serializers.CharField(max_length=80, required=False)
    server_url = serializers.CharField(max_length=500, required=False)
    transport = serializers.ChoiceField(choices=TRANSPORTS, required=False)
    is_active = serializers.BooleanField(required=False)
    version = serializers.IntegerField(min_value=1, required=False)


class ToolCall(StrictSerializer):
    arguments = serializers.DictField(required=False, default=dict)


class Empty(StrictSerializer):
    """A body without fields."""


class SnapshotRequest(StrictSerializer):
    symbols = serializers.ListField(child=serializers.CharField(max_length=60), max_length=500, required=False)


class ConnectionOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    practice = serializers.BooleanField()
    server_url = serializers.CharField()
    transport = serializers.ChoiceField(choices=TRANSPORTS)
    is_active = serializers.BooleanField()
    has_session = serializers.BooleanField()
    last_status = serializers.ChoiceField(choices=["connected", "disconnected", "error", "unknown"])
    authorized = serializers.BooleanField(allow_null=True)
    user_name_masked = serializers.CharField()
    session_expires_at = serializers.DateTimeField(allow_null=True)
    last_checked_at = serializers.DateTimeField(allow_null=True)
    last_connected_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    tools_available_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    version = serializers.IntegerField()


class StatusOutput(serializers.Serializer[Any]):
    connected = serializers.BooleanField()
    authorized = serializers.BooleanField(allow_null=True)
    user_name_masked = serializers.CharField()
    session_expires_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_null=True)
    last_checked_at = serializers.DateTimeField(allow_null=True)


class AuthorizeOutput(serializers.Serializer[Any]):
    login_url = serializers.URLField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    authorized = serializers.BooleanField()


class ToolOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    mode = serializers.ChoiceField(choices=["read", "write", "login"])
    description = serializers.CharField()
    input_schema = serializers.DictField()


class ToolResultOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    result = serializers.JSONField()
    duration_ms = serializers.IntegerField()


class CompleteOutput(serializers.Serializer[Any]):
    holdings = serializers.BooleanField()
    positions = serializers.BooleanField()
    orders = serializers.BooleanField()
    trades = serializers.BooleanField()
    margins = serializers.BooleanField()


class SnapshotSummaryOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    connection = serializers.UUIDField()
    source = serializers.ChoiceField(choices=KINDS)  # type: ignore[assignment]  # a field, not DRF's attribute
    correlation_id = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField()
    taken_at = serializers.DateTimeField()
    hash = serializers.CharField()
    complete = CompleteOutput()


class SnapshotOutput(SnapshotSummaryOutput):
    holdings = serializers.ListField(child=serializers.DictField(), allow_null=True)
    positions = serializers.DictField()
    orders = serializers.ListField(child=serializers.DictField(), allow_null=True)
    trades = serializers.ListField(child=serializers.DictField(), allow_null=True)
    margins = serializers.DictField(allow_null=True)
    quotes = serializers.DictField()
    faults = serializers.DictField(child=serializers.CharField())


class DiffOutput(serializers.Serializer[Any]):
    snapshot = serializers.UUIDField()
    against = serializers.UUIDField()
    same = serializers.BooleanField()
    parts = serializers.DictField()


class PortfolioOutput(serializers.Serializer[Any]):
    connection = serializers.DictField()
    snapshot_id = serializers.UUIDField(allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)
    taken_at = serializers.DateTimeField(allow_null=True)
    age_s = serializers.FloatField(allow_null=True)
    stale = serializers.BooleanField()
    complete = CompleteOutput()
    latest_good = serializers.DictField()
    totals = serializers.DictField()
    holdings = serializers.ListField(child=serializers.DictField(), allow_null=True)
    positions = serializers.ListField(child=serializers.DictField(), allow_null=True)
    margins = serializers.DictField(allow_null=True)
    orders = serializers.ListField(child=serializers.DictField(), allow_null=True)


class InstrumentOutput(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    exchange = serializers.CharField()
    tradingsymbol = serializers.CharField()
    name = serializers.CharField()
    instrument_token = serializers.IntegerField()
    tick_size = serializers.DecimalField(max_digits=18, decimal_places=4)
    lot_size = serializers.IntegerField()
    segment = serializers.CharField()
    instrument_type = serializers.CharField()
    isin = serializers.CharField()
    sector = serializers.CharField()
    expiry = serializers.CharField(allow_null=True)
    strike = serializers.DecimalField(max_digits=18, decimal_places=4, allow_null=True)
    freeze_quantity = serializers.IntegerField(allow_null=True)


class InstrumentsOutput(serializers.Serializer[Any]):
    results = InstrumentOutput(many=True)


class QuotesOutput(serializers.Serializer[Any]):
    connection = serializers.UUIDField()
    quotes = serializers.DictField()
    missing = serializers.ListField(child=serializers.CharField())


class CandlesOutput(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    interval = serializers.CharField()
    candles = serializers.ListField(child=serializers.DictField())
