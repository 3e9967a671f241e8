"""Template filters and tags: money, times, ages, icons. Everything is escaped; nothing here reads the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sigmatrader.pages import formats

register = template.Library()

_FILTERS: dict[str, Callable[..., str]] = {
    "inr": formats.rupees, "inr_signed": formats.signed_rupees, "price": formats.price, "amount": formats.amount,
    "qty": formats.quantity,
    "signed": formats.signed, "pct": formats.percent, "pct_signed": formats.signed_percent, "tone": formats.tone,
    "ist": formats.clock, "ist_day": formats.day, "span": formats.duration,
}  # fmt: skip
for _name, _function in _FILTERS.items():
    register.filter(_name, _function)


@register.filter
def ist_ms(value: datetime | str | None) -> str:
    """A time of day with milliseconds, for timelines."""
    return formats.clock(value, millis=True)


@register.filter
def short_id(value: object) -> str:
    """The first six characters of an id or hash."""
    return str(value or "")[:6]


@register.filter
def bare_symbol(value: object) -> str:
    """``NSE:INFY`` -> ``INFY``."""
    return str(value or "").rpartition(":")[2]


@register.filter
def exchange_of(value: object) -> str:
    """``NSE:INFY`` -> ``NSE``."""
    return str(value or "").rpartition(":")[0]


@register.filter
def words(value: object) -> str:
    """``partly_filled`` -> ``partly filled``."""
    return str(value or "").replace("_", " ")


@register.filter
def pretty_json(value: object) -> str:
    """A document indented for reading; Decimals and times as text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def get(value: Mapping[str, Any] | None, key: str) -> Any:
    """``mapping|get:"key"``; None when it is not there."""
    return value.get(key) if value else None


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """One icon of the sprite, hidden from readers: the words beside it carry the meaning."""
    return format_html(
        '<svg class="st-i {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        f"st-i-{size}" if size else "", static("img/icons.svg"), name,
    )  # fmt: skip


@register.simple_tag
def age(value: datetime | str | None, now: datetime, limit: int = 0, label: str = "") -> SafeString:
    """An age stamp: absolute IST time, then relative. The page's script keeps the relative part true.

    ``limit`` is the age in seconds past which the stamp turns amber; 0 is never. An unknown time is "not read".
    """
    moment = formats.when(value)
    if moment is None:
        return format_html(
            '<span class="st-age st-age-old">{} {}</span>', icon("clock", "s"), f"{label} not read".strip()
        )
    seconds = (now - moment).total_seconds()
    return format_html(
        '<span class="st-age{}" data-age="{}" data-age-limit="{}">'
        "{} <span>{}</span> · <span data-age-text>{}</span></span>",
        " st-age-old" if limit and seconds > limit else "", moment.isoformat(), limit, icon("clock", "s"),
        f"{label} {_stamp(moment, now)}".strip(), formats.relative(seconds),
    )  # fmt: skip


def _stamp(moment: datetime, now: datetime) -> str:
    same_day = moment.date() == now.astimezone(formats.IST).date()
    return formats.clock(moment) if same_day else f"{formats.day(moment)} {formats.clock(moment)}"


@register.simple_tag
def took(start: datetime, end: datetime) -> str:
    """How long something took, from two times."""
    return formats.duration(int((end - start).total_seconds() * 1000))
