"""The instrument master: rows judged, stored as they stream, found by symbol, name and a derivative's phrase."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from broker import cadence, factory, ingestion, instrument_refresh, instruments, selectors
from broker.cadence import Done
from broker.domain import SessionPhase
from broker.instrument_query import Phrase, phrase_of
from broker.instrument_rows import BadRow, Skipped, info_of, infos_of
from broker.models import BrokerConnection, Instrument
from broker.ports import BrokerSchemaError, BrokerUnavailable
from sigmatrader.accounts.services import set_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import Snapshot, SystemEvent
from tests.support.fake_broker import FakeBroker, install

TODAY = date(2026, 11, 23)


def row(symbol: str, name: str = "", kind: str = "EQ", expiry: str = "", strike: str = "0", **more: Any) -> Any:
    exchange, _, tradingsymbol = symbol.partition(":")
    return {
        "instrument_token": "101", "tradingsymbol": tradingsymbol, "name": name, "expiry": expiry, "strike": strike,
        "tick_size": "0.05", "lot_size": "1", "instrument_type": kind, "segment": exchange, "exchange": exchange,
        **more,
    }  # fmt: skip


def contract(name: str, expiry: str, kind: str, strike: str = "0") -> Any:
    day = date.fromisoformat(expiry)
    text = f"{name}{day:%y%b%d}{'' if kind == 'FUT' else strike}{kind}".upper()
    return row(f"NFO:{text}", name, kind, expiry, strike, lot_size="75")


LIST = [
    row("NSE:INFY", "INFOSYS"), row("BSE:INFY", "INFOSYS"), row("NSE:INFIBEAM", "INFIBEAM AVENUES"),
    row("NSE:RELIANCE", "RELIANCE INDUSTRIES"), row("NSE:RELINFRA", "RELIANCE INFRASTRUCTURE"),
    row("NSE:M&M", "MAHINDRA & MAHINDRA"), row("NSE:BEL", "BHARAT ELECTRONICS"),
    row("NSE:NIFTY 50", "NIFTY 50", segment="INDICES", tick_size="0", lot_size="0"),
    *(contract("NIFTY", day, "CE", "24500") for day in ("2026-11-17", "2026-11-24", "2026-12-01")),
    *(contract("NIFTY", day, "PE", "24500") for day in ("2026-11-17", "2026-11-24", "2026-12-01")),
    contract("NIFTY", "2026-11-24", "CE", "24600"), contract("NIFTY", "2026-11-24", "FUT"),
    contract("NIFTY", "2027-11-30", "CE", "24500"),
    *(contract("BANKNIFTY", day, "PE", "52000") for day in ("2026-11-24", "2026-11-25", "2026-12-29")),
    *(contract("RELIANCE", day, "FUT") for day in ("2026-11-24", "2026-12-29", "2027-01-26")),
]  # fmt: skip


@pytest.fixture
def live(trader: Any, make_connection: Callable[..., BrokerConnection]) -> BrokerConnection:
    return make_connection(trader, kind="kite_mcp", server_url="https://mcp.kite.trade/sse", authorized=True)


@pytest.fixture
def listed(live: BrokerConnection) -> BrokerConnection:
    assert instruments.upsert("live", infos_of(LIST, Skipped()), seen_on=TODAY) == len(LIST)
    return live


@pytest.fixture
def broker(live: BrokerConnection, now: datetime) -> Iterator[FakeBroker]:
    instrument_refresh.asked._at.clear()
    set_flag(Flag.KITE_MCP_ENABLED, enabled=True, actor="t", now=now)
    with install(live, FakeBroker()) as found:
        yield found


def found_by(connection: BrokerConnection, query: str, limit: int = 20) -> list[str]:
    return [info.symbol for info in selectors.find_instruments(connection, query, limit, today=TODAY)]


# --- rows ----------------------------------------------------------------------------------------------------------
def test_a_row_of_the_daily_list() -> None:
    info = info_of(contract("NIFTY", "2026-11-24", "CE", "24500.0") | {"segment": "NFO-OPT"})
    assert (info.symbol, info.strike, info.expiry, info.lot_size, info.tick_size) == (
        "NFO:NIFTY26NOV2424500.0CE", Decimal("24500.0"), "2026-11-24", 75, Decimal("0.05"),
    )  # fmt: skip
    assert info_of(LIST[0]).strike is None


def test_a_row_of_the_search() -> None:
    more = {"isin": "INE009A01021", "freeze_quantity": 100000, "expiry_date": "0001-01-01T00:00:00Z", "strike": 0,
            "tick_size": Decimal("0.1"), "lot_size": 1, "instrument_token": 408065}  # fmt: skip
    info = info_of(row("NSE:INFY", "INFOSYS", **more))
    assert (info.isin, info.freeze_quantity, info.expiry, info.strike, info.instrument_token) == (
        "INE009A01021", 100_000, "", None, 408065,
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"tradingsymbol": ""}, {"tradingsymbol": "X" * 41}, {"tradingsymbol": "A\x1b[1m"}, {"exchange": None},
        {"tick_size": "0"}, {"tick_size": "NaN"}, {"tick_size": "-0.05"}, {"lot_size": "1.5"}, {"lot_size": "1e30"},
        {"lot_size": "99999999999"}, {"instrument_token": "x"}, {"instrument_token": "9" * 20}, {"strike": "1e12"},
        {"expiry": "24-11-2026"}, {"lot_size": ""}, {"lot_size": "Infinity"},
    ],
)  # fmt: skip
def test_a_bad_row_is_counted_and_left_out(change: Any) -> None:
    bad = {**LIST[0], **change}
    with pytest.raises(BadRow):
        info_of(bad)
    skipped = Skipped()
    assert [info.symbol for info in infos_of([LIST[0], bad, LIST[1]], skipped)] == ["NSE:INFY", "BSE:INFY"]
    assert (skipped.rows, bool(skipped.first)) == (1, True)


# --- phrases -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "phrase"),
    [
        ("nifty 24500 ce", Phrase(("NIFTY",), ("CE",), Decimal(24500))),
        ("Nifty 24500CE", Phrase(("NIFTY",), ("CE",), Decimal(24500))),
        ("reliance nov fut", Phrase(("RELIANCE",), ("FUT",), month=11)),
        ("banknifty 52000 pe 25 nov", Phrase(("BANKNIFTY",), ("PE",), Decimal(52000), day=25, month=11)),
        ("bank nifty 25th nov 52000 put", Phrase(("BANK", "NIFTY"), ("PE",), Decimal(52000), day=25, month=11)),
        ("nifty 25NOV26 24500 call", Phrase(("NIFTY",), ("CE",), Decimal(24500), day=25, month=11, year=2026)),
        ("nifty nov 2027 24500 ce", Phrase(("NIFTY",), ("CE",), Decimal(24500), month=11, year=2027)),
        ("reliance industries futures", Phrase(("RELIANCE", "INDUSTRIES"), ("FUT",))),
        ("nifty options", Phrase(("NIFTY",), ("CE", "PE"))),
        ("infy", None), ("fut", None), ("ce 24500", None), ("", None), ("may", None), ("24500", None),
    ],
)  # fmt: skip
def test_a_phrase_is_read(query: str, phrase: Phrase | None) -> None:
    assert phrase_of(query) == phrase


@pytest.mark.parametrize(
    ("phrase", "span"),
    [
        (Phrase(("N",), ("CE",)), ("2026-11-23", "9999-12-31")),
        (Phrase(("N",), ("CE",), month=11), ("2026-11-23", "2026-11-30")),
        (Phrase(("N",), ("CE",), month=2), ("2027-02-01", "2027-02-28")),
        (Phrase(("N",), ("CE",), month=11, day=24), ("2026-11-24", "2026-11-24")),
        (Phrase(("N",), ("CE",), month=11, day=20), ("2027-11-20", "2027-11-20")),
        (Phrase(("N",), ("CE",), month=2, day=31), ("2027-02-28", "2027-02-28")),
        (Phrase(("N",), ("CE",), month=1, year=2028), ("2028-01-01", "2028-01-31")),
    ],
)  # fmt: skip
def test_expiries_that_are_meant(phrase: Phrase, span: tuple[str, str]) -> None:
    assert phrase.expiries(TODAY) == span


# --- found ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("infy", ["NSE:INFY", "BSE:INFY"]),
        ("BSE:INFY", ["BSE:INFY", "NSE:INFY"]),
        ("inf", ["NSE:INFIBEAM", "NSE:INFY", "BSE:INFY", "NSE:RELINFRA"]),
        ("infosys", ["NSE:INFY", "BSE:INFY"]),
        ("mahindra", ["NSE:M&M"]),
        ("avenues", ["NSE:INFIBEAM"]),
        ("bharat elec", ["NSE:BEL"]),
        ("nifty 24500 ce", ["NFO:NIFTY26NOV2424500CE", "NFO:NIFTY26DEC0124500CE", "NFO:NIFTY27NOV3024500CE"]),
        ("nifty 24500 ce nov", ["NFO:NIFTY26NOV2424500CE"]),
        ("nifty 24500 ce nov 27", ["NFO:NIFTY27NOV3024500CE"]),  # no such day in November: it is the year
        ("banknifty 52000 pe 25 nov", ["NFO:BANKNIFTY26NOV2552000PE"]),
        ("bank nifty 52000 pe dec", ["NFO:BANKNIFTY26DEC2952000PE"]),
        ("reliance nov fut", ["NFO:RELIANCE26NOV24FUT"]),
        ("reliance industries jan fut", ["NFO:RELIANCE27JAN26FUT"]),
        ("nifty 1 ce", []), ("zzz", []), ("  ", []),
    ],
)  # fmt: skip
def test_the_best_match_comes_first(listed: BrokerConnection, query: str, symbols: list[str]) -> None:
    assert found_by(listed, query) == symbols


def test_an_underlying_brings_its_contracts_after_itself(listed: BrokerConnection) -> None:
    assert found_by(listed, "nifty", 3) == ["NSE:NIFTY 50", "NFO:NIFTY26NOV24FUT", "NFO:NIFTY26NOV2424500CE"]
    assert "NFO:NIFTY26NOV1724500CE" not in found_by(listed, "nifty", 50)  # it expired


def test_a_paper_market_does_not_see_a_live_one(
    listed: BrokerConnection, make_connection: Callable[..., BrokerConnection], other_trader: Any, now: datetime
) -> None:
    paper = make_connection(other_trader)
    assert found_by(paper, "infy") == []
    ingestion.load_instruments(now=now)
    assert found_by(paper, "nifty 24500 ce") == []
    assert found_by(paper, "INFY", 1) == ["NSE:INFY"]


# --- stored --------------------------------------------------------------------------------------------------------
def test_only_shares_of_nse_are_kept_in_memory(listed: BrokerConnection) -> None:
    names = {info.symbol for info in selectors.all_instruments(listed)}
    assert names == {r["exchange"] + ":" + r["tradingsymbol"] for r in LIST if r["exchange"] == "NSE"}
    wanted = ["NFO:NIFTY26NOV24FUT", "BSE:INFY", "NSE:NOPE", "nonsense"]
    assert sorted(selectors.instrument_infos(listed, wanted)) == ["BSE:INFY", "NFO:NIFTY26NOV24FUT"]


def test_the_next_day_changes_rows_and_keeps_those_that_are_gone(listed: BrokerConnection) -> None:
    Instrument.objects.filter(exchange="NSE", tradingsymbol="INFY").update(isin="INE009A01021", freeze_quantity=7)
    tomorrow = TODAY + timedelta(days=1)
    changed = [row("NSE:INFY", "INFOSYS", tick_size="0.1"), row("NSE:INFY", "INFOSYS LTD", tick_size="0.1")]
    assert instruments.upsert("live", infos_of(changed, Skipped()), seen_on=tomorrow) == 1
    infy = Instrument.objects.get(exchange="NSE", tradingsymbol="INFY")
    assert (infy.tick_size, infy.name, infy.isin, infy.freeze_quantity, infy.seen_on) == (
        Decimal("0.1"), "INFOSYS LTD", "INE009A01021", 7, tomorrow,
    )  # fmt: skip
    assert (Instrument.objects.count(), Instrument.objects.filter(seen_on=TODAY).count()) == (len(LIST), len(LIST) - 1)
    assert selectors.instrument_infos(listed, ["NSE:INFY"])["NSE:INFY"].tick_size == Decimal("0.1")


def test_shares_with_futures_end_in_the_closing_auction(listed: BrokerConnection) -> None:
    instruments.mark_closing_auction("live")
    assert [r.symbol for r in Instrument.objects.filter(in_closing_auction=True)] == ["NSE:RELIANCE"]


# --- refreshed -----------------------------------------------------------------------------------------------------
def test_a_whole_list_is_read_once_a_day(live: BrokerConnection, broker: FakeBroker, now: datetime) -> None:
    broker.instrument_dump = lambda: iter([*LIST, {"tradingsymbol": "?"}])  # type: ignore[attr-defined]
    assert cadence.instruments_if_due(live, now=now) is Done.READ
    event = SystemEvent.objects.get(event_type="INSTRUMENTS_REFRESHED")
    assert (event.details["rows"], event.details["skipped"], event.level) == (len(LIST), 1, "WARNING")
    assert Instrument.objects.get(tradingsymbol="RELIANCE").in_closing_auction
    assert cadence.instruments_if_due(live, now=now + timedelta(hours=13)) is Done.NOT_DUE
    assert cadence.instruments_if_due(live, now=now + timedelta(hours=14)) is Done.READ  # the next day in India


def test_a_list_that_breaks_off_is_read_again(live: BrokerConnection, broker: FakeBroker, now: datetime) -> None:
    def cut() -> Iterator[Any]:
        yield from LIST[:3]
        raise BrokerSchemaError("cut")

    broker.instrument_dump = cut  # type: ignore[attr-defined]
    assert cadence.instruments_if_due(live, now=now) is Done.FAILED
    assert instrument_refresh.is_due(live, now=now)


def test_without_a_list_what_is_held_is_asked_for(live: BrokerConnection, broker: FakeBroker, now: datetime) -> None:
    ingestion.take_snapshot(live, correlation_id="", now=now)
    broker.instruments = lambda query: [row(query)]  # type: ignore[method-assign]
    assert instrument_refresh.refresh(live, now=now).rows == 0
    broker.foreign_orders = [_order("NSE:SBIN")]
    ingestion.take_snapshot(live, correlation_id="", now=now + timedelta(minutes=1))
    assert instrument_refresh.refresh(live, now=now).rows == 1
    assert sorted(selectors.instrument_infos(live, ["NSE:SBIN"])) == ["NSE:SBIN"]
    assert instrument_refresh.refresh(live, now=now).rows == 0  # seen today


def _order(symbol: str) -> Any:
    from broker.domain import BrokerOrder

    zero = Decimal(0)
    return BrokerOrder("1", symbol, "BUY", 1, 0, 1, 0, "LIMIT", "CNC", "DAY", "regular", "OPEN", zero, zero, zero, "",
                       (), "", None, None)  # fmt: skip


def test_a_symbol_nobody_knows_is_asked_for_once(live: BrokerConnection, broker: FakeBroker, now: datetime) -> None:
    asked: list[str] = []

    def answer(query: str) -> list[Any]:
        asked.append(query)
        return [row("NSE:SBIN", "STATE BANK OF INDIA")] if "SBIN" in query else []

    broker.instruments = answer  # type: ignore[method-assign]
    assert [i.symbol for i in instrument_refresh.find(live, "sbin", 5, now=now)] == ["NSE:SBIN"]
    assert [i.symbol for i in instrument_refresh.find(live, "sbin", 5, now=now)] == ["NSE:SBIN"]
    assert instrument_refresh.find(live, "nothing", 5, now=now) == []
    assert instrument_refresh.find(live, "nothing", 5, now=now) == []
    assert instrument_refresh.find(live, "no", 5, now=now) == []
    assert list(instrument_refresh.known(live, ["NSE:SBIN", "NSE:NOPE"], now=now)) == ["NSE:SBIN"]
    assert asked == ["SBIN", "NOTHING", "NSE:NOPE"]


def test_a_search_that_fails_is_told_only_if_nothing_is_known(
    listed: BrokerConnection, broker: FakeBroker, now: datetime
) -> None:
    broker.fail_read("instruments", BrokerUnavailable("down"), times=9)
    assert [i.symbol for i in instrument_refresh.find(listed, "infosy", 5, now=now)] == ["NSE:INFY", "BSE:INFY"]
    with pytest.raises(BrokerUnavailable):
        instrument_refresh.find(listed, "unheard", 5, now=now)
    assert broker.reads == {"instruments": 2}


@pytest.mark.parametrize(
    ("query", "question"),
    [
        ("nifty 24500 ce", "24500CE"), ("reliance nov fut", "RELIANCE"), ("tata motors", "TATAMOTORS"),
        ("nse:infy", "NSE:INFY"),
    ],
)  # fmt: skip
def test_what_the_brokers_search_is_asked(query: str, question: str) -> None:
    assert instrument_refresh.question(query) == question


# --- cadence -------------------------------------------------------------------------------------------------------
def test_a_snapshot_now_and_then(live: BrokerConnection, broker: FakeBroker, now: datetime, settings: Any) -> None:
    settings.SNAPSHOT_EVERY_S = 300
    looks = [cadence.snapshot_if_due(live, now=now + timedelta(seconds=s)) for s in (0, 299, 300)]
    assert (looks, Snapshot.objects.count()) == ([Done.READ, Done.NOT_DUE, Done.READ], 2)


def test_not_while_nobody_is_logged_in_or_the_market_is_closed(
    live: BrokerConnection, broker: FakeBroker, now: datetime
) -> None:
    for authorized in (None, False):
        live.authorized = authorized
        assert cadence.snapshot_if_due(live, now=now) is Done.NOT_AUTHORISED
        assert cadence.instruments_if_due(live, now=now) is Done.NOT_AUTHORISED
    live.authorized, broker.phase = True, SessionPhase.CLOSED
    assert cadence.snapshot_if_due(live, now=now) is Done.MARKET_CLOSED
    assert broker.reads == {"market_state": 1}
    set_flag(Flag.KITE_MCP_ENABLED, enabled=False, actor="t", now=now)
    assert cadence.snapshot_if_due(live, now=now) is Done.SWITCHED_OFF
    assert cadence.instruments_if_due(live, now=now) is Done.SWITCHED_OFF
    set_flag(Flag.KITE_MCP_ENABLED, enabled=True, actor="t", now=now)
    broker.fail_read("market_state", BrokerUnavailable("down"))
    assert cadence.snapshot_if_due(live, now=now) is Done.FAILED
    assert Snapshot.objects.count() == 0


def test_the_tasks_look_at_active_connections(live: BrokerConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    from broker import tasks

    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(cadence, "snapshot_if_due", lambda c, now: seen.append(("books", c.pk)))
    monkeypatch.setattr(cadence, "instruments_if_due", lambda c, now: seen.append(("instruments", c.pk)))
    tasks.take_due_snapshots()
    tasks.refresh_due_instruments()
    live.is_active = False
    live.save()
    tasks.take_due_snapshots()
    assert seen == [("books", live.pk), ("instruments", live.pk)]


# --- command and API -----------------------------------------------------------------------------------------------
def said(*arguments: str) -> Any:
    out = StringIO()
    call_command("instruments", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command(connection: BrokerConnection) -> None:
    assert said("refresh")["rows"] == Instrument.objects.count() == 128
    assert said("search", "infy")["instruments"][0]["symbol"] == "NSE:INFY"
    counted = said("count")
    assert (counted["universe"], counted["rows"], counted["by_kind"]) == ("paper", 128, {"BSE EQ": 19, "NSE EQ": 109})
    with pytest.raises(CommandError, match="is no connection's id"):
        said("count", "--connection", "x")


def test_the_api_understands_a_phrase(listed: BrokerConnection, broker: FakeBroker, trader_api: Any) -> None:
    Instrument.objects.update(expiry="2099-11-24", seen_on=date(2099, 1, 1))
    found = trader_api.get("/api/instruments", {"q": "nifty 24600 ce", "limit": 1}).json()["results"]
    assert [r["symbol"] for r in found] == ["NFO:NIFTY26NOV2424600CE"]
    assert (broker.reads, factory.is_substituted(listed.account)) == ({}, True)
