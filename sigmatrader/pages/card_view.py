"""What an action card shows, worked out from its shape. No request, no database, no clock: templates stay plain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from execution.domain import CardState, IntentState, Origin
from risk.domain import RequestKind, TradingStateName
from sigmatrader.pages import formats
from sigmatrader.pages.card_parts import (
    BADGES,
    CANCELLED,
    ORIGIN_READERS,
    AlternativeRow,
    Badge,
    BeforeAfterRow,
    Notice,
    Off,
    Shape,
    alternative_row,
    command_row,
    figure,
    order_row,
    rule_row,
)

FOLDED = {CardState.DECLINED, CardState.EXPIRED, CardState.SUPERSEDED}
MOVING = {CardState.APPROVED, CardState.EXECUTING, CardState.PARTLY_FILLED}
DECIDED_WORDS = {CardState.DECLINED: "Declined", CardState.SUPERSEDED: "Replaced", CardState.EXPIRED: "Expired"}
SETTLE_WATCH_S = 90


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true around the card at the moment it is shown."""

    now: datetime
    trading_state: str
    trading_since: datetime | None
    execution_on: bool
    big_from: Decimal
    names: Mapping[str, str] = field(default_factory=dict)
    run: Shape | None = None
    moved: Mapping[str, Shape] = field(default_factory=dict)


