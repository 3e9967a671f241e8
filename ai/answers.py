"""Analyses as text, cited facts and tables, computed from the snapshot's portfolio. Pure; facts only, no advice.

Every figure of the text is one of ``facts``: what it is, its value and unit, the record it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ai.language.money import grouped, percent, rupees, signed_rupees
from broker.domain import Quote

IST = ZoneInfo("Asia/Kolkata")
ROWS_AS_TEXT = 3
Row = Mapping[str, Any]
Shape = dict[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """More than three rows of cells, as shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def shape(self) -> Shape:
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}


@dataclass(slots=True)
class Answer:
    """What is said, with the facts it cites."""

    lines: list[str] = field(default_factory=list)
    facts: list[Shape] = field(default_factory=list)
    table: Table | None = None

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def cite(self, text: str, value: Decimal | int | str, unit: str, source: str) -> str:
        """Books a fact and returns it as it is shown."""
        self.facts.append({"text": text, "value": str(value), "unit": unit, "source": source, "verified": True})
        return _shown(value, unit)


@dataclass(frozen=True, slots=True)
class Look:
    """What an answer is computed from: the portfolio shape of one snapshot, quotes read now, and the time."""

    portfolio: Row
    now: datetime
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    company: str = ""

    @property
    def source(self) -> str:
        return f"snapshot:{self.portfolio.get('snapshot_id')}"

    def rows(self, part: str, symbol: str = "") -> Sequence[Row] | None:
        """The rows of a part, of one share if named; None if the part was not read."""
        rows = self.portfolio.get(part)
        if rows is None:
            return None
        return [row for row in rows if not symbol or str(row["symbol"]).rpartition(":")[2] == symbol]

    def total(self, name: str) -> Decimal | None:
        value = self.portfolio["totals"].get(name)
        return None if value is None else Decimal(value)


def answer(intent: Row, look: Look) -> Answer:
    """The answer to an ``analyze`` intent, with the age of its data."""
    said = Answer()
    topic, symbol = str(intent["topic"]), str(intent.get("symbol") or "")
    if topic == "quote":
        _quote(said, look, symbol)
        return said
    if look.portfolio.get("taken_at") is None:
        said.say("The broker's books have not been read yet, so there are no figures to give.")
        return said
    _TOPICS.get(topic, _not_kept)(said, look, symbol)
    said.say(_age(look))
    return said


def _age(look: Look) -> str:
    taken: datetime = look.portfolio["taken_at"]
    seconds = max(0, int((look.now - taken).total_seconds()))
    return f"Books read at {taken.astimezone(IST):%H:%M:%S} IST, {seconds} s ago."


