"""Sentences and the exact order each becomes (reading rules 1-5 and 9)."""

from __future__ import annotations

from typing import Any

import pytest

from ai.interpreter import interpret
from tests.ai.books import CONTEXT


def order(side: str, symbol: str, quantity: int | None, **fields: Any) -> dict[str, Any]:
    price, trigger = fields.get("price"), fields.get("trigger_price")
    plain, stop = ("LIMIT", "SL") if price else ("MARKET", "SL-M")
    order_type = stop if trigger else plain
    return {
        "kind": "order", "side": side, "symbol": symbol, "exchange": "NSE", "quantity": quantity,
        "order_type": order_type, "price": None, "trigger_price": None, "product": "CNC", "validity": "DAY",
        "variety": "regular", **fields,
    }  # fmt: skip


def percent(share: str, of: str = "holding") -> dict[str, Any]:
    return {"type": f"percent_of_{of}", "percent": share}


def notional(amount: str) -> dict[str, Any]:
    return {"type": "notional", "amount": amount}


INFY_1490 = order("BUY", "INFY", 10, price="1490")
INFY_MARKET = order("BUY", "INFY", 10)
ALL_POSITION = percent("100", "position")

SENTENCES: list[tuple[str, dict[str, Any]]] = [
    # a price is a limit, however it is said
    ("buy 10 INFY at 1490", INFY_1490),
    ("Buy 10 shares of Infosys at 1490", INFY_1490),
    ("buy infy 10 @1490", INFY_1490),
    ("buy 10 infy@1490", INFY_1490),
    ("BUY 10 INFY 1490", INFY_1490),
    ("buy infy 10 1490", INFY_1490),
    ("b 10 infy 1490", INFY_1490),
    ("limit buy 10 infy 1490", INFY_1490),
    ("BUY INFY 10 CNC LIMIT 1490", INFY_1490),
    ("place order buy infy 10 qty limit price 1490", INFY_1490),
    ("INFY: buy 10 @ 1490", INFY_1490),
    ("buy 10 INFY-EQ at 1490", INFY_1490),
    ("buy 10 NSE:INFY at 1490", INFY_1490),
    ("infy ke 10 share kharid lo 1490 pe", INFY_1490),
    ("infy 10 share 1490 pe lo", INFY_1490),
    ("infy 1490 pe 10 share le lo", INFY_1490),
    ("buy 10 infy 1490 pe", INFY_1490),
    ("buy 10 infy pe 1490", INFY_1490),
    ("please buy 10 INFY for me at 1,490/-", INFY_1490),
    ("buy 10 INFY at Rs 1490", INFY_1490),
    ("buy 10 INFY at ₹1,490", INFY_1490),
    ("buy ten infy at 1490", INFY_1490),
    ("buy 10 infy not above 1490", INFY_1490),
    ("buy 10 infy below 1490", INFY_1490),
    ("buy 10 infy at 1490 or below", INFY_1490),
    ("buy 10 infy max 1490", INFY_1490),
    ("buy １０ INFY at １４９０", INFY_1490),
    ("qty 10 infy buy 1490", INFY_1490),
    ("buy 10 INFY at 1490.50", order("BUY", "INFY", 10, price="1490.50")),
    ("sell 20 infy at 1510 or better", order("SELL", "INFY", 20, price="1510")),
    ("sell infy 10 qty price 1600", order("SELL", "INFY", 10, price="1600")),
    ("sell 10 infy above 1600", order("SELL", "INFY", 10, price="1600")),
    # no price and no type is a market order
    ("buy 10 infosys", INFY_MARKET),
    ("infy 10 buy at cmp", INFY_MARKET),
    ("buy 10 infy @ mkt", INFY_MARKET),
    ("market order buy 10 infy", INFY_MARKET),
    ("buy 10 infy market", INFY_MARKET),
    ("10 infy le lo", INFY_MARKET),
    ("infy 10 share lelo bhai", INFY_MARKET),
    ("10 infosys kharido", INFY_MARKET),
    ("add 10 infy", INFY_MARKET),
    ("buy 10 more infy", INFY_MARKET),
    ("go long 10 infy", INFY_MARKET),
    ("bui 10 infy", INFY_MARKET),
    ("byu 10 infy", INFY_MARKET),
    ("get me 10 infy", INFY_MARKET),
    ("I want to buy 10 infy", INFY_MARKET),
    ("buy(10, INFY)", INFY_MARKET),
    ("Buy 10 INFY. Thanks", INFY_MARKET),
    ("buy infy shares 10", INFY_MARKET),
    ("sell 5 tcs at market", order("SELL", "TCS", 5)),
    ("bech do 5 tcs", order("SELL", "TCS", 5)),
    ("5 tcs becho", order("SELL", "TCS", 5)),
    ("slel 5 tcs", order("SELL", "TCS", 5)),
    # names
    ("buy 5 hdfc bank", order("BUY", "HDFCBANK", 5)),
    ("buy 10 bajaj finance", order("BUY", "BAJFINANCE", 10)),
    ("buy 10 bajaj-auto", order("BUY", "BAJAJ-AUTO", 10)),
    ("buy 10 m&m at 3000", order("BUY", "M&M", 10, price="3000")),
    ("buy 10 l&t", order("BUY", "LT", 10)),
    ("buy 10 larsen and toubro", order("BUY", "LT", 10)),
    ("buy 5 dr reddy's at 1200", order("BUY", "DRREDDY", 5, price="1200")),
    ("buy 3 asian paint", order("BUY", "ASIANPAINT", 3)),
    ("buy 10 state bank of india", order("BUY", "SBIN", 10)),
    ("buy 10 sbi", order("BUY", "SBIN", 10)),
    ("buy 3 hindustan unilever", order("BUY", "HINDUNILVR", 3)),
    ("buy 5 sun pharma", order("BUY", "SUNPHARMA", 5)),
    ("buy 20 power grid @ 300", order("BUY", "POWERGRID", 20, price="300")),
    ("buy 4 kotak bank", order("BUY", "KOTAKBANK", 4)),
    ("buy 4 airtel", order("BUY", "BHARTIARTL", 4)),
    ("buy 4 zomato", order("BUY", "ETERNAL", 4)),
    ("buy 5 relaince", order("BUY", "RELIANCE", 5)),
    ("buy 5 infosis", order("BUY", "INFY", 5)),
    ("buy 5 tata stel", order("BUY", "TATASTEEL", 5)),
    ("buy 10 tata motors", order("BUY", "TMPV", 10)),
    # exchange, product, validity, variety
    ("buy 10 infy on bse", order("BUY", "INFY", 10, exchange="BSE")),
    ("buy 5 hdfc bank intraday", order("BUY", "HDFCBANK", 5, product="MIS")),
    ("buy 5 hdfc bank MIS at 950", order("BUY", "HDFCBANK", 5, product="MIS", price="950")),
    ("buy 10 shares infy delivery at 1490", INFY_1490),
    ("buy 10 infy ioc", order("BUY", "INFY", 10, validity="IOC")),
    ("buy 10 IOC at 140", order("BUY", "IOC", 10, price="140")),
    ("buy 5 ioc ioc", order("BUY", "IOC", 5, validity="IOC")),
    ("buy 10 infy at 1490 valid today", INFY_1490),
    ("buy 10 infy at 1490 amo", order("BUY", "INFY", 10, price="1490", variety="amo")),
    ("buy 10 infy valid for 10 minutes", order("BUY", "INFY", 10, validity="TTL", validity_ttl=10)),
    # triggers and exits
    ("buy 10 infy trigger 1520", order("BUY", "INFY", 10, trigger_price="1520")),
    ("buy 10 infy sl-m 1520", order("BUY", "INFY", 10, trigger_price="1520")),
    ("buy 10 infy at 1525 trigger 1520", order("BUY", "INFY", 10, price="1525", trigger_price="1520")),
    ("buy 10 infy stop loss order trigger 1520 limit 1525", order("BUY",
    "INFY", 10, price="1525", trigger_price="1520")),
    ("sell 10 infy sl 1440", order("SELL", "INFY", 10, trigger_price="1440")),
    ("sell 10 infy trigger 1440 price 1438", order("SELL", "INFY", 10, price="1438", trigger_price="1440")),
    ("put a stop loss for 10 infy at 1440", order("SELL", "INFY", 10, trigger_price="1440")),
    ("buy 40 wipro limit 251.50 sl 246 target 262",
     order("BUY", "WIPRO", 40, price="251.50", exits={"stop_loss": "246", "target": "262"})),
    ("buy 10 infy @1490 with target of 1600 and sl of 1450",
     order("BUY", "INFY", 10, price="1490", exits={"stop_loss": "1450", "target": "1600"})),
    ("buy 10 infy at 1490 stoploss 1450", order("BUY", "INFY", 10, price="1490", exits={"stop_loss": "1450"})),
    ("gtt buy 10 infy trigger 1400 limit 1398",
     order("BUY", "INFY", 10, price="1398", trigger_price="1400", order_type="LIMIT", variety="gtt")),
    # parts of what is held
    ("sell half my infy", order("SELL", "INFY", 20, quantity_rule=percent("50"))),
    ("infy ka aadha bech do", order("SELL", "INFY", 20, quantity_rule=percent("50"))),
    ("sell 50% of my INFY holding at 1600", order("SELL", "INFY", 20, price="1600", quantity_rule=percent("50"))),
    ("sell 33 percent of tcs", order("SELL", "TCS", 2, quantity_rule=percent("33"))),
    ("sell all tcs", order("SELL", "TCS", 7, quantity_rule=percent("100"))),
    ("dump all my tcs", order("SELL", "TCS", 7, quantity_rule=percent("100"))),
    ("sell a quarter of my infy", order("SELL", "INFY", 10, quantity_rule=percent("25"))),
    ("exit infy", order("SELL", "INFY", 40, quantity_rule=percent("100"))),
    ("reduce infy to 15", order("SELL", "INFY", 25, quantity_rule={"type": "reduce_to", "quantity": 15})),
    ("keep only 10 infy", order("SELL", "INFY", 30, quantity_rule={"type": "reduce_to", "quantity": 10})),
    # positions: closing keeps their product
    ("exit sbin", order("SELL", "SBIN", 100, product="MIS", quantity_rule=ALL_POSITION)),
    ("square off sbi", order("SELL", "SBIN", 100, product="MIS", quantity_rule=ALL_POSITION)),
    ("close my sbin position", order("SELL", "SBIN", 100, product="MIS", quantity_rule=ALL_POSITION)),
    ("sell 40 sbin", order("SELL", "SBIN", 40, product="MIS")),
    ("cover itc", order("BUY", "ITC", 50, product="MIS", quantity_rule=ALL_POSITION)),
    ("square off itc", order("BUY", "ITC", 50, product="MIS", quantity_rule=ALL_POSITION)),
    ("cover 20 itc", order("BUY", "ITC", 20, product="MIS")),
    ("buy 20 itc at 419", order("BUY", "ITC", 20, price="419", product="MIS")),
    ("buy 80 itc delivery", order("BUY", "ITC", 80)),
    ("short 10 infy", order("SELL", "INFY", 10, product="MIS")),
    ("short 10 wipro at 255 sl 260", order("SELL",
    "WIPRO", 10, price="255", product="MIS", exits={"stop_loss": "260"})),
    ("sell 10 wipro intraday", order("SELL", "WIPRO", 10, product="MIS")),
    # money
    ("buy infy for 50000", order("BUY", "INFY", 33, quantity_rule=notional("50000"))),
    ("buy infy worth 50000 at 1490", order("BUY", "INFY", 33, price="1490", quantity_rule=notional("50000"))),
    ("buy rs. 25000 worth infy at 1490", order("BUY", "INFY", 16, price="1490", quantity_rule=notional("25000"))),
    ("invest 50k in reliance", order("BUY", "RELIANCE", 35, quantity_rule=notional("50000"))),
    ("buy ₹50,000 of SBI", order("BUY", "SBIN", 62, quantity_rule=notional("50000"))),
    ("50000 ka infy kharido", order("BUY", "INFY", 33, quantity_rule=notional("50000"))),
    ("buy 1.5L worth of reliance", order("BUY", "RELIANCE", 107, quantity_rule=notional("150000"))),
    ("buy 1 lakh worth of tcs", order("BUY", "TCS", 28, quantity_rule=notional("100000"))),
    ("buy 2 crore worth of tcs", order("BUY", "TCS", 5714, quantity_rule=notional("20000000"))),
    ("buy 50k worth of cipla", order("BUY", "CIPLA", None, quantity_rule=notional("50000"))),
    ("buy 1,00,000 wipro shares", order("BUY", "WIPRO", 100000)),
    ("buy 100,000 wipro shares", order("BUY", "WIPRO", 100000)),
    ("buy 1 lakh shares of wipro", order("BUY", "WIPRO", 100000)),
    ("buy 2k wipro shares at 249", order("BUY", "WIPRO", 2000, price="249")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "intent"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_one_order(text: str, intent: dict[str, Any]) -> None:
    assert interpret(text, context=CONTEXT) == intent


LISTS: list[tuple[str, list[dict[str, Any]]]] = [
    ("buy 10 infy at 1490 and 5 tcs at 3400", [INFY_1490, order("BUY", "TCS", 5, price="3400")]),
    ("buy 10 infy at 1490, 5 tcs at 3400", [INFY_1490, order("BUY", "TCS", 5, price="3400")]),
    ("buy 10 infy and sell 5 tcs", [INFY_MARKET, order("SELL", "TCS", 5)]),
    ("sell 5 tcs @ 3600, buy 10 infy @ 1490", [order("SELL", "TCS", 5, price="3600"), INFY_1490]),
    ("Buy 10 INFY. Sell 5 TCS.", [INFY_MARKET, order("SELL", "TCS", 5)]),
    ("buy 10 each of infy and wipro", [INFY_MARKET, order("BUY", "WIPRO", 10)]),
    ("buy infy 10, wipro 5", [INFY_MARKET, order("BUY", "WIPRO", 5)]),
    ("infy 10 share kharid lo aur wipro 5 share", [INFY_MARKET, order("BUY", "WIPRO", 5)]),
    ("exit all positions", [
        order("SELL", "SBIN", 100, product="MIS", quantity_rule=ALL_POSITION),
        order("BUY", "ITC", 50, product="MIS", quantity_rule=ALL_POSITION),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "orders"), LISTS, ids=[text for text, _ in LISTS])
def test_several_orders(text: str, orders: list[dict[str, Any]]) -> None:
    assert interpret(text, context=CONTEXT) == {"kind": "orders", "orders": orders}
