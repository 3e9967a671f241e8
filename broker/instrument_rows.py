"""A broker's instrument rows as values: by the columns of Kite's daily list, or of its MCP server's search. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from broker.domain import InstrumentInfo, symbol_of

INDEX_TICK = Decimal("0.05")
MAX_NUMBER = 2**31 - 1
MAX_TOKEN = 2**63 - 1
_LENGTHS = {"exchange": 10, "tradingsymbol": 40, "segment": 20, "instrument_type": 10}
Row = Mapping[str, object]


class BadRow(ValueError):
    """A row that is no instrument."""


@dataclass(slots=True)
class Skipped:
    """How many rows could not be read, and the first one's fault."""

    rows: int = 0
    first: str = ""

    def note(self, fault: str) -> None:
        self.rows += 1
        self.first = self.first or fault[:200]


def infos_of(rows: Iterable[Row], skipped: Skipped) -> Iterator[InstrumentInfo]:
    """One instrument after another, so that a long list is never whole in memory; bad rows are counted and left out."""
    for row in rows:
        try:
            yield info_of(row)
        except BadRow as exc:
            skipped.note(str(exc))


def info_of(row: Row) -> InstrumentInfo:
    """Raises BadRow. An index has no tick or lot of its own: it gets 0.05 and 1, as nothing is ever sent for it."""
    words = {name: _word(row, name, most) for name, most in _LENGTHS.items()}
    tick = _decimal(row, "tick_size")
    if tick <= 0 and words["segment"] != "INDICES":
        raise BadRow(f"{words['tradingsymbol']} has a tick of {tick}")
    return InstrumentInfo(
        symbol=symbol_of(words["exchange"], words["tradingsymbol"]),
        name=_text(row, "name")[:120],
        instrument_token=_whole(row, "instrument_token", MAX_TOKEN),
        tick_size=tick if tick > 0 else INDEX_TICK,
        lot_size=max(1, _whole(row, "lot_size")),
        segment=words["segment"],
        instrument_type=words["instrument_type"],
        isin=_text(row, "isin")[:12],
        expiry=_expiry(row),
        strike=_decimal(row, "strike", absent=Decimal(0)) or None,
        freeze_quantity=_whole(row, "freeze_quantity", absent=0) or None,
    )


def _expiry(row: Row) -> str:
    text = (_text(row, "expiry") or _text(row, "expiry_date"))[:10]
    if not text or text.startswith("0001"):
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadRow(f"{text!r} is no expiry") from None


def _word(row: Row, name: str, most: int) -> str:
    text = _text(row, name)
    if not text or len(text) > most or not text.isprintable():
        raise BadRow(f"{name} is {text[:60]!r}")
    return text


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip().replace("\x00", "")


def _decimal(row: Row, name: str, absent: Decimal | None = None) -> Decimal:
    text = _text(row, name)
    if not text and absent is not None:
        return absent
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BadRow(f"{name} is {text[:60]!r}") from None
    if not value.is_finite() or not 0 <= value < MAX_NUMBER:
        raise BadRow(f"{name} is {text[:60]!r}")
    return value


def _whole(row: Row, name: str, most: int = MAX_NUMBER, absent: int | None = None) -> int:
    text = _text(row, name)
    if not text and absent is not None:
        return absent
    value = _number(name, text)
    if not 0 <= value <= most:
        raise BadRow(f"{name} is {text[:60]!r}")
    return value


def _number(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BadRow(f"{name} is {text[:60]!r}") from None
    if not value.is_finite() or value.adjusted() > 19 or value != value.to_integral_value():
        raise BadRow(f"{name} is {text[:60]!r}")
    return int(value)
