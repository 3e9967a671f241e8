"""The parts of a policy that hold for one account, product, symbol or actor only: figures of their own.

A section names only what differs. Where several that apply name the same figure, the tightest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.domain import Product
from risk.domain import Actor

SCOPES = ("account", "product", "symbol", "actor")
MOST_SECTIONS = 500
Refuse = Callable[[str, str, str], None]
Figure = Callable[[str, str, object], object]


class RefusedError(ValueError):
    """A value that a policy cannot have: a code, and what is allowed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Section:
    """``figures`` are sorted (name, value) pairs of the limits that differ for ``name``."""

    scope: str
    name: str
    figures: tuple[tuple[str, object], ...]


Sections = tuple[Section, ...]


def sections_document(sections: Sections, *, plain: Callable[[object], object]) -> dict[str, object]:
    """``{scope: {name: {figure: value}}}``, with every scope there, so that equal policies have equal documents."""
    document: dict[str, dict[str, object]] = {scope: {} for scope in SCOPES}
    for section in sections:
        document[section.scope][section.name] = {key: plain(value) for key, value in section.figures}
    return dict(document)


def parse_sections(given: object, *, figure: Figure, refuse: Refuse) -> Sections:
    """Reads them back, sorted. ``figure`` reads one value; ``refuse`` takes every fault with its dotted path."""
    if not isinstance(given, Mapping):
        refuse("sections", "BAD_TYPE", f"must be an object with {', '.join(SCOPES)}")
        return ()
    found: list[Section] = []
    for scope, rows in given.items():
        if scope not in SCOPES:
            refuse(f"sections.{scope}", "UNKNOWN_FIELD", f"is no scope; known: {', '.join(SCOPES)}")
        elif not isinstance(rows, Mapping):
            refuse(f"sections.{scope}", "BAD_TYPE", "must be an object by name")
        else:
            found += [_section(scope, name, row, figure, refuse) for name, row in rows.items()]
    if len(found) > MOST_SECTIONS:
        refuse("sections", "BAD_RANGE", f"at most {MOST_SECTIONS} sections are allowed")
    return tuple(sorted(found, key=lambda section: (section.scope, section.name)))


def _section(scope: str, name: object, row: object, figure: Figure, refuse: Refuse) -> Section:
    path = f"sections.{scope}.{name}"
    fault = _name_fault(scope, name)
    if fault:
        refuse(path, "BAD_VALUE", fault)
    if not isinstance(row, Mapping) or not row:
        refuse(path, "BAD_TYPE", "must be an object with at least one figure")
        return Section(scope, str(name), ())
    values: list[tuple[str, object]] = []
    for key, value in row.items():
        try:
            values.append((str(key), figure(scope, str(key), value)))
        except RefusedError as exc:
            refuse(f"{path}.{key}", exc.code, str(exc))
    return Section(scope, str(name), tuple(sorted(values, key=lambda pair: pair[0])))


def _name_fault(scope: str, name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        return "needs a name"
    if scope == "product" and name not in list(Product):
        return f"is no product; known: {', '.join(Product)}"
    if scope == "actor" and name not in list(Actor):
        return f"is no actor; known: {', '.join(Actor)}"
    if scope == "symbol" and (name.count(":") != 1 or name.startswith(":") or name.endswith(":")):
        return "is not EXCHANGE:TRADINGSYMBOL"
    return ""
