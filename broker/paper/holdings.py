"""Delivery stock: what is settled, what is on its way (T+1), what was sold of it today."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from broker.paper.instruments import InstrumentBook, PaperInstrument
from broker.paper.shapes import HOLDING, Row, shaped

QUANTUM = Decimal("0.0001")
PERCENT = Decimal(100)
Prices = Callable[[PaperInstrument], tuple[Decimal, Decimal]]


@dataclass(slots=True)
class HoldingRow:
    """One row; ``frozen`` rows are shown as given until a trade here changes them."""

    given: Row
    isin: str
    quantity: int
    t1_quantity: int
    average_price: Decimal
    frozen: bool

    @property
    def owned(self) -> int:
        """Settled and on its way are disjoint (FACTS g1)."""
        return self.quantity + self.t1_quantity

    @property
    def symbol(self) -> str:
        return f"{self.given['exchange']}:{self.given['tradingsymbol']}"

    def sell(self, quantity: int) -> None:
        settled = min(quantity, self.quantity)
        self.quantity -= settled
        self.t1_quantity -= quantity - settled

    def buy(self, quantity: int, price: Decimal) -> None:
        cost = self.average_price * self.owned + price * quantity
        self.t1_quantity += quantity
        self.average_price = (cost / self.owned).quantize(QUANTUM, ROUND_HALF_UP)


class HoldingBook:
    """All holdings of an account. A stock's NSE and BSE rows are one holding, found by ISIN."""

    def __init__(self, rows: Sequence[Row], *, imported: bool) -> None:
        self._rows = [_holding(row, frozen=imported) for row in rows]

    def owned(self, isin: str) -> int:
        """Shares at the start of today, less what the given rows already call used."""
        rows = [row for row in self._rows if row.isin == isin]
        return sum(row.owned - (_whole(row.given, "used_quantity") if row.frozen else 0) for row in rows)

    def rows(self, *, sold: dict[str, int], instruments: InstrumentBook, prices: Prices) -> list[Row]:
        """Kite's rows. ``sold`` is what delivery sales took of each ISIN today: it becomes used_quantity."""
        left = dict(sold)
        shown = []
        for row in self._rows:
            used = min(row.owned, left.get(row.isin, 0))
            left[row.isin] = left.get(row.isin, 0) - used
            instrument = instruments.get(row.symbol)
            if instrument is None or (row.frozen and used == 0):
                shown.append(dict(row.given))
            else:
                shown.append(_live_row(row, used, *prices(instrument)))
        return shown

    def settle(self, isin: str, instrument: PaperInstrument, net: int, price: Decimal) -> None:
        """Takes over one day's delivery trades of a stock: bought shares come in as T+1, sold ones go."""
        rows = [row for row in self._rows if row.isin == isin]
        if net > 0:
            if not rows:
                rows = [_new_row(instrument)]
                self._rows += rows
            _thaw(rows[0])
            rows[0].buy(net, price)
        for row in rows:
            take = min(row.owned, max(0, -net))
            if take:
                _thaw(row)
                row.sell(take)
                net += take
        self._rows = [row for row in self._rows if row.owned or row.frozen]

    def age(self) -> None:
        """One more day has passed: what was T+1 is settled. Called before the day's own trades are taken over."""
        for row in self._rows:
            if not row.frozen:
                row.quantity += row.t1_quantity
                row.t1_quantity = 0


def _thaw(row: HoldingRow) -> None:
    """From now on the row is ours: what it called used is gone, its T+1 is settled."""
    if row.frozen:
        row.frozen = False
        row.sell(min(row.owned, _whole(row.given, "used_quantity")))
        row.quantity += row.t1_quantity
        row.t1_quantity = 0


def _new_row(instrument: PaperInstrument) -> HoldingRow:
    info = instrument.info
    given = shaped(
        HOLDING,
        {
            "tradingsymbol": info.tradingsymbol,
            "exchange": info.exchange,
            "instrument_token": info.instrument_token,
            "isin": info.isin,
            "product": "CNC",
        },
    )
    return _holding(given, frozen=False)


def _holding(row: Row, *, frozen: bool) -> HoldingRow:
    return HoldingRow(
        given=row,
        isin=str(row["isin"]),
        quantity=_whole(row, "quantity"),
        t1_quantity=_whole(row, "t1_quantity"),
        average_price=Decimal(str(row["average_price"])),
        frozen=frozen,
    )


def _live_row(row: HoldingRow, used: int, last: Decimal, close: Decimal) -> Row:
    change = last - close
    return row.given | {
        "quantity": row.quantity,
        "t1_quantity": row.t1_quantity,
        "realised_quantity": row.quantity,
        "opening_quantity": row.owned,
        "used_quantity": used + (_whole(row.given, "used_quantity") if row.frozen else 0),
        "average_price": row.average_price,
        "last_price": last,
        "close_price": close,
        "pnl": (last - row.average_price) * row.owned,
        "day_change": change,
        "day_change_percentage": (change * PERCENT / close).quantize(QUANTUM, ROUND_HALF_UP),
    }


def _whole(row: Row, name: str) -> int:
    return int(str(row[name]))
