"""What ties a child process to `up`: when `up` is gone, however it went, its children go too.

`up` keeps the write end of a pipe and each child inherits the read end. The kernel closes the write end when `up` ends,
kill -9 included; the read then returns and the child ends itself, first by TERM and, should that hang, by KILL. Works
wherever there are pipes, unlike Linux's PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

LEASH_FD = "SIGMATRADER_LEASH_FD"
READY_FILE = "SIGMATRADER_READY_FILE"
GRACE_S = 10.0

_held = threading.Event()


def hold() -> None:
    """Starts the watch if this process was started by `up`; a second call does nothing."""
    text = os.environ.get(LEASH_FD, "")
    if not text.isdigit() or _held.is_set():
        return
    _held.set()
    threading.Thread(target=_watch, args=(int(text),), name="leash", daemon=True).start()


def _watch(descriptor: int) -> None:
    try:
        os.read(descriptor, 1)
    except OSError:
        return  # not our descriptor: a process started by hand with our environment
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def report_ready() -> None:
    """Tells `up` that this process works now."""
    path = os.environ.get(READY_FILE, "")
    if path:
        Path(path).write_text(str(os.getpid()), encoding="ascii")
