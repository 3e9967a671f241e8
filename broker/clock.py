"""The one market clock: what time it is for trading, as the connection's own market says."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta

from broker import factory
from broker.domain import MarketState
from broker.models import BrokerConnection

KEEP_S = 1.0
_lock = threading.Lock()
_states: dict[str, tuple[float, str, MarketState]] = {}


def market_state(connection: BrokerConnection, *, now: datetime) -> MarketState:
    """Time and phase, asked for at most once a second; in between the time runs on. ``now`` is not what counts here:
    the market's own time does.

    Raises BrokerUnavailable or BrokerSchemaError when the market cannot be asked, Problem 409 as the factory does.
    """
    account = connection.account
    if factory.is_substituted(account):
        return factory.reader_for(connection).market_state()
    key = f"{connection.kind} {connection.server_url}"
    with _lock:
        known = _states.get(account)
    if known is not None and known[1] == key and time.monotonic() - known[0] < KEEP_S:
        return replace(known[2], now=known[2].now + timedelta(seconds=time.monotonic() - known[0]))
    state = factory.reader_for(connection).market_state()
    with _lock:
        _states[account] = (time.monotonic(), key, state)
    return state
