"""Whether the product can do its work now, part by part; for /api/ready, `doctor` and `up`."""

from __future__ import annotations

import http.client
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection
from kombu.exceptions import OperationalError as QueueError

from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.session.client import is_running


@dataclass(frozen=True, slots=True)
class Part:
    """One part, and a sentence on it that gives no address, name or version away."""

    name: str
    ok: bool
    detail: str


def parts() -> tuple[Part, ...]:
    """Every part once. A part that cannot be asked is down; nothing raises."""
    database = _database()
    if not database.ok:
        unknown = "Not asked: the database is down."
        return (database, *(Part(name, False, unknown) for name in ("migrations", "queue", "broker")))
    migrations = _migrations()
    if not migrations.ok:
        return (database, migrations, _queue(), Part("broker", False, "Not asked: migrations are to be applied."))
    return (database, migrations, _queue(), _broker())


def pending_migrations() -> int:
    """How many migrations the database still waits for."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def paper_url() -> str:
    """Where our own paper exchange serves MCP: over a stream where one process owns it, else by single requests."""
    face = "sse" if settings.BROKER_SESSION else "mcp"
    return f"http://{settings.PAPER_HOST}:{settings.PAPER_PORT}/{face}"


def answers(url: str, *, timeout_s: float = 1.0) -> bool:
    """Whether a GET of ``url`` on this machine is answered 200."""
    address = urlsplit(url)
    if address.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("only this machine is asked")
    link = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)
    try:
        link.request("GET", address.path or "/", headers={"Host": f"{address.hostname}:{address.port}"})
        return link.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Part("database", False, "The database does not answer.")
    return Part("database", True, "It answers.")


def _migrations() -> Part:
    try:
        waiting = pending_migrations()
    except DatabaseError:
        return Part("migrations", False, "The database could not be read.")
    return Part("migrations", waiting == 0, f"{waiting} to be applied." if waiting else "All are applied.")


def _queue() -> Part:
    is_folder = settings.CELERY_BROKER_URL.startswith("filesystem")
    if _folder_is_writable() if is_folder else _server_answers():
        return Part("queue", True, "It takes messages.")
    return Part("queue", False, "The queue takes no messages.")


def _folder_is_writable() -> bool:
    return settings.QUEUE_DIR.is_dir() and os.access(settings.QUEUE_DIR, os.W_OK)


def _server_answers() -> bool:
    try:
        with Connection(settings.CELERY_BROKER_URL, connect_timeout=1) as link:
            link.ensure_connection(max_retries=1, timeout=1)
    except (QueueError, OSError):
        return False
    return True


def _broker() -> Part:
    if settings.BROKER_SESSION and not is_running(settings.BROKER_SOCKET):
        return Part("broker", False, "The broker session process does not answer.")
    live = [c for c in BrokerConnection.objects.filter(is_active=True) if c.is_live]
    down = [c for c in live if c.last_status != "connected" or c.authorized is False]
    if down:
        return Part(
            "broker", False, f"{len(down)} of {len(live)} live broker sessions need a person to authorise them."
        )
    if live and not BrokerConnection.objects.filter(is_active=True, kind=BrokerKind.PAPER.value).exists():
        return Part("broker", True, "The live broker session is open.")
    up = answers(f"http://{settings.PAPER_HOST}:{settings.PAPER_PORT}/status")
    return Part("broker", up, "The paper exchange answers." if up else "The paper exchange does not answer.")
