"""The parts of `up` that need no Django: restarts, ports, lines, the lock, and real small children."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sigmatrader.supervisor import children, lock, ports
from sigmatrader.supervisor.console import Console
from sigmatrader.supervisor.restarts import Restarts
from sigmatrader.supervisor.runner import Spec, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)")


class TestRestarts:
    def test_waits_longer_each_time_and_gives_up(self):
        restarts = Restarts(limit=4)
        assert [restarts.after_death(now) for now in (0.0, 1.0, 2.0, 3.0)] == [0.5, 1.0, 2.0, None]

    def test_a_death_long_ago_does_not_count(self):
        restarts = Restarts(limit=3, window_s=60)
        assert [restarts.after_death(now) for now in (0.0, 1.0, 62.0)] == [0.5, 1.0, 0.5]

    def test_waits_no_longer_than_the_longest(self):
        restarts = Restarts(limit=9, longest_delay_s=2.0)
        assert [restarts.after_death(0.0) for _ in range(5)] == [0.5, 1.0, 2.0, 2.0, 2.0]


class TestPorts:
    def test_one_asked_for_and_taken_is_a_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ports.PortTaken, match=f"Port {port} on 127.0.0.1 is in use") as refused:
                ports.choose("127.0.0.1", port, default=8000, variable="PORT")
        assert "choose another with PORT" in str(refused.value)

    def test_unset_the_next_free_one_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            chosen = ports.choose("127.0.0.1", None, default=port, variable="PORT")
        assert port < chosen < port + ports.TRIES

    def test_a_free_one_is_taken_as_asked(self):
        with socket.create_server(("127.0.0.1", 0)) as once:
            port = once.getsockname()[1]
        assert ports.choose("127.0.0.1", port, default=8000, variable="PORT") == port

    @pytest.mark.parametrize(
        ("host", "own"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")]
    )
    def test_the_address_this_machine_reaches_it_at(self, host, own):
        assert children.own_address(host) == own


def test_a_line_names_its_process_and_cannot_move_the_cursor():
    out = io.StringIO()
    Console(out).line("web", "a\x1b[2Jb")
    assert out.getvalue() == "web    | a[2Jb\n"


class TestLock:
    def test_a_second_one_is_refused_by_name(self, tmp_path):
        path = tmp_path / "run" / "up.lock"
        held = lock.take(path, wait_s=0)
        with pytest.raises(lock.AlreadyRunning, match=f"process {os.getpid()}"):
            lock.take(path, wait_s=0)
        os.close(held)
        os.close(lock.take(path, wait_s=0))

    def test_children_of_a_dead_one_are_waited_for(self, tmp_path):
        path = tmp_path / "run" / "up.lock"
        held = lock.take(path, wait_s=0)
        path.write_text("999999999")  # nobody's process
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.4)"], pass_fds=(held,))
        os.close(held)
        os.close(lock.take(path, wait_s=10))
        assert child.wait() == 0


def _run(specs, act=None, **options):
    """Runs a supervisor to its end; ``act(supervisor)`` once all are ready. Returns (code, lines, supervisor)."""
    out = io.StringIO()

    async def main():
        supervisor = Supervisor(specs, console=Console(out), **options)

        async def on_ready():
            await act(supervisor) if act else supervisor.end()

        return await supervisor.run(on_ready), supervisor

    code, supervisor = asyncio.run(main())
    return code, out.getvalue(), supervisor


@pytest.mark.e2e
class TestChildren:
    def test_start_are_heard_and_end_together(self):
        seen = []

        async def act(supervisor):
            seen.extend(child.process.pid for child in supervisor.children)
            await asyncio.sleep(0.3)
            supervisor.end()

        code, text, _ = _run([Spec("one", SLEEPER, lambda: True), Spec("two", SLEEPER, lambda: True)], act)
        assert (code, text.count("here")) == (0, 2)
        assert all(_is_gone(pid) for pid in seen)

    def test_one_that_dies_is_started_again(self, tmp_path):
        async def act(supervisor):
            child = supervisor.children[0]
            first = child.process.pid
            os.kill(first, signal.SIGKILL)
            while child.process.pid == first or child.process.returncode is not None:
                await asyncio.sleep(0.02)
            supervisor.end()

        code, text, _ = _run([Spec("one", SLEEPER, lambda: True)], act)
        assert code == 0
        assert "one ended (signal SIGKILL); starting it again in 0.5 s." in text

    def test_one_that_is_dead_for_good_ends_all(self, monkeypatch):
        monkeypatch.setattr(Restarts, "after_death", _quickly(Restarts.after_death))
        dying = Spec("dying", (sys.executable, "-c", "raise SystemExit(3)"), lambda: False)

        async def never(supervisor):
            raise AssertionError("not all were ready")

        code, _, supervisor = _run([Spec("one", SLEEPER, lambda: True), dying], never)
        assert code == 1
        assert supervisor.failure.startswith("dying died 5 times")
        assert all(child.process.returncode is not None for child in supervisor.children)

    def test_one_that_ignores_term_is_killed(self, monkeypatch):
        monkeypatch.setattr("sigmatrader.supervisor.runner.STOP_S", 0.3)
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"

        async def act(supervisor):
            await asyncio.sleep(0.5)
            supervisor.end()

        code, text, supervisor = _run([Spec("deaf", (sys.executable, "-c", deaf), lambda: True)], act)
        assert code == 0
        assert "deaf did not end by itself; it is killed." in text
        assert supervisor.children[0].process.returncode == -signal.SIGKILL

    def test_a_problem_after_the_start_is_told(self):
        async def act(supervisor):
            raise ValueError("no link")

        code, _, supervisor = _run([Spec("one", SLEEPER, lambda: True)], act)
        assert (code, supervisor.failure) == (1, "The start could not be finished: no link")

    def test_when_up_is_killed_its_children_end(self, tmp_path):
        pid_file = tmp_path / "pid"
        child = (
            "import os, time; from pathlib import Path; from sigmatrader.supervisor import leash; leash.hold(); "
            f"Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
        )
        script = (
            "import asyncio, sys\n"
            "from sigmatrader.supervisor.console import Console\n"
            "from sigmatrader.supervisor.runner import Spec, Supervisor\n"
            "async def forever(): await asyncio.sleep(60)\n"
            "async def main():\n"
            f"    spec = Spec('one', (sys.executable, '-c', {child!r}), lambda: True)\n"
            "    await Supervisor([spec], console=Console()).run(forever)\n"
            "asyncio.run(main())\n"
        )
        up = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL)
        pid = int(_wait_for(lambda: pid_file.exists() and pid_file.read_text()))
        up.kill()
        up.wait()
        _wait_for(lambda: _is_gone(pid))


def _quickly(after_death):
    def wrapper(self, now):
        return None if after_death(self, now) is None else 0.01

    return wrapper


def _is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def _wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
