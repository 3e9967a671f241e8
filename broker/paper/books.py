"""The account's money and stock: positions, holdings and margins by Kite's arithmetic (FACTS g and h)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from broker.charges import ChargeRates, charges_on, to_paise
from broker.domain import Product, Side
from broker.paper.account import AccountBooks
from broker.paper.holdings import HoldingBook
from broker.paper.instruments import PaperInstrument
from broker.paper.orders import PaperOrder
from broker.paper.shapes import POSITION, Row, shaped

ZERO = Decimal(0)
QUANTUM = Decimal("0.0001")
Prices = Callable[[PaperInstrument], tuple[Decimal, Decimal]]  # (last price, close of the day before)


@dataclass(slots=True)
class DayTrades:
    """What was bought and sold today in one (symbol, product)."""

    instrument: PaperInstrument
    product: Product
    buy_quantity: int = 0
    buy_value: Decimal = ZERO
    sell_quantity: int = 0
    sell_value: Decimal = ZERO

    @property
    def net(self) -> int:
        return self.buy_quantity - self.sell_quantity

    @property
    def key(self) -> tuple[str, str]:
        return self.instrument.symbol, self.product.value

    def add(self, side: Side, quantity: int, price: Decimal) -> None:
        if side is Side.BUY:
            self.buy_quantity += quantity
            self.buy_value += price * quantity
        else:
            self.sell_quantity += quantity
            self.sell_value += price * quantity

    def realised(self) -> Decimal:
        """Profit of the part that was both bought and sold, at average prices."""
        matched = min(self.buy_quantity, self.sell_quantity)
        if matched == 0:
            return ZERO
        return self.sell_value * matched / self.sell_quantity - self.buy_value * matched / self.buy_quantity

    def open_value(self) -> Decimal:
        """What the open part cost, at average price; never negative."""
        if self.net >= 0:
            return self.buy_value * self.net / self.buy_quantity if self.buy_quantity else ZERO
        return self.sell_value * -self.net / self.sell_quantity


@dataclass(slots=True)
class CashStatement:
    """All money since the exchange opened: closing = opening + sold - bought - charges."""

    opening: Decimal
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    charges: Decimal = ZERO

    @property
    def closing(self) -> Decimal:
        return self.opening + self.sold - self.bought - self.charges


class AccountState:
    """Everything an account owns and owes; fills and charges go in, Kite's rows come out."""

    def __init__(self, opening: AccountBooks, *, rates: ChargeRates, mis_leverage: int, sale_credit: Decimal) -> None:
        self._rates = rates
        self._leverage = mis_leverage
        self._sale_credit = sale_credit
        self._imported = opening.imported
        self._given_day = opening.positions_day
        self._given_net = opening.positions_net
        self._margins = opening.margins
        self._settled = ZERO  # what earlier days changed in cash
        self._charges_today = ZERO
        self._dp_today: set[str] = set()
        self.day: dict[tuple[str, str], DayTrades] = {}
        self.holdings = HoldingBook(opening.holdings, imported=opening.imported)
        self.cash = CashStatement(opening=_amount(_part(opening.margins, "equity", "available"), "cash"))

    def fill(self, order: PaperOrder, instrument: PaperInstrument, quantity: int, price: Decimal) -> None:
        """Books a fill with its charges. The order's own counters already include it."""
        request = order.request
        trades = self.day.setdefault((instrument.symbol, request.product.value), DayTrades(instrument, request.product))
        trades.add(request.side, quantity, price)
        if request.side is Side.BUY:
            self.cash.bought += price * quantity
        else:
            self.cash.sold += price * quantity
        whole = charges_on(
            turnover=order.filled_value,
            exchange=request.exchange,
            product=request.product,
            side=request.side,
            rates=self._rates,
        ).total
        self.charge(whole - order.charges)
        order.charges = whole
        self._charge_depository(instrument)

    def charge(self, amount: Decimal) -> None:
        self._charges_today += amount
        self.cash.charges += amount

    def charge_square_off(self) -> None:
        fee = self._rates.square_off_fee
        self.charge(to_paise(fee + fee * self._rates.gst_pct / 100))

    def delivery_net(self) -> dict[str, int]:
        """Shares bought less sold today for delivery, by ISIN, both exchanges together."""
        net: dict[str, int] = {}
        for trades in self.day.values():
            if trades.product is Product.CNC:
                isin = trades.instrument.info.isin
                net[isin] = net.get(isin, 0) + trades.net
        return net

    def free_to_sell(self, isin: str, open_orders: Iterable[PaperOrder]) -> int:
        """Delivery shares that may still be sold today: owned and bought today, less open sell orders (FACTS g2)."""
        asked = sum(
            order.remaining
            for order in open_orders
            if order.request.side is Side.SELL
            and order.request.product is Product.CNC
            and order.instrument is not None
            and order.instrument.info.isin == isin
        )
        return self.holdings.owned(isin) + self.delivery_net().get(isin, 0) - asked

    def order_margin(self, orders: Sequence[PaperOrder], prices: Prices) -> Decimal:
        """Money the open orders hold back. Intraday orders that only reduce a position hold nothing."""
        room = {key: trades.net for key, trades in self.day.items()}
        return sum((self._one_margin(order, room, prices) for order in orders), ZERO)

    def position_margin(self) -> Decimal:
        """Money intraday positions hold back."""
        mis = [trades for trades in self.day.values() if trades.product is Product.MIS]
        return sum((to_paise(trades.open_value() / self._leverage) for trades in mis), ZERO)

    def debits(self, blocked: Decimal) -> Decimal:
        """What is taken from the usable balance today; below zero after sales."""
        return (
            self._delivery_bought()
            - self._sale_credit * self._delivery_sold()
            + self.position_margin()
            + (blocked + self._charges_today - self._intraday_realised())
        )

    def available(self, blocked: Decimal) -> Decimal:
        """Buying power: the net of the equity purse."""
        return _amount(_part(self._margins, "equity"), "net") + self._settled - self.debits(blocked)

    def margins(self, blocked: Decimal) -> Row:
        """Both purses; the given figures plus what happened here (net = cash + collateral + ... - debits)."""
        given, taken = _part(self._margins, "equity"), self.debits(blocked)
        available, utilised = dict(_part(given, "available")), dict(_part(given, "utilised"))
        for name in ("cash", "opening_balance"):
            available[name] = _plus(available[name], self._settled)
        available["live_balance"] = _plus(available["live_balance"], self._settled - taken)
        utilised["debits"] = _plus(utilised["debits"], taken)
        utilised["exposure"] = _plus(utilised["exposure"], self.position_margin() + blocked)
        utilised["m2m_realised"] = _plus(utilised["m2m_realised"], -self._intraday_realised())
        utilised["delivery"] = _plus(utilised["delivery"], self._delivery_bought())
        utilised["holding_sales"] = _plus(utilised["holding_sales"], self._delivery_sold())
        equity = given | {"net": _plus(given["net"], self._settled - taken)}
        return {**self._margins, "equity": equity | {"available": available, "utilised": utilised}}

    def positions(self, prices: Prices) -> dict[str, list[Row]]:
        """Day and net rows: the given ones first, as they are until a trade here touches them."""
        return {
            "day": self._position_rows(self._given_day, prices),
            "net": self._position_rows(self._given_net, prices),
        }

    def roll(self) -> None:
        """The day is over: delivery trades become holdings, money settles, the day's rows go."""
        self.holdings.age()
        for isin, (instrument, net, price) in self._delivery_results().items():
            self.holdings.settle(isin, instrument, net, price)
        self._settled += (
            self._delivery_sold() - self._delivery_bought() + self._intraday_realised() - self._charges_today
        )
        self._charges_today = ZERO
        self._dp_today = set()
        self.day = {}

    def _delivery_results(self) -> dict[str, tuple[PaperInstrument, int, Decimal]]:
        """Per ISIN: an instrument, the net quantity and the average price of what was bought."""
        results: dict[str, tuple[PaperInstrument, int, Decimal]] = {}
        nets = self.delivery_net()
        for trades in self.day.values():
            if trades.product is not Product.CNC:
                continue
            isin = trades.instrument.info.isin
            same = [t for t in self.day.values() if t.product is Product.CNC and t.instrument.info.isin == isin]
            bought = sum(t.buy_quantity for t in same)
            value = sum((t.buy_value for t in same), ZERO)
            results.setdefault(isin, (trades.instrument, nets[isin], value / bought if bought else ZERO))
        return results

    def _charge_depository(self, instrument: PaperInstrument) -> None:
        isin = instrument.info.isin
        if isin not in self._dp_today and self.delivery_net().get(isin, 0) < 0:
            self._dp_today.add(isin)
            self.charge(self._rates.dp_charge)

    def _one_margin(self, order: PaperOrder, room: dict[tuple[str, str], int], prices: Prices) -> Decimal:
        request, instrument = order.request, order.instrument
        if instrument is None:
            return ZERO
        price = order.price or max(order.trigger_price, prices(instrument)[0])
        if request.product is Product.CNC:
            return to_paise(price * order.remaining) if request.side is Side.BUY else ZERO
        key = (request.symbol, request.product.value)
        against = max(0, -request.side.sign * room.get(key, 0))
        room[key] = room.get(key, 0) + request.side.sign * min(order.remaining, against)
        return to_paise(price * max(0, order.remaining - against) / self._leverage)

    def _sum(self, product: Product, name: str) -> Decimal:
        return sum((getattr(t, name) for t in self.day.values() if t.product is product), ZERO)

    def _delivery_bought(self) -> Decimal:
        return self._sum(Product.CNC, "buy_value")

    def _delivery_sold(self) -> Decimal:
        return self._sum(Product.CNC, "sell_value")

    def _intraday_realised(self) -> Decimal:
        mis = [trades for trades in self.day.values() if trades.product is Product.MIS]
        return to_paise(sum((trades.realised() for trades in mis), ZERO))

    def _position_rows(self, given: Sequence[Row], prices: Prices) -> list[Row]:
        rows, shown = [], set()
        for row in given:
            key = (f"{row['exchange']}:{row['tradingsymbol']}", str(row["product"]))
            touched = key in self.day and key not in shown
            shown.add(key)
            rows.append(position_row(row, self.day[key], prices) if touched else dict(row))
        return rows + [position_row({}, t, prices) for key, t in self.day.items() if key not in shown]


