"""How one paper exchange behaves, and the two ways a call to it can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from enum import StrEnum

MARKET_REFUSED = (
    "Market orders without market protection are not allowed via API. "
    "Please set market protection or use a Limit order."
)
CANNOT_MODIFY = "Order cannot be modified as it is being processed. Try later."
CANNOT_CANCEL = "Order cannot be cancelled as it is being processed. Try later."
TOO_MANY_MODIFICATIONS = "Maximum allowed order modifications exceeded."
UNKNOWN_ORDER = "Couldn't find that `order_id`."


class EntryRefused(Exception):
    """Refused before the order management system: no row in the order book, nothing changed (FACTS c3)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class UnknownOrder(EntryRefused):
    """No order of that id in today's book."""

    def __init__(self) -> None:
        super().__init__(UNKNOWN_ORDER)


class ClockMode(StrEnum):
    """``practice`` is always open; ``real`` keeps exchange hours."""

    PRACTICE = "practice"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds between the steps of an order. The first three run from receipt to OPEN, ``fill`` follows."""

    validation: int = 60
    open_pending: int = 80
    open: int = 100
    fill: int = 60
    modify: int = 60
    cancel: int = 120

    @staticmethod
    def step(milliseconds: int) -> timedelta:
        return timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """Everything that is not market data or an account. Values Kite does not document are here to be changed.

    ``mis_leverage`` divides the margin of an intraday order; ``sale_credit`` is the part of delivery sale proceeds
    usable the same day; ``cnc_limit_distance_pct`` refuses delivery limits further from the last price (None: never);
    ``square_off`` and ``square_off_auction`` close intraday positions on the real clock (the practice session does it
    at ``square_off_practice``, just before the day rolls).
    """

    seed: int = 7
    mode: ClockMode = ClockMode.PRACTICE
    delays: Delays = field(default_factory=Delays)
    refuse_unprotected_market: bool = True
    mis_leverage: int = 5
    sale_credit: Decimal = Decimal(1)
    cnc_limit_distance_pct: Decimal | None = None
    max_order_quantity: int = 100_000
    max_order_value: Decimal = Decimal(100_000_000)
    max_modifications: int = 25
    square_off: time = time(15, 20)
    square_off_auction: time = time(15, 10)
    square_off_practice: time = time(5, 55)

    def as_dict(self) -> dict[str, object]:
        """A JSON-able form; ``from_dict`` reads it back to an equal value."""
        row = asdict(self)
        for name in ("sale_credit", "max_order_value"):
            row[name] = str(row[name])
        if self.cnc_limit_distance_pct is not None:
            row["cnc_limit_distance_pct"] = str(self.cnc_limit_distance_pct)
        for name in ("square_off", "square_off_auction", "square_off_practice"):
            row[name] = row[name].isoformat()
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, object]) -> ExchangeConfig:
        """Raises TypeError or ValueError for a document that is not a configuration."""
        values: dict[str, object] = dict(row)
        delays = values["delays"]
        if not isinstance(delays, Mapping):
            raise TypeError("delays must be a mapping")
        values["mode"] = ClockMode(str(values["mode"]))
        values["delays"] = Delays(**delays)
        for name in ("sale_credit", "max_order_value", "cnc_limit_distance_pct"):
            values[name] = None if values[name] is None else Decimal(str(values[name]))
        for name in ("square_off", "square_off_auction", "square_off_practice"):
            values[name] = time.fromisoformat(str(values[name]))
        return cls(**values)  # type: ignore[arg-type]
