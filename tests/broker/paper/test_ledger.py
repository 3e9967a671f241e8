from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from broker.paper.config import EntryRefused, ExchangeConfig
from broker.paper.ledger import DurableExchange, LedgerBusy, LedgerCorrupt, LedgerError
from tests.broker.paper.helpers import AT, ORDER, later

ROOT = Path(__file__).parents[3]
CHILD = """
import sys
from datetime import timedelta
from pathlib import Path
from broker.paper.ledger import DurableExchange
from tests.broker.paper.helpers import AT, ORDER
ledger = DurableExchange(Path(sys.argv[1]), opened_at=AT)
for step in range(1000):
    order = ORDER | {"tag": f"K{step}", "price": 1400 + step % 50}
    print(ledger.place_order(order, AT + timedelta(seconds=step)), flush=True)
"""


def commands(path: Path) -> int:
    with sqlite3.connect(path) as database:
        return int(database.execute("SELECT count(*) FROM command").fetchone()[0])


def books(ledger: DurableExchange, seconds: float) -> dict[str, object]:
    return ledger.read(lambda exchange: exchange.books(later(seconds)))


def traded(path: Path) -> DurableExchange:
    ledger = DurableExchange(path, opened_at=AT, config=ExchangeConfig(seed=11))
    ledger.place_order(ORDER | {"quantity": 3000, "product": "MIS"}, AT)
    resting = ledger.place_order(ORDER | {"price": 1450}, later(1))
    ledger.modify_order({"order_id": resting, "order_type": "LIMIT", "price": 1451.5}, later(2))
    dead = ledger.place_order(ORDER | {"price": 1400}, later(3))
    ledger.cancel_order({"order_id": dead}, later(4))
    return ledger


def test_reopening_comes_to_the_same_books_at_any_time(tmp_path):
    path = tmp_path / "paper.sqlite3"
    ledger = traded(path)
    for seconds in (5, 60, 86_400, 3 * 86_400):
        before = books(ledger, seconds)
        ledger.close()
        ledger = DurableExchange(path, opened_at=later(10**7))  # what it was opened with is in the file
        assert ledger.config.seed == 11
        assert books(ledger, seconds) == before
    ledger.close()


def test_a_command_is_in_the_file_when_it_returns_and_a_refusal_is_not(tmp_path):
    path = tmp_path / "paper.sqlite3"
    ledger = DurableExchange(path, opened_at=AT)
    ledger.place_order(ORDER, AT)
    assert commands(path) == 1
    with pytest.raises(EntryRefused):
        ledger.place_order(ORDER | {"quantity": 0}, AT)
    with pytest.raises(EntryRefused):
        ledger.cancel_order({"order_id": "1"}, AT)
    assert commands(path) == 1
    ledger.close()


def test_a_kill_loses_no_order_that_was_answered(tmp_path):
    path = tmp_path / "paper.sqlite3"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    assert child.stdout is not None
    answered = [child.stdout.readline().strip() for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    answered += [line.strip() for line in child.stdout if len(line.strip()) == 15]
    child.wait()
    ledger = DurableExchange(path, opened_at=AT)
    book = {str(r["order_id"]): r for r in ledger.read(lambda e: e.orders(later(2000)))}
    assert set(answered) <= set(book)
    assert len(book) - len(answered) in (0, 1)  # the one being written when the kill came
    assert [r["tag"] for r in book.values()] == [f"K{step}" for step in range(len(book))]
    ledger.close()


def test_a_second_exchange_on_the_file_is_told_so(tmp_path):
    ledger = DurableExchange(tmp_path / "paper.sqlite3", opened_at=AT)
    with pytest.raises(LedgerBusy, match="in use by another exchange"):
        DurableExchange(tmp_path / "paper.sqlite3", opened_at=AT)
    ledger.close()
    DurableExchange(tmp_path / "paper.sqlite3", opened_at=AT).close()


def test_a_closed_exchange_takes_nothing(tmp_path):
    ledger = DurableExchange(tmp_path / "paper.sqlite3", opened_at=AT)
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.place_order(ORDER, AT)
    assert commands(tmp_path / "paper.sqlite3") == 0


def test_a_file_that_is_not_ours_or_was_changed_is_refused(tmp_path):
    stranger = tmp_path / "stranger.sqlite3"
    stranger.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerCorrupt, match="not an exchange ledger"):
        DurableExchange(stranger, opened_at=AT)
    path = tmp_path / "paper.sqlite3"
    traded(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE command SET result = '1' WHERE sequence = 2")
    with pytest.raises(LedgerCorrupt, match="was 1 and is now"):
        DurableExchange(path, opened_at=AT)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE opening SET value = '0' WHERE name = 'version'")
    with pytest.raises(LedgerCorrupt, match="engine 0"):
        DurableExchange(path, opened_at=AT)


def test_a_write_that_fails_closes_the_exchange(tmp_path):
    path = tmp_path / "paper.sqlite3"
    ledger = DurableExchange(path, opened_at=AT)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE command")
    with pytest.raises(LedgerError, match="could not be written"):
        ledger.place_order(ORDER, AT)
    with pytest.raises(LedgerError, match="closed"):
        ledger.read(lambda e: e.orders(AT))


def test_many_threads_at_once_place_as_many_orders(tmp_path):
    path = tmp_path / "paper.sqlite3"
    ledger = DurableExchange(path, opened_at=AT)
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: ids.append(ledger.place_order(ORDER | {"tag": f"T{n}"}, AT)))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = ledger.read(lambda e: e.books(later(5)))
    ledger.close()
    again = DurableExchange(path, opened_at=AT)
    assert len(set(ids)) == 20
    assert again.read(lambda e: e.books(later(5))) == before
    again.close()
