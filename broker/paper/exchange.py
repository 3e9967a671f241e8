"""The paper exchange: commands and reads in Kite's shapes, every one told the time.

Time moves only by ``now`` of the calls. What happens between two calls (statuses, fills, triggers, the end of the
day) is worked off in order of its own time, so the books at any moment depend on the commands and their times alone,
never on how often somebody looked. Not safe for threads: ``ledger.DurableExchange`` holds the lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from broker.calendar import TradingCalendar, default_calendar
from broker.charges import ChargeRates, default_rates
from broker.domain import BrokerOrderStatus as Status
from broker.domain import MarketState, OrderType, Validity
from broker.paper import reads
from broker.paper.account import AccountBooks, default_account
from broker.paper.books import AccountState
from broker.paper.config import (
    CANNOT_CANCEL,
    CANNOT_MODIFY,
    TOO_MANY_MODIFICATIONS,
    EntryRefused,
    ExchangeConfig,
    UnknownOrder,
)
from broker.paper.floor import Floor
from broker.paper.instruments import InstrumentBook, PaperInstrument, default_instruments
from broker.paper.market import Market
from broker.paper.orders import PaperOrder, check_prices, money, parse_request, whole
from broker.paper.rms import Terms, price_source
from broker.paper.shapes import Row

ACCEPTS_CHANGES = (Status.OPEN, Status.TRIGGER_PENDING, Status.AMO_REQ_RECEIVED)


class Exchange:
    """One account at one exchange. Rows come back JSON-able but for prices, which are Decimal.

    ``opened_at`` (aware) is the moment the books begin. A ``now`` earlier than one already given counts as that one.
    """

    def __init__(
        self,
        *,
        opened_at: datetime,
        config: ExchangeConfig | None = None,
        account: AccountBooks | None = None,
        instruments: InstrumentBook | None = None,
        rates: ChargeRates | None = None,
        calendar: TradingCalendar | None = None,
    ) -> None:
        self.config = config or ExchangeConfig()
        self._given = account or default_account()
        self.market = Market(
            instruments=instruments or default_instruments(),
            seed=self.config.seed,
            mode=self.config.mode,
            calendar=calendar or default_calendar(),
        )
        self.account = AccountState(
            self._given,
            rates=rates or default_rates(),
            mis_leverage=self.config.mis_leverage,
            sale_credit=self.config.sale_credit,
        )
        taken = {str(row["order_id"]) for row in self._given.orders}
        self._floor = Floor(
            config=self.config,
            market=self.market,
            account=self.account,
            user_id=str(self._given.profile["user_id"]),
            taken_ids=taken,
            opened_at=opened_at,
        )

    @property
    def now(self) -> datetime:
        """The latest time the exchange has been told."""
        return self._floor.now

    # commands

    def place_order(self, args: Mapping[str, object], now: datetime) -> str:
        """Takes the arguments of Kite's ``place_order`` tool; returns the order id. Raises EntryRefused, and then
        there is no order. The id says the request was taken, not that the order will stand."""
        now = self.advance(now)
        return self._floor.place(parse_request(args, config=self.config), now).order_id

    def modify_order(self, args: Mapping[str, object], now: datetime) -> str:
        """Takes the arguments of ``modify_order``; a value absent or 0 stays as it is. Raises EntryRefused
        (UnknownOrder for an id not in today's book). The change is done, or refused, a moment later."""
        now = self.advance(now)
        order = self._changeable(args, CANNOT_MODIFY)
        if order.modifications >= self.config.max_modifications:
            raise EntryRefused(TOO_MANY_MODIFICATIONS)
        terms, validity = self._new_terms(order, args)
        self._floor.request_modify(order, terms, validity, now)
        return order.order_id

    def cancel_order(self, args: Mapping[str, object], now: datetime) -> str:
        """Takes the arguments of ``cancel_order``. Raises EntryRefused; fills may still come before it is done."""
        now = self.advance(now)
        order = self._changeable(args, CANNOT_CANCEL)
        self._floor.request_cancel(order, now)
        return order.order_id

    def advance(self, now: datetime) -> datetime:
        """Lets everything due by ``now`` happen; returns the time that counts."""
        return self._floor.advance(now)

    # reads

    def profile(self, now: datetime) -> Row:
        self.advance(now)
        return dict(self._given.profile)

    def margins(self, now: datetime) -> Row:
        now = self.advance(now)
        return self.account.margins(self._floor.blocked(now))

    def holdings(self, now: datetime) -> list[Row]:
        now = self.advance(now)
        sold = {isin: -net for isin, net in self.account.delivery_net().items() if net < 0}
        return self.account.holdings.rows(
            sold=sold, instruments=self.market.instruments, prices=price_source(self.market, now)
        )

    def positions(self, now: datetime) -> dict[str, list[Row]]:
        """``{"day": rows, "net": rows}``; the MCP server sends the day rows followed by the net rows."""
        now = self.advance(now)
        return self.account.positions(price_source(self.market, now))

    def orders(self, now: datetime) -> list[Row]:
        """Today's book, oldest first; imported rows stand before our own and never change."""
        self.advance(now)
        return [dict(row) for row in self._given.orders] + [order.row() for order in self._floor.orders.values()]

    def order_count(self, now: datetime) -> int:
        """How many rows ``orders`` has, without making them."""
        self.advance(now)
        return len(self._given.orders) + len(self._floor.orders)

    def order_history(self, order_id: str, now: datetime) -> list[Row]:
        """All states of one order, oldest first. Raises UnknownOrder."""
        self.advance(now)
        if order_id in self._floor.orders:
            return [dict(row) for row in self._floor.orders[order_id].history]
        given = [dict(row) for row in self._given.orders if row["order_id"] == order_id]
        if not given:
            raise UnknownOrder
        return given

    def trades(self, now: datetime) -> list[Row]:
        self.advance(now)
        return [dict(row) for row in self._given.trades] + [dict(row) for row in self._floor.trades]

    def order_trades(self, order_id: str, now: datetime) -> list[Row]:
        """The fills of one order; none for an order without fills. Raises UnknownOrder."""
        found = [row for row in self.trades(now) if row["order_id"] == order_id]
        if not found:
            self.order_history(order_id, now)
        return found

    def quotes(self, symbols: Sequence[str], now: datetime) -> dict[str, Row]:
        """Full quotes by symbol; a symbol we do not know is absent."""
        now = self.advance(now)
        matcher = self._floor.matcher
        return {s: reads.quote_row(self.market, matcher, i, now) for s, i in self._known(symbols).items()}

    def ltp(self, symbols: Sequence[str], now: datetime) -> dict[str, Row]:
        now = self.advance(now)
        return {s: reads.ltp_row(self.market, i, now) for s, i in self._known(symbols).items()}

    def ohlc(self, symbols: Sequence[str], now: datetime) -> dict[str, Row]:
        now = self.advance(now)
        return {s: reads.ohlc_row(self.market, i, now) for s, i in self._known(symbols).items()}

    def historical(
        self, instrument_token: int, start: datetime, end: datetime, interval: str, now: datetime
    ) -> list[Row]:
        """Candles of the same price path. Raises EntryRefused for an unknown token, interval or too long a range."""
        now = self.advance(now)
        instrument = self.market.instruments.by_token(instrument_token)
        if instrument is None:
            raise EntryRefused("invalid token")
        return self.market.candles(instrument, start=start, end=end, interval=interval, now=now)

    def search_instruments(self, query: str, now: datetime, *, filter_on: str = "id") -> list[Row]:
        now = self.advance(now)
        found = self.market.instruments.search(query, filter_on=filter_on)
        return [reads.search_row(self.market, instrument, now) for instrument in found]

    def gtts(self, now: datetime) -> list[Row]:
        self.advance(now)
        return []

    def mf_holdings(self, now: datetime) -> list[Row]:
        self.advance(now)
        return []

    def market_state(self, now: datetime) -> MarketState:
        """The market clock of this exchange, as NSE's cash segment has it."""
        now = self.advance(now)
        phase = self.market.session_phase(now)
        note = "practice session, always open" if self.market.is_practice else "exchange hours"
        return MarketState(now=now, phase=phase, practice=self.market.is_practice, note=note)

    def cash(self, now: datetime) -> dict[str, Decimal]:
        """All money since the books began: opening + sold - bought - charges = closing."""
        self.advance(now)
        cash = self.account.cash
        parts = {"opening": cash.opening, "bought": cash.bought, "sold": cash.sold, "charges": cash.charges}
        return parts | {"closing": cash.closing}

    def books(self, now: datetime) -> dict[str, object]:
        """Every book at once, for comparing two exchanges."""
        return {
            "orders": self.orders(now),
            "histories": [list(order.history) for order in self._floor.orders.values()],
            "trades": self.trades(now),
            "holdings": self.holdings(now),
            "positions": self.positions(now),
            "margins": self.margins(now),
            "cash": self.cash(now),
        }

    def _known(self, symbols: Sequence[str]) -> dict[str, PaperInstrument]:
        found = ((symbol, self.market.instruments.get(symbol)) for symbol in symbols)
        return {symbol: instrument for symbol, instrument in found if instrument is not None}

    def _changeable(self, args: Mapping[str, object], refused: str) -> PaperOrder:
        """The order an argument names, if it may be changed now (FACTS c8)."""
        order_id = str(args.get("order_id") or "")
        order = self._floor.orders.get(order_id)
        if order is None:
            if any(row["order_id"] == order_id for row in self._given.orders):
                raise EntryRefused(refused)
            raise UnknownOrder
        if order.status not in ACCEPTS_CHANGES:
            raise EntryRefused(refused)
        return order

    def _new_terms(self, order: PaperOrder, args: Mapping[str, object]) -> tuple[Terms, Validity]:
        try:
            order_type = OrderType(str(args.get("order_type") or order.order_type))
            validity = Validity(str(args.get("validity") or order.validity))
        except ValueError as exc:
            raise EntryRefused("Invalid `order_type` or `validity`.") from exc
        price = (money(args, "price") or order.price) if order_type.has_limit else Decimal(0)
        trigger = (money(args, "trigger_price") or order.trigger_price) if order_type.has_trigger else Decimal(0)
        check_prices(order_type, price, trigger, config=self.config)
        return Terms(order_type, whole(args, "quantity") or order.quantity, price, trigger), validity
