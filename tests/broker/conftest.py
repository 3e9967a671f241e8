"""A real paper exchange per module, and connections to it or to a broker in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from broker.models import BrokerConnection
from tests.support.fake_broker import FakeBroker, install
from tests.support.paper import PaperProcess, start_paper


@pytest.fixture(scope="module")
def paper_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    """A paper exchange without delays, a process of its own."""
    paper = start_paper(tmp_path_factory.mktemp("paper"))
    yield paper
    paper.kill()


@pytest.fixture
def make_connection(now: datetime) -> Callable[..., BrokerConnection]:
    def make(owner: Any, **values: Any) -> BrokerConnection:
        defaults = {"name": "Paper", "kind": "paper", "server_url": "http://127.0.0.1:9/mcp", "is_active": True}
        return BrokerConnection.objects.create(owner=owner, created_at=now, **{**defaults, **values})

    return make


@pytest.fixture
def connection(trader: Any, make_connection: Callable[..., BrokerConnection]) -> BrokerConnection:
    return make_connection(trader)


@pytest.fixture
def fake(connection: BrokerConnection) -> Iterator[FakeBroker]:
    with install(connection, FakeBroker()) as broker:
        yield broker
