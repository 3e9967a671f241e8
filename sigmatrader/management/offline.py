"""RiskGate on documents: an intent or a plan judged against a folder of Kite-shaped files, without a database.

Each document is judged alone: nothing is counted, reserved or carried over from the one before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from ai.context import Context
from ai.context_files import ContextInvalid, load_context, read_instruments
from broker.calendar import phase_at
from broker.domain import BrokerOrder, InstrumentInfo, MarketState
from broker.paper.instruments import default_instruments
from execution.domain import IntentKind, Leg, OrderInstruction, OrderView, TradeIntent
from execution.sizing import NotTranslatable
from execution.translation import PlanInputs, order_requests, translate
from execution.wire import IntentInvalid, parse_intent
from risk import gate
from risk.codes import Code
from risk.domain import UNTOUCHED, Actor, Book, Decision, OrderRequest, RequestKind, TradingStateName
from risk.findings import denies, rendered
from risk.margins import leg_margin
from risk.policy import Policy

ACCOUNT = "offline"
STATE_FILE = "trading_state.json"
_FIELD_CODES = {
    "product": Code.ORDER_TYPE_UNSUPPORTED,
    "order_type": Code.ORDER_TYPE_UNSUPPORTED,
    "validity": Code.ORDER_TYPE_UNSUPPORTED,
    "variety": Code.ORDER_TYPE_UNSUPPORTED,
    "exchange": Code.SYMBOL_RESTRICTED,
}
_TRANSLATION_CODES = {
    "UNKNOWN_SYMBOL": Code.SYMBOL_RESTRICTED,
    "NOT_TRADABLE": Code.SYMBOL_RESTRICTED,
    "EXCHANGE_UNSUPPORTED": Code.SYMBOL_RESTRICTED,
    "NO_QUOTE": Code.MARKET_DATA_STALE,
    "PRICE_MISSING": Code.MARKET_DATA_STALE,
    "NOT_HELD": Code.SHORT_NOT_COVERED,
}


@dataclass(frozen=True, slots=True)
class Desk:
    """One folder's market and books, and the policy they are judged by."""

    context: Context
    instruments: Mapping[str, InstrumentInfo]
    state: TradingStateName
    reason: str
    policy: Policy

    def judge(self, payload: object) -> Decision:
        """The decision on one Intent or Plan document. Never raises: what cannot be read is denied."""
        try:
            intent = parse_intent(intent_of(payload))
        except IntentInvalid as exc:
            return self._refuse([(_code_of(fault.field, fault.code), fault.message) for fault in exc.faults])
        try:
            document = translate(intent, inputs=self._inputs())
        except NotTranslatable as exc:
            return self._untranslated(intent, exc)
        return self._evaluate(order_requests(document), document.margin_by_leg)

    def _evaluate(self, orders: Sequence[OrderRequest], margins: Mapping[int, Decimal]) -> Decision:
        return gate.evaluate(orders, book=self._book(orders, margins), policy=self.policy, now=self.context.now)

    def _untranslated(self, intent: TradeIntent, fault: NotTranslatable) -> Decision:
        """What stops the translation denies; where the orders are told whole, the gate says what else is wrong."""
        found = _TRANSLATION_CODES.get(fault.code, Code.ORDER_INVALID), fault.message
        orders = tuple(_as_said(order, n) for n, order in enumerate(intent.orders, 1) if order.quantity is not None)
        if not orders or len(orders) != len(intent.orders):
            return self._refuse([found])
        decision = self._evaluate(orders, {})
        return decision if found[0] in decision.denials else self._refuse([found])

    def _refuse(self, faults: Sequence[tuple[Code, str]]) -> Decision:
        """A denial for a document that is no order; one row for each thing wrong with it."""
        rows = [rendered(denies(code, text.strip, None, None), None) for code, text in faults]
        refused = gate.refusal("", policy=self.policy, now=self.context.now)
        return replace(refused, controls=tuple(rows))

    def _book(self, orders: Sequence[OrderRequest], margins: Mapping[int, Decimal]) -> Book:
        context, symbols = self.context, {order.symbol for order in orders}
        listed = {row.symbol for row in context.holdings or ()} | {row.symbol for row in context.positions or ()}
        listed |= symbols | {row.symbol for row in context.open_orders()}
        sectors = {name: info.sector for name in sorted(listed) if (info := self.instruments.get(name)) and info.sector}
        return Book(
            account=ACCOUNT,
            is_live=False,
            actor=Actor.TRADER,
            market=MarketState(now=context.now, phase=phase_at(context.now), practice=False),
            trading_state=self.state,
            trading_state_reason=self.reason,
            instruments={symbol: self.instruments[symbol] for symbol in symbols if symbol in self.instruments},
            quotes={symbol: context.quotes[symbol] for symbol in symbols if symbol in context.quotes},
            holdings=context.holdings,
            positions=context.positions,
            open_orders=context.open_orders() if context.orders is not None else None,
            margins=context.margins,
            books_as_of=context.now,
            margin_required=margins,
            standing=replace(UNTOUCHED, sectors=sectors),
        )

    def _inputs(self) -> PlanInputs:
        context = self.context
        return PlanInputs(
            now=context.now,
            connection=ACCOUNT,
            connection_kind="paper",
            instruments=self.instruments,
            quotes=context.quotes,
            holdings=context.holdings,
            positions=context.positions,
            open_orders=context.orders,
            margins=context.margins,
            margin=self._margin,
            orders={order.broker_order_id: _view(order) for order in context.orders or ()},
        )

    def _margin(self, leg: Leg, *, price: Decimal, charges: Decimal, held: int) -> Decimal:
        info = self.instruments.get(leg.symbol)
        return leg_margin(
            side=leg.side, product=leg.product, quantity=leg.quantity, price=price, charges=charges, held=held,
            policy=self.policy, instrument_type=info.instrument_type if info is not None else "EQ",
        )  # fmt: skip


