"""Seeded prices: the price of a symbol at a second is a function of (seed, symbol, second) and of nothing else.

A sum of octaves of value noise around the reference price, in integers, so that every machine gets the same paise
and any second can be asked for without playing through those before it. The path reverts to its centre and never
leaves it by more than ``AMPLITUDE_BP`` basis points, so one day's path stays within 1.2 % of the day's opening.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from broker.paper.instruments import PaperInstrument

AMPLITUDE_BP = 50
UNIT = 1 << 16
OCTAVES = ((16384, 28), (2048, 34), (256, 24), (32, 14))  # (seconds between lattice points, weight of 100)
SEGMENT = 256
DEPTH_LEVELS = 5
NOTIONAL_PAISE = (1_500_000, 20_000_000)  # one depth level: Rs 15,000 to Rs 2,00,000, so that retail orders meet it


@dataclass(frozen=True, slots=True)
class Top:
    """The seeded market at one second, in ticks: last trade, best bid and best ask."""

    last: int
    bid: int
    ask: int


@lru_cache(maxsize=200_000)
def _hash(seed: int, symbol: str, salt: int, index: int) -> int:
    """64 bits that look random and depend on nothing but the arguments."""
    digest = blake2b(f"{seed}|{symbol}|{salt}|{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _lattice(seed: int, symbol: str, octave: int, index: int) -> int:
    """A value in [-UNIT, UNIT] at a lattice point."""
    return _hash(seed, symbol, octave, index) % (2 * UNIT + 1) - UNIT


def _smooth(part: int, whole: int) -> int:
    """3t^2 - 2t^3 of t = part/whole, scaled to UNIT."""
    t = part * UNIT // whole
    return t * t // UNIT * (3 * UNIT - 2 * t) // UNIT


def _octave(seed: int, symbol: str, octave: int, second: int) -> int:
    period = OCTAVES[octave][0]
    index, part = divmod(second, period)
    left = _lattice(seed, symbol, octave, index)
    right = _lattice(seed, symbol, octave, index + 1)
    return left + (right - left) * _smooth(part, period) // UNIT


class PricePath:
    """The path of one instrument. NSE and BSE rows of a stock share it, each rounded to its own tick."""

    def __init__(self, instrument: PaperInstrument, seed: int) -> None:
        self._seed = seed
        self._name = instrument.info.tradingsymbol
        self._reference = int(instrument.reference_price * 100)
        self.tick_paise = instrument.tick_paise

    def last(self, second: int) -> int:
        """The last traded price at ``second`` (Unix time), in ticks."""
        noise = sum(
            _octave(self._seed, self._name, octave, second) * weight for octave, (_, weight) in enumerate(OCTAVES)
        )
        return self._ticks(noise)

    def top(self, second: int) -> Top:
        """Last, bid and ask at ``second``: the last trade was on one of the two, one tick apart."""
        last = self.last(second)
        on_bid = _hash(self._seed, self._name, 10, second) & 1
        return Top(last, last if on_bid else last - 1, last + 1 if on_bid else last)

    def bounds(self, segment: int) -> tuple[int, int]:
        """Ticks no second of the 256-second ``segment`` goes below or above (what ``last`` can be in it)."""
        start = segment * SEGMENT
        lows = highs = 0
        for octave, (period, weight) in enumerate(OCTAVES):
            low, high = self._octave_bounds(octave, period, start)
            lows += low * weight
            highs += high * weight
        return self._ticks(lows) - 1, self._ticks(highs) + 1

    def level_quantity(self, second: int, side: int, level: int) -> int:
        """Shares offered at depth ``level`` (0 is the best) of side 0 (bids) or 1 (asks) at ``second``."""
        low, high = NOTIONAL_PAISE
        notional = low + _hash(self._seed, self._name, 20 + side * DEPTH_LEVELS + level, second) % (high - low)
        return max(1, notional // self._reference)

    def _octave_bounds(self, octave: int, period: int, start: int) -> tuple[int, int]:
        if period >= SEGMENT:  # the segment lies inside one lattice cell, where the path is monotone
            ends = (
                _octave(self._seed, self._name, octave, start),
                _octave(self._seed, self._name, octave, start + SEGMENT),
            )
            return min(ends), max(ends)
        points = [
            _lattice(self._seed, self._name, octave, start // period + step) for step in range(SEGMENT // period + 1)
        ]
        return min(points), max(points)

    def _ticks(self, noise: int) -> int:
        """``noise`` is in [-100 UNIT, 100 UNIT]; rounds half up to the tick."""
        scale = 10_000 * 100 * UNIT
        paise_scaled = self._reference * (scale + noise * AMPLITUDE_BP)
        step = scale * self.tick_paise
        return (2 * paise_scaled + step) // (2 * step)
