"""The instruments the paper exchange trades, from a file of our own in the columns of Kite's dump and a few more."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from broker.domain import InstrumentInfo

INSTRUMENTS_FILE = Path(__file__).parent.parent / "data" / "instruments.csv"


@dataclass(frozen=True, slots=True)
class PaperInstrument:
    """One row of the file; ``reference_price`` (rupees) is invented and the centre of the seeded price path."""

    info: InstrumentInfo
    exchange_token: int
    reference_price: Decimal
    band_pct: Decimal

    @property
    def symbol(self) -> str:
        return self.info.symbol

    @property
    def tick_paise(self) -> int:
        return int(self.info.tick_size * 100)


class InstrumentBook:
    """Look-up by symbol and token, and Kite's search."""

    def __init__(self, instruments: Iterable[PaperInstrument]) -> None:
        self._by_symbol = {row.symbol: row for row in instruments}
        self._by_token = {row.info.instrument_token: row for row in self._by_symbol.values()}

    def __iter__(self) -> Iterator[PaperInstrument]:
        return iter(self._by_symbol.values())

    def __len__(self) -> int:
        return len(self._by_symbol)

    def get(self, symbol: str) -> PaperInstrument | None:
        return self._by_symbol.get(symbol)

    def by_token(self, instrument_token: int) -> PaperInstrument | None:
        return self._by_token.get(instrument_token)

    def search(self, query: str, *, filter_on: str = "id") -> list[PaperInstrument]:
        """Rows whose named field contains ``query``, letter case aside; underlying is the tradingsymbol of equities."""
        wanted = query.strip().upper()
        return [row for row in self._by_symbol.values() if wanted in _field(row.info, filter_on).upper()]


def parse_instruments(text: str) -> InstrumentBook:
    """Reads the CSV text. Raises KeyError, ValueError or decimal.InvalidOperation for a malformed row."""
    return InstrumentBook(_instrument(row) for row in csv.DictReader(io.StringIO(text)))


@lru_cache(maxsize=1)
def default_instruments_text() -> str:
    """The file that ships with the product, as it is."""
    return INSTRUMENTS_FILE.read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def default_instruments() -> InstrumentBook:
    return parse_instruments(default_instruments_text())


def _field(info: InstrumentInfo, filter_on: str) -> str:
    if filter_on == "name":
        return info.name
    if filter_on == "isin":
        return info.isin
    if filter_on in ("tradingsymbol", "underlying"):
        return info.tradingsymbol
    return info.symbol


def _instrument(row: Mapping[str, str]) -> PaperInstrument:
    info = InstrumentInfo(
        symbol=f"{row['exchange']}:{row['tradingsymbol']}",
        name=row["name"],
        instrument_token=int(row["instrument_token"]),
        tick_size=Decimal(row["tick_size"]),
        lot_size=int(row["lot_size"]),
        segment=row["segment"],
        instrument_type=row["instrument_type"],
        isin=row["isin"],
        sector=row["sector"],
        expiry=row["expiry"],
        strike=Decimal(row["strike"]) or None,
        freeze_quantity=int(row["freeze_quantity"]) or None,
        in_closing_auction=row["in_closing_auction"] == "1",
    )
    return PaperInstrument(info, int(row["exchange_token"]), Decimal(row["last_price"]), Decimal(row["band_pct"]))
