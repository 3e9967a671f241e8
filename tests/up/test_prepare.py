"""What `up` makes before the children start."""

from __future__ import annotations

import sqlite3
from importlib import import_module

import pytest
from django.conf import settings

from broker.models import BrokerConnection, Instrument
from risk.models import RiskPolicy
from sigmatrader.accounts import selectors, services
from sigmatrader.accounts.models import User
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.supervisor import prepare
from sigmatrader.supervisor.children import specs


@pytest.mark.django_db
class TestPrepare:
    def test_makes_what_a_first_start_needs(self, now, settings, tmp_path):
        settings.QUEUE_DIR = tmp_path
        user = prepare.prepare(now=now, say=print)
        assert (user.username, user.is_staff) == ("trader", True)
        assert BrokerConnection.objects.get(owner=user).is_active
        assert RiskPolicy.objects.count() == 1
        assert Instrument.objects.filter(universe="paper", tradingsymbol="INFY", exchange="NSE").exists()
        assert all(selectors.flags().values())

    def test_a_second_start_changes_nothing(self, now, settings, tmp_path):
        settings.QUEUE_DIR = tmp_path
        prepare.prepare(now=now, say=print)
        before = _counts()
        prepare.prepare(now=now, say=print)
        assert _counts() == before

    def test_a_flag_that_was_turned_off_stays_off(self, now, settings, tmp_path):
        settings.QUEUE_DIR = tmp_path
        prepare.prepare(now=now, say=print)
        services.set_flag(Flag.MONITORING_ENABLED, enabled=False, actor="trader", now=now)
        prepare.prepare(now=now, say=print)
        assert not selectors.flag_enabled(Flag.MONITORING_ENABLED)

    def test_production_turns_no_flag_on(self, now, settings, tmp_path):
        settings.QUEUE_DIR, settings.PRODUCTION = tmp_path, True
        prepare.prepare(now=now, say=print)
        assert not any(selectors.flags().values())

    def test_a_live_connection_turns_no_flag_on(self, now):
        user = services.ensure_first_user(now=now)
        BrokerConnection.objects.create(owner=user, name="Kite", kind="kite_mcp", is_active=True, created_at=now)
        prepare.turn_on_for_the_demo(user, now=now)
        assert not any(selectors.flags().values())


def _counts():
    from sigmatrader.audit.models import TraceEvent

    return [model.objects.count() for model in (User, BrokerConnection, RiskPolicy, Instrument, TraceEvent)]


def test_what_the_queue_held_is_dropped(settings, tmp_path):
    settings.QUEUE_DIR = tmp_path
    (tmp_path / "1_x.celery.msg").write_text('{"half')
    (tmp_path / "control").mkdir()
    prepare.empty_queue()
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


class TestCopies:
    def test_is_complete_private_and_checked(self, tmp_path):
        with sqlite3.connect(tmp_path / "a.sqlite3") as original:
            original.execute("CREATE TABLE t (x)")
            original.execute("INSERT INTO t VALUES (42)")
        prepare.copy_sqlite(tmp_path / "a.sqlite3", tmp_path / "b.sqlite3")
        assert sqlite3.connect(tmp_path / "b.sqlite3").execute("SELECT x FROM t").fetchall() == [(42,)]
        assert (tmp_path / "b.sqlite3").stat().st_mode & 0o777 == 0o600

    def test_a_damaged_database_is_not_migrated(self, tmp_path):
        (tmp_path / "a.sqlite3").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000)
        with pytest.raises(prepare.NotPrepared, match=r"not migrated|damaged"):
            prepare.copy_sqlite(tmp_path / "a.sqlite3", tmp_path / "b.sqlite3")

    @pytest.mark.django_db
    def test_nothing_pending_copies_nothing(self, now, monkeypatch):
        monkeypatch.setattr(prepare, "copy_database", lambda **_: pytest.fail("a copy was made"))
        prepare.migrate(now=now, say=print)

    @pytest.mark.django_db
    def test_pending_ones_are_applied_after_the_copy(self, now, monkeypatch, tmp_path):
        steps = []
        monkeypatch.setattr(prepare.readiness, "pending_migrations", lambda: 2)
        monkeypatch.setattr(prepare, "copy_database", lambda **_: steps.append("copy") or tmp_path)
        monkeypatch.setattr(prepare, "call_command", lambda *words, **_: steps.append(words[0]))
        prepare.migrate(now=now, say=steps.append)
        assert steps == ["copy", f"2 migrations to apply; a copy of the database is in {tmp_path}.", "migrate"]


def test_the_five_processes_in_the_order_they_start(settings):
    settings.BROKER_SESSION = True
    made = specs(host="127.0.0.1", port=8001, paper_port=8766, account="/books")
    assert [spec.name for spec in made] == ["paper", "broker", "web", "worker", "beat"]
    assert "/books" in made[0].argv
    assert made[0].argv[made[0].argv.index("--login") + 1] == "auto"
    assert {spec.env["SIGMATRADER_PAPER_PORT"] for spec in made} == {"8766"}


@pytest.mark.parametrize("name", settings.CELERY_BEAT_SCHEDULE)
def test_beat_names_tasks_that_exist(name):
    module, _, task = settings.CELERY_BEAT_SCHEDULE[name]["task"].rpartition(".")
    assert callable(getattr(import_module(module), task).delay)
