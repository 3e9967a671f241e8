"""One `up` per folder of data: two beats or two paper exchanges on one ledger would contradict each other."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class AlreadyRunning(Exception):
    """Another `up`, or a child one left behind, still works on this folder."""


def take(path: Path, *, wait_s: float) -> int:
    """The descriptor of the held lock; it is inherited by the children and free when the last of them is gone.

    Waits for the children of a killed `up` to follow it, then raises ``AlreadyRunning``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until and not _owner_lives(path):
                time.sleep(0.1)
                continue
            os.close(descriptor)
            raise AlreadyRunning(_sentence(path)) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return descriptor


def _owner(path: Path) -> str:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    return text if text.isdigit() else ""


def _owner_lives(path: Path) -> bool:
    owner = _owner(path)
    if not owner:
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sentence(path: Path) -> str:
    owner = _owner(path) or "unknown"
    return (
        f"SigmaTrader already runs on {path.parent.parent} (process {owner}). Stop it first: Ctrl-C, or kill {owner}."
    )