class CardView:
    """One card for the templates. Everything is derived from ``shape`` (CONTRACTS section 8) and ``around``."""

    def __init__(self, shape: Shape, *, around: Surroundings) -> None:
        self.shape = shape
        self.around = around
        self.id, self.content_hash = shape["id"], shape["content_hash"]
        self.correlation_id, self.note = shape["correlation_id"], shape.get("note") or ""
        self.created_at, self.expires_at = shape["created_at"], shape["expires_at"]
        self.decided_at, self.decided_by = shape.get("decided_at"), shape.get("decided_by") or ""
        self.plan: Shape = shape["plan"] or {}
        self.risk: Shape | None = shape["risk"]
        self.legs: Sequence[Shape] = self.plan.get("legs", ())
        self.leg: Shape = self.legs[0] if self.legs else {}
        self.estimates: Shape = self.plan.get("estimates", {})
        self.intent: Shape | None = self.plan.get("intent")
        self.run = around.run
        self.big_from = around.big_from
        self.practice = shape.get("connection_kind", "paper") == "paper"

    @staticmethod
    def symbols_in(shape: Shape) -> list[str]:
        """The symbols a card's legs are about."""
        return sorted({leg["symbol"] for leg in (shape["plan"] or {}).get("legs", ())})

    # --- state ------------------------------------------------------------------------------------
    @cached_property
    def state(self) -> str:
        """The stored state; an open card whose time is over reads as expired before the sweeper says so."""
        stored = str(self.shape["state"])
        over = stored == CardState.OPEN.value and self.expires_at <= self.around.now
        return CardState.EXPIRED.value if over else stored

    @property
    def is_open(self) -> bool:
        return self.state == CardState.OPEN

    @property
    def vetoed(self) -> bool:
        return self.state == CardState.DENIED

    @property
    def folded(self) -> bool:
        return self.state in FOLDED

    @property
    def is_terminal(self) -> bool:
        return not self.is_open and self.state not in MOVING

    @property
    def checking(self) -> bool:
        """An outcome is unknown: it is looked up, never called failed, never sent again."""
        unknown = any(order["state"] == IntentState.AMBIGUOUS for order in self.shape.get("orders", ()))
        return unknown or any(command["state"] == "UNKNOWN" for command in self.shape.get("commands", ()))

    @cached_property
    def badge(self) -> Badge:
        if self.checking:
            return Badge("checking", "warn", "help-circle")
        if self.cancelled_unfilled:
            return CANCELLED
        return BADGES.get(CardState(self.state), Badge(self.state.replace("_", " "), "plain"))

    @property
    def waits_for_login(self) -> bool:
        """An order of it is prepared and its connection wants a person to log in."""
        return any(
            order["state"] == IntentState.PREPARED and order.get("denial_code") == "AUTH_REQUIRED"
            for order in self.orders
        )

    @property
    def cancelled_unfilled(self) -> bool:
        """Every order of it was cancelled before anything filled: a decision, not a failure."""
        ended = [order["state"] == IntentState.CANCELLED and not order["filled_quantity"] for order in self.orders]
        return self.state == CardState.FAILED and bool(ended) and all(ended)

    @property
    def decided_words(self) -> str:
        """What the person did with the card; what came of it is told above. Empty while nobody decided."""
        if not self.decided_by or self.is_open or (self.vetoed and not self.orders):
            return ""
        if self.state == CardState.STALE:
            return ""
        return DECIDED_WORDS.get(CardState(self.state), "Approved")

    @property
    def poll(self) -> str:
        """How often the page asks again; empty when nothing can change any more."""
        if self.is_open:
            return "5s"
        if self.state in MOVING or self._awaits_reconciliation:
            return "1s"
        return ""

    @property
    def _awaits_reconciliation(self) -> bool:
        recent = self.decided_at and (self.around.now - self.decided_at).total_seconds() < SETTLE_WATCH_S
        return bool(self.orders and self.run is None and recent)

    @cached_property
    def mark(self) -> str:
        """Changes whenever something a person would notice has changed."""
        orders = [(order["state"], order["filled_quantity"]) for order in self.shape.get("orders", ())]
        commands = [command["state"] for command in self.shape.get("commands", ())]
        off = self.off.reason if self.off else ""
        facts = [self.state, self.shape["version"], orders, commands, str(self.run["id"]) if self.run else "", off]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    @property
    def show_facts(self) -> bool:
        return self.is_open or self.vetoed or self.state == CardState.STALE

    @property
    def left_percent(self) -> int:
        whole = (self.expires_at - self.created_at).total_seconds() or 1
        return max(0, min(100, int(100 * (self.expires_at - self.around.now).total_seconds() / whole)))

    @property
    def left_text(self) -> str:
        minutes, seconds = divmod(max(0, int((self.expires_at - self.around.now).total_seconds())), 60)
        return f"{minutes}:{seconds:02d} left"

    # --- what it is about -------------------------------------------------------------------------
    @property
    def side(self) -> str:
        return str(self.leg.get("side", "BUY"))

    @property
    def action(self) -> str:
        return str(self.leg.get("action", RequestKind.PLACE.value))

    @property
    def verb(self) -> str:
        """The word in the coloured box: the side, or what is done to an order of that side."""
        return self.side if self.action == RequestKind.PLACE else f"{self.action.upper()} {self.side}"

    @property
    def symbol(self) -> str:
        return str(self.leg.get("symbol", ""))

    @property
    def company(self) -> str:
        return self.around.names.get(self.symbol, "")

    @property
    def quantity(self) -> int:
        return int(self.leg.get("quantity", 0))

    @property
    def sizing_text(self) -> str:
        """How quantity and price came about, when they were not simply said."""
        steps = [f"{row['step']} {figure(row['value'], row['unit'])}".strip() for row in self.plan.get("sizing", ())]
        return " · ".join(steps) if len(steps) > 1 or self.action == RequestKind.MODIFY else ""

    @property
    def type_text(self) -> str:
        sent = str(self.leg.get("order_type", ""))
        if not self.leg.get("converted_from_market"):
            return sent
        return "SL-M" if sent == "SL" else "MARKET"

    @property
    def protection(self) -> str:
        """The limit a market or stop order is sent with, when it is, and what that means for its rest."""
        if not self.leg.get("converted_from_market"):
            return ""
        limit = formats.rupees(self.leg.get("limit_price"))
        return f"sent as {self.leg.get('order_type')} {limit}; what does not fill up to it stays open"

    @property
    def last_price(self) -> Decimal | None:
        return formats.decimal_of(self.plan.get("reference_prices", {}).get(self.symbol))

    @property
    def distance(self) -> str:
        """Where the limit lies from the last price, in words."""
        away = self._away(self.last_price)
        return f"limit is {away}" if away else ""

    def _away(self, last: Decimal | None) -> str:
        limit = formats.decimal_of(self.leg.get("limit_price"))
        if limit is None or not last:
            return ""
        percent = (limit / last - 1) * 100
        if round(percent, 2) == 0:
            return "at last"
        return f"{abs(percent):.2f}% {'above' if percent > 0 else 'below'}"

    @property
    def moved_rows(self) -> list[BeforeAfterRow]:
        """On a stale card: what the card was made with against what was found at approval."""
        moved = self.around.moved.get(self.symbol)
        if self.state != CardState.STALE or not moved:
            return []
        then, now = formats.decimal_of(moved.get("then")), formats.decimal_of(moved.get("now"))
        rows = [BeforeAfterRow("Last price", formats.rupees(then), formats.rupees(now))]
        if self.leg.get("limit_price"):
            rows.append(BeforeAfterRow("Limit from last", self._away(then), self._away(now)))
        return rows

    @property
    def before_after(self) -> list[BeforeAfterRow]:
        forms = (
            ("quantity", "Quantity", formats.quantity), ("average_price", "Average", formats.rupees),
            ("cash", "Cash", formats.rupees), ("weight_percent", "Weight in portfolio", formats.percent),
        )  # fmt: skip
        pairs = self.plan.get("before_after") or {}
        return [
            BeforeAfterRow(label, form(pairs[name]["before"]) or "–", form(pairs[name]["after"]) or "–")
            for name, label, form in forms
            if name in pairs
        ]

    # --- the verdict ------------------------------------------------------------------------------
    def _controls(self, verdict: str) -> list[Shape]:
        return [rule_row(row) for row in (self.risk or {}).get("controls", ()) if row["verdict"] == verdict]

    @cached_property
    def denials(self) -> list[Shape]:
        return self._controls("deny")

    @cached_property
    def warnings(self) -> list[Shape]:
        return self._controls("warn")

    @cached_property
    def passes(self) -> list[Shape]:
        return self._controls("pass")

    @property
    def alternatives(self) -> list[AlternativeRow]:
        rows = (self.risk or {}).get("alternatives", ()) if self.vetoed and self.intent else ()
        return [row for row in map(alternative_row, rows) if row]

    # --- why, and what can be done ----------------------------------------------------------------
    @property
    def source(self) -> Shape:
        return self.shape.get("source") or {}

    @property
    def origin(self) -> str:
        return str(self.source.get("origin", ""))

    @property
    def words(self) -> str:
        return str(self.source.get("words") or "")

    @property
    def reader(self) -> str:
        """Who read the words: the ticket needs none."""
        provider = self.source.get("provider")
        if provider and provider != "builtin":
            return f"{provider} {self.source.get('model') or ''}".strip()
        return ORIGIN_READERS.get(self.origin, "Built-in interpreter")

    @property
    def intent_json(self) -> str:
        return json.dumps(self.intent, default=str) if self.intent else ""

    @property
    def can_edit(self) -> bool:
        return bool(self.intent) and self.action == RequestKind.PLACE and len(self.legs) == 1

    @property
    def can_price_again(self) -> bool:
        return self.state in (CardState.EXPIRED, CardState.STALE) and bool(self.intent)

    @property
    def approve_words(self) -> str:
        if len(self.legs) > 1:
            return f"{len(self.legs)} orders"
        if self.action != RequestKind.PLACE:
            return f"{self.action.upper()} this order"
        return f"{self.verb} {formats.quantity(self.quantity)}"

    @property
    def type_quantity(self) -> bool:
        """A big order waits for its quantity to be typed; a cancel never does."""
        value = formats.decimal_of(self.estimates.get("order_value"))
        return self.action != RequestKind.CANCEL and value is not None and value >= self.around.big_from

    @cached_property
    def off(self) -> Off | None:
        """The reason inside the button, when Approve would be refused before anything else is looked at."""
        if not self.is_open or self.action == RequestKind.CANCEL:
            return None
        if self.around.trading_state == TradingStateName.HALTED:
            return Off(
                f"Off: kill switch since {formats.clock(self.around.trading_since)[:5]}",
                "/settings#switches",
                "hand-stop",
            )
        if self.origin != Origin.TICKET and not self.around.execution_on:
            return Off("Execution off: switched off in Settings", "/settings#switches", "lock")
        if self.blocked:
            word = "needs a login" if self.blocked["code"] == "AUTH_REQUIRED" else "cannot execute"
            return Off(f"Off: the broker connection {word}", "/settings?tab=ai", "lock")
        return None

    # --- what became of it ------------------------------------------------------------------------
    @cached_property
    def orders(self) -> list[dict[str, Any]]:
        return [order_row(order) for order in self.shape.get("orders", ())]

    @cached_property
    def commands(self) -> list[dict[str, Any]]:
        return [command_row(command) for command in self.shape.get("commands", ())]

    @property
    def cancellable(self) -> dict[str, Any] | None:
        """The order whose rest can still be cancelled, when the card stands for exactly one."""
        working = [order for order in self.orders if order["state"] == IntentState.WORKING]
        if len(working) != 1:
            return None
        return {"id": working[0]["id"], "rest": working[0]["quantity"] - working[0]["filled_quantity"]}

    @property
    def blocked(self) -> Shape | None:
        """What keeps the connection from sending, while the card could still be approved."""
        found: Shape | None = self.shape.get("blocked") if self.is_open else None
        return found

    @property
    def notice(self) -> Notice | None:
        if self.blocked:
            ways = " ".join(self.blocked["ways_out"])
            return Notice(self.blocked["text"], ways, "", "alert-triangle", "/settings?tab=ai", "Settings")
        if self.waits_for_login:
            text = "It goes by itself after the login, if its time and RiskGate allow; nothing was sent yet."
            return Notice("Waiting for a broker login.", text, "", "lock", "/settings?tab=ai", "Settings")
        if self.checking:
            text = "The answer was lost. The order is looked up by its tag and never sent again."
            return Notice("Checking with the broker.", text, "", "help-circle", "/orders", "Order timeline")
        if self.state == CardState.STALE:
            return Notice("The price moved past this card's tolerance.", "Nothing was sent. Look at the new card.")
        if self.state == CardState.FAILED:
            return self._failure
        return None

    @property
    def _failure(self) -> Notice:
        bad = next((order for order in self.orders if order["is_bad"]), None)
        if bad and bad["state"] == IntentState.REJECTED:
            return Notice(
                "REJECTED by the broker.", f"“{bad['status_message'] or 'no reason given'}”", "stop", "alert-circle"
            )
        if bad and bad["state"] == IntentState.DENIED:
            return Notice("DENIED at the door.", bad["status_message"] or bad.get("denial_code") or "", "stop", "ban")
        if self.cancelled_unfilled:
            return Notice("Cancelled, nothing filled.", self.note, "plain", "ban")
        return Notice("Nothing came of it.", self.note or "The trace says why.", "stop", "alert-circle")
