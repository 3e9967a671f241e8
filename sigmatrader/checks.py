"""What must be so before the product starts; `manage.py check` and every start run them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

SQLITE_OPTIONS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


@register(Tags.security)
def secrets_are_sound(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Three different keys of enough length, and a key file only its owner reads."""
    found: list[CheckMessage] = []
    keys = [settings.SECRET_KEY, settings.AUDIT_KEY, *settings.FERNET_KEYS]
    if len(set(keys)) != len(keys):
        found.append(Error("SECRET_KEY, AUDIT_KEY and FERNET_KEYS must differ from each other.", id="sigmatrader.E001"))
    if any(len(key) < 32 for key in keys) or len(keys) < 3:
        found.append(Error("Each key needs 32 characters or more.", id="sigmatrader.E002"))
    return found + _key_file_is_private()


def _key_file_is_private() -> list[CheckMessage]:
    path = settings.VAR_DIR / "secrets.env"
    if settings.PRODUCTION or os.name != "posix" or not path.exists():
        return []
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return [Error(f"{path} can be read by others.", hint=f"chmod 600 {path}", id="sigmatrader.E003")]
    return []


@register("engines")
def database_is_durable(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """SQLite must write ahead, sync every commit and take its write lock at once."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        return []
    options = database.get("OPTIONS", {})
    missing = [wanted for wanted in SQLITE_OPTIONS if wanted not in options.get("init_command", "")]
    if options.get("transaction_mode") != "IMMEDIATE":
        missing.append("transaction_mode IMMEDIATE")
    if not missing:
        return []
    return [Error(f"The SQLite database is opened without {', '.join(missing)}.", id="sigmatrader.E004")]


@register("engines")
def requests_hold_no_transaction(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """SENDING must be committed before anything is sent, so no request may run inside one transaction."""
    if settings.DATABASES["default"].get("ATOMIC_REQUESTS"):
        return [
            Error("ATOMIC_REQUESTS must be off: an order would be sent before it is committed.", id="sigmatrader.E005")
        ]
    return []


@register(Tags.security, deploy=True)
def production_engines(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Several machines need engines that several machines can reach."""
    if not settings.PRODUCTION or not settings.SEVERAL_HOSTS:
        return []
    found: list[CheckMessage] = []
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append(Warning("SQLite serves one machine only; set DATABASE_URL.", id="sigmatrader.W001"))
    if settings.CELERY_BROKER_URL.startswith(("sqla", "filesystem")):
        found.append(
            Warning("The serverless queue serves one machine only; set CELERY_BROKER_URL.", id="sigmatrader.W002")
        )
    return found
