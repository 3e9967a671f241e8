"""The policy: the limits RiskGate holds orders to. A frozen value with one document form and one hash.

Every figure has its unit and its allowed range beside its default, so that parsing, the reference page and the errors
say the same. Money is rupees, ``_percent`` is 0-100, ``_s`` is seconds. Defaults: CONTRACTS section 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from broker.domain import Exchange, OrderType, Product, SessionPhase, Validity, Variety
from risk.codes import Unit
from risk.domain import Actor
from risk.sections import RefusedError, Sections, parse_sections, sections_document
from sigmatrader.audit import canonical

# ruff: noqa: RUF009 - the helpers below return dataclasses.field, one value each
SCHEMA_VERSION = 2  # a document of schema 1 lacks the figures marked ``since=2`` and has no sections
CRORE = 10_000_000
UP, DOWN = "up", "down"  # which way a figure is tightened
ANY = ("account", "product", "symbol", "actor")  # the sections that may say a figure of their own
WHOLE = ("account", "actor")
NOWHERE = ()


def _rupees(default: str, low: int = 0, **more: Any) -> Any:
    return _field(Decimal(default), unit=Unit.RUPEES, low=low, high=1000 * CRORE, **more)


def _percent(default: str, low: str = "0.1", **more: Any) -> Any:
    return _field(Decimal(default), unit=Unit.PERCENT, low=Decimal(low), high=100, **more)


def _whole(default: int, unit: Unit, low: int, high: int, **more: Any) -> Any:
    return _field(default, unit=unit, low=low, high=high, **more)


def _switch(default: bool, **more: Any) -> Any:
    return _field(default, unit=Unit.NONE, **more)


def _field(
    default: object, *, tighter: str = DOWN, scopes: tuple[str, ...] = ANY, since: int = 1, **metadata: Any
) -> Any:
    return field(default=default, metadata={"tighter": tighter, "scopes": scopes, "since": since, **metadata})


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures. Those marked in the reference never hold back an order that only reduces a position."""

    order_quantity_max: int = _whole(50_000, Unit.UNITS, 1, 10_000_000)
    order_value_max: Decimal = _rupees("200000", 1)
    order_value_min: Decimal = _rupees("1", tighter=UP)
    day_value_max: Decimal = _rupees("1000000", 1, scopes=WHOLE)
    big_order_value: Decimal = _rupees("100000", 1, scopes=NOWHERE)
    freeze_quantity_equity: int = _whole(100_000, Unit.UNITS, 1, 10_000_000)
    freeze_quantity_derivative: int = _whole(1_800, Unit.UNITS, 1, 10_000_000)
    price_collar_equity_percent: Decimal = _percent("5")
    price_collar_option_percent: Decimal = _percent("20")
    quote_age_s: int = _whole(10, Unit.SECONDS, 1, 3600)
    snapshot_age_s: int = _whole(30, Unit.SECONDS, 1, 3600, scopes=WHOLE)
    position_percent: Decimal = _percent("25")
    exposure_percent: Decimal = _percent("100", scopes=WHOLE)
    open_positions_max: int = _whole(20, Unit.POSITIONS, 1, 1000, scopes=WHOLE)
    open_orders_max: int = _whole(100, Unit.ORDERS, 1, 5000, scopes=WHOLE)
    open_value_max: Decimal = _rupees("1000000", 1, scopes=WHOLE)
    mis_leverage: Decimal = _field(Decimal(5), unit=Unit.NONE, low=1, high=5, scopes=NOWHERE)
    intraday_shorts: bool = _switch(True)
    paper_market_orders: bool = _switch(True)
    orders_per_second: int = _whole(10, Unit.ORDERS, 1, 10, scopes=WHOLE)
    orders_per_minute: int = _whole(200, Unit.ORDERS, 1, 400, scopes=WHOLE)
    orders_per_day: int = _whole(1_000, Unit.ORDERS, 1, 5_000, scopes=WHOLE)
    exit_orders_per_day: int = _whole(5_000, Unit.ORDERS, 1, 5_000, scopes=WHOLE)
    duplicate_window_s: int = _whole(10, Unit.SECONDS, 1, 3600, tighter=UP, scopes=NOWHERE)
    rejects_max: int = _whole(3, Unit.ORDERS, 1, 100, scopes=WHOLE)
    rejects_window_s: int = _whole(300, Unit.SECONDS, 1, 86_400, tighter=UP, scopes=NOWHERE)
    unconfirmed_max: int = _whole(3, Unit.ORDERS, 1, 100, scopes=WHOLE)
    soft_limit_percent: Decimal = _percent("80", "1")
    sector_percent: Decimal = _percent("100", since=2)
    daily_loss_percent: Decimal = _percent("2", scopes=WHOLE, since=2)
    drawdown_percent: Decimal = _percent("15", scopes=WHOLE, since=2)
    drawdown_days: int = _whole(30, Unit.DAYS, 1, 365, tighter=UP, scopes=NOWHERE, since=2)
    cooldown_losses: int = _whole(3, Unit.ORDERS, 1, 100, scopes=WHOLE, since=2)
    cooldown_s: int = _whole(900, Unit.SECONDS, 1, 86_400, tighter=UP, scopes=WHOLE, since=2)
    fat_finger_times: Decimal = _field(Decimal(10), unit=Unit.TIMES, low=2, high=1000, since=2)
    fat_finger_orders: int = _whole(10, Unit.ORDERS, 1, 50, since=2)
    fat_finger_value: Decimal = _rupees("50000", 1, since=2)
    price_drift_equity_percent: Decimal = _percent("5", since=2)
    price_drift_option_percent: Decimal = _percent("20", since=2)
    price_drift_window_s: int = _whole(300, Unit.SECONDS, 1, 86_400, tighter=UP, scopes=NOWHERE, since=2)
    repeat_executions_max: int = _whole(5, Unit.ORDERS, 1, 1000, since=2)
    repeat_window_s: int = _whole(3600, Unit.SECONDS, 1, 86_400, tighter=UP, scopes=NOWHERE, since=2)
    modifications_max: int = _whole(25, Unit.ORDERS, 1, 25, since=2)


