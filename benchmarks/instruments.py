# ruff: noqa: PLC0415  # Django is set up before what needs it is imported
"""A day's list of 90,000 instruments stored twice (new, then known), and how fast one is found among them.

python -m benchmarks.instruments [ROWS]      on a SQLite file of its own, or on the database of BENCH_DATABASE_URL
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

TODAY = date(2026, 11, 23)
TARGET_S, TARGET_MB, TARGET_MS = 10.0, 200.0, 50.0
QUERIES = (
    "infy", "NSE:S00042", "company 77", "nifty", "nifty 24500 ce", "banknifty 52000 pe 24 nov", "s00010 nov fut", "n",
    "industries 120", "zzzz", "24500", "NIFTY26NOV2424500CE",
)  # fmt: skip
ROUNDS = 10


def rows(count: int) -> Iterator[dict[str, object]]:
    """Rows as the broker's list has them: shares of two exchanges, then futures and options."""
    token = 1000
    for exchange, shares in (("NSE", count // 10), ("BSE", count // 8)):
        for number in range(shares):
            token += 1
            name = f"COMPANY {number} INDUSTRIES"
            yield _row(token, exchange, f"S{number:05d}", name, "EQ", exchange, "", "0")
        yield _row(token + 900_000, exchange, "INFY", "INFOSYS", "EQ", exchange, "", "0")
    left = count - count // 10 - count // 8 - 2
    names = ["NIFTY", "BANKNIFTY", "FINNIFTY", *(f"S{number:05d}" for number in range(200))]
    per_name = [left // 4, left // 6, left // 12] + [left // 400] * 200
    for name, wanted in zip(names, per_name, strict=True):
        yield from _contracts(name, wanted, token := token + wanted + 1)


def _contracts(name: str, wanted: int, token: int) -> Iterator[dict[str, object]]:
    expiries = [TODAY + timedelta(days=1 + 7 * week) for week in range(18)]
    for number in range(wanted):
        expiry = expiries[number % len(expiries)]
        place = number // len(expiries)
        kind = "FUT" if place == 0 else ("CE", "PE")[place % 2]
        strike = 0 if kind == "FUT" else {"BANKNIFTY": 42_000}.get(name, 20_000) + 100 * (place // 2)
        text = f"{name}{expiry:%y%b%d}{strike or ''}{kind}".upper()
        yield _row(token + number, "NFO", text, name, kind, f"NFO-{'FUT' if kind == 'FUT' else 'OPT'}",
                   expiry.isoformat(), str(strike))  # fmt: skip


def _row(
    token: int, exchange: str, symbol: str, name: str, kind: str, segment: str, expiry: str, strike: str
) -> dict[str, object]:
    return {
        "instrument_token": str(token), "exchange_token": str(token // 256), "tradingsymbol": symbol, "name": name,
        "last_price": "0", "expiry": expiry, "strike": strike, "tick_size": "0.05", "lot_size": "75",
        "instrument_type": kind, "segment": segment, "exchange": exchange,
    }  # fmt: skip


def main(count: int = 90_000) -> dict[str, object]:
    """Stores the list twice and searches; reports seconds, milliseconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGMATRADER_VAR"] = folder
        os.environ["DATABASE_URL"] = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        os.environ["DJANGO_SETTINGS_MODULE"] = "sigmatrader.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        before = _peak_mb()
        first, second = _store(count), _store(count)
        searches = {query: _search(query) for query in QUERIES}
    worst = max(p95 for _, p95, _ in searches.values())
    return {
        "rows": first[0], "first_s": first[1], "again_s": second[1], "peak_mb": _peak_mb(), "peak_before_mb": before,
        "search_ms": {q: {"p50": p50, "p95": p95, "found": found} for q, (p50, p95, found) in searches.items()},
        "search_worst_p95_ms": worst,
        "ok": second[1] < TARGET_S and first[1] < TARGET_S and _peak_mb() < TARGET_MB and worst < TARGET_MS,
    }  # fmt: skip


def _store(count: int) -> tuple[int, float]:
    from broker import instruments
    from broker.instrument_rows import Skipped, infos_of

    started = time.perf_counter()
    stored = instruments.upsert(instruments.LIVE, infos_of(rows(count), Skipped()), seen_on=TODAY)
    instruments.mark_closing_auction(instruments.LIVE)
    return stored, round(time.perf_counter() - started, 2)


def _search(query: str) -> tuple[float, float, int]:
    from broker.instrument_search import search

    times, found = list[float](), 0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = len(search("live", query, 20, today=TODAY))
        times.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(times), 1), round(sorted(times)[-1], 1), found


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
