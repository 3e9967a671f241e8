"""One asyncio loop in a thread of its own per process, so that synchronous code can hold long-lived network sessions.

Safe after fork: a child gets a new loop, whatever it inherited is not used again.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Starts on first use; the thread is a daemon and never keeps a process alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.guard = threading.Lock()  # for users of the loop that set up their own state; free again after a fork
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def generation(self) -> int:
        """Changes when the process forked: objects of an older generation belong to a loop that is gone."""
        return os.getpid()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs ``work`` on the loop; its result or exception is in the future."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def reset(self) -> None:
        """For a forked child: forget what the parent had."""
        self._lock, self.guard = threading.Lock(), threading.Lock()
        self._loop = None

    def stop(self) -> None:
        """Ends the loop; a later ``submit`` starts another."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=_run, args=(self._loop,), name="broker-io", daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


background = Background()
os.register_at_fork(after_in_child=background.reset)
atexit.register(background.stop)
