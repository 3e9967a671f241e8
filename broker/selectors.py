"""What others ask about connections, instruments and snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection as database
from django.db.models import QuerySet

from broker import instrument_search, instruments
from broker.domain import InstrumentInfo
from broker.models import BrokerConnection
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import conflict, not_found
from sigmatrader.audit.models import Snapshot

PARTS = ("holdings", "positions", "orders", "trades", "margins")


def connections_of(user: User) -> QuerySet[BrokerConnection]:
    """The user's own connections and nobody else's."""
    return BrokerConnection.objects.filter(owner=user)


def active_connection(user: User) -> BrokerConnection:
    """The connection the user trades through. Raises Problem 409 NO_CONNECTION."""
    found = connections_of(user).filter(is_active=True).first()
    if found is None:
        raise conflict("NO_CONNECTION", "No broker connection is active. Add one under Settings, or run: manage.py up")
    return found


def owned_connection(user: User, connection_id: str | UUID) -> BrokerConnection:
    """One of the user's connections. Raises Problem 404, also for another user's."""
    try:
        found = connections_of(user).filter(pk=UUID(str(connection_id))).first()
    except ValueError:
        found = None
    if found is None:
        raise not_found("connection")
    return found


def lock_account(connection_id: UUID) -> None:
    """Holds the connection's row until the end of the transaction: whatever else takes it waits.

    SQLite has no row locks; there the transaction itself, begun IMMEDIATE, holds the whole database.
    """
    if not database.features.has_select_for_update:
        return
    BrokerConnection.objects.select_for_update(no_key=True).values_list("pk").get(pk=connection_id)


def all_instruments(connection: BrokerConnection) -> tuple[InstrumentInfo, ...]:
    """The whole master of a paper connection; of a live one the shares and indices of NSE, 12,000 at most, since the
    rest (BSE, futures, options) is looked up and searched in the database, never held in memory."""
    return tuple(instruments.infos(instruments.universe_of(connection)).values())


def instrument_infos(connection: BrokerConnection, symbols: Iterable[str]) -> dict[str, InstrumentInfo]:
    """The instruments of these symbols; an unknown one is absent."""
    return instruments.lookup(instruments.universe_of(connection), symbols)


def find_instruments(connection: BrokerConnection, query: str, limit: int = 20, *, today: date) -> list[InstrumentInfo]:
    """Best matches first: contracts that a phrase names (``nifty 24500 ce``), the tradingsymbol itself, its beginning,
    then any part of symbol or name; NSE before BSE. What expired before ``today`` is left out."""
    universe = instruments.universe_of(connection)
    return [row.info() for row in instrument_search.search(universe, query, limit, today=today)]


def latest_snapshot(connection: BrokerConnection) -> Snapshot | None:
    """The newest stored read of this connection's books; its document is fetched when it is asked for."""
    return snapshots_of(connection).order_by("-taken_at", "-id").first()


def latest_good(connection: BrokerConnection) -> dict[str, Snapshot]:
    """For each part of the books the newest snapshot that has it; a part that was never read is not in it."""
    newest = latest_snapshot(connection)
    if newest is None:
        return {}
    found = {part: newest for part in PARTS if newest.complete.get(part)}
    for part in PARTS:
        if part not in found:
            older = snapshots_of(connection).filter(**{f"complete__{part}": True})
            row = older.order_by("-taken_at", "-id").first()
            found |= {part: row} if row is not None else {}
    return found


def snapshots_of(connection: BrokerConnection) -> QuerySet[Snapshot]:
    return Snapshot.objects.filter(account=connection.account)


def user_snapshots(user: User) -> QuerySet[Snapshot]:
    """Snapshots of all the user's connections."""
    accounts = [str(pk) for pk in connections_of(user).values_list("pk", flat=True)]
    return Snapshot.objects.filter(account__in=accounts)


def owned_snapshot(user: User, snapshot_id: str | UUID) -> Snapshot:
    """Raises Problem 404, also for another user's."""
    try:
        found = user_snapshots(user).filter(pk=UUID(str(snapshot_id))).first()
    except ValueError:
        found = None
    if found is None:
        raise not_found("snapshot")
    return found


def snapshot_document(snapshot: Snapshot) -> Mapping[str, Any]:
    """The stored content, parsed: what was found, without when."""
    found: Mapping[str, Any] = json.loads(snapshot.document)
    return found
