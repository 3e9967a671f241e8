"""What is configured, reachable, missing or unsafe on this machine, and what to do about each."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Tags, run_checks
from django.db import connection

from broker.models import BrokerConnection
from sigmatrader import readiness
from sigmatrader.accounts import selectors
from sigmatrader.accounts.models import User

VARIABLES = (
    "SIGMATRADER_ENV", "SIGMATRADER_VAR", "DATABASE_URL", "CELERY_BROKER_URL", "REDIS_URL", "SECRET_KEY", "FERNET_KEYS",
    "AUDIT_KEY", "ALLOWED_HOSTS", "HOST", "PORT", "SIGMATRADER_PAPER_PORT", "SIGMATRADER_PAPER_ACCOUNT",
    "AI_ASSISTANT_ENABLED", "AI_EXECUTION_ENABLED", "KITE_MCP_ENABLED", "MONITORING_ENABLED", "OPENAI_BASE_URL",
    "GOOGLE_BASE_URL", "OUTBOUND_LOOPBACK_PORTS", "SIGMATRADER_ANCHOR_DIR", "BEHIND_TLS_PROXY",
)  # fmt: skip
_SECRET = ("SECRET_KEY", "FERNET_KEYS", "AUDIT_KEY")
_URLS = ("DATABASE_URL", "CELERY_BROKER_URL", "REDIS_URL", "OPENAI_BASE_URL", "GOOGLE_BASE_URL")


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``advice`` is empty where nothing is to be done."""

    area: str
    verdict: Verdict
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order a person would look. Reads only."""
    return [*_environment(), *_checks(), *_engines(), *_people(), *_tools()]


def _environment() -> Iterator[Finding]:
    yield Finding("environment", Verdict.OK, f"{settings.SIGMATRADER_ENV} on Python {sys.version.split()[0]}")
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if value:
            source = ".env" if settings.ENV_FILE_NAMES and name in settings.ENV_FILE_NAMES else "environment"
            yield Finding("configuration", Verdict.OK, f"{name}={_shown(name, value)} (from the {source})")
    if not settings.PRODUCTION:
        yield Finding(
            "configuration", Verdict.OK, f"keys: {settings.VAR_DIR / 'secrets.env'} where the environment names none"
        )


def _shown(name: str, value: str) -> str:
    if name in _SECRET:
        return "(set)"
    if name not in _URLS:
        return value
    address = urlsplit(value)
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{'…@' if address.username else ''}{address.hostname or ''}{port}{address.path}"


def _checks() -> Iterator[Finding]:
    for found in run_checks(tags=[Tags.security, "engines"]):
        yield Finding("settings", Verdict.UNSAFE, str(found.msg), str(found.hint or ""))
    if os.name == "posix" and os.geteuid() == 0:
        yield Finding("processes", Verdict.NOTE, "this runs as root", "Run it as a user of its own.")
    folder = settings.VAR_DIR
    if os.name == "posix" and folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        yield Finding("files", Verdict.UNSAFE, f"others can write to {folder}", f"chmod go-w {folder}")


_ADVICE = {
    "database": "Check DATABASE_URL and that the server runs.",
    "migrations": "Run: manage.py migrate (manage.py up does it by itself).",
    "queue": "Check CELERY_BROKER_URL and that its server runs; without it, manage.py up uses a queue of its own.",
    "broker": "Start manage.py up, or authorise the live connection on its page.",
}


def _engines() -> Iterator[Finding]:
    yield Finding(
        "engines", Verdict.OK, f"{connection.vendor} database, {settings.CELERY_BROKER_URL.partition(':')[0]} queue"
    )
    for part in readiness.parts():
        verdict = Verdict.OK if part.ok else Verdict.MISSING
        yield Finding(part.name, verdict, part.detail, "" if part.ok else _ADVICE[part.name])


def _people() -> Iterator[Finding]:
    if any(not part.ok for part in readiness.parts()[:2]):
        return
    users = list(User.objects.filter(is_active=True))
    if not users:
        yield Finding(
            "people", Verdict.MISSING, "nobody can sign in", "Run: manage.py up, or manage.py createsuperuser"
        )
    for user in users:
        if not user.has_usable_password():
            yield Finding("people", Verdict.NOTE, f"{user.username} has no password", "Set one under /password.")
    for flag, enabled in selectors.flags().items():
        yield Finding("flags", Verdict.OK, f"{flag.value} is {'on' if enabled else 'off'}")
    for link in BrokerConnection.objects.filter(is_active=True).select_related("owner"):
        yield Finding(
            "broker", Verdict.OK, f"{link.owner.get_username()} trades on {link.name} ({link.kind}): {link.last_status}"
        )


def _tools() -> Iterator[Finding]:
    wanted = {"chromium": "browser tests", "pg_dump": "copies of a PostgreSQL database before it is migrated"}
    for program, use in wanted.items():
        if shutil.which(program) is None:
            yield Finding("tools", Verdict.NOTE, f"{program} is not installed", f"Needed only for {use}.")
