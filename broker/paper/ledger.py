"""The exchange's durable ledger: one SQLite file with what it was opened with and every accepted command.

A command is on disk before its caller hears of it; reopening plays the commands again and comes to the same books.
The file holds its own market data and rates, so later data files cannot change what has already happened.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, TypeVar

from broker.calendar import CALENDAR_FILE, parse_calendar
from broker.charges import RATES_FILE, parse_rates
from broker.paper.account import AccountBooks, default_account
from broker.paper.config import ExchangeConfig
from broker.paper.exchange import Exchange
from broker.paper.instruments import default_instruments_text, parse_instruments

ENGINE_VERSION = "1"
PLACE, MODIFY, CANCEL = "place", "modify", "cancel"
SCHEMA = """
CREATE TABLE IF NOT EXISTS opening (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS command (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, kind TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT NOT NULL
);
"""
T = TypeVar("T")


class LedgerError(Exception):
    """The ledger cannot be used; the text says why and for which file."""


class LedgerBusy(LedgerError):
    """Another exchange has the file open."""


class LedgerCorrupt(LedgerError):
    """Playing the commands again does not give what was recorded, or the file is not ours."""


class DurableExchange:
    """An exchange on a file. Safe for threads: one command or read at a time."""

    def __init__(
        self,
        path: Path,
        *,
        opened_at: datetime,
        config: ExchangeConfig | None = None,
        account: AccountBooks | None = None,
    ) -> None:
        """Opens ``path``, or creates it with ``config`` and ``account`` (both ignored where the file exists).

        Raises LedgerBusy if another exchange holds it, LedgerCorrupt if it cannot be played.
        """
        self.path = path
        self._guard = threading.RLock()
        self._lock_file = _lock(path)
        try:
            self._database = _connect(path)
            self._exchange = self._restore(opened_at, config or ExchangeConfig(), account or default_account())
        except BaseException:
            self._lock_file.close()
            raise

    @property
    def config(self) -> ExchangeConfig:
        return self._exchange.config

    def place_order(self, args: Mapping[str, object], now: datetime) -> str:
        """As ``Exchange.place_order``; on disk when it returns."""
        return self._command(PLACE, args, now)

    def modify_order(self, args: Mapping[str, object], now: datetime) -> str:
        return self._command(MODIFY, args, now)

    def cancel_order(self, args: Mapping[str, object], now: datetime) -> str:
        return self._command(CANCEL, args, now)

    def advance(self, now: datetime) -> datetime:
        return self.read(lambda exchange: exchange.advance(now))

    def read(self, ask: Callable[[Exchange], T]) -> T:
        """Asks the engine something under the lock: ``ledger.read(lambda e: e.orders(now))``. Never a command."""
        with self._guard:
            return ask(self._usable())

    def close(self) -> None:
        with self._guard:
            self._database.close()
            self._lock_file.close()

    def _command(self, kind: str, args: Mapping[str, object], now: datetime) -> str:
        with self._guard:
            exchange = self._usable()
            result = _run(exchange, kind, args, now)
            row = (exchange.now.isoformat(), kind, json.dumps(dict(args), default=str, sort_keys=True), result)
            try:
                self._insert(row)
            except sqlite3.Error as exc:  # the engine is ahead of its file: only a reopening can tell the truth
                self.close()
                raise LedgerError(f"{self.path}: the command could not be written: {exc}") from exc
            return result

    def _insert(self, row: tuple[str, str, str, str]) -> None:
        self._database.execute("INSERT INTO command (at, kind, arguments, result) VALUES (?, ?, ?, ?)", row)
        self._database.commit()

    def _usable(self) -> Exchange:
        if self._lock_file.closed:
            raise LedgerError(f"{self.path} is closed")
        return self._exchange

    def _restore(self, opened_at: datetime, config: ExchangeConfig, account: AccountBooks) -> Exchange:
        opening = dict(self._database.execute("SELECT name, value FROM opening").fetchall())
        if not opening:
            opening = _opening(opened_at, config, account)
            self._database.executemany("INSERT INTO opening VALUES (?, ?)", list(opening.items()))
            self._database.commit()
        exchange = _build(opening, self.path)
        for at, kind, arguments, result in self._database.execute(
            "SELECT at, kind, arguments, result FROM command ORDER BY sequence"
        ):
            again = _run(exchange, kind, json.loads(arguments), datetime.fromisoformat(at))
            if again != result:
                raise LedgerCorrupt(f"{self.path}: {kind} at {at} was {result} and is now {again}")
        return exchange


def _run(exchange: Exchange, kind: str, args: Mapping[str, object], now: datetime) -> str:
    if kind == PLACE:
        return exchange.place_order(args, now)
    if kind == MODIFY:
        return exchange.modify_order(args, now)
    return exchange.cancel_order(args, now)


def _opening(opened_at: datetime, config: ExchangeConfig, account: AccountBooks) -> dict[str, str]:
    return {
        "version": ENGINE_VERSION,
        "opened_at": opened_at.astimezone(UTC).isoformat(),
        "config": json.dumps(config.as_dict(), sort_keys=True),
        "account": account.as_json(),
        "instruments": default_instruments_text(),
        "rates": RATES_FILE.read_text(encoding="utf-8"),
        "calendar": CALENDAR_FILE.read_text(encoding="utf-8"),
    }


def _build(opening: Mapping[str, str], path: Path) -> Exchange:
    if opening.get("version") != ENGINE_VERSION:
        raise LedgerCorrupt(f"{path} was written by engine {opening.get('version')}, this is {ENGINE_VERSION}")
    return Exchange(
        opened_at=datetime.fromisoformat(opening["opened_at"]),
        config=ExchangeConfig.from_dict(json.loads(opening["config"])),
        account=AccountBooks.from_json(opening["account"]),
        instruments=parse_instruments(opening["instruments"]),
        rates=parse_rates(opening["rates"]),
        calendar=parse_calendar(opening["calendar"]),
    )


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(SCHEMA)
    except sqlite3.DatabaseError as exc:
        database.close()
        raise LedgerCorrupt(f"{path} is not an exchange ledger: {exc}") from exc
    return database


def _lock(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.with_name(path.name + ".lock").open("a+", encoding="utf-8")  # closed by close()
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        handle.close()
        raise LedgerBusy(f"{path} is in use by another exchange") from exc
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
