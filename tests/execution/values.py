"""Builders of domain values for the pure rules' tests: a whole value each, the interesting fields by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from broker.domain import (
    Books,
    BrokerOrder,
    Holding,
    InstrumentInfo,
    MarginSegment,
    OrderType,
    PlaceOrder,
    Position,
    Product,
    Quote,
    Side,
    Trade,
    Validity,
    Variety,
)
from execution.domain import IntentState, IntentView, OrderView
from execution.translation import PlanInputs

NOW = datetime(2026, 10, 5, 5, 0, tzinfo=UTC)
D = Decimal
INFY = InstrumentInfo("NSE:INFY", "Infosys", 1, D("0.1"), 1, "NSE", isin="INE009A01021")
INFY_BSE = InstrumentInfo("BSE:INFY", "Infosys", 2, D("0.05"), 1, "BSE", isin="INE009A01021")
NIFTY = InstrumentInfo("NSE:NIFTY 50", "Nifty 50", 3, D("0.05"), 1, "INDICES")
OPTION = InstrumentInfo("NFO:NIFTY26OCT25000CE", "NIFTY", 4, D("0.05"), 75, "NFO-OPT", instrument_type="CE")
QUOTE = Quote("NSE:INFY", D("1500"), NOW, lower_circuit=D("1350"), upper_circuit=D("1650"))


def broker_order(**fields: Any) -> BrokerOrder:
    row = BrokerOrder(
        broker_order_id="250101000000001",
        symbol="NSE:INFY",
        side="BUY",
        quantity=10,
        filled_quantity=0,
        pending_quantity=10,
        cancelled_quantity=0,
        order_type="LIMIT",
        product="CNC",
        validity="DAY",
        variety="regular",
        status="OPEN",
        price=D("1500"),
        trigger_price=D(0),
        average_price=D(0),
        tag="",
        tags=(),
        status_message="",
        placed_at=NOW,
        updated_at=NOW,
    )
    return replace(row, **fields)


def view(**fields: Any) -> IntentView:
    row = IntentView("i1", "NSE:INFY", Side.BUY, Product.CNC, 10, IntentState.ACKED, broker_order_id="250101000000001")
    return replace(row, **fields)


def place(**fields: Any) -> PlaceOrder:
    row = PlaceOrder(
        "NSE:INFY", Side.BUY, 10, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "ST0", D("1500")
    )
    return replace(row, **fields)


def order_view(**fields: Any) -> OrderView:
    row = OrderView(
        "o1", "250101000000001", "NSE:INFY", "BUY", 10, 0, "LIMIT", D("1490"), D(0), "CNC", "DAY", "regular", False
    )
    return replace(row, **fields)


def holding(quantity: int = 100, **fields: Any) -> Holding:
    return replace(Holding("NSE:INFY", INFY.isin, quantity, 0, 0, D("1400"), D("1500"), D("1490")), **fields)


def position(quantity: int, **fields: Any) -> Position:
    row = Position(
        "NSE:INFY",
        "MIS",
        quantity,
        0,
        D(1),
        D("1450"),
        D("1500"),
        D("1490"),
        0,
        D(0),
        0,
        D(0),
        0,
        D(0),
        0,
        D(0),
        D(0),
        D(0),
    )
    return replace(row, **fields)


def trade(**fields: Any) -> Trade:
    return replace(Trade("t1", "250101000000001", "NSE:INFY", "BUY", "CNC", 10, D("1500"), NOW), **fields)


MILLION = D(1_000_000)


def purse(net: Decimal = MILLION) -> MarginSegment:
    return MarginSegment(True, net, net, D(0), net, D(0), D(0))


def books(**fields: Any) -> Books:
    row = Books(NOW, (), (), (), (), (), {"equity": purse()})
    return replace(row, **fields)


def plan_inputs(**fields: Any) -> PlanInputs:
    values: dict[str, Any] = {
        "now": NOW,
        "connection": "c1",
        "connection_kind": "paper",
        "instruments": {i.symbol: i for i in (INFY, INFY_BSE, NIFTY, OPTION)},
        "quotes": {"NSE:INFY": QUOTE},
        "holdings": (),
        "positions": (),
        "open_orders": (),
        "margins": {"equity": purse()},
        "margin": full_value,
    }
    return PlanInputs(**values | fields)


def full_value(leg: Any, *, price: Decimal, charges: Decimal, held: int) -> Decimal:
    """A margin rule of the tests: buys block value and charges, sales of what is held nothing."""
    return price * leg.quantity + charges if leg.side is Side.BUY or held < leg.quantity else D(0)
