"""The trading floor: the clockwork that moves orders from state to state, fills them and ends the day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from broker.calendar import at_ist
from broker.domain import BrokerOrderStatus as Status
from broker.domain import SessionPhase, Validity
from broker.paper.agenda import Agenda
from broker.paper.books import AccountState
from broker.paper.config import ExchangeConfig
from broker.paper.day import TradingDays
from broker.paper.instruments import PaperInstrument
from broker.paper.market import Market
from broker.paper.matching import Matcher, becomes_working
from broker.paper.orders import Life, OrderRequest, PaperOrder, trade_row
from broker.paper.rms import Refusal, Terms, price_source, refusal, terms_of
from broker.paper.shapes import Row

AMO_RELEASE = time(9, 15)
BELOW_TRADED = Refusal("Order quantity cannot be less than the traded quantity.", "16416 : quantity below traded")


class Floor:
    """Orders of one account, its trades, and everything that is due at a time."""

    def __init__(
        self,
        *,
        config: ExchangeConfig,
        market: Market,
        account: AccountState,
        user_id: str,
        taken_ids: set[str],
        opened_at: datetime,
    ) -> None:
        self.config = config
        self.market = market
        self.account = account
        self.matcher = Matcher(market)
        self.orders: dict[str, PaperOrder] = {}
        self.trades: list[Row] = []
        self.now = opened_at.astimezone(UTC)
        self._user_id = user_id
        self._taken_ids = taken_ids
        self._sequence = 0
        self._trade_count = 0
        self.undone: dict[str, PaperOrder] = {}  # everything that is not done
        self.agenda = Agenda()
        self._seen: dict[str, int] = {}  # symbol -> last second its resting orders were looked at
        TradingDays(self).plan(market.trading_day(self.now))

    # commands

    def place(self, request: OrderRequest, now: datetime) -> PaperOrder:
        order = self.new_order(request, now, placed_by=self._user_id)
        order.note(Status.PUT_ORDER_REQ_RECEIVED)
        self.agenda.after(now, self.config.delays.validation, lambda at: self._validate(order, at))
        return order

    def request_modify(self, order: PaperOrder, terms: Terms, validity: Validity, now: datetime) -> None:
        order.order_timestamp = now
        order.modifications += 1
        order.note(Status.MODIFY_VALIDATION_PENDING)
        self.agenda.after(now, self.config.delays.modify, lambda at: self._modify_pending(order, terms, validity, at))

    def request_cancel(self, order: PaperOrder, now: datetime) -> None:
        order.note(Status.CANCEL_PENDING)
        self.agenda.after(now, self.config.delays.cancel, lambda at: self._cancel(order, at))

    def blocked(self, now: datetime) -> Decimal:
        """Money held back for open orders."""
        return self.account.order_margin(self._blocking(), price_source(self.market, now))

    # time

    def advance(self, now: datetime) -> datetime:
        """Works off, in order of time, everything due by ``now``; a match goes before a step of the same moment."""
        now = max(now.astimezone(UTC), self.now)
        while True:
            match = self._next_match(self.agenda.next_due(now))
            if match is not None:
                self._match_symbol(*match)
            elif not self.agenda.run_next(now):
                break
        self.now = now
        return now

    # an order on its way in

    def new_order(self, request: OrderRequest, now: datetime, *, placed_by: str) -> PaperOrder:
        self._sequence += 1
        order = PaperOrder(
            order_id=self._new_id(now),
            request=request,
            instrument=self.market.instruments.get(request.symbol),
            placed_at=now,
            placed_by=placed_by,
            sequence=self._sequence,
            order_type=request.order_type,
            quantity=request.quantity,
            price=request.price,
            trigger_price=request.trigger_price,
            validity=request.validity,
            order_timestamp=now,
        )
        self.orders[order.order_id] = self.undone[order.order_id] = order
        return order

    def _new_id(self, now: datetime) -> str:
        day = self.market.trading_day(now)
        order_id = f"{day:%y%m%d}{self._sequence:09d}"
        while order_id in self._taken_ids:
            order_id = f"{int(order_id) + 500_000_000:015d}"
        self._taken_ids.add(order_id)
        return order_id

    def _validate(self, order: PaperOrder, at: datetime) -> None:
        if order.life is Life.DONE:  # the day ended while it was on its way
            return
        order.note(Status.VALIDATION_PENDING)
        self.agenda.after(at, self.config.delays.open_pending, lambda later: self._accept(order, later))

    def _accept(self, order: PaperOrder, at: datetime) -> None:
        if order.life is Life.DONE or not self._passes(order, at):
            return
        order.blocked = True
        if order.request.variety == "amo":
            order.life = Life.HELD
            order.note(Status.AMO_REQ_RECEIVED)
            self.agenda.at(self._amo_release(at), lambda later: self._release(order, later))
            return
        order.note(Status.OPEN_PENDING)
        self.agenda.after(at, self.config.delays.open, lambda later: self._open(order, later))

    def _release(self, order: PaperOrder, at: datetime) -> None:
        if order.life is Life.HELD and self._passes(order, at):
            order.note(Status.OPEN_PENDING)
            self.agenda.after(at, self.config.delays.open, lambda later: self._open(order, later))

    def _passes(self, order: PaperOrder, at: datetime) -> bool:
        """The risk checks; a refused order becomes a REJECTED row."""
        against = self._refusal(order, terms_of(order), at)
        if against is None:
            return True
        order.status_message, order.status_message_raw = against.text, against.raw
        self._done(order, Status.REJECTED)
        return False

    def _done(self, order: PaperOrder, status: Status) -> None:
        order.life, order.blocked = Life.DONE, False
        del self.undone[order.order_id]
        order.note(status)

    def _refusal(self, order: PaperOrder, terms: Terms, at: datetime) -> Refusal | None:
        return refusal(
            order,
            terms,
            others=[other for other in self._blocking() if other is not order],
            account=self.account,
            market=self.market,
            config=self.config,
            now=at,
        )

    def _open(self, order: PaperOrder, at: datetime) -> None:
        if order.life is Life.DONE:
            return
        prefix = "13" if order.request.exchange == "NSE" else "17"
        order.exchange_order_id = f"{prefix}{order.sequence:014d}"
        order.exchange_timestamp = order.exchange_update_timestamp = at
        if order.order_type.has_trigger:
            order.life = Life.WAITING
            order.note(Status.TRIGGER_PENDING)
            self._seen.setdefault(order.symbol, int(at.timestamp()))
            return
        order.note(Status.OPEN)
        self.agenda.after(at, self.config.delays.fill, lambda later: self._arrive(order, later))

    def _arrive(self, order: PaperOrder, at: datetime) -> None:
        """First meeting with the market; what is left rests, or dies if it is IOC."""
        if order.life is Life.DONE or order.instrument is None:
            return
        order.life = Life.WORKING
        self._seen.setdefault(order.symbol, int(at.timestamp()))
        self._meet_market(order.instrument, [order], at)
        if order.validity is Validity.IOC and order.life is Life.WORKING:
            self.finish_cancelled(order, at)

    # matching

    def _next_match(self, horizon: datetime) -> tuple[PaperInstrument, int] | None:
        """The earliest (second, symbol) up to ``horizon`` at which a live order may do something."""
        best: tuple[int, str] | None = None
        found: dict[str, PaperInstrument] = {}
        limit = int(horizon.timestamp())
        for symbol, orders in self._live_by_symbol().items():
            instrument = self.market.instruments.get(symbol)
            if instrument is None:
                continue
            found[symbol] = instrument
            window = self.market.window(instrument, horizon)
            seen = self._seen.get(symbol, limit)
            if window is None or seen >= limit:
                continue
            first, last = max(seen, window[0] - 1), min(limit, window[1])
            second = self.matcher.next_second(instrument, orders, first, last)
            self._seen[symbol] = limit if second is None else second - 1
            if second is not None and (best is None or (second, symbol) < best):
                best = (second, symbol)
        return None if best is None else (found[best[1]], best[0])

    def _live_by_symbol(self) -> dict[str, list[PaperOrder]]:
        live: dict[str, list[PaperOrder]] = {}
        for order in self.undone.values():
            if order.is_live and order.instrument is not None:
                live.setdefault(order.symbol, []).append(order)
        for symbol in [symbol for symbol in self._seen if symbol not in live]:
            del self._seen[symbol]
        return live

    def _match_symbol(self, instrument: PaperInstrument, second: int) -> None:
        self._seen[instrument.symbol] = second
        at = datetime.fromtimestamp(second, UTC)
        orders = [order for order in self.undone.values() if order.is_live and order.symbol == instrument.symbol]
        for order in orders:
            if order.life is Life.WAITING and self.matcher.is_triggered(instrument, order, second):
                becomes_working(order)
                order.exchange_update_timestamp = at
                order.note(Status.OPEN if order.status == Status.TRIGGER_PENDING else Status(order.status))
        self._meet_market(instrument, [order for order in orders if order.life is Life.WORKING], at)

    def _meet_market(self, instrument: PaperInstrument, orders: list[PaperOrder], at: datetime) -> None:
        if self.market.phase(instrument, at) is SessionPhase.CONTINUOUS:
            second = int(at.timestamp())
            for execution in self.matcher.match(instrument, orders, second):
                price = self.market.price(instrument, execution.ticks)
                self.fill(execution.order, instrument, execution.quantity, price, at)
            for order in orders:
                if order.life is Life.WORKING and order.taker and not self.matcher.sweeps(instrument, order, second):
                    self.matcher.rest(instrument, order, second)

    def fill(self, order: PaperOrder, instrument: PaperInstrument, quantity: int, price: Decimal, at: datetime) -> None:
        order.filled_quantity += quantity
        order.filled_value += price * quantity
        order.exchange_update_timestamp = at
        self._trade_count += 1
        self.trades.append(trade_row(order, f"{10_000_000 + self._trade_count}", quantity, price, at))
        self.account.fill(order, instrument, quantity, price)
        if order.remaining == 0:
            self._done(order, Status.COMPLETE)
        else:
            order.note(Status(order.status))

    # changes

    def _modify_pending(self, order: PaperOrder, terms: Terms, validity: Validity, at: datetime) -> None:
        if order.life is not Life.DONE:
            order.note(Status.MODIFY_PENDING)
            self.agenda.after(at, self.config.delays.modify, lambda later: self._modify(order, terms, validity, later))

    def _modify(self, order: PaperOrder, terms: Terms, validity: Validity, at: datetime) -> None:
        if order.life is Life.DONE:
            return
        against = self._refusal(order, terms, at)
        if terms.quantity <= order.filled_quantity:
            against = BELOW_TRADED
        if against is not None:
            order.status_message, order.status_message_raw = against.text, against.raw
            order.note(Status.NOT_MODIFIED)
            order.note(self._standing(order))
            return
        self._apply_terms(order, terms, validity, at)

    def _apply_terms(self, order: PaperOrder, terms: Terms, validity: Validity, at: datetime) -> None:
        if terms.price != order.price or terms.quantity > order.quantity or terms.order_type is not order.order_type:
            self._sequence += 1
            order.sequence = self._sequence  # the place in the queue is lost
        waits = terms.order_type.has_trigger and (order.life is Life.WAITING or not order.order_type.has_trigger)
        order.order_type, order.quantity, order.validity = terms.order_type, terms.quantity, validity
        order.price, order.trigger_price = terms.price, terms.trigger_price
        order.status_message = order.status_message_raw = ""
        if order.life is Life.HELD:
            order.note(Status.AMO_REQ_RECEIVED)
            return
        order.exchange_timestamp = order.exchange_update_timestamp = at
        order.note(Status.MODIFIED)
        order.life = Life.WAITING if waits else Life.WORKING
        order.note(self._standing(order))
        if order.life is Life.WORKING:
            order.taker = True
            self._arrive(order, at)

    def _standing(self, order: PaperOrder) -> Status:
        if order.life is Life.HELD:
            return Status.AMO_REQ_RECEIVED
        return Status.TRIGGER_PENDING if order.life is Life.WAITING else Status.OPEN

    def _cancel(self, order: PaperOrder, at: datetime) -> None:
        if order.life is not Life.DONE:
            self.finish_cancelled(order, at)

    def finish_cancelled(self, order: PaperOrder, at: datetime) -> None:
        order.cancelled_quantity = order.remaining
        if order.exchange_order_id:
            order.exchange_update_timestamp = at
        self._done(order, Status.CANCELLED)

    def _blocking(self) -> list[PaperOrder]:
        return [order for order in self.undone.values() if order.blocked]

    def _amo_release(self, at: datetime) -> datetime:
        day = self.market.trading_day(at)
        while True:
            release = at_ist(day, AMO_RELEASE)
            if release > at and (self.market.is_practice or self.market.calendar.is_trading_day(day)):
                return release
            day += timedelta(days=1)
