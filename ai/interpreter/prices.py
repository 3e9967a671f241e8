"""Order type, price, trigger, validity and exits from what was said (rule 2)."""

from __future__ import annotations

from dataclasses import dataclass

from ai.interpreter.products import Stance
from ai.interpreter.reading import ask
from ai.interpreter.slots import Figure, Role, Slots
from ai.language.lexicon import Tag

_TTL_MAX = 1440


@dataclass(frozen=True, slots=True)
class Prices:
    """Decimal strings as said; ``exits`` only on an entry."""

    order_type: str
    price: str | None
    trigger: str | None
    validity: str = "DAY"
    ttl: int | None = None
    exits: dict[str, str] | None = None


def read_prices(slots: Slots, stance: Stance) -> Prices:
    """Raises AskBack for two prices, a price left out, or a bound on the wrong side."""
    price = _price(slots, stance)
    trigger = _single(slots, Role.TRIGGER, "trigger price")
    stop = _single(slots, Role.STOP, "stop")
    target = _single(slots, Role.TARGET, "target")
    if stance.protective and price and not (stop or trigger):
        price, stop = None, price
    _all_markers_filled(slots, stop=stop, trigger=trigger, target=target)
    trigger, exits = _stop_or_exit(slots, stance, price, trigger, stop, target)
    validity, ttl = _validity(slots)
    order_type = _order_type(slots, price, trigger)
    return Prices(order_type, price, trigger, validity, ttl, exits)


def _all_markers_filled(slots: Slots, *, stop: str | None, trigger: str | None, target: str | None) -> None:
    """A stop, trigger or target that was named needs its own price: a limit said beside it is not it."""
    if slots.has(Tag.STOP) and not (stop or trigger):
        raise ask("price", "At which price is the stop?")
    if slots.has(Tag.TRIGGER) and not trigger:
        raise ask("price", "At which price is the trigger?")
    if slots.has(Tag.TARGET) and not target:
        raise ask("price", "At which price is the target?")


def _single(slots: Slots, role: Role, what: str) -> str | None:
    figures = slots.of(role)
    if len({figure.value for figure in figures}) > 1:
        raise ask("price", f"There are two {what}s in that. Which one?", *(figure.spelled for figure in figures))
    return _positive(figures[0], what) if figures else None


def _positive(figure: Figure, what: str) -> str:
    if figure.value <= 0:
        raise ask("price", f"The {what} must be above zero.")
    return figure.spelled


def _price(slots: Slots, stance: Stance) -> str | None:
    if (slots.of(Role.CEILING) and stance.side == "SELL") or (slots.of(Role.FLOOR) and stance.side == "BUY"):
        raise ask(
            "price",
            "A buy can be limited to a highest price and a sell to a lowest. To wait for the price to move the other "
            "way, say trigger.",
        )
    bounds = slots.of(Role.CEILING) + slots.of(Role.FLOOR)
    plain = slots.of(Role.PRICE)
    if slots.of(Role.MAYBE_TOTAL):
        figure = slots.of(Role.MAYBE_TOTAL)[0]
        raise ask(
            "price", f"Is {figure.spelled} the price of one share or the whole amount?",
            f"at {figure.spelled}", f"worth {figure.spelled}",
        )  # fmt: skip
    figures = plain + bounds
    if len({figure.value for figure in figures}) > 1:
        raise ask("price", "There are two prices in that. Which one?", *(figure.spelled for figure in figures))
    price = _positive(figures[0], "price") if figures else None
    if price and slots.has(Tag.MARKET):
        raise ask("price", "A market order has no price. Market, or limit at that price?", "at market", f"at {price}")
    if price is None and slots.has(Tag.LIMIT):
        raise ask("price", "At which limit price?")
    return price


def _stop_or_exit(
    slots: Slots, stance: Stance, price: str | None, trigger: str | None, stop: str | None, target: str | None
) -> tuple[str | None, dict[str, str] | None]:
    """A stop or target said with an entry goes with it; a stop on what is held is the order's own trigger."""
    entry = not stance.closes
    if entry:
        said = {"stop_loss": stop, "target": target}
        return trigger, {name: value for name, value in said.items() if value} or None
    if target:
        raise ask(
            "price", "A target belongs to a new position. To sell at a price, say it as the limit.", "at that limit"
        )
    if stop and trigger:
        raise ask("price", "There is a stop and a trigger in that. Which one?", stop, trigger)
    if stop and price:
        raise ask(
            "price", f"Sell at {price}, or stop at {stop}? They are two orders.", f"limit {price}", f"trigger {stop}"
        )
    return stop or trigger, None


def _order_type(slots: Slots, price: str | None, trigger: str | None) -> str:
    if slots.has(Tag.GTT):
        if not (price and trigger):
            raise ask("price", "A GTT needs its trigger and its limit price. Say both.", "trigger 1400 limit 1398")
        return "LIMIT"
    if slots.has(Tag.SL_M) and (price or not trigger):
        raise ask("price", "An SL-M order has a trigger price and no limit. At which trigger?")
    if slots.has(Tag.SL_ORDER) and not (price and trigger):
        raise ask(
            "price", "A stop-loss limit order needs a trigger and a limit price. Say both.", "trigger 1450 limit 1448"
        )
    if trigger:
        return "SL" if price else "SL-M"
    return "LIMIT" if price else "MARKET"


def _validity(slots: Slots) -> tuple[str, int | None]:
    figures = slots.of(Role.TTL)
    if figures:
        minutes = figures[0].value
        if len(figures) > 1 or minutes % 1 or not 1 <= minutes <= _TTL_MAX or not slots.has(Tag.TTL):
            raise ask("order", "For how many minutes shall the order stay?")
        return "TTL", int(minutes)
    if slots.has(Tag.IOC) and slots.has(Tag.DAY):
        raise ask("order", "IOC or DAY? Both are in that.", "IOC", "DAY")
    return ("IOC" if slots.has(Tag.IOC) else "DAY"), None
