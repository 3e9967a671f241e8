"""Follows orders from the process that sent them, so that a fill is seen within a second.

A hint, like every queue: if this process dies the sweep goes on (FAULTS A10, A20).
"""

from __future__ import annotations

import logging
import threading
import time
import uuid

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone

from execution import poller
from execution.domain import IntentState
from execution.models import OrderIntent

_log = logging.getLogger(__name__)
_PAUSES_S = (0.12, 0.2, 0.3, 0.5)
_STEADY_S = 1.0
_GIVE_UP_S = 120.0  # orders that rest longer are the sweep's

_AT_BROKER = (IntentState.ACKED.value, IntentState.WORKING.value)

_lock = threading.Lock()
_wake = threading.Event()
_followed: dict[uuid.UUID, float] = {}
_thread: threading.Thread | None = None


def watch(connection_id: uuid.UUID) -> None:
    """Follow this connection's open orders from now on. Returns at once."""
    global _thread  # one follower a process
    if not settings.FOLLOW_ORDERS:
        return
    with _lock:
        _followed[connection_id] = time.monotonic()
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="order-follower", daemon=True)
            _thread.start()


def look_now(connection_id: uuid.UUID) -> None:
    """A hint that this connection's book moved: what is open there is due at once, here and in every sweep.

    Quick and harmless to repeat. Unknown outcomes keep their schedule, as a look too many would count as a miss.
    """
    in_flight = OrderIntent.objects.filter(connection_id=connection_id, state__in=_AT_BROKER)
    in_flight.update(next_check_at=timezone.now())
    watch(connection_id)
    _wake.set()


def _run() -> None:
    try:
        _follow_until_settled()
    finally:
        connections.close_all()  # this thread's own; nobody else would


def _follow_until_settled() -> None:
    turn = 0
    while True:
        _wake.wait(_PAUSES_S[turn] if turn < len(_PAUSES_S) else _STEADY_S)
        _wake.clear()
        with _lock:
            current = dict(_followed)
        if not _follow(current):
            turn = 0
            if _finished():
                return
            continue
        turn = 0 if _is_renewed(current) else turn + 1


def _follow(current: dict[uuid.UUID, float]) -> bool:
    """Polls each followed connection once; drops the settled and the overdue. False if nothing is open."""
    busy = False
    for connection_id, since in current.items():
        still_open = _poll(connection_id)
        if still_open and time.monotonic() - since < _GIVE_UP_S:
            busy = True
            continue
        with _lock:
            if _followed.get(connection_id) == since:
                del _followed[connection_id]
    return busy


def _poll(connection_id: uuid.UUID) -> int:
    try:
        return poller.poll_connection(connection_id)
    except DatabaseError:
        _log.warning("following orders paused: the database did not answer")
        return 1
    finally:
        close_old_connections()


def _is_renewed(current: dict[uuid.UUID, float]) -> bool:
    with _lock:
        return any(current.get(key) != since for key, since in _followed.items())


def _finished() -> bool:
    global _thread
    with _lock:
        if _followed:
            return False
        _thread = None
        return True
