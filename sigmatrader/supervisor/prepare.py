"""What must be there before the children start: the database, the first user, the paper connection, the defaults."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from broker.domain import BrokerKind
from broker.ingestion import load_instruments
from broker.models import BrokerConnection, Instrument
from broker.services import ensure_paper_connection
from risk.services import ensure_default_policy
from sigmatrader import readiness
from sigmatrader.accounts.models import FeatureFlag, User
from sigmatrader.accounts.services import ensure_first_user, set_flag
from sigmatrader.accounts.vocabulary import Flag

KEPT_COPIES = 5
Say = Callable[[str], None]


class NotPrepared(Exception):
    """The start must not go on; the text says why and what to do."""


def prepare(*, now: datetime, say: Say) -> User:
    """Brings the database up to date and makes what a first start needs. A second call changes nothing."""
    empty_queue()
    migrate(now=now, say=say)
    if settings.STATIC_ROOT:
        call_command("collectstatic", verbosity=0, interactive=False)
    user = ensure_first_user(now=now)
    ensure_default_policy(now=now)
    if not Instrument.objects.filter(universe="paper").exists():
        load_instruments(universe="paper", now=now)
    ensure_paper_connection(user, server_url=readiness.paper_url(), now=now)
    turn_on_for_the_demo(user, now=now)
    return user


def migrate(*, now: datetime, say: Say) -> None:
    """Applies what is pending, after a copy of a database that has something in it."""
    waiting = readiness.pending_migrations()
    if not waiting:
        return
    if "django_migrations" in connection.introspection.table_names():
        copy = copy_database(now=now)
        say(f"{waiting} migrations to apply; a copy of the database is in {copy}.")
    call_command("migrate", verbosity=0, interactive=False)


def empty_queue() -> None:
    """Drops what the queue of files still holds: messages are hints, and a half-written one stops a worker."""
    if settings.CELERY_BROKER_URL.startswith("filesystem"):
        for message in settings.QUEUE_DIR.glob("*.msg"):
            message.unlink(missing_ok=True)


def turn_on_for_the_demo(user: User, *, now: datetime) -> None:
    """On the practice broker the flags that nobody has decided yet are turned on; a live one starts with them off."""
    active = BrokerConnection.objects.filter(owner=user, is_active=True).first()
    if settings.PRODUCTION or active is None or active.kind != BrokerKind.PAPER.value:
        return
    decided = set(FeatureFlag.objects.values_list("name", flat=True))
    for flag in Flag:
        if flag.value not in decided:
            set_flag(flag, enabled=True, actor="up", now=now)


# --- copies ------------------------------------------------------------------------------------------------------
def copy_database(*, now: datetime) -> Path:
    """A checked copy of the database in var/backups; the oldest of more than five go. Raises ``NotPrepared``."""
    folder = settings.VAR_DIR / "backups"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sigmatrader-{now:%Y%m%dT%H%M%S}"
    if connection.vendor == "sqlite":
        target = folder / f"{stem}.sqlite3"
        copy_sqlite(Path(connection.settings_dict["NAME"]), target)
    else:
        target = folder / f"{stem}.dump"
        _dump_postgres(target)
    for old in sorted(folder.glob("sigmatrader-*"))[:-KEPT_COPIES]:
        old.unlink()
    return target


def copy_sqlite(source: Path, target: Path) -> None:
    """A consistent copy by SQLite's own backup, also while others write. Raises ``NotPrepared`` for a damaged file."""
    try:
        with sqlite3.connect(source) as original, sqlite3.connect(target) as copy:
            original.backup(copy)
            verdict = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as exc:
        raise NotPrepared(f"The database {source} could not be copied ({exc}), so it is not migrated.") from exc
    target.chmod(0o600)
    if verdict != "ok":
        raise NotPrepared(f"The database {source} is damaged ({verdict}). Put back a copy from {target.parent}.")


def _dump_postgres(target: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise NotPrepared(
            "pg_dump is not installed, so no copy can be kept before migrating. Install it, or migrate by hand."
        )
    wanted = connection.settings_dict
    environment = {"PGPASSWORD": str(wanted["PASSWORD"]), "PATH": str(Path(program).parent)}
    command = [program, "--format=custom", f"--file={target}", f"--dbname={wanted['NAME']}"]
    for option, key in (("host", "HOST"), ("port", "PORT"), ("username", "USER")):
        if wanted[key]:
            command.append(f"--{option}={wanted[key]}")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if done.returncode:
        raise NotPrepared(f"pg_dump failed, so the database is not migrated: {done.stderr.strip()[:300]}")
    target.chmod(0o600)
