"""The commands of this app."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from broker.models import BrokerConnection
from broker.paper import server
from broker.ports import BrokerUnavailable
from sigmatrader.audit.models import Snapshot
from tests.support.fake_broker import FakeBroker

pytestmark = pytest.mark.django_db


def said(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("snapshot", *arguments, stdout=out, **options)
    return out.getvalue()


def test_take_list_show_and_diff(connection: BrokerConnection, fake: FakeBroker) -> None:
    first, second = (json.loads(said("take", "--json"))["id"] for _ in range(2))
    listed = json.loads(said("list", "--json"))["snapshots"]
    assert [row["id"] for row in listed] == [second, first]
    assert json.loads(said("show", first, "--json"))["margins"]["equity"]["cash"] == "1000000"
    assert json.loads(said("diff", first, second, "--json"))["same"] is True
    assert f"{first}  " in said("list")
    assert fake.sent == []


def test_failures_are_sentences(connection: BrokerConnection, fake: FakeBroker) -> None:
    for part in ("holdings", "positions", "orders", "trades", "margins"):
        fake.fail_read(part, BrokerUnavailable("cannot connect"))
    with pytest.raises(CommandError, match="cannot connect"):
        said("take")
    with pytest.raises(CommandError, match="takes 2 snapshot ids"):
        said("diff", "x")
    assert Snapshot.objects.count() == 0


def test_prune_dry_run_removes_nothing(connection: BrokerConnection, fake: FakeBroker) -> None:
    said("take")
    assert json.loads(said("prune", "--dry-run", "--json"))["removed"]["snapshots"] == 0
    assert Snapshot.objects.count() == 1


def test_paper_exchange_takes_the_servers_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[server.Options] = []
    monkeypatch.setattr(server, "serve", lambda options, announce: seen.append(options))
    call_command("paper_exchange", "--port", "9101", "--seed", "9", "--clock", "real", "--delay", "0")
    assert [(o.port, o.seed, o.clock.value, o.delay) for o in seen] == [(9101, 9, "real", 0.0)]


def test_paper_exchange_says_what_is_wrong_with_an_account(tmp_path: Any) -> None:
    with pytest.raises(CommandError, match=r"The account cannot be used: .* holds none of"):
        call_command("paper_exchange", "--port", "0", "--account", str(tmp_path), "--ledger", str(tmp_path / "l"))
