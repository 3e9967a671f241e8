"""``manage.py interpret``: one message or a file of them, from a folder of Kite-shaped files, writing nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ai.context_files import ContextInvalid, load_context

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange\n"
)
ROW = "408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "kite" / "responses"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "instruments.csv").write_text(HEADER + ROW)
    (tmp_path / "now.txt").write_text("2026-11-23T10:30:00+05:30\n")
    quote = {"last_price": 1500.05, "ohlc": {"open": 1, "high": 1, "low": 1, "close": 1490}}
    (tmp_path / "quotes.json").write_text(json.dumps({"NSE:INFY": quote}))
    return tmp_path


def _run(*args: str, **options: object) -> str:
    out = io.StringIO()
    call_command("interpret", *args, stdout=out, **options)
    return out.getvalue()


def test_one_message() -> None:
    assert json.loads(_run("buy 10 INFY at 1500", json=True))["price"] == "1500"


def test_many_messages_from_a_folder(folder: Path) -> None:
    source, target = folder / "q.jsonl", folder / "a.jsonl"
    source.write_text('{"id": "a", "text": "buy infy for 50000"}\n\n{"id": 2, "text": "buy 10 tcs"}\n')
    _run(context=folder, source=source, out=target)
    first, second = [json.loads(line) for line in target.read_text().splitlines()]
    assert (first["id"], first["intent"]["quantity"]) == ("a", 33)
    assert (second["id"], second["intent"]["missing"]) == (2, ["symbol"])


@pytest.mark.parametrize("line", ["nonsense", '{"id": 1}', '{"text": "buy"}', '{"id": 1, "text": 5}'])
def test_a_bad_line_is_named_with_its_number(folder: Path, line: str) -> None:
    source = folder / "q.jsonl"
    source.write_text(f"{line}\n")
    with pytest.raises(CommandError, match="line 1"):
        _run(context=folder, source=source)


def test_a_folder_without_instruments_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"instruments\.csv is missing"):
        _run("buy 10 INFY", context=tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("orders.json", "{"), ("holdings.json", "5"), ("now.txt", "yesterday"), ("now.txt", "2026-11-23T10:30:00")],
)
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ContextInvalid, match=name):
        load_context(folder)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample account is not beside this checkout")
def test_the_sample_account_is_read(tmp_path: Path) -> None:
    for name in ("holdings.json", "positions.json", "orders.json", "margins.json"):
        (tmp_path / name).write_bytes((SHARED / name).read_bytes())
    (tmp_path / "instruments.csv").write_bytes((SHARED / "instruments_all.csv").read_bytes())
    (tmp_path / "now.txt").write_text("2021-06-08T15:46:00+05:30")
    context = load_context(tmp_path)
    assert context.held("SBIN") == 16
    assert context.orders is not None
    assert context.orders[1].symbol == "NSE:IOC"
