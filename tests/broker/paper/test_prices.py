from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.paper.config import EntryRefused
from broker.paper.instruments import default_instruments
from broker.paper.prices import SEGMENT, PricePath
from tests.broker.paper.helpers import AT, later, opened

INFY = default_instruments().get("NSE:INFY")
SECONDS = st.integers(1_700_000_000, 2_000_000_000)


@given(second=SECONDS)
def test_infy_never_leaves_the_range_in_which_a_buy_at_1500_fills(second):
    top = PricePath(INFY, 7).top(second)
    assert 14840 <= top.bid < top.ask <= 14995
    assert top.last in (top.bid, top.ask)


@given(second=SECONDS, seed=st.integers(0, 50))
def test_a_second_has_one_price_whoever_asks(second, seed):
    assert PricePath(INFY, seed).top(second) == PricePath(INFY, seed).top(second)


@given(segment=st.integers(1_700_000_000 // SEGMENT, 2_000_000_000 // SEGMENT), part=st.integers(0, SEGMENT - 1))
def test_bounds_hold_for_every_second(segment, part):
    path = PricePath(INFY, 7)
    low, high = path.bounds(segment)
    assert low <= path.last(segment * SEGMENT + part) <= high


def test_another_seed_is_another_market():
    seconds = range(1_795_000_000, 1_795_100_000, 5_000)
    assert [PricePath(INFY, 7).last(s) for s in seconds] != [PricePath(INFY, 8).last(s) for s in seconds]


def test_quote_is_consistent_with_itself():
    quote = opened().quotes(["NSE:INFY"], AT)["NSE:INFY"]
    bids, asks = quote["depth"]["buy"], quote["depth"]["sell"]
    assert [level["price"] for level in bids] == sorted((level["price"] for level in bids), reverse=True)
    assert [level["price"] for level in asks] == sorted(level["price"] for level in asks)
    assert bids[0]["price"] < asks[0]["price"]
    assert quote["last_price"] in (bids[0]["price"], asks[0]["price"])
    day = quote["ohlc"]
    assert quote["lower_circuit_limit"] < day["low"] <= quote["last_price"]
    assert quote["last_price"] <= day["high"] < quote["upper_circuit_limit"]
    assert all(Decimal(str(level["price"])) % Decimal("0.10") == 0 for level in bids + asks)
    assert all(level["quantity"] > 0 for level in bids + asks)


def test_the_day_stays_within_its_band_of_the_opening():
    exchange = opened()
    for hours in range(1, 18):
        day = exchange.ohlc(["NSE:RELIANCE"], later(hours * 3600))["NSE:RELIANCE"]["ohlc"]
        assert day["high"] <= day["open"] * Decimal("1.012")
        assert day["low"] >= day["open"] * Decimal("0.988")


def test_an_unknown_symbol_has_no_quote():
    exchange = opened()
    assert exchange.quotes(["NSE:NOSUCH", "NSE:INFY"], AT).keys() == {"NSE:INFY"}
    assert exchange.ltp(["NSE:NOSUCH"], AT) == {}


def test_candles_come_from_the_same_path():
    exchange = opened()
    start = AT.replace(minute=0, second=0)
    rows = exchange.historical(408065, start, start + timedelta(minutes=3), "minute", later(3600))
    assert [row["date"] for row in rows] == [f"2026-11-23T11:3{minute}:00+05:30" for minute in range(4)]
    opening = exchange.market.price(INFY, exchange.market.path(INFY).last(int(start.timestamp())))
    assert rows[0]["open"] == opening
    assert all(row["low"] <= row["open"] <= row["high"] and row["low"] <= row["close"] <= row["high"] for row in rows)


def test_no_candle_from_the_future_and_days_are_dated_at_midnight():
    exchange = opened()
    rows = exchange.historical(408065, AT - timedelta(days=3), AT + timedelta(days=3), "day", AT)
    assert [row["date"][:10] for row in rows] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert rows[-1]["date"].endswith("T00:00:00+05:30")
    assert rows[-1]["close"] == exchange.ltp(["NSE:INFY"], AT)["NSE:INFY"]["last_price"]


@pytest.mark.parametrize(("interval", "days", "text"), [("minute", 61, "60 days"), ("second", 1, "invalid interval")])
def test_bad_candle_requests_are_refused(interval, days, text):
    with pytest.raises(EntryRefused, match=text):
        opened().historical(408065, AT - timedelta(days=days), AT, interval, AT)


def test_search():
    exchange = opened()
    assert {row["id"] for row in exchange.search_instruments("infy", AT)} == {"NSE:INFY", "BSE:INFY"}
    assert [row["tradingsymbol"] for row in exchange.search_instruments("bees", AT, filter_on="tradingsymbol")] == [
        "NIFTYBEES",
        "GOLDBEES",
    ]
    assert {row["id"] for row in exchange.search_instruments("INE062A01020", AT, filter_on="isin")} == {
        "NSE:SBIN",
        "BSE:SBIN",
    }


def test_the_instrument_file_covers_the_index_and_is_sound():
    rows = list(default_instruments())
    stocks = [row for row in rows if row.info.exchange == "NSE" and row.info.isin.startswith("INE")]
    assert len(stocks) >= 100
    assert len({row.info.instrument_token for row in rows}) == len(rows)
    assert all(row.reference_price % row.info.tick_size == 0 for row in rows if not row.info.is_index)
    assert all(len(row.info.isin) == 12 for row in rows if not row.info.is_index)
    assert all((row.info.instrument_token & 255) in (1, 4) for row in rows if not row.info.is_index)
