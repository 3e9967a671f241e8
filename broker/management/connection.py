"""Which connection a command is about."""

from __future__ import annotations

import uuid

from django.core.management.base import CommandError, CommandParser

from broker.models import BrokerConnection


def add_connection_argument(parser: CommandParser) -> None:
    parser.add_argument("--connection", help="a connection's id; the active one when absent")


def chosen_connection(wanted: str | None) -> BrokerConnection:
    """The named one, or the only active one. Raises CommandError that lists those there are."""
    rows = BrokerConnection.objects.all()
    found = list((rows.filter(pk=_id(wanted)) if wanted else rows.filter(is_active=True))[:2])
    if len(found) != 1:
        listed = ", ".join(f"{row.pk} {row}" for row in rows[:5])
        raise CommandError(f"Name one connection with --connection ID: {listed or 'there is none yet'}")
    return found[0]


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is no connection's id.") from None
