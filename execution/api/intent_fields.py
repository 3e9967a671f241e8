"""The Intent in the OpenAPI document, as ``execution.wire`` reads and writes it (ASSISTANT section 1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from broker.domain import Exchange, OrderType, Product, Side, Validity, Variety
from execution.domain import IntentKind, RuleType

Form = serializers.Serializer[Any]


def _word(kind: type[StrEnum], **kwargs: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField([member.value for member in kind], **kwargs)


def _open_word(kind: type[StrEnum]) -> serializers.ChoiceField:
    return _word(kind, required=False, allow_null=True)


def _open_decimal() -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=24, decimal_places=4, required=False, allow_null=True)


def _open_whole() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True)


class QuantityRuleSerializer(Form):
    """A quantity said otherwise: ``amount`` of rupees, ``percent`` of what is held, or the ``quantity`` to keep."""

    type = _word(RuleType)
    amount = _open_decimal()
    percent = _open_decimal()
    quantity = _open_whole()


class ExitsSerializer(Form):
    stop_loss = _open_decimal()
    target = _open_decimal()


class OrderInstructionSerializer(Form):
    """One order as asked for. A quantity or a quantity_rule is needed; the rest follows from the reading rules."""

    side = _word(Side)
    symbol = serializers.CharField(help_text="Tradingsymbol without its exchange: INFY.")
    exchange = _open_word(Exchange)
    quantity = _open_whole()
    quantity_rule = QuantityRuleSerializer(required=False, allow_null=True)
    order_type = _open_word(OrderType)
    price = _open_decimal()
    trigger_price = _open_decimal()
    product = _open_word(Product)
    validity = _open_word(Validity)
    validity_ttl = serializers.IntegerField(required=False, allow_null=True, help_text="Minutes, with validity TTL.")
    variety = _open_word(Variety)
    exits = ExitsSerializer(required=False, allow_null=True)


class ChangesSerializer(Form):
    """What a modify asks for; what is left out stays."""

    price = _open_decimal()
    trigger_price = _open_decimal()
    quantity = _open_whole()
    order_type = _open_word(OrderType)


class IntentSerializer(OrderInstructionSerializer):
    """Something to trade. ``order`` has the fields of one order, ``orders`` a list of them, ``modify`` has order_ids
    and changes, ``cancel`` order_ids. Prices are decimal strings, quantities whole numbers.
    """

    kind = _word(IntentKind)
    side = _word(Side, required=False, allow_null=True)
    symbol = serializers.CharField(required=False, allow_null=True, help_text="Tradingsymbol without its exchange.")
    orders = OrderInstructionSerializer(many=True, required=False, allow_null=True)
    order_ids = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True)
    changes = ChangesSerializer(required=False, allow_null=True)
    assumed = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, help_text="Fields that were not said."
    )


@extend_schema_field(IntentSerializer)
class IntentField(serializers.JSONField):
    """Takes any JSON; ``execution.wire.parse_intent`` judges it and names every fault."""


BUY = OpenApiExample(
    "Buy ten INFY at 1500 or better",
    value={
        "intent": {
            "kind": "order", "side": "BUY", "symbol": "INFY", "exchange": "NSE", "quantity": 10,
            "order_type": "LIMIT", "price": "1500", "product": "CNC", "validity": "DAY", "variety": "regular",
        }
    },
    request_only=True,
)  # fmt: skip
SELL_HALF = OpenApiExample(
    "Sell half of what is held at the market",
    value={
        "intent": {
            "kind": "order", "side": "SELL", "symbol": "TCS", "order_type": "MARKET",
            "quantity_rule": {"type": "percent_of_holding", "percent": "50"},
        }
    },
    request_only=True,
)  # fmt: skip
APPROVE = OpenApiExample(
    "The hash of the card that was shown",
    value={"content_hash": "9f2c6a1be0d34587a1c9e7f5530d2b8846cf19a07be2d5c3f81e6a94b07d2c15"},
    request_only=True,
)
CANCEL_EVERYTHING = OpenApiExample(
    "Stop, and cancel every working order",
    value={"state": "HALTED", "cancel_open": True},
    request_only=True,
)
NEW_PRICE = OpenApiExample("Another price", value={"price": "1495.50"}, request_only=True)
