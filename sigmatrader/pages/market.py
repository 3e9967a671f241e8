"""The market clock as pages show it."""

from __future__ import annotations

import time
from datetime import datetime

from broker.clock import market_state
from broker.domain import MarketState
from broker.models import BrokerConnection
from broker.ports import BrokerError
from sigmatrader.audit.api.problems import Problem

QUIET_S = 5.0
_failed: dict[str, float] = {}


def market_of(connection: BrokerConnection, *, now: datetime) -> MarketState | None:
    """The state of ``connection``'s market, or None while its clock cannot be read: pages show that, they do not fail.

    After a failure the market is left alone for a few seconds, so that pages stay quick while it is away.
    """
    account = connection.account
    if time.monotonic() - _failed.get(account, -QUIET_S) < QUIET_S:
        return None
    try:
        state = market_state(connection, now=now)
    except (BrokerError, Problem):
        _failed[account] = time.monotonic()
        return None
    _failed.pop(account, None)
    return state
