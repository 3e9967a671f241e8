"""The policy: the limits RiskGate holds orders to. A frozen value with one document form and one hash.

Every figure has its unit and its allowed range beside its default, so that parsing, the reference page and the errors
say the same. Money is rupees, ``_percent`` is 0-100, ``_s`` is seconds. Defaults: CONTRACTS section 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from broker.domain import Exchange, OrderType, Product, SessionPhase, Validity, Variety
from risk.codes import Unit
from risk.domain import Actor
from sigmatrader.audit import canonical

# ruff: noqa: RUF009 - the helpers below return dataclasses.field, one value each
SCHEMA_VERSION = 1
CRORE = 10_000_000


def _rupees(default: str, low: int = 0) -> Any:
    return field(default=Decimal(default), metadata={"unit": Unit.RUPEES, "low": low, "high": 1000 * CRORE})


def _percent(default: str, low: str = "0.1") -> Any:
    return field(default=Decimal(default), metadata={"unit": Unit.PERCENT, "low": Decimal(low), "high": 100})


def _whole(default: int, unit: Unit, low: int, high: int) -> Any:
    return field(default=default, metadata={"unit": unit, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures. Those marked in the reference never hold back an order that only reduces a position."""

    order_quantity_max: int = _whole(50_000, Unit.UNITS, 1, 10_000_000)
    order_value_max: Decimal = _rupees("200000", 1)
    order_value_min: Decimal = _rupees("1")
    day_value_max: Decimal = _rupees("1000000", 1)
    big_order_value: Decimal = _rupees("100000", 1)
    freeze_quantity_equity: int = _whole(100_000, Unit.UNITS, 1, 10_000_000)
    freeze_quantity_derivative: int = _whole(1_800, Unit.UNITS, 1, 10_000_000)
    price_collar_equity_percent: Decimal = _percent("5")
    price_collar_option_percent: Decimal = _percent("20")
    quote_age_s: int = _whole(10, Unit.SECONDS, 1, 3600)
    snapshot_age_s: int = _whole(30, Unit.SECONDS, 1, 3600)
    position_percent: Decimal = _percent("25")
    exposure_percent: Decimal = _percent("100")
    open_positions_max: int = _whole(20, Unit.POSITIONS, 1, 1000)
    open_orders_max: int = _whole(100, Unit.ORDERS, 1, 5000)
    open_value_max: Decimal = _rupees("1000000", 1)
    mis_leverage: Decimal = field(default=Decimal(5), metadata={"unit": Unit.NONE, "low": 1, "high": 5})
    intraday_shorts: bool = field(default=True, metadata={"unit": Unit.NONE})
    paper_market_orders: bool = field(default=True, metadata={"unit": Unit.NONE})
    orders_per_second: int = _whole(10, Unit.ORDERS, 1, 10)
    orders_per_minute: int = _whole(200, Unit.ORDERS, 1, 400)
    orders_per_day: int = _whole(1_000, Unit.ORDERS, 1, 5_000)
    exit_orders_per_day: int = _whole(5_000, Unit.ORDERS, 1, 5_000)
    duplicate_window_s: int = _whole(10, Unit.SECONDS, 1, 3600)
    rejects_max: int = _whole(3, Unit.ORDERS, 1, 100)
    rejects_window_s: int = _whole(300, Unit.SECONDS, 1, 86_400)
    unconfirmed_max: int = _whole(3, Unit.ORDERS, 1, 100)
    soft_limit_percent: Decimal = _percent("80", "1")


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

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document: what a decision names beside the version."""
        return policy_hash(self)


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
    document: dict[str, object] = {"schema_version": SCHEMA_VERSION}
    for name in SECTIONS:
        section = getattr(policy, name)
        document[name] = {item.name: _plain(getattr(section, item.name)) for item in fields(section)}
    return document


@lru_cache(maxsize=64)
def policy_hash(policy: Policy) -> str:
    """SHA-256 of the canonical document, in hex. Policies that differ only in their number have one hash."""
    return canonical.digest(policy_document(policy))


def parse_policy(document: object, *, version: int = 0) -> Policy:
    """Reads a policy document. Figures may be integers, Decimals or decimal strings; never floats.

    Raises PolicyInvalid with every fault: unknown or missing fields, wrong types, out of range, contradictions.
    """
    faults: list[PolicyFault] = []
    sections = _sections(document, faults)
    if not faults:
        faults += _contradictions(sections)
    if faults:
        raise PolicyInvalid(tuple(faults))
    return Policy(
        limits=Limits(**sections["limits"]),
        allowed=Allowed(**sections["allowed"]),
        delegation=Delegation(**sections["delegation"]),
        version=version,
    )


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return canonical.decimal_text(value)
    return list(value) if isinstance(value, tuple) else value


def _sections(document: object, faults: list[PolicyFault]) -> dict[str, dict[str, Any]]:
    if not isinstance(document, Mapping):
        faults.append(PolicyFault("policy", "BAD_TYPE", "must be an object with limits, allowed and delegation"))
        return {}
    for key in sorted(set(map(str, document)) - {"schema_version", *SECTIONS}):
        faults.append(PolicyFault(key, "UNKNOWN_FIELD", f"is not part of a policy; known: {', '.join(SECTIONS)}"))
    if document.get("schema_version") != SCHEMA_VERSION or isinstance(document.get("schema_version"), bool):
        faults.append(PolicyFault("schema_version", "UNKNOWN_VERSION", f"must be {SCHEMA_VERSION}"))
    return {name: _section(name, document.get(name), faults) for name in SECTIONS}


def _section(name: str, rows: object, faults: list[PolicyFault]) -> dict[str, Any]:
    if not isinstance(rows, Mapping):
        faults.append(PolicyFault(name, "MISSING", "must be an object"))
        return {}
    known = {item.name: item for item in fields(SECTIONS[name])}
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
        except _RefusedError as exc:
            faults.append(PolicyFault(f"{name}.{key}", exc.code, str(exc)))
    return values


class _RefusedError(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _value(rule: Mapping[str, Any], default: object, given: object) -> object:
    if "words" in rule:
        return _checked_words(rule["words"], given)
    if isinstance(default, bool):
        if not isinstance(given, bool):
            raise _RefusedError("BAD_TYPE", "must be true or false")
        return given
    number = _number(given)
    if isinstance(default, int) and number != int(number):
        raise _RefusedError("BAD_TYPE", "must be a whole number")
    if not rule["low"] <= number <= rule["high"]:
        raise _RefusedError("BAD_RANGE", f"must be between {rule['low']} and {rule['high']} {rule['unit']}".rstrip())
    return int(number) if isinstance(default, int) else number


def _number(given: object) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | Decimal | str):
        raise _RefusedError("BAD_TYPE", "must be a number, written as an integer or a decimal string")
    try:
        number = Decimal(given)
    except ArithmeticError:
        raise _RefusedError("BAD_TYPE", "must be a number, written as an integer or a decimal string") from None
    if not number.is_finite():
        raise _RefusedError("BAD_TYPE", "must be a finite number")
    return number


def _checked_words(kind: type[StrEnum] | None, given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise _RefusedError("BAD_TYPE", "must be a list of words")
    if kind is None:
        wrong = [word for word in given if word.count(":") != 1 or word.startswith(":") or word.endswith(":")]
        if wrong:
            raise _RefusedError("BAD_VALUE", f"{wrong[0]!r} is not EXCHANGE:TRADINGSYMBOL")
    elif unknown := sorted(set(given) - {word.value for word in kind}):
        raise _RefusedError(
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