def _shown(value: Decimal | int | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    shown = {"INR": rupees, "INR_SIGNED": signed_rupees, "PERCENT": percent, "SHARES": grouped, "COUNT": grouped}
    return shown[unit](Decimal(value))


def _not_read(said: Answer, what: str) -> None:
    said.say(f"{what} could not be read from the broker this time.")


def _holdings(said: Answer, look: Look, symbol: str) -> None:
    rows = look.rows("holdings", symbol)
    if rows is None:
        return _not_read(said, "Holdings")
    if not rows:
        said.say(f"You hold no {symbol}." if symbol else "You hold no shares.")
        return None
    if not symbol:
        value = said.cite("Holdings value", Decimal(look.total("current_value") or 0), "INR", look.source)
        count = said.cite("Shares held", len(rows), "COUNT", look.source)
        said.say(f"You hold {count} {'share' if len(rows) == 1 else 'different shares'}, worth {value}.")
    _listed(
        said,
        rows,
        ("Share", "Quantity", "Average", "Last", "Value", "P&L"),
        lambda row: _holding_cells(said, look, row),
    )
    return None


def _holding_cells(said: Answer, look: Look, row: Row) -> tuple[str, ...]:
    name = _name(row)
    return (
        name,
        said.cite(f"{name} quantity", int(row["quantity"]) + int(row["t1_quantity"]), "SHARES", look.source),
        said.cite(f"{name} average price", Decimal(row["average_price"]), "INR", look.source),
        said.cite(f"{name} last price", Decimal(row["last_price"]), "INR", look.source),
        said.cite(f"{name} value", Decimal(row["current_value"]), "INR", look.source),
        said.cite(f"{name} P&L", Decimal(row["pnl"]), "INR_SIGNED", look.source),
    )


def _positions(said: Answer, look: Look, symbol: str) -> None:
    rows = look.rows("positions", symbol)
    if rows is None:
        return _not_read(said, "Positions")
    open_rows = [row for row in rows if row["quantity"]]
    if not open_rows:
        said.say(f"You have no open position{f' in {symbol}' if symbol else ''}.")
        return None
    said.say(f"Open positions: {said.cite('Open positions', len(open_rows), 'COUNT', look.source)}.")
    _listed(
        said,
        open_rows,
        ("Share", "Product", "Quantity", "Average", "Last", "P&L"),
        lambda row: _position_cells(said, look, row),
    )
    return None


def _position_cells(said: Answer, look: Look, row: Row) -> tuple[str, ...]:
    name = _name(row)
    return (
        name,
        str(row["product"]),
        said.cite(f"{name} {row['product']} quantity", int(row["quantity"]), "SHARES", look.source),
        said.cite(f"{name} {row['product']} average price", Decimal(row["average_price"]), "INR", look.source),
        said.cite(f"{name} {row['product']} last price", Decimal(row["last_price"]), "INR", look.source),
        said.cite(f"{name} {row['product']} P&L", Decimal(row["pnl"]), "INR_SIGNED", look.source),
    )


def _pnl(name: str, words: str) -> Callable[[Answer, Look, str], None]:
    def tell(said: Answer, look: Look, symbol: str) -> None:
        value, share = look.total(f"{name}_pnl"), look.total(f"{name}_pnl_percent")
        if value is None:
            return _not_read(said, "Holdings and positions")
        shown = said.cite(f"{words} P&L", value, "INR_SIGNED", look.source)
        part = f" ({said.cite(f'{words} P&L percent', share, 'PERCENT', look.source)})" if share is not None else ""
        said.say(f"{words} P&L: {shown}{part}, holdings and positions together, before charges.")
        return None

    return tell


def _pnl_symbol(said: Answer, look: Look, symbol: str) -> None:
    held, open_rows = look.rows("holdings", symbol), look.rows("positions", symbol)
    if held is None or open_rows is None:
        return _not_read(said, "Holdings and positions")
    if not held and not open_rows:
        said.say(f"You have neither a holding nor a position in {symbol}.")
        return None
    for row in held:
        shown = said.cite(f"{symbol} holding P&L", Decimal(row["pnl"]), "INR_SIGNED", look.source)
        share = row.get("pnl_percent")
        part = (
            f" ({said.cite(f'{symbol} P&L percent', Decimal(share), 'PERCENT', look.source)})"
            if share is not None
            else ""
        )
        said.say(f"{symbol} holding: {shown}{part}.")
    for row in open_rows:
        shown = said.cite(f"{symbol} {row['product']} P&L", Decimal(row["pnl"]), "INR_SIGNED", look.source)
        said.say(f"{symbol} {row['product']} position: {shown}.")
    return None


def _summary(said: Answer, look: Look, symbol: str) -> None:
    names = (("current_value", "Holdings value", "INR"), ("invested", "Invested", "INR"), ("day_pnl", "Day P&L",
    "INR_SIGNED"),
             ("total_pnl", "Total P&L", "INR_SIGNED"), ("margin_available", "Margin available", "INR"))  # fmt: skip
    for name, words, unit in names:
        value = look.total(name)
        said.say(f"{words}: {said.cite(words, value, unit, look.source) if value is not None else 'not read'}.")


def _margin(said: Answer, look: Look, symbol: str) -> None:
    available, cash = look.total("margin_available"), look.total("cash")
    if available is None:
        return _not_read(said, "Margins")
    said.say(f"Margin available for shares: {said.cite('Margin available', available, 'INR', look.source)}.")
    if cash is not None:
        said.say(f"Cash: {said.cite('Cash', cash, 'INR', look.source)}.")
    return None


def _orders(said: Answer, look: Look, symbol: str) -> None:
    rows = look.rows("orders", symbol)
    if rows is None:
        return _not_read(said, "The order book")
    if not rows:
        said.say(f"There are no orders{f' in {symbol}' if symbol else ''} today.")
        return None
    working = sum(1 for row in rows if row["status"] not in ("COMPLETE", "CANCELLED", "REJECTED"))
    said.say(f"Orders today: {said.cite('Orders today', len(rows), 'COUNT', look.source)}, "
             f"{said.cite('Orders still open', working, 'COUNT', look.source)} still open.")  # fmt: skip
    _listed(
        said,
        rows,
        ("Side", "Share", "Quantity", "Filled", "Price", "Status"),
        lambda row: _order_cells(said, look, row),
    )
    return None


def _order_cells(said: Answer, look: Look, row: Row) -> tuple[str, ...]:
    label = f"order {row['order_id']}"
    price = Decimal(row["price"] or 0)
    return (
        str(row["transaction_type"]),
        _name(row),
        said.cite(f"{label} quantity", int(row["quantity"]), "SHARES", look.source),
        said.cite(f"{label} filled", int(row["filled_quantity"]), "SHARES", look.source),
        said.cite(f"{label} price", price, "INR", look.source) if price else str(row["order_type"]),
        str(row["status"]),
    )


def _concentration(said: Answer, look: Look, symbol: str) -> None:
    rows = look.rows("holdings")
    if rows is None:
        return _not_read(said, "Holdings")
    weighed = sorted(
        (row for row in rows if row.get("weight_percent") is not None), key=lambda r: -Decimal(r["weight_percent"])
    )
    if not weighed:
        said.say("You hold no shares.")
        return None
    top = weighed[0]
    weight = said.cite(f"{_name(top)} weight", Decimal(top["weight_percent"]), "PERCENT", look.source).lstrip("+")
    said.say(f"Your largest holding is {_name(top)}, {weight} of the holdings' value.")
    _listed(said, weighed, ("Share", "Value", "Weight"), lambda row: _weight_cells(said, look, row))
    return None


def _weight_cells(said: Answer, look: Look, row: Row) -> tuple[str, ...]:
    name = _name(row)
    weight = said.cite(f"{name} weight", Decimal(row["weight_percent"]), "PERCENT", look.source).lstrip("+")
    return (name, said.cite(f"{name} value", Decimal(row["current_value"]), "INR", look.source), weight)


def _exposure(said: Answer, look: Look, symbol: str) -> None:
    rows = look.rows("positions")
    held = look.total("current_value")
    if rows is None or held is None:
        return _not_read(said, "Holdings and positions")
    gross = sum(
        (abs(Decimal(row["quantity"])) * Decimal(row["last_price"]) for row in rows if row["product"] != "CNC"),
        Decimal(0),
    )
    said.say(f"Holdings: {said.cite('Holdings value', held, 'INR', look.source)}.")
    said.say(f"Open intraday positions, gross: {said.cite('Gross position value', gross, 'INR', look.source)}.")
    return None


def _quote(said: Answer, look: Look, symbol: str) -> None:
    quote = next((q for s, q in look.quotes.items() if s.rpartition(":")[2] == symbol), None) if symbol else None
    if quote is None:
        said.say(f"There is no quote for {symbol} just now." if symbol else "Which share's price?")
        return
    source = f"quote:{quote.symbol}"
    last = said.cite(f"{symbol} last price", quote.last_price, "INR", source)
    line = f"{look.company or symbol} ({quote.symbol}) last traded at {last}"
    if quote.close:
        move = quote.last_price - quote.close
        share = (move * 100 / quote.close).quantize(Decimal("0.01"))
        moved = said.cite(f"{symbol} change since close", move, "INR_SIGNED", source)
        part = said.cite(f"{symbol} change percent", share, "PERCENT", source)
        line += f", {moved} ({part}) since the previous close"
    said.say(f"{line}.")
    seconds = max(0, int(quote.age_s(look.now)))
    said.say(f"Read at {quote.read_at.astimezone(IST):%H:%M:%S} IST, {seconds} s ago.")


def _not_kept(said: Answer, look: Look, symbol: str) -> None:
    said.say(
        "I give holdings, positions, P&L, orders, margin, weights and quotes. Charges of an order stand on "
        "its card before you approve it."
    )


def _listed(
    said: Answer, rows: Sequence[Row], columns: tuple[str, ...], cells: Callable[[Row], tuple[str, ...]]
) -> None:
    """Up to three rows as sentences, more as a table."""
    lines = [cells(row) for row in rows]
    if len(lines) > ROWS_AS_TEXT:
        said.table = Table(columns, tuple(lines))
        return
    for line in lines:
        said.say(
            "; ".join(
                f"{name.lower()} {cell}" if at else cell
                for at, (name, cell) in enumerate(zip(columns, line, strict=True))
            )
            + "."
        )


def _name(row: Row) -> str:
    return str(row["symbol"]).rpartition(":")[2]


_TOPICS: dict[str, Callable[[Answer, Look, str], None]] = {
    "holdings": _holdings,
    "positions": _positions,
    "pnl_day": _pnl("day", "Today's"),
    "pnl_total": _pnl("total", "Total"),
    "pnl_symbol": _pnl_symbol,
    "portfolio_summary": _summary,
    "margin": _margin,
    "orders": _orders,
    "concentration": _concentration,
    "allocation": _concentration,
    "exposure": _exposure,
}