@dataclass(frozen=True, slots=True)
class Delegation:
    """What may be sent on the trader's own message without a card. Never above the limits of any order."""

    order_value_max: Decimal = _rupees("10000", 1)
    day_value_max: Decimal = _rupees("50000", 1)


def _words(kind: type[StrEnum], *default: str) -> Any:
    return field(default=tuple(sorted(default)), metadata={"words": kind, "unit": Unit.NONE})


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be traded, how, and on whose wish. Words are sorted and appear once."""

    exchanges: tuple[str, ...] = _words(Exchange, Exchange.NSE, Exchange.BSE, Exchange.NFO, Exchange.BFO)
    products: tuple[str, ...] = _words(Product, Product.CNC, Product.MIS, Product.NRML)
    order_types: tuple[str, ...] = _words(OrderType, *(word.value for word in OrderType))
    validities: tuple[str, ...] = _words(Validity, Validity.DAY, Validity.IOC)
    varieties: tuple[str, ...] = _words(Variety, Variety.REGULAR)
    phases: tuple[str, ...] = _words(SessionPhase, SessionPhase.CONTINUOUS)
    actors: tuple[str, ...] = _words(Actor, *(word.value for word in Actor))
    restricted_symbols: tuple[str, ...] = field(default=(), metadata={"words": None, "unit": Unit.NONE})


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the policy. ``version`` is the stored row's number, 0 for a policy that was never published."""

    limits: Limits = field(default_factory=Limits)
    allowed: Allowed = field(default_factory=Allowed)
    delegation: Delegation = field(default_factory=Delegation)
    version: int = 0
    sections: Sections = ()
    schema: int = SCHEMA_VERSION

    def limits_for(self, *, account: str, product: str, symbol: str, actor: str) -> Limits:
        """The figures one order is held to: where sections name one, the tightest of theirs, else the general one."""
        return effective(self, account, product, symbol, actor) if self.sections else self.limits

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document: what a decision names beside the version."""
        return policy_hash(self)


@lru_cache(maxsize=4096)
def effective(policy: Policy, account: str, product: str, symbol: str, actor: str) -> Limits:
    """``Policy.limits_for`` of a policy that has sections."""
    names = {"account": account, "product": product, "symbol": symbol, "actor": actor}
    said: dict[str, Any] = {}
    for section in policy.sections:
        if names[section.scope] != section.name:
            continue
        for key, value in section.figures:
            said[key] = tighter_of(key, said[key], value) if key in said else value
    return replace(policy.limits, **said) if said else policy.limits


def tighter_of(key: str, one: Any, other: Any) -> Any:
    """Of two values of one figure the one that lets less through."""
    return max(one, other) if LIMIT_RULES[key]["tighter"] == UP else min(one, other)


LIMIT_RULES: Mapping[str, Mapping[str, Any]] = {item.name: item.metadata for item in fields(Limits)}

SECTIONS: Mapping[str, type[Limits] | type[Allowed] | type[Delegation]] = {
    "limits": Limits,
    "allowed": Allowed,
    "delegation": Delegation,
}


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One thing wrong with a policy document: dotted field, a code, and what is allowed."""

    field: str
    code: str
    message: str


