"""Quotes that many ask for, read together: one request serves all who wait, and for a second those who come after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from broker.domain import Quote

KEEP_S = 1.0
BATCH = 500
Found = dict[str, Quote | None]  # None: the broker has no quote of it


class QuoteDesk:
    """``wait`` is called before each request and raises when it would take too long; ``ask`` makes the request."""

    def __init__(
        self,
        ask: Callable[[Sequence[str]], dict[str, Quote]],
        wait: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._ask, self._wait, self._monotonic = ask, wait, monotonic
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._wanted: dict[str, None] = {}
        self._known: dict[str, tuple[float, Quote | None]] = {}

    def read(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Quotes no older than a second, by symbol in the order asked; one that has no quote is absent."""
        wanted = list(dict.fromkeys(symbols))
        found = self._fresh(wanted)
        try:
            while rest := self._left(wanted, found):
                with self._turn:
                    found |= self._fresh(rest)
                    if rest := self._left(wanted, found):
                        found |= self._fetch(rest)
        finally:
            self._drop(wanted)
        return {symbol: quote for symbol in wanted if (quote := found[symbol]) is not None}

    def _left(self, wanted: Iterable[str], found: Found) -> list[str]:
        """What is still to be read; said aloud, so that whoever has the turn reads it along."""
        rest = [symbol for symbol in wanted if symbol not in found]
        with self._lock:
            self._wanted |= dict.fromkeys(rest)
        return rest

    def _fetch(self, rest: list[str]) -> Found:
        self._wait()
        with self._lock:
            batch = list(dict.fromkeys([*rest, *self._wanted]))[:BATCH]
        quotes = self._ask(batch)
        at = self._monotonic()
        with self._lock:
            known = {symbol: row for symbol, row in self._known.items() if at - row[0] <= KEEP_S}
            self._known = known | {symbol: (at, quotes.get(symbol)) for symbol in batch}
            self._wanted = {symbol: None for symbol in self._wanted if symbol not in self._known}
        return {symbol: quotes.get(symbol) for symbol in batch}

    def _fresh(self, symbols: Iterable[str]) -> Found:
        now = self._monotonic()
        with self._lock:
            rows = {symbol: self._known[symbol] for symbol in symbols if symbol in self._known}
        return {symbol: quote for symbol, (at, quote) in rows.items() if now - at <= KEEP_S}

    def _drop(self, symbols: Iterable[str]) -> None:
        with self._lock:
            for symbol in symbols:
                self._wanted.pop(symbol, None)
