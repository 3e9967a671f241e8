"""The kill switch from a shell, for when no page answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from risk.domain import TradingStateName
from risk.models import TradingState
from risk.selectors import GLOBAL
from risk.services import set_trading_state
from sigmatrader.audit.api.problems import Problem

ACTOR = "shell"


class Command(BaseCommand):
    help = "Sets the trading state: ACTIVE, REDUCING (exits and cancels only) or HALTED (cancels only)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("state", choices=[state.value for state in TradingStateName])
        parser.add_argument("--account", default=GLOBAL, help="a connection's id; default: all accounts")
        parser.add_argument("--until", default="", help="ISO 8601 time with offset; default: until released")
        parser.add_argument("--reason", default="")
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        state = TradingStateName(options["state"])
        reason = options["reason"] or ("Released from the shell." if state is TradingStateName.ACTIVE else "")
        try:
            row = set_trading_state(
                scope=options["account"], state=state, actor=ACTOR, now=timezone.now(), reason=reason,
                until=_time(options["until"]),
            )  # fmt: skip
        except Problem as exc:
            raise CommandError(exc.text) from exc
        self.stdout.write(json.dumps(_summary(row)) if options["as_json"] else _sentence(row))


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise CommandError(f"--until: {exc}") from exc
    if moment.tzinfo is None:
        raise CommandError("--until needs an offset, for example 2026-11-23T15:30:00+05:30.")
    return moment


def _summary(row: TradingState) -> dict[str, object]:
    return {
        "scope": row.scope,
        "state": row.state,
        "until": row.until.isoformat() if row.until else None,
        "reason": row.reason,
        "set_by": row.set_by,
        "set_at": row.set_at.isoformat(),
        "version": row.version,
    }


def _sentence(row: TradingState) -> str:
    where = "All accounts" if row.scope == GLOBAL else f"Account {row.scope}"
    until = f" until {row.until.isoformat()}" if row.until else ""
    return f"{where}: trading is {row.state}{until}."
