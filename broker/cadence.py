"""Reads on a schedule: a snapshot now and then while the market is open, the list of instruments once a day."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings

from broker import clock, ingestion, instrument_refresh
from broker.models import BrokerConnection
from broker.ports import BrokerError
from broker.selectors import latest_snapshot
from sigmatrader.audit.api.problems import Problem

log = logging.getLogger(__name__)


class Done(StrEnum):
    """What came of a look at one connection."""

    READ = "read"
    NOT_DUE = "not_due"
    NOT_AUTHORISED = "not_authorised"
    MARKET_CLOSED = "market_closed"
    SWITCHED_OFF = "switched_off"
    FAILED = "failed"


def snapshot_if_due(connection: BrokerConnection, *, now: datetime) -> Done:
    """Takes a snapshot, unless one is younger than ``SNAPSHOT_EVERY_S``, nobody is logged in, or the market is shut."""
    if not is_authorised(connection):
        return Done.NOT_AUTHORISED
    newest = latest_snapshot(connection)
    if newest is not None and now - newest.taken_at < timedelta(seconds=settings.SNAPSHOT_EVERY_S):
        return Done.NOT_DUE
    try:
        if not clock.market_state(connection, now=now).is_open:
            return Done.MARKET_CLOSED
        ingestion.take_snapshot(connection, correlation_id="", now=now)
    except BrokerError as exc:
        return _failed("The snapshot", connection, exc)
    except Problem:
        return Done.SWITCHED_OFF
    return Done.READ


def instruments_if_due(connection: BrokerConnection, *, now: datetime) -> Done:
    """Reads a live connection's list of instruments unless that was done today."""
    if not connection.is_live or not instrument_refresh.is_due(connection, now=now):
        return Done.NOT_DUE
    if not is_authorised(connection):
        return Done.NOT_AUTHORISED
    try:
        instrument_refresh.refresh(connection, now=now)
    except BrokerError as exc:
        return _failed("The list of instruments", connection, exc)
    except Problem:
        return Done.SWITCHED_OFF
    return Done.READ


def is_authorised(connection: BrokerConnection) -> bool:
    """Whether a person is known to be logged in; the paper exchange is asked unless it said no."""
    return connection.authorized is True or (not connection.is_live and connection.authorized is None)


def _failed(what: str, connection: BrokerConnection, exc: BrokerError) -> Done:
    """The next look tries again; the connection's own state says what is wrong with it."""
    log.warning("%s of connection %s was not read: %s", what, connection.pk, type(exc).__name__)
    return Done.FAILED
