"""The answers of the order endpoints, for the OpenAPI document; the dicts themselves come from ``execution.shapes``."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from rest_framework import serializers

from broker.domain import BrokerKind, OrderType, Product, Side, Validity, Variety
from execution.api.intent_fields import IntentSerializer
from execution.blocks import AUTH_REQUIRED, SCHEMA_CHANGED, TOOL_MISSING
from execution.deltas import DeltaAction, DeltaCode
from execution.domain import CardKind, CardState, CommandState, IntentState, Origin
from execution.reconciler import FAILED
from execution.reconciliation import RunStatus
from risk.api.serializers import DecisionDocumentSerializer, DecisionSerializer
from risk.domain import RequestKind, TradingStateName
from sigmatrader.audit.vocabulary import Severity

Out = serializers.Serializer[Any]
RUN_STATUSES = [*(status.value for status in RunStatus), FAILED]
BLOCK_CODES = [TOOL_MISSING, SCHEMA_CHANGED, AUTH_REQUIRED]
COMMAND_KINDS = [RequestKind.MODIFY.value, RequestKind.CANCEL.value]


def _word(kind: type[StrEnum], **kwargs: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField([member.value for member in kind], **kwargs)


def _decimal(**kwargs: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=24, decimal_places=4, **kwargs)


class LegSerializer(Out):
    n = serializers.IntegerField()
    action = _word(RequestKind)
    symbol = serializers.CharField(help_text="NSE:INFY")
    side = _word(Side)
    quantity = serializers.IntegerField()
    order_type = _word(OrderType)
    limit_price = _decimal(allow_null=True)
    trigger_price = _decimal(allow_null=True)
    product = _word(Product)
    validity = _word(Validity)
    variety = _word(Variety)
    depends_on = serializers.IntegerField(allow_null=True, help_text="The leg that must have filled before.")
    target = serializers.UUIDField(allow_null=True, help_text="The order a modify or cancel is about.")
    broker_order_id = serializers.CharField(allow_null=True)
    converted_from_market = serializers.BooleanField()


class SizingStepSerializer(Out):
    step = serializers.CharField()
    value = serializers.CharField()
    unit = serializers.CharField()


class ChargesSerializer(Out):
    """Rupees; ``dp`` is charged by the depository on delivery sells and is not in ``total``."""

    brokerage = _decimal()
    stt = _decimal()
    exchange = _decimal()
    sebi = _decimal()
    stamp = _decimal()
    gst = _decimal()
    total = _decimal()
    dp = _decimal()
    source = serializers.CharField()  # type: ignore[assignment]  # a field of that name, taken off the class by DRF


class EstimatesSerializer(Out):
    order_value = _decimal()
    charges = ChargesSerializer()
    margin_required = _decimal()
    margin_available = _decimal(allow_null=True)


class QuantityPairSerializer(Out):
    before = serializers.IntegerField(allow_null=True)
    after = serializers.IntegerField(allow_null=True)


class DecimalPairSerializer(Out):
    before = _decimal(allow_null=True)
    after = _decimal(allow_null=True)


class BeforeAfterSerializer(Out):
    quantity = QuantityPairSerializer()
    average_price = DecimalPairSerializer()
    cash = DecimalPairSerializer()
    weight_percent = DecimalPairSerializer()


class PlannedExitSerializer(Out):
    """The two-leg GTT that would follow the fill; information, it is not placed."""

    symbol = serializers.CharField()
    stop_loss = _decimal(allow_null=True)
    target = _decimal(allow_null=True)


class PlanConnectionSerializer(Out):
    id = serializers.UUIDField()
    kind = _word(BrokerKind)


class PlanDocumentSerializer(Out):
    """What an approval binds to."""

    intent = IntentSerializer()
    legs = LegSerializer(many=True)
    sizing = SizingStepSerializer(many=True)
    estimates = EstimatesSerializer()
    before_after = BeforeAfterSerializer()
    exits = PlannedExitSerializer(many=True)
    reference_prices = serializers.DictField(child=_decimal(), help_text="Last price per symbol when it was priced.")
    connection = PlanConnectionSerializer()
    valid_until = serializers.DateTimeField()
    schema_version = serializers.IntegerField()


class PlanSerializer(PlanDocumentSerializer):
    """A plan as it was made; a change is another plan."""

    id = serializers.UUIDField()
    correlation_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    content_hash = serializers.CharField()
    origin = _word(Origin)
    risk = DecisionSerializer()


class PlanWithCardSerializer(PlanSerializer):
    """A plan, and the card on which it is approved."""

    card_id = serializers.UUIDField(allow_null=True)


class PreviewPlanSerializer(PlanDocumentSerializer):
    """A plan that is not stored: no id, and no hash that could be approved."""

    id = serializers.UUIDField(allow_null=True)
    content_hash = serializers.CharField(allow_null=True)


class EvaluationSerializer(DecisionDocumentSerializer):
    """A dry run's decision, and the plan it is about."""

    plan = PreviewPlanSerializer()