def position_row(given: Row, trades: DayTrades, prices: Prices) -> Row:
    """One row by the formulas of FACTS g5, today's trades added to what the given row already says."""
    last, close = prices(trades.instrument)
    row = shaped(POSITION, given)
    info = trades.instrument.info
    row |= {"tradingsymbol": info.tradingsymbol, "exchange": info.exchange, "product": trades.product.value}
    row |= {"instrument_token": info.instrument_token, "multiplier": row["multiplier"] or 1}
    row |= {"last_price": last, "close_price": row["close_price"] or close}
    row["quantity"] = _int(row, "quantity") + trades.net
    for side, quantity, value in (
        ("buy", trades.buy_quantity, trades.buy_value),
        ("sell", trades.sell_quantity, trades.sell_value),
    ):
        _add_side(row, side, quantity, value)
        _add_side(row, f"day_{side}", quantity, value)
        row[f"{side}_m2m"] = _amount(row, f"{side}_m2m") + value
    held = _int(row, "quantity") * last * _amount(row, "multiplier")
    row["value"] = _amount(row, "sell_value") - _amount(row, "buy_value")
    row["pnl"] = row["unrealised"] = _amount(row, "value") + held
    row["m2m"] = _amount(row, "sell_m2m") - _amount(row, "buy_m2m") + held
    row["average_price"] = _average(row)
    return row


def _add_side(row: Row, side: str, quantity: int, value: Decimal) -> None:
    total = _int(row, f"{side}_quantity") + quantity
    row[f"{side}_quantity"] = total
    row[f"{side}_value"] = _amount(row, f"{side}_value") + value
    if total:
        price = _amount(row, f"{side}_value") / total / _amount(row, "multiplier")
        row[f"{side}_price"] = price.quantize(QUANTUM, ROUND_HALF_UP)


def _average(row: Row) -> object:
    quantity = _int(row, "quantity")
    if quantity == 0:
        return 0
    return row["buy_price"] if quantity > 0 else row["sell_price"]


def _part(row: Row, *path: str) -> Row:
    for name in path:
        inner = row.get(name)
        row = inner if isinstance(inner, dict) else {}
    return row


def _amount(row: Row, name: str) -> Decimal:
    return Decimal(str(row.get(name) or 0))


def _int(row: Row, name: str) -> int:
    return int(str(row[name]))


def _plus(value: object, change: Decimal) -> object:
    """The given figure, untouched where nothing changed."""
    return value if change == 0 else Decimal(str(value)) + change
