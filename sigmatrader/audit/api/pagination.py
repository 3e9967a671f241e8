"""Lists that grow: ``{next, previous, results}``, newest first, positioned by values so that new rows shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from sigmatrader.audit.api.problems import FieldFault, Problem, unprocessable

if TYPE_CHECKING:
    from rest_framework.views import APIView  # DRF's settings name this module: no cycle at run time

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page starts: behind the row with these values, forwards or backwards."""

    values: tuple[str | int, ...]
    backwards: bool = False


class KeysetPagination(BasePagination):
    """``?limit=1..200&cursor=``. The order is the view's ``ordering`` or the model's; its last field must be unique."""

    display_page_controls = False

    def paginate_queryset(  # type: ignore[override]  # rows of a table only
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """One page of rows. Raises Problem 422 BAD_PAGE."""
        self.url = request.build_absolute_uri()
        limit = read_limit(request)
        order = tuple(getattr(view, "ordering", None) or queryset.model._meta.ordering or ("-pk",))
        position = _decode(request.query_params.get("cursor", ""), order)
        rows = self.fetch(queryset, order, position, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        backwards = bool(position and position.backwards)
        if backwards:
            rows.reverse()
        self.next_position = _after(rows, order) if more or backwards else None
        self.previous_position = _before(rows, order) if (more and backwards) or (position and not backwards) else None
        return rows

    def fetch(self, queryset: QuerySet[Any], order: Sequence[str], position: Position | None, count: int) -> list[Any]:
        """At most ``count`` rows behind ``position``. A list over several tables overrides this."""
        return _rows(queryset, order, position, count)

    def get_paginated_response(self, data: object) -> Response:
        """The page in its envelope."""
        return Response(self.envelope(data))

    def envelope(self, data: object) -> dict[str, object]:
        """``{next, previous, results}`` as a plain dict."""
        return {"next": self._link(self.next_position), "previous": self._link(self.previous_position), "results": data}

    def get_paginated_response_schema(self, schema: Mapping[str, object]) -> dict[str, object]:
        """The envelope in OpenAPI."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: object) -> list[dict[str, object]]:
        """``limit`` and ``cursor`` in OpenAPI."""
        return [
            {"name": "limit", "in": "query", "required": False,
             "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}},
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"},
             "description": "Taken from `next` or `previous`."},
        ]  # fmt: skip

    def _link(self, position: Position | None) -> str | None:
        if position is None:
            return None
        return replace_query_param(remove_query_param(self.url, "cursor"), "cursor", _encode(position))


def read_limit(request: Request) -> int:
    """``?limit=``, 50 when absent. Raises Problem 422 BAD_PAGE outside 1..200."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise _bad_page("limit", f"limit must be a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def _rows(queryset: QuerySet[Any], order: Sequence[str], position: Position | None, count: int) -> list[Any]:
    backwards = bool(position and position.backwards)
    directed = [_flip(name) for name in order] if backwards else list(order)
    if position is None:
        return list(queryset.order_by(*directed)[:count])
    try:
        return list(queryset.filter(_beyond(directed, position.values)).order_by(*directed)[:count])
    except (ValueError, TypeError, OverflowError, ValidationError):
        raise _bad_page("cursor", "cursor is not one that a page of this list gave out.") from None


def _beyond(order: Sequence[str], values: Sequence[str | int]) -> Q:
    """Rows strictly behind ``values`` in ``order``: first field further, or equal and the next one further, ..."""
    condition = Q()
    for index, name in enumerate(order):
        equal = {_plain(earlier): value for earlier, value in zip(order[:index], values[:index], strict=True)}
        further = {f"{_plain(name)}__{'lt' if name.startswith('-') else 'gt'}": values[index]}
        condition |= Q(**equal, **further)
    return condition


def _after(rows: Sequence[Model], order: Sequence[str]) -> Position | None:
    return Position(_values(rows[-1], order)) if rows else None


def _before(rows: Sequence[Model], order: Sequence[str]) -> Position | None:
    return Position(_values(rows[0], order), backwards=True) if rows else None


def _values(row: Model, order: Sequence[str]) -> tuple[str | int, ...]:
    values = (getattr(row, _plain(name)) for name in order)
    return tuple(v if isinstance(v, int) else v.isoformat() if isinstance(v, date) else str(v) for v in values)


def _encode(position: Position) -> str:
    text = json.dumps([int(position.backwards), *position.values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(text: str, order: Sequence[str]) -> Position | None:
    if not text:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        backwards, *values = parts
        sound = len(values) == len(order) and backwards in (0, 1) and len(text) <= 1000
        if not sound or not all(isinstance(value, str | int) and "\x00" not in str(value) for value in values):
            raise ValueError(text)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise _bad_page("cursor", "cursor is not one that a page of this list gave out.") from None
    return Position(tuple(values), backwards=bool(backwards))


def _flip(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _plain(name: str) -> str:
    return name.removeprefix("-")


def _bad_page(field: str, message: str) -> Problem:
    return unprocessable("BAD_PAGE", message, [FieldFault(field, "BAD_PAGE", message)])
