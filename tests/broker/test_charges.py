from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.charges import charges_on, default_rates, estimate_charges, segment_of

# 100 shares at Rs 1,000: worked by hand from the table at zerodha.com/charges
CASES = [
    # exchange, product, side: brokerage, stt, exchange, sebi, stamp, gst
    ("NSE", "CNC", "BUY", "0.00", "100.00", "3.07", "0.10", "15.00", "0.57"),
    ("NSE", "CNC", "SELL", "0.00", "100.00", "3.07", "0.10", "0.00", "0.57"),
    ("BSE", "CNC", "BUY", "0.00", "100.00", "3.75", "0.10", "15.00", "0.69"),
    ("NSE", "MIS", "BUY", "20.00", "0.00", "3.07", "0.10", "3.00", "4.17"),
    ("NSE", "MIS", "SELL", "20.00", "25.00", "3.07", "0.10", "0.00", "4.17"),
]


@pytest.mark.parametrize(("exchange", "product", "side", "brokerage", "stt", "fee", "sebi", "stamp", "gst"), CASES)
def test_each_part_is_the_published_rate(exchange, product, side, brokerage, stt, fee, sebi, stamp, gst):
    charges = estimate_charges(exchange=exchange, product=product, side=side, quantity=100, price=Decimal(1000))
    parts = (charges.brokerage, charges.stt, charges.exchange, charges.sebi, charges.stamp, charges.gst)
    assert parts == tuple(Decimal(part) for part in (brokerage, stt, fee, sebi, stamp, gst))
    assert charges.total == sum(parts)
    assert "zerodha.com/charges" in charges.source


def test_small_intraday_order_pays_a_share_of_turnover_not_the_cap():
    charges = estimate_charges(exchange="NSE", product="MIS", side="BUY", quantity=10, price=Decimal(100))
    assert charges.brokerage == Decimal("0.30")


@pytest.mark.parametrize(
    ("symbol", "segment", "brokerage", "stt"),
    [("NIFTY26DECFUT", "futures", "20.00", "50.00"), ("NIFTY26DEC26000CE", "options", "20.00", "150.00")],
)
def test_derivative_sales(symbol, segment, brokerage, stt):
    assert segment_of(exchange="NFO", product="NRML", tradingsymbol=symbol) == segment
    charges = estimate_charges(
        exchange="NFO", product="NRML", side="SELL", quantity=100, price=Decimal(1000), tradingsymbol=symbol
    )
    assert (charges.brokerage, charges.stt) == (Decimal(brokerage), Decimal(stt))


def test_depository_charge_is_apart_and_with_gst():
    assert default_rates().dp_charge == Decimal("15.34")


def test_exchange_without_rates_is_an_error_not_free():
    with pytest.raises(ValueError, match="MCX"):
        estimate_charges(exchange="MCX", product="NRML", side="BUY", quantity=1, price=Decimal(1))


@given(
    turnover=st.decimals(min_value=0, max_value=10**9, places=2),
    product=st.sampled_from(["CNC", "MIS"]),
    side=st.sampled_from(["BUY", "SELL"]),
)
def test_never_negative_and_rounded_to_paise(turnover, product, side):
    charges = charges_on(turnover=turnover, exchange="NSE", product=product, side=side)
    parts = (charges.brokerage, charges.stt, charges.exchange, charges.sebi, charges.stamp, charges.gst)
    assert all(part >= 0 and part.as_tuple().exponent == -2 for part in parts)
    assert charges.total == sum(parts)


def test_nothing_traded_costs_nothing():
    assert charges_on(turnover=Decimal(0), exchange="NSE", product="MIS", side="BUY").total == 0