class CommandSerializer(Out):
    """A modify or cancel on its way."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(COMMAND_KINDS)
    state = _word(CommandState)
    order_id = serializers.UUIDField()
    detail = serializers.CharField(allow_blank=True)
    changes = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OrderSerializer(Out):
    """One order. Of one placed elsewhere, side, type, product, validity and variety are the broker's own words."""

    id = serializers.UUIDField()
    correlation_id = serializers.CharField(allow_null=True)
    intent_id = serializers.UUIDField(allow_null=True, help_text="Null for an order placed elsewhere.")
    client_order_id = serializers.CharField(allow_null=True)
    tag = serializers.CharField(allow_null=True)
    broker_order_id = serializers.CharField(allow_null=True)
    state = _word(IntentState)
    broker_status = serializers.CharField(allow_null=True)
    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = serializers.IntegerField()
    filled_quantity = serializers.IntegerField()
    average_price = _decimal(allow_null=True)
    order_type = serializers.CharField()
    limit_price = _decimal(allow_null=True)
    trigger_price = _decimal(allow_null=True)
    product = serializers.CharField()
    validity = serializers.CharField()
    variety = serializers.CharField()
    status_message = serializers.CharField(allow_null=True)
    denial_code = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    origin = _word(Origin)
    look_ups = serializers.IntegerField(help_text="How often an unknown outcome was looked up at the broker.")
    next_check_at = serializers.DateTimeField(allow_null=True)
    sending_at = serializers.DateTimeField(allow_null=True)
    can_send_again = serializers.BooleanField(help_text="It provably never left, and its approval still holds.")


class OrderEventSerializer(Out):
    """One line of an order's history."""

    ts = serializers.DateTimeField()
    event = serializers.CharField()
    to = serializers.CharField(allow_null=True)
    detail = serializers.JSONField(help_text="What else the event says: an object, or an empty string.")

    def get_fields(self) -> dict[str, Any]:
        """The fields, and ``from``, which is no name in Python."""
        return {**super().get_fields(), "from": serializers.CharField(allow_null=True)}


class OrderDetailSerializer(OrderSerializer):
    """An order with its history, oldest first."""

    events = OrderEventSerializer(many=True)


class CancelAnswerSerializer(OrderDetailSerializer):
    """The order, and the cancel on its way; none where the order had not left us."""

    command = CommandSerializer(allow_null=True)


class BlockSerializer(Out):
    """What keeps the connection from sending, and what a person can do about it."""

    code = serializers.ChoiceField(BLOCK_CODES)
    text = serializers.CharField()
    ways_out = serializers.ListField(child=serializers.CharField())


class CardSerializer(Out):
    id = serializers.UUIDField()
    kind = _word(CardKind)
    version = serializers.IntegerField()
    content_hash = serializers.CharField(help_text="Sent back with an approval.")
    correlation_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    title = serializers.CharField()
    plan = PlanSerializer(allow_null=True)
    risk = DecisionSerializer(allow_null=True)
    source = serializers.DictField(help_text="Why it exists: the words, the provider.")  # type: ignore[assignment]
    state = _word(CardState)
    note = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField(allow_blank=True)
    supersedes = serializers.UUIDField(allow_null=True)
    connection_kind = _word(BrokerKind)
    blocked = BlockSerializer(allow_null=True, help_text="Why an open card could not be sent if it were approved now.")
    orders = OrderSerializer(many=True)
    commands = CommandSerializer(many=True)


class ApprovalSerializer(Out):
    """What an approval led to."""

    correlation_id = serializers.CharField()
    intents = OrderSerializer(many=True)
    commands = CommandSerializer(many=True)
    card = CardSerializer()


class CancelledOrderSerializer(Out):
    order_id = serializers.UUIDField()
    symbol = serializers.CharField()
    result = serializers.CharField(help_text="WITHDRAWN, the cancel's state, or the code of why it could not be.")
    detail = serializers.CharField(allow_blank=True)


class KillSwitchAnswerSerializer(Out):
    """The trading state in force, and what became of every order."""

    trading_state = _word(TradingStateName)
    until = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    set_by = serializers.CharField()
    set_at = serializers.DateTimeField()
    correlation_id = serializers.CharField()
    cancelled = CancelledOrderSerializer(many=True)


class DeltaRemedySerializer(Out):
    action = _word(DeltaAction)
    label = serializers.CharField()  # type: ignore[assignment]  # as ``source`` above
    trades = serializers.BooleanField()


class DeltaSerializer(Out):
    """One difference between what is expected and what the broker says; empty where it does not apply."""

    code = _word(DeltaCode)
    severity = _word(Severity)
    summary = serializers.CharField()
    expected = serializers.CharField(allow_blank=True)
    actual = serializers.CharField(allow_blank=True)
    difference = serializers.CharField(allow_blank=True)
    symbol = serializers.CharField(allow_blank=True)
    product = serializers.CharField(allow_blank=True)
    subject = serializers.CharField(allow_blank=True)
    broker_order_id = serializers.CharField(allow_blank=True)
    trade_id = serializers.CharField(allow_blank=True)
    remedies = DeltaRemedySerializer(many=True)


class DeltaPageSerializer(Out):
    """The bounded list of one run: always one page."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = DeltaSerializer(many=True)


class CheckedSerializer(Out):
    holdings = serializers.IntegerField()
    positions = serializers.IntegerField()
    orders = serializers.IntegerField()


class RunSerializer(Out):
    """One reconciliation. ``deltas`` is bounded, ``delta_count`` is not."""

    id = serializers.UUIDField()
    correlation_id = serializers.CharField(allow_blank=True)
    connection = serializers.UUIDField()
    trigger = serializers.CharField(help_text="request, schedule, before_trade or after_trade.")
    status = serializers.ChoiceField(RUN_STATUSES)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    snapshot = serializers.UUIDField(allow_null=True)
    snapshot_hash = serializers.CharField(allow_blank=True)
    checked = CheckedSerializer()
    delta_count = serializers.IntegerField()
    deltas = DeltaSerializer(many=True)
    note = serializers.CharField(allow_blank=True)
