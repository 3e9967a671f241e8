"""A double of Kite's REST API, and what is logged in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("kiteconnect", reason="the Kite Connect client is an extra: pip install -r requirements-kite.txt")

from broker.adapters.kite_connect import KiteConnectAdapter
from broker.adapters.kite_connect_terms import Credentials, Options
from broker.models import BrokerConnection
from tests.broker.connect.double import ACCESS_TOKEN, API_KEY, API_SECRET, KiteRest

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def kite() -> Iterator[KiteRest]:
    with KiteRest() as double:
        yield double


@pytest.fixture
def make_adapter(kite: KiteRest) -> Iterator[Callable[..., KiteConnectAdapter]]:
    made: list[KiteConnectAdapter] = []

    def make(token: str = ACCESS_TOKEN, *, expires_at: datetime | None = None, **values: Any) -> KiteConnectAdapter:
        told = values.pop("on_login_lost", None)
        options = Options(**{"root": kite.root, "timeout_s": 2.0, **values})
        made.append(KiteConnectAdapter(
            Credentials(API_KEY, token, expires_at), options, clock=lambda: NOW, on_login_lost=told
        ))  # fmt: skip
        return made[-1]

    yield make
    for adapter in made:
        adapter.close()


@pytest.fixture
def adapter(make_adapter: Callable[..., KiteConnectAdapter]) -> KiteConnectAdapter:
    return make_adapter()


@pytest.fixture
def kite_connection(
    trader: Any, make_connection: Callable[..., BrokerConnection], kite: KiteRest, settings: Any
) -> BrokerConnection:
    """A Kite Connect connection with keys and no login yet; the API is the double."""
    settings.KITE_CONNECT_ROOT = kite.root
    return make_connection(
        trader, name="Kite", kind="kite_connect", server_url="https://api.kite.trade", api_key=API_KEY,
        api_secret=API_SECRET,
    )  # fmt: skip