def load_desk(folder: Path, policy: Policy) -> Desk:
    """A folder as ``interpret`` takes it, and its trading state. Raises ContextInvalid."""
    context = load_context(folder)
    state, reason = _trading_state(folder / STATE_FILE)
    known = {row.info.symbol: row.info for row in default_instruments()}
    rows = (_completed(info, known.get(info.symbol)) for info in read_instruments(folder / "instruments.csv"))
    return Desk(context, {info.symbol: info for info in rows}, state, reason, policy)


def intent_of(payload: object) -> object:
    """The Intent in a document: the document itself, or what a Plan's legs order exactly."""
    if not isinstance(payload, Mapping):
        return payload
    legs = payload.get("legs")
    if not isinstance(legs, list) or not legs:
        return payload.get("intent", payload) if "kind" not in payload else payload
    if all(isinstance(leg, Mapping) and leg.get("action", "place") == RequestKind.PLACE for leg in legs):
        intent = payload.get("intent")
        changes = isinstance(intent, Mapping) and intent.get("kind") in (IntentKind.MODIFY, IntentKind.CANCEL)
        return intent if changes else {"kind": IntentKind.ORDERS.value, "orders": [_leg_order(leg) for leg in legs]}
    return payload.get("intent")


def _leg_order(leg: Mapping[str, object]) -> dict[str, object]:
    exchange, _, tradingsymbol = str(leg.get("symbol", "")).partition(":")
    taken = ("side", "quantity", "order_type", "trigger_price", "product", "validity", "variety")
    order = {name: leg.get(name) for name in taken}
    return order | {"exchange": exchange, "symbol": tradingsymbol, "price": leg.get("limit_price")}


def _completed(info: InstrumentInfo, known: InstrumentInfo | None) -> InstrumentInfo:
    """ISIN and sector, which Kite's dump does not have, from the list that ships with the product."""
    if known is None:
        return info
    return replace(info, isin=info.isin or known.isin, sector=info.sector or known.sector)


def _trading_state(path: Path) -> tuple[TradingStateName, str]:
    if not path.exists():
        return TradingStateName.ACTIVE, ""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return TradingStateName(document["state"]), str(document.get("reason") or "")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        words = ", ".join(TradingStateName)
        raise ContextInvalid(f'{path} is not {{"state": one of {words}}}.') from exc


def _code_of(path: str, fault: str) -> Code:
    """An unknown word for a form is a form we do not take; everything else is no order at all."""
    return _FIELD_CODES.get(path.rpartition(".")[2], Code.ORDER_INVALID) if fault == "BAD_VALUE" else Code.ORDER_INVALID


def _as_said(order: OrderInstruction, n: int) -> OrderRequest:
    return OrderRequest(
        leg=n, kind=RequestKind.PLACE, symbol=order.symbol, side=order.side, quantity=order.quantity or 0,
        order_type=order.order_type, product=order.product, validity=order.validity, variety=order.variety,
        limit_price=order.price, trigger_price=order.trigger_price,
    )  # fmt: skip


def _view(order: BrokerOrder) -> OrderView:
    return OrderView(
        id=order.broker_order_id, broker_order_id=order.broker_order_id, symbol=order.symbol, side=order.side,
        quantity=order.quantity, filled_quantity=order.filled_quantity, order_type=order.order_type,
        limit_price=order.price, trigger_price=order.trigger_price, product=order.product, validity=order.validity,
        variety=order.variety, is_final=order.is_final,
    )  # fmt: skip