class PolicyInvalid(ValueError):
    """The document is not a policy; ``faults`` names everything wrong with it, not only the first."""

    def __init__(self, faults: tuple[PolicyFault, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


def default_policy(*, version: int = 0) -> Policy:
    """The policy a fresh installation starts with: suited to a retail account."""
    return Policy(version=version)


def policy_document(policy: Policy) -> dict[str, object]:
    """The document form: everything but the version number, which belongs to the stored row."""
    document: dict[str, object] = {"schema_version": policy.schema}
    for name in SECTIONS:
        section = getattr(policy, name)
        document[name] = {
            item.name: _plain(getattr(section, item.name))
            for item in fields(section)
            if item.metadata.get("since", 1) <= policy.schema
        }
    if policy.schema >= SCHEMA_VERSION:
        document["sections"] = sections_document(policy.sections, plain=_plain)
    return document


@lru_cache(maxsize=64)
def policy_hash(policy: Policy) -> str:
    """SHA-256 of the canonical document, in hex. Policies that differ only in their number have one hash."""
    return canonical.digest(policy_document(policy))


def parse_policy(document: object, *, version: int = 0) -> Policy:
    """Reads a policy document. Figures may be integers, Decimals or decimal strings; never floats.

    A document of an older schema takes the defaults of what it does not know, and keeps its hash.
    Raises PolicyInvalid with every fault: unknown or missing fields, wrong types, out of range, contradictions.
    """
    faults: list[PolicyFault] = []
    schema = _schema(document, faults)
    values = _sections(document, schema, faults)
    sections = _own_sections(document, schema, faults)
    if not faults:
        faults += _contradictions(values)
    if faults:
        raise PolicyInvalid(tuple(faults))
    return Policy(
        limits=Limits(**values["limits"]),
        allowed=Allowed(**values["allowed"]),
        delegation=Delegation(**values["delegation"]),
        version=version,
        sections=sections,
        schema=schema,
    )


def _schema(document: object, faults: list[PolicyFault]) -> int:
    given = document.get("schema_version") if isinstance(document, Mapping) else SCHEMA_VERSION
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= SCHEMA_VERSION:
        faults.append(PolicyFault("schema_version", "UNKNOWN_VERSION", f"must be {SCHEMA_VERSION}"))
        return SCHEMA_VERSION
    return given


def _own_sections(document: object, schema: int, faults: list[PolicyFault]) -> Sections:
    """What the document says for single accounts, products, symbols and actors. It may be left out."""
    given = document.get("sections", {}) if isinstance(document, Mapping) else {}
    if schema < SCHEMA_VERSION and given:
        faults.append(PolicyFault("sections", "UNKNOWN_FIELD", f"needs schema_version {SCHEMA_VERSION}"))
        return ()

    def refuse(path: str, code: str, message: str) -> None:
        faults.append(PolicyFault(path, code, message))

    return parse_sections(given, figure=_figure, refuse=refuse)


def _figure(scope: str, key: str, given: object) -> object:
    """One figure of a section. Raises RefusedError."""
    rule = LIMIT_RULES.get(key)
    if rule is None:
        raise RefusedError("UNKNOWN_FIELD", "is not a limit of the policy")
    if scope not in rule["scopes"]:
        raise RefusedError("BAD_SCOPE", f"is one figure for all; it cannot be set per {scope}")
    return _value(rule, getattr(Limits(), key), given)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return canonical.decimal_text(value)
    return list(value) if isinstance(value, tuple) else value


def _sections(document: object, schema: int, faults: list[PolicyFault]) -> dict[str, dict[str, Any]]:
    if not isinstance(document, Mapping):
        faults.append(PolicyFault("policy", "BAD_TYPE", "must be an object with limits, allowed and delegation"))
        return {}
    for key in sorted(set(map(str, document)) - {"schema_version", "sections", *SECTIONS}):
        faults.append(PolicyFault(key, "UNKNOWN_FIELD", f"is not part of a policy; known: {', '.join(SECTIONS)}"))
    return {name: _section(name, document.get(name), schema, faults) for name in SECTIONS}


def _section(name: str, rows: object, schema: int, faults: list[PolicyFault]) -> dict[str, Any]:
    if not isinstance(rows, Mapping):
        faults.append(PolicyFault(name, "MISSING", "must be an object"))
        return {}
    known = {item.name: item for item in fields(SECTIONS[name]) if item.metadata.get("since", 1) <= schema}
    for key in sorted(set(map(str, rows)) - set(known)):
        faults.append(PolicyFault(f"{name}.{key}", "UNKNOWN_FIELD", "is not a rule of the policy"))
    for key in known:
        if key not in rows:
            faults.append(PolicyFault(f"{name}.{key}", "MISSING", "is required"))
    values = {}
    for key, item in known.items():
        if key not in rows:
            continue
        try:
            values[key] = _value(item.metadata, item.default, rows[key])
        except RefusedError as exc:
            faults.append(PolicyFault(f"{name}.{key}", exc.code, str(exc)))
    return values


def _value(rule: Mapping[str, Any], default: object, given: object) -> object:
    if "words" in rule:
        return _checked_words(rule["words"], given)
    if isinstance(default, bool):
        if not isinstance(given, bool):
            raise RefusedError("BAD_TYPE", "must be true or false")
        return given
    number = _number(given)
    if isinstance(default, int) and number != int(number):
        raise RefusedError("BAD_TYPE", "must be a whole number")
    if not rule["low"] <= number <= rule["high"]:
        raise RefusedError("BAD_RANGE", f"must be between {rule['low']} and {rule['high']} {rule['unit']}".rstrip())
    return int(number) if isinstance(default, int) else number


def _number(given: object) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | Decimal | str):
        raise RefusedError("BAD_TYPE", "must be a number, written as an integer or a decimal string")
    try:
        number = Decimal(given)
    except ArithmeticError:
        raise RefusedError("BAD_TYPE", "must be a number, written as an integer or a decimal string") from None
    if not number.is_finite():
        raise RefusedError("BAD_TYPE", "must be a finite number")
    return number


def _checked_words(kind: type[StrEnum] | None, given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise RefusedError("BAD_TYPE", "must be a list of words")
    if kind is None:
        wrong = [word for word in given if word.count(":") != 1 or word.startswith(":") or word.endswith(":")]
        if wrong:
            raise RefusedError("BAD_VALUE", f"{wrong[0]!r} is not EXCHANGE:TRADINGSYMBOL")
    elif unknown := sorted(set(given) - {word.value for word in kind}):
        raise RefusedError(
            "BAD_VALUE", f"{', '.join(unknown)} unknown; known: {', '.join(word.value for word in kind)}"
        )
    return tuple(sorted({str(word) for word in given}))


_NOT_ABOVE = (
    ("limits.order_value_min", "limits.order_value_max"),
    ("limits.order_value_max", "limits.day_value_max"),
    ("limits.orders_per_second", "limits.orders_per_minute"),
    ("limits.orders_per_minute", "limits.orders_per_day"),
    ("limits.orders_per_day", "limits.exit_orders_per_day"),
    ("limits.position_percent", "limits.exposure_percent"),
    ("delegation.order_value_max", "limits.order_value_max"),
    ("delegation.order_value_max", "delegation.day_value_max"),
    ("delegation.day_value_max", "limits.day_value_max"),
)


def _contradictions(sections: Mapping[str, Mapping[str, Any]]) -> list[PolicyFault]:
    def at(path: str) -> Any:
        section, _, key = path.partition(".")
        return sections[section][key]

    return [
        PolicyFault(low, "CONTRADICTION", f"{at(low)} is above {high} ({at(high)})")
        for low, high in _NOT_ABOVE
        if at(low) > at(high)
    ]
