"""The five processes of the product: the paper exchange, the owner of the broker sessions, the web server, one Celery
worker, one Celery beat.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from broker.session.client import is_running
from sigmatrader import readiness
from sigmatrader.supervisor import leash
from sigmatrader.supervisor.runner import Spec

LOOPBACK = "127.0.0.1"
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def specs(*, host: str, port: int, paper_port: int, account: str) -> tuple[Spec, ...]:
    """In the order they start; they stop in the opposite one, the exchange last."""
    env = {
        "SIGMATRADER_VAR": str(settings.VAR_DIR),
        "SIGMATRADER_PAPER_PORT": str(paper_port),
        "SIGMATRADER_PAPER_LOGIN": settings.PAPER_LOGIN,
        "PYTHONUNBUFFERED": "1",
        "CELERY_SKIP_CHECKS": "1",  # up has made them
    }
    celery = (sys.executable, "-m", "celery", "-q", "-A")
    worker = ("sigmatrader.celery", "worker", "-P", "threads", "-c", "4", "-l", "WARNING", *_QUIET)
    beat = ("sigmatrader.supervisor.beat", "beat", "-l", "WARNING", "--pidfile=")
    return (
        _paper(paper_port, account, env),
        *((_session(env),) if settings.BROKER_SESSION else ()),
        _web(host, port, env),
        _by_file("worker", (*celery, *worker), env),
        _by_file("beat", (*celery, *beat), env),
    )


def _paper(port: int, account: str, env: Mapping[str, str]) -> Spec:
    argv = [sys.executable, "-m", "sigmatrader.supervisor.paper", "--port", str(port)]
    argv += ["--login", settings.PAPER_LOGIN if settings.BROKER_SESSION else "off"]
    if account:
        argv += ["--account", account]
    return Spec("paper", argv, lambda: readiness.answers(f"http://{LOOPBACK}:{port}/status"), env)


def _session(env: Mapping[str, str]) -> Spec:
    argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), "broker_session"]
    return Spec("broker", argv, lambda: is_running(settings.BROKER_SOCKET), env)


def _web(host: str, port: int, env: Mapping[str, str]) -> Spec:
    argv = [sys.executable, "-m", "uvicorn", "sigmatrader.asgi:application", "--host", host, "--port", str(port)]
    argv += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5", "--no-server-header"]
    argv += ["--proxy-headers"] if settings.BEHIND_TLS_PROXY else ["--no-proxy-headers"]
    return Spec("web", argv, lambda: readiness.answers(f"http://{own_address(host)}:{port}/api/health"), env)


def own_address(host: str) -> str:
    """Where this machine reaches a server that listens on ``host``."""
    if host in ("0.0.0.0", ""):  # noqa: S104  # a comparison, nothing is bound
        return LOOPBACK
    return "[::1]" if host == "::" else f"[{host}]" if ":" in host else host


def _by_file(name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> Spec:
    """A process that nobody can ask; it writes a file when it works."""
    path: Path = settings.VAR_DIR / "run" / f"{name}.ready"
    return Spec(name, argv, path.exists, {**env, leash.READY_FILE: str(path)}, lambda: path.unlink(missing_ok=True))
