"""What the shell of every page shows: connection, market, flags, kill switch, counts. Read lazily, once a request,
from our own tables: a fragment that shows none of it costs nothing, and no page waits for the broker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from broker.domain import BrokerKind, MarketState, OrderType, SessionPhase
from broker.models import BrokerConnection
from execution.domain import CardState
from execution.models import ActionCard
from risk.domain import TradingStateName
from risk.models import TradingState
from sigmatrader.accounts.models import User
from sigmatrader.accounts.selectors import flags
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.models import ExceptionRecord, Snapshot
from sigmatrader.audit.selectors import visible
from sigmatrader.audit.vocabulary import ExceptionStatus, Severity
from sigmatrader.pages import formats
from sigmatrader.pages.examples import Example, examples_for
from sigmatrader.pages.market import market_of

THEME_COOKIE = "st-theme"
PANEL_COOKIE = "st-panel"
PLACES = (
    ("p", "/", "Portfolio"), ("o", "/orders", "Orders"), ("e", "/exceptions", "Exceptions"),
    ("t", "/traces", "Traces"), ("s", "/settings", "Settings"),
)  # fmt: skip
PHASE_WORDS = {
    SessionPhase.CLOSED: "NSE closed",
    SessionPhase.PRE_OPEN: "Pre-open",
    SessionPhase.CONTINUOUS: "NSE open",
    SessionPhase.CLOSING_AUCTION: "Closing auction",
    SessionPhase.POST_CLOSE: "Post-close",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation; ``key`` follows ``g`` on the keyboard."""

    key: str
    href: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    id: str
    name: str
    kind: str
    practice: bool
    authorized: bool | None


@dataclass(frozen=True, slots=True)
class MarketFacts:
    label: str
    is_open: bool
    note: str
    now: datetime
    clock: str


@dataclass(frozen=True, slots=True)
class TradingFacts:
    """The narrowest trading state that applies, with who set it and why."""

    state: str
    reason: str = ""
    set_by: str = ""
    set_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExceptionFacts:
    count: int
    severe: bool


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode chip; the title says what it does."""

    value: str
    label: str
    hint: str


MODES = (
    Mode("auto", "Auto", "The message decides"),
    Mode("analyze", "Analyze", "Answers from your books; never an order"),
    Mode("monitor", "Monitor", "Watches something for you"),
    Mode("execute", "Execute", "Prepares an order card for your approval"),
    Mode("explain", "Explain", "Says why something happened; never an order"),
)


class Shell:
    """The header's facts for one request; each is read when a template first asks for it."""

    modes = MODES
    order_types = tuple(order_type.value for order_type in OrderType)

    def __init__(self, request: HttpRequest, *, now: datetime) -> None:
        self._request = request
        self.now = now

    @cached_property
    def user(self) -> User | None:
        user = getattr(self._request, "user", None)
        return user if isinstance(user, User) else None

    @cached_property
    def theme(self) -> str:
        theme = self._request.COOKIES.get(THEME_COOKIE, "")
        return theme if theme in ("light", "dark") else ""

    @cached_property
    def panel(self) -> str:
        panel = self._request.COOKIES.get(PANEL_COOKIE, "")
        return panel if panel in ("open", "closed") else "auto"

    @cached_property
    def shortcuts(self) -> bool:
        return self.user is None or self.user.single_key_shortcuts

    @cached_property
    def initials(self) -> str:
        if self.user is None:
            return ""
        name = self.user.get_full_name() or self.user.get_username()
        return "".join(part[0] for part in name.split()[:2]).upper()

    @cached_property
    def current(self) -> str:
        """The key of the place this page belongs to."""
        path = self._request.path
        keys = [key for key, href, _ in PLACES if (path == href if href == "/" else path.startswith(href))]
        return keys[0] if keys else ""

    @cached_property
    def nav(self) -> Sequence[Place]:
        return [Place(key, href, label, key == self.current) for key, href, label in PLACES]

    @cached_property
    def connection_row(self) -> BrokerConnection | None:
        return BrokerConnection.objects.filter(owner=self.user, is_active=True).first() if self.user else None

    @cached_property
    def connection(self) -> ConnectionFacts | None:
        row = self.connection_row
        if row is None:
            return None
        return ConnectionFacts(str(row.id), row.name, row.kind, not row.is_live, row.authorized)

    @cached_property
    def needs_login(self) -> bool:
        """Whether the active connection waits for a person to log in at the broker."""
        row = self.connection_row
        if row is None or row.authorized is not False:
            return False
        return row.kind != BrokerKind.KITE_MCP.value or self.flags[Flag.KITE_MCP_ENABLED.value]

    @cached_property
    def market(self) -> MarketFacts | None:
        return _market_facts(market_of(self.connection_row, now=self.now)) if self.connection_row else None

    @cached_property
    def flags(self) -> dict[str, bool]:
        return {flag.value: enabled for flag, enabled in flags().items()}

    @cached_property
    def trading(self) -> TradingFacts:
        scopes = ["global", *([self.connection_row.account] if self.connection_row else [])]
        rows = [row for row in TradingState.objects.filter(scope__in=scopes) if not row.until or row.until > self.now]
        rows.sort(key=lambda row: list(TradingStateName).index(TradingStateName(row.state)))
        if not rows:
            return TradingFacts(TradingStateName.ACTIVE.value)
        narrowest = rows[-1]
        return TradingFacts(
            narrowest.state, narrowest.reason, narrowest.set_by, narrowest.set_at, narrowest.until
        )  # fmt: skip

    @cached_property
    def open_cards(self) -> int:
        cards = ActionCard.objects.filter(owner=self.user, state=CardState.OPEN.value, expires_at__gt=self.now)
        return cards.count() if self.user else 0

    @cached_property
    def exceptions(self) -> ExceptionFacts:
        if self.user is None:
            return ExceptionFacts(0, severe=False)
        severities = list(open_exceptions(self.user).values_list("severity", flat=True)[:1000])
        return ExceptionFacts(len(severities), severe=bool({Severity.CRITICAL, Severity.HIGH} & set(severities)))

    @cached_property
    def snapshot(self) -> Snapshot | None:
        row = self.connection_row
        return Snapshot.objects.filter(account=row.account).first() if row else None

    @cached_property
    def mark(self) -> str:
        """Changes with anything of the shell that a page standing open must learn of."""
        trading, exceptions, snapshot = self.trading, self.exceptions, self.snapshot
        facts = [
            trading.state, str(trading.set_at), trading.reason, exceptions.count, exceptions.severe, self.open_cards,
            sorted(self.flags.items()), str(snapshot.pk) if snapshot else "", self.needs_login,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    @cached_property
    def examples(self) -> Sequence[Example]:
        return examples_for(self.connection_row)


def open_exceptions(user: User) -> QuerySet[ExceptionRecord]:
    """The exceptions that wait for ``user``: own ones and, for staff, those that belong to nobody in particular."""
    return visible(ExceptionRecord.objects.filter(status=ExceptionStatus.OPEN.value), user)


def _market_facts(market: MarketState | None) -> MarketFacts | None:
    if market is None:
        return None
    label = "Practice open" if market.practice and market.is_open else PHASE_WORDS[market.phase]
    return MarketFacts(label, market.is_open, market.note, market.now, formats.clock(market.now))


def shell(request: HttpRequest) -> dict[str, Shell]:
    """The context processor: ``shell`` in every template."""
    return {"shell": Shell(request, now=timezone.now())}
