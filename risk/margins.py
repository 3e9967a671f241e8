"""What an order blocks: rupees of free margin, charges included, by the policy's leverage.

These are our estimates; the broker's own figure is its refusal (kite FACTS h3). Only what opens something blocks.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from broker.domain import Product, Side
from risk.policy import Policy

PAISA = Decimal("0.01")
OPTION_TYPES = ("CE", "PE")


def leg_margin(
    *,
    side: Side,
    product: Product,
    quantity: int,
    price: Decimal,
    charges: Decimal,
    held: int,
    policy: Policy,
    instrument_type: str = "EQ",
) -> Decimal:
    """Rupees one order blocks at ``price``, rounded up to the paisa. ``held`` is the signed quantity held before it.

    A delivery buy blocks its value and charges, a sale of what is owned nothing; MIS blocks by the policy's leverage;
    an option its premium; everything else in futures and options, short of a broker's figure, its whole value.
    """
    closing = min(quantity, abs(held)) if held * side.sign < 0 else 0
    opening = quantity - closing
    if opening <= 0:
        return Decimal(0)
    value = opening * price
    if product is Product.MIS and instrument_type not in OPTION_TYPES:
        value /= policy.limits.mis_leverage
    return (value + charges).quantize(PAISA, ROUND_CEILING)
