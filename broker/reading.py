"""All parts of the books at once: each read on its own thread, each complete or absent with its reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.db import connections

from broker.domain import Books
from broker.ports import BrokerError, BrokerReader

T = TypeVar("T")
THREADS = 12  # two accounts at once; the threads stay, since each holds a warm way to the session process
FAULT_MAX = 300


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """One part as it was read, or None and why."""

    value: T | None
    fault: str = ""


class _Readers:
    """The kept threads of this process. A forked child makes its own: threads do not survive a fork."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, read: Callable[[], T]) -> Future[_Part[T]]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="books")
        return self._pool.submit(_attempt, read)

    def forget(self) -> None:
        self._pool = None


_readers = _Readers()
os.register_at_fork(after_in_child=_readers.forget)


def read_books(reader: BrokerReader, symbols: Sequence[str] = (), *, as_of: datetime) -> Books:
    """Reads every part side by side; never raises a broker's error: a part that failed is absent, ``faults`` says why.

    ``as_of`` is taken before the first request leaves, so that the books are never called younger than they are.
    """
    holdings, positions = _readers.submit(reader.holdings), _readers.submit(reader.positions)
    orders, trades, margins = (
        _readers.submit(reader.orders), _readers.submit(reader.trades), _readers.submit(reader.margins),
    )  # fmt: skip
    quotes = _readers.submit(lambda: reader.quotes(symbols)) if symbols else None
    priced = quotes.result() if quotes is not None else None
    read: dict[str, str] = {
        "holdings": holdings.result().fault, "positions": positions.result().fault, "orders": orders.result().fault,
        "trades": trades.result().fault, "margins": margins.result().fault, "quotes": priced.fault if priced else "",
    }  # fmt: skip
    net, day = positions.result().value or (None, None)
    return Books(
        as_of=as_of, holdings=holdings.result().value, positions_net=net, positions_day=day,
        orders=orders.result().value, trades=trades.result().value, margins=margins.result().value,
        quotes=(priced.value or {}) if priced is not None else {},
        faults={name: fault for name, fault in read.items() if fault},
    )  # fmt: skip


def _attempt(read: Callable[[], T]) -> _Part[T]:
    """Absent is never the same as empty: only an answer is a value."""
    try:
        return _Part(read())
    except BrokerError as exc:
        return _Part(None, f"{type(exc).__name__}: {exc.text}"[:FAULT_MAX])
    finally:
        connections.close_all()  # of this thread, if the rate budget opened one
