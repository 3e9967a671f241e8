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

from execution import poller

_log = logging.getLogger(__name__)
_PAUSES_S = (0.12, 0.2, 0.3, 0.5)
_STEADY_S = 1.0
_GIVE_UP_S = 120.0  # orders that rest longer are the sweep's

_lock = threading.Lock()
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


def _run() -> None:
    try:
        _follow_until_settled()
    finally:
        connections.close_all()  # this thread's own; nobody else would


def _follow_until_settled() -> None:
    turn = 0
    while True:
        time.sleep(_PAUSES_S[turn] if turn < len(_PAUSES_S) else _STEADY_S)
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
