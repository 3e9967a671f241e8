"""What the risk endpoints take and answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from risk.domain import Outcome, Verdict
from risk.preview import MOST
from sigmatrader.audit.api.serializers import StrictSerializer


class PolicyInput(StrictSerializer):
    """A whole policy document; ``version`` (that of the policy it was edited from) refuses to overwrite a newer one."""

    policy = serializers.JSONField()
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    version = serializers.IntegerField(required=False, min_value=0)


class PolicySerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    hash = serializers.CharField()
    policy = serializers.JSONField()
    note = serializers.CharField()
    published_by = serializers.CharField()
    published_at = serializers.DateTimeField()


class PolicyPreviewInput(StrictSerializer):
    """A whole policy document, and how many of the latest decisions to judge by it."""

    policy = serializers.JSONField()
    last = serializers.IntegerField(required=False, default=100, min_value=1, max_value=MOST)


class VerdictSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    denials = serializers.ListField(child=serializers.CharField())


class ChangedDecisionSerializer(serializers.Serializer[Any]):
    """A decision that would have come out otherwise."""

    id = serializers.UUIDField()
    correlation_id = serializers.CharField()
    evaluated_at = serializers.DateTimeField()
    symbols = serializers.ListField(child=serializers.CharField())
    before = VerdictSerializer()
    after = VerdictSerializer()


class PolicyDifferenceSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class PolicyPreviewSerializer(serializers.Serializer[Any]):
    """``checked`` decisions were judged again, ``skipped`` ones hold no inputs that can be."""

    hash = serializers.CharField()
    differences = PolicyDifferenceSerializer(many=True, help_text="Against the policy in force.")
    checked = serializers.IntegerField()
    skipped = serializers.IntegerField()
    changed = ChangedDecisionSerializer(many=True)


class ControlSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict])
    limit = serializers.CharField(allow_null=True)
    actual = serializers.CharField(allow_null=True)
    unit = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    leg = serializers.IntegerField(allow_null=True, help_text="Number of the leg; null for the plan as a whole.")


class AlternativeSerializer(serializers.Serializer[Any]):
    change = serializers.CharField()
    passes = serializers.BooleanField()
    code = serializers.CharField()
    quantity = serializers.IntegerField(allow_null=True)
    limit_price = serializers.DecimalField(max_digits=18, decimal_places=4, allow_null=True)


class MetricsSerializer(serializers.Serializer[Any]):
    before = serializers.DictField(child=serializers.CharField())
    after = serializers.DictField(child=serializers.CharField())


class DecisionDocumentSerializer(serializers.Serializer[Any]):
    """A decision; one of a dry run is not stored and has no id."""

    id = serializers.UUIDField(allow_null=True)
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    policy_version = serializers.IntegerField()
    policy_hash = serializers.CharField()
    input_hash = serializers.CharField()
    engine_version = serializers.CharField()
    evaluated_at = serializers.DateTimeField()
    controls = ControlSerializer(many=True)
    denials = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())
    alternatives = AlternativeSerializer(many=True)
    metrics = MetricsSerializer()


class DecisionSerializer(DecisionDocumentSerializer):
    """A stored decision."""

    correlation_id = serializers.CharField()
    plan_id = serializers.CharField(allow_null=True)
    content_hash = serializers.CharField(allow_null=True)
