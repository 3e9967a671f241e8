"""``manage.py risk_check`` and ``risk_replay``: documents judged offline, stored decisions made again."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from risk.models import RiskDecision
from risk.policy import default_policy, policy_document
from risk.services import ensure_default_policy
from tests.risk.build import NOW, order
from tests.risk.test_services import decided

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange,freeze_quantity\n"
)
MARGINS = {
    "equity": {
        "enabled": True, "net": 1000000, "utilised": {"debits": 0},
        "available": {"cash": 1000000, "opening_balance": 1000000, "live_balance": 1000000, "collateral": 0},
    }
}  # fmt: skip
QUOTE = {"last_price": 1500.05, "lower_circuit_limit": 1350, "upper_circuit_limit": 1650, "ohlc": {"close": 1490}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "instruments.csv").write_text(
        f"{HEADER}408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE,150\n2953217,11536,TCS,TATA,0,,0,0.05,1,EQ,NSE,NSE,\n"
    )
    (tmp_path / "now.txt").write_text("2026-11-23T10:30:00+05:30\n")
    (tmp_path / "quotes.json").write_text(json.dumps({"NSE:INFY": QUOTE}))
    (tmp_path / "margins.json").write_text(json.dumps(MARGINS))
    return tmp_path


def buy(**fields):
    return {"kind": "order", "side": "BUY", "symbol": "INFY", "quantity": 10, "price": "1500"} | fields


def check(folder, *intents, **options):
    rows = "".join(json.dumps({"id": n, "intent": intent}) + "\n" for n, intent in enumerate(intents))
    (folder / "in.jsonl").write_text(rows)
    call_command("risk_check", context=folder, source=folder / "in.jsonl", out=folder / "out.jsonl", **options)
    found = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in found] == list(range(len(intents)))
    return [row["decision"] for row in found]


def test_each_line_is_judged_alone_without_a_database(folder):
    first, again, large = check(folder, buy(), buy(), buy(quantity=140))
    assert (first["outcome"], first["denials"], first["warnings"]) == ("allow", [], [])
    assert again == first
    assert (large["outcome"], large["denials"]) == ("deny", ["ORDER_VALUE_MAX"])
    assert large["alternatives"][0] | {"quantity": 133, "passes": True} == large["alternatives"][0]
    assert first["evaluated_at"] == "2026-11-23T05:00:00.000000Z"
    assert (first["policy_version"], first["policy_hash"]) == (0, default_policy().hash)
    assert {"code", "verdict", "limit", "actual", "unit", "message"} <= set(first["controls"][0])


@pytest.mark.parametrize(
    ("intent", "codes"),
    [
        (buy(price=None), []),
        (buy(quantity=0), ["ORDER_INVALID"]),
        (buy(quantity=-5), ["ORDER_INVALID"]),
        (buy(order_type="LIMIT", price=None), ["ORDER_INVALID"]),
        (buy(validity="GTC"), ["ORDER_TYPE_UNSUPPORTED"]),
        (buy(product="NRML"), ["ORDER_TYPE_UNSUPPORTED"]),
        (buy(quantity=151, price="1000"), ["FREEZE_QTY", "PRICE_COLLAR", "PRICE_BAND"]),
        (buy(price="1500.02"), ["TICK_SIZE"]),
        (buy(side="SELL"), ["SHORT_NOT_COVERED"]),
        (buy(side="SELL", quantity=None, quantity_rule={"type": "percent_of_holding", "percent": "50"}),
         ["SHORT_NOT_COVERED"]),
        ({"kind": "clarify"}, ["ORDER_INVALID"]),
        ("buy infy", ["ORDER_INVALID"]),
        ({"kind": "cancel", "order_ids": ["1"]}, ["ORDER_INVALID"]),
    ],
)  # fmt: skip
def test_what_denies(folder, intent, codes):
    (decision,) = check(folder, intent)
    assert decision["denials"] == codes


def test_what_cannot_be_translated_still_names_what_is_wrong(folder):
    unknown, unpriced = check(folder, buy(symbol="NOPE"), buy(symbol="TCS", price=None))
    assert "SYMBOL_RESTRICTED" in unknown["denials"]
    assert {"MARKET_DATA_STALE", "ORDER_VALUE_MAX"} <= set(unpriced["denials"])


@pytest.mark.parametrize(("state", "codes"), [("REDUCING", ["TRADING_REDUCING"]), ("HALTED", ["TRADING_HALTED"])])
def test_the_trading_state_is_the_folders(folder, state, codes):
    (folder / "trading_state.json").write_text(json.dumps({"state": state}))
    assert check(folder, buy())[0]["denials"] == codes


def test_its_clock_is_the_market_clock(folder):
    (folder / "now.txt").write_text("2026-11-22T10:30:00+05:30\n")
    assert check(folder, buy())[0]["denials"] == ["MARKET_CLOSED"]


def test_a_loss_of_today_counts_from_the_positions(folder):
    row = {
        "exchange": "NSE", "tradingsymbol": "TCS", "product": "MIS", "quantity": 0, "overnight_quantity": 0,
        "multiplier": 1, "average_price": 0, "last_price": 3500, "close_price": 3500, "pnl": -20000, "m2m": -20000,
    }  # fmt: skip
    (folder / "positions.json").write_text(json.dumps({"net": [row], "day": [row]}))
    assert check(folder, buy())[0]["denials"] == ["DAILY_LOSS_LIMIT"]


def test_another_policy(folder):
    document = policy_document(default_policy())
    document["limits"]["order_value_max"] = "14000"
    (folder / "policy.json").write_text(json.dumps(document))
    assert check(folder, buy(), policy=folder / "policy.json")[0]["denials"] == ["ORDER_VALUE_MAX"]
    (folder / "policy.json").write_text("{}")
    with pytest.raises(CommandError, match=r"limits"):
        check(folder, buy(), policy=folder / "policy.json")


def test_one_file_intent_or_plan(folder):
    leg = {
        "n": 1, "symbol": "NSE:INFY", "side": "BUY", "quantity": 140, "order_type": "LIMIT", "limit_price": "1500",
        "trigger_price": None, "product": "CNC", "validity": "DAY", "variety": "regular", "depends_on": None,
    }  # fmt: skip
    for document in (buy(quantity=140), {"intent": buy(), "legs": [leg]}):
        (folder / "one.json").write_text(json.dumps(document))
        out = StringIO()
        call_command("risk_check", str(folder / "one.json"), context=folder, json=True, stdout=out)
        assert json.loads(out.getvalue())["denials"] == ["ORDER_VALUE_MAX"]
    out = StringIO()
    call_command("risk_check", str(folder / "one.json"), context=folder, stdout=out)
    assert out.getvalue().startswith("DENY  ORDER_VALUE_MAX\n  deny  ORDER_VALUE_MAX  The order is worth ₹2,10,000;")


@pytest.mark.parametrize("line", ["nonsense", '{"id": 1}', '{"intent": {}}'])
def test_a_bad_line_is_named(folder, line):
    (folder / "in.jsonl").write_text(f"{line}\n")
    with pytest.raises(CommandError, match="line 1"):
        call_command("risk_check", context=folder, source=folder / "in.jsonl")


@pytest.mark.parametrize("text", ["{", '{"state": "ASLEEP"}', "[]"])
def test_a_trading_state_that_is_none_is_said(folder, text):
    (folder / "trading_state.json").write_text(text)
    with pytest.raises(CommandError, match="trading_state"):
        check(folder, buy())


@pytest.mark.django_db
class TestReplay:
    def run(self, *arguments):
        out = StringIO()
        try:
            call_command("risk_replay", "--json", *arguments, stdout=out)
        finally:
            self.report = json.loads(out.getvalue())

    def test_all_come_out_the_same(self):
        ensure_default_policy(now=NOW)
        decided()
        row, _ = decided(order(quantity=200))
        self.run()
        assert (self.report["same"], self.report["decisions"], self.report["engines"]) == (True, 2, {"2": 2})
        self.run("--decision", str(row.id))
        assert self.report["decisions"] == 1

    def test_a_difference_is_named_and_fails(self):
        ensure_default_policy(now=NOW)
        row, _ = decided(order(quantity=200))
        RiskDecision.objects.filter(pk=row.pk).update(inputs=row.inputs.replace('"quantity":200', '"quantity":10'))
        with pytest.raises(CommandError, match="1 of 1"):
            self.run()
        assert "outcome" in {difference["field"] for difference in self.report["differences"]}

    def test_an_engine_nobody_knows_is_said(self):
        ensure_default_policy(now=NOW)
        row, _ = decided()
        RiskDecision.objects.filter(pk=row.pk).update(engine_version="99")
        with pytest.raises(CommandError):
            self.run()
        assert self.report["differences"][0]["field"] == "engine_version"
