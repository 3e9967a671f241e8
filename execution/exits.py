"""Whether something on its way to the broker only reduces what is held: it may use the reserve of the rate budget."""

from __future__ import annotations

import json
import uuid

from execution.models import OrderCommand, OrderIntent
from risk.account import prepare
from risk.codec import inputs_of
from risk.legs import leg_facts


def may_use_reserve(model: type[OrderIntent] | type[OrderCommand], pk: uuid.UUID) -> bool:
    """A cancel; an order that its stored RiskGate inputs show as an exit. A modify may add risk, so it may not."""
    if model is OrderCommand:
        return OrderCommand.objects.filter(pk=pk, kind="cancel").exists()
    intent = OrderIntent.objects.select_related("authorization__decision").get(pk=pk)
    inputs = inputs_of(json.loads(intent.authorization.decision.inputs))
    legs = leg_facts(inputs.orders, account=prepare(inputs.book), policy=inputs.policy, now=inputs.now)
    return any(leg.is_exit for leg in legs if leg.order.leg == intent.leg_n)
