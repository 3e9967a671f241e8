"""The course of a trading day on the floor: square-off, closing auction, the end of DAY orders, the roll."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Protocol

from broker.calendar import at_ist, day_start
from broker.domain import BrokerOrderStatus as Status
from broker.domain import OrderType, Product, Side, Validity
from broker.paper.agenda import Agenda, Step
from broker.paper.books import AccountState
from broker.paper.config import ExchangeConfig
from broker.paper.instruments import PaperInstrument
from broker.paper.market import AUCTION_PRINT, Market
from broker.paper.orders import Life, OrderRequest, PaperOrder
from broker.paper.shapes import Row

CONTINUOUS_END = time(15, 15)  # of stocks with a closing auction
CLOSE_OF_DAY = time(15, 36)
RMS_USER = "RMS"


class Floor(Protocol):
    """What the day needs of the trading floor."""

    config: ExchangeConfig
    market: Market
    account: AccountState
    agenda: Agenda
    orders: dict[str, PaperOrder]
    undone: dict[str, PaperOrder]
    trades: list[Row]
    now: datetime

    def new_order(self, request: OrderRequest, now: datetime, *, placed_by: str) -> PaperOrder: ...

    def fill(
        self, order: PaperOrder, instrument: PaperInstrument, quantity: int, price: Decimal, at: datetime
    ) -> None: ...

    def finish_cancelled(self, order: PaperOrder, at: datetime) -> None: ...


class TradingDays:
    """Plans each day's steps on the floor's agenda, and the next day's when one ends."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def plan(self, day: date) -> None:
        """What this trading day still has before it, up to and including its end."""
        following = day + timedelta(days=1)
        if self._floor.market.is_practice:
            steps: list[tuple[datetime, Step]] = [
                (
                    at_ist(following, self._floor.config.square_off_practice),
                    lambda at: self._square_off(at, auction=None),
                )
            ]
        else:
            while not self._floor.market.calendar.is_trading_day(following):
                following += timedelta(days=1)
            steps = self._real_day(day)
        steps.append((day_start(following), lambda at: self._roll(at, following)))
        for moment, step in steps:
            if moment > self._floor.now:
                self._floor.agenda.at(moment, step)

    def _real_day(self, day: date) -> list[tuple[datetime, Step]]:
        auction = at_ist(day, CONTINUOUS_END) + AUCTION_PRINT
        return [
            (at_ist(day, self._floor.config.square_off_auction), lambda at: self._square_off(at, auction=True)),
            (at_ist(day, self._floor.config.square_off), lambda at: self._square_off(at, auction=False)),
            (auction, self._print_auction),
            (at_ist(day, CLOSE_OF_DAY), self._end_day_orders),
        ]

    def _square_off(self, at: datetime, *, auction: bool | None) -> None:
        """Closes intraday positions as the broker's risk desk does; ``auction`` narrows it to one kind of stock."""

        def concerns(instrument: PaperInstrument) -> bool:
            return auction is None or instrument.info.in_closing_auction is auction

        for order in list(self._floor.undone.values()):
            if (
                order.is_live
                and order.request.product is Product.MIS
                and order.instrument
                and concerns(order.instrument)
            ):
                self._floor.finish_cancelled(order, at)
        for trades in list(self._floor.account.day.values()):
            if trades.product is Product.MIS and trades.net and concerns(trades.instrument):
                self._close_position(trades.instrument, trades.net, at)

    def _close_position(self, instrument: PaperInstrument, net: int, at: datetime) -> None:
        request = OrderRequest(
            variety="regular",
            exchange=instrument.info.exchange,
            tradingsymbol=instrument.info.tradingsymbol,
            side=Side.SELL if net > 0 else Side.BUY,
            quantity=abs(net),
            product=Product.MIS,
            order_type=OrderType.MARKET,
            price=Decimal(0),
            trigger_price=Decimal(0),
            validity=Validity.DAY,
            disclosed_quantity=0,
            tag="",
        )
        order = self._floor.new_order(request, at, placed_by=RMS_USER)
        order.exchange_order_id = f"13{order.sequence:014d}"
        order.exchange_timestamp = at
        order.life = Life.WORKING
        order.note(Status.OPEN)
        self._floor.fill(order, instrument, order.quantity, self._floor.market.last_price(instrument, at), at)
        self._floor.account.charge_square_off()

    def _print_auction(self, at: datetime) -> None:
        """Closing auction: limit orders that meet the closing price trade at it, the rest stays untraded."""
        for order in list(self._floor.undone.values()):
            instrument = order.instrument
            if order.life is not Life.WORKING or instrument is None or not instrument.info.in_closing_auction:
                continue
            price = self._floor.market.price(instrument, self._floor.market.path(instrument).last(int(at.timestamp())))
            buys = order.request.side is Side.BUY
            if order.price and (order.price >= price if buys else order.price <= price):
                self._floor.fill(order, instrument, order.remaining, price, at)

    def _end_day_orders(self, at: datetime) -> None:
        for order in list(self._floor.undone.values()):
            if order.life is not Life.HELD:
                self._floor.finish_cancelled(order, at)

    def _roll(self, at: datetime, day: date) -> None:
        """A new day: what was still open dies and stays visible, what was done goes, delivery moves on."""
        gone = [order.order_id for order in self._floor.orders.values() if order.life is Life.DONE]
        self._end_day_orders(at)
        for order_id in gone:
            del self._floor.orders[order_id]
        self._floor.trades.clear()
        self._floor.account.roll()
        self._floor.now = max(self._floor.now, at)
        self.plan(day)
