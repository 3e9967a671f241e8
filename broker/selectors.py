"""What others ask about connections, instruments and snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection as database
from django.db.models import QuerySet

from broker import instruments
from broker.domain import Exchange, InstrumentInfo
from broker.models import BrokerConnection
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import conflict, not_found
from sigmatrader.audit.models import Snapshot


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
    """The whole master of the connection's market, from memory."""
    return tuple(instruments.infos(instruments.universe_of(connection)).values())


def instrument_infos(connection: BrokerConnection, symbols: Iterable[str]) -> dict[str, InstrumentInfo]:
    """The instruments of these symbols; an unknown one is absent."""
    known = instruments.infos(instruments.universe_of(connection))
    return {symbol: known[symbol] for symbol in symbols if symbol in known}


def find_instruments(connection: BrokerConnection, query: str, limit: int = 20) -> list[InstrumentInfo]:
    """Best matches first: the tradingsymbol itself, its beginning, then any part of symbol or name; NSE before BSE."""
    wanted = query.strip().upper()
    if not wanted:
        return []
    ranked = ((_rank(info, wanted), info) for info in all_instruments(connection))
    found = sorted((pair for pair in ranked if pair[0] is not None), key=_order)
    return [info for _, info in found[:limit]]


def latest_snapshot(connection: BrokerConnection) -> Snapshot | None:
    """The newest stored read of this connection's books; its document is fetched when it is asked for."""
    return snapshots_of(connection).defer("document").order_by("-taken_at", "-id").first()


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
    """The stored document, parsed."""
    found: Mapping[str, Any] = json.loads(snapshot.document)
    return found


def _rank(info: InstrumentInfo, wanted: str) -> int | None:
    symbol = info.tradingsymbol.upper()
    if wanted in (symbol, info.symbol.upper()):
        return 0
    if symbol.startswith(wanted):
        return 1
    if info.name.upper().startswith(wanted):
        return 2
    return 3 if wanted in symbol or wanted in info.name.upper() else None


def _order(pair: tuple[int | None, InstrumentInfo]) -> tuple[int, bool, str]:
    rank, info = pair
    return rank or 0, info.exchange != Exchange.NSE, info.tradingsymbol
