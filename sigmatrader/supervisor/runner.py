"""Keeps the children running: starts them, passes their words on, starts a dead one again, ends all together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sigmatrader.supervisor import leash
from sigmatrader.supervisor.console import Console
from sigmatrader.supervisor.restarts import Restarts

START_S = 60.0
STOP_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Spec:
    """One child: its command, what is added to its environment, and how one sees that it works."""

    name: str
    argv: Sequence[str]
    is_ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    before_start: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Child:
    spec: Spec
    restarts: Restarts = field(default_factory=Restarts)
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs the children until a signal or until one of them is dead for good.

    ``inherited`` are descriptors each child keeps open beside the leash: the lock of this checkout is one, so that a
    later `up` waits for the last child of an earlier one.
    """

    def __init__(self, specs: Sequence[Spec], *, console: Console, inherited: Sequence[int] = ()) -> None:
        self.children = [Child(spec) for spec in specs]
        self.console = console
        self.inherited = tuple(inherited)
        self.failure = ""
        self._ending = asyncio.Event()
        self._hurry = False
        self._leash, self._leash_end = os.pipe()

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> int:
        """0 after a signal, 1 when a child was dead for good. ``on_ready`` runs once all children work."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        keepers = [asyncio.create_task(self._keep(child)) for child in self.children]
        greeting = asyncio.create_task(self._greet(on_ready))
        greeting.add_done_callback(self._greeted)
        await self._ending.wait()
        greeting.cancel()
        await self._stop()
        await asyncio.gather(*keepers, greeting, return_exceptions=True)
        os.close(self._leash_end)
        os.close(self._leash)
        return 1 if self.failure else 0

    def end(self, failure: str = "") -> None:
        """Asks for the end, with the sentence that says why if it is a failure."""
        self.failure = self.failure or failure
        self._ending.set()

    def _signalled(self) -> None:
        if self._ending.is_set():
            self._hurry = True  # asked twice: no more waiting
        self.end()

    async def _greet(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait_for(asyncio.gather(*(child.ready.wait() for child in self.children)), START_S)
        except TimeoutError:
            late = ", ".join(child.spec.name for child in self.children if not child.ready.is_set())
            self.end(f"{late} did not get ready within {START_S:.0f} s; its lines above say why.")
            return
        await on_ready()

    def _greeted(self, greeting: asyncio.Task[None]) -> None:
        if not greeting.cancelled() and (problem := greeting.exception()) is not None:
            self.end(f"The start could not be finished: {problem}")

    async def _keep(self, child: Child) -> None:
        while not self._ending.is_set():
            code = await self._run_once(child)
            if self._ending.is_set():
                return
            delay = child.restarts.after_death(time.monotonic())
            if delay is None:
                self.end(
                    f"{child.spec.name} died {child.restarts.limit} times within a minute; its lines above say why."
                )
                return
            self.console.say(f"{child.spec.name} ended ({_reason(code)}); starting it again in {delay:g} s.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)

    async def _run_once(self, child: Child) -> int:
        child.spec.before_start()
        child.process = await asyncio.create_subprocess_exec(
            *child.spec.argv,
            env={**os.environ, **child.spec.env, leash.LEASH_FD: str(self._leash)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(self._leash, *self.inherited),
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )
        words = asyncio.create_task(self._pass_on(child))
        watch = asyncio.create_task(self._watch(child))
        code = await child.process.wait()
        watch.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(words, 1.0)
        return code

    async def _pass_on(self, child: Child) -> None:
        stream = child.process.stdout if child.process else None
        while stream is not None:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # a line longer than the buffer is dropped
            if not line:
                return
            self.console.line(child.spec.name, line.decode("utf-8", "replace").rstrip())

    async def _watch(self, child: Child) -> None:
        while not await asyncio.to_thread(child.spec.is_ready):
            await asyncio.sleep(_POLL_S)
        child.ready.set()

    async def _stop(self) -> None:
        """TERM, wait, KILL; the last to start ends first."""
        for child in reversed(self.children):
            _send(child, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while self._alive() and time.monotonic() < until and not self._hurry:
            await asyncio.sleep(_POLL_S)
        for child in self._alive():
            self.console.say(f"{child.spec.name} did not end by itself; it is killed.")
            _send(child, signal.SIGKILL)

    def _alive(self) -> list[Child]:
        return [child for child in self.children if child.process and child.process.returncode is None]


def _send(child: Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(number)


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
