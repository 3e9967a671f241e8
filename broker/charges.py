"""What a trade costs beside its price: one pure function over one dated table of rates.

Used by the paper exchange to book charges and by the order plan to estimate them, so that both say the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

RATES_FILE = Path(__file__).parent / "data" / "charges.json"
PAISA = Decimal("0.01")
CRORE = Decimal(10_000_000)
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class SegmentRates:
    """Rates of one kind of trade; percentages are of turnover (of premium for options)."""

    brokerage_pct: Decimal
    brokerage_cap: Decimal
    brokerage_flat: Decimal
    stt_buy_pct: Decimal
    stt_sell_pct: Decimal
    stamp_buy_pct: Decimal
    exchange_pct: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class ChargeRates:
    """The whole table. ``dp_charge`` is per delivery sale and stock and day, GST included."""

    source: str
    as_of: str
    gst_pct: Decimal
    sebi_per_crore: Decimal
    dp_charge: Decimal
    square_off_fee: Decimal
    segments: Mapping[str, SegmentRates]


@dataclass(frozen=True, slots=True)
class Charges:
    """Rupees, each rounded to the paisa; ``total`` is the sum of the six parts. The DP charge is apart from it."""

    brokerage: Decimal
    stt: Decimal
    exchange: Decimal
    sebi: Decimal
    stamp: Decimal
    gst: Decimal
    total: Decimal
    source: str


def parse_rates(text: str) -> ChargeRates:
    """Reads the table from its JSON text. Raises KeyError or decimal.InvalidOperation when it is not the table."""
    data = json.loads(text)
    dp = data["dp_per_sale"]
    before_gst = Decimal(dp["depository"]) + Decimal(dp["broker"])
    return ChargeRates(
        source=f"{data['source']}, as of {data['as_of']}",
        as_of=data["as_of"],
        gst_pct=Decimal(data["gst_pct"]),
        sebi_per_crore=Decimal(data["sebi_per_crore"]),
        dp_charge=to_paise(before_gst * (HUNDRED + Decimal(dp["gst_pct"])) / HUNDRED),
        square_off_fee=Decimal(data["square_off_fee"]),
        segments={name: _segment(row) for name, row in data["segments"].items()},
    )


@lru_cache(maxsize=1)
def default_rates() -> ChargeRates:
    """The table that ships with the product."""
    return parse_rates(RATES_FILE.read_text(encoding="utf-8"))


def segment_of(*, exchange: str, product: str, tradingsymbol: str = "") -> str:
    """The row of the table a trade falls under. Raises ValueError for an exchange the table does not know."""
    if exchange in ("NSE", "BSE"):
        return "equity_intraday" if product == "MIS" else "equity_delivery"
    if exchange in ("NFO", "BFO"):
        return "options" if tradingsymbol.endswith(("CE", "PE")) else "futures"
    raise ValueError(f"no charge rates for exchange {exchange!r}")


def estimate_charges(
    *,
    exchange: str,
    product: str,
    side: str,
    quantity: int,
    price: Decimal,
    rates: ChargeRates | None = None,
    tradingsymbol: str = "",
) -> Charges:
    """The charges of one order, filled whole at ``price`` (rupees). Rules: zerodha.com/charges.

    Raises ValueError for an exchange without rates.
    """
    return charges_on(
        turnover=price * quantity,
        exchange=exchange,
        product=product,
        side=side,
        rates=rates,
        tradingsymbol=tradingsymbol,
    )


def charges_on(
    *,
    turnover: Decimal,
    exchange: str,
    product: str,
    side: str,
    rates: ChargeRates | None = None,
    tradingsymbol: str = "",
) -> Charges:
    """The charges of one order with ``turnover`` rupees traded in all its fills; zero turnover costs nothing."""
    table = rates or default_rates()
    row = table.segments[segment_of(exchange=exchange, product=product, tradingsymbol=tradingsymbol)]
    brokerage = to_paise(_brokerage(turnover, row))
    stt = to_paise(turnover * (row.stt_buy_pct if side == "BUY" else row.stt_sell_pct) / HUNDRED)
    exchange_fee = to_paise(turnover * row.exchange_pct.get(exchange, Decimal(0)) / HUNDRED)
    sebi = to_paise(turnover * table.sebi_per_crore / CRORE)
    stamp = to_paise(turnover * row.stamp_buy_pct / HUNDRED) if side == "BUY" else Decimal("0.00")
    gst = to_paise((brokerage + exchange_fee + sebi) * table.gst_pct / HUNDRED)
    total = brokerage + stt + exchange_fee + sebi + stamp + gst
    return Charges(brokerage, stt, exchange_fee, sebi, stamp, gst, total, table.source)


def to_paise(amount: Decimal) -> Decimal:
    """Rounds rupees half up to the paisa."""
    return amount.quantize(PAISA, ROUND_HALF_UP)


def _brokerage(turnover: Decimal, row: SegmentRates) -> Decimal:
    if turnover == 0:
        return Decimal(0)
    return row.brokerage_flat + min(turnover * row.brokerage_pct / HUNDRED, row.brokerage_cap)


def _segment(row: Mapping[str, Any]) -> SegmentRates:
    plain = {name: Decimal(row[name]) for name in row if name != "exchange_pct"}
    by_exchange = {name: Decimal(value) for name, value in row["exchange_pct"].items()}
    return SegmentRates(**plain, exchange_pct=by_exchange)
