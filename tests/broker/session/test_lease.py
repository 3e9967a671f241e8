"""One owner per connection, whatever happens to owners. On both engines."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from broker.models import SessionLease
from broker.session import lease

pytestmark = pytest.mark.django_db


def run_out(connection):
    SessionLease.objects.filter(pk=connection.pk).update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))


def test_the_first_has_it_and_no_other(connection):
    assert lease.take(connection.pk, "elsewhere:1:a") == 1
    assert lease.take(connection.pk, "elsewhere:2:b") is None
    row = SessionLease.objects.get(pk=connection.pk)
    assert row.holder == "elsewhere:1:a"
    assert abs(row.expires_at - datetime.now(UTC) - timedelta(seconds=10)) < timedelta(seconds=2)


def test_one_that_ran_out_is_taken_with_a_higher_number(connection):
    assert lease.take(connection.pk, "elsewhere:1:a") == 1
    run_out(connection)
    assert lease.take(connection.pk, "elsewhere:2:b") == 2
    assert lease.renew(connection.pk, "elsewhere:1:a", 1) is False
    lease.release(connection.pk, "elsewhere:1:a", 1)
    assert lease.take(connection.pk, "elsewhere:1:a") is None


def test_renewed_while_ours(connection):
    assert lease.take(connection.pk, "elsewhere:1:a") == 1
    run_out(connection)
    assert lease.renew(connection.pk, "elsewhere:1:a", 1) is True
    assert lease.take(connection.pk, "elsewhere:2:b") is None


def test_an_earlier_number_of_the_same_holder_is_worth_nothing(connection):
    assert lease.take(connection.pk, "elsewhere:1:a") == 1
    assert lease.take(connection.pk, "elsewhere:1:a") == 2
    assert lease.renew(connection.pk, "elsewhere:1:a", 1) is False


def test_released_is_free_at_once(connection):
    assert lease.take(connection.pk, "elsewhere:1:a") == 1
    lease.release(connection.pk, "elsewhere:1:a", 1)
    assert lease.take(connection.pk, "elsewhere:2:b") == 2


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(connection):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = lease.new_holder()
    dead = f"{mine.split(':')[0]}:{gone.pid}:deadbeef"
    assert lease.take(connection.pk, dead) == 1
    assert lease.take(connection.pk, mine) == 2


@pytest.mark.parametrize("holder", ["elsewhere:999999999:a", "::", "", "x", "elsewhere:x:y"])
def test_a_process_we_cannot_know_of_counts_as_alive(holder):
    assert lease.is_dead(holder) is False


def test_ourselves_are_alive():
    assert lease.is_dead(lease.new_holder()) is False


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_gone_has_no_lease():
    assert lease.take(uuid.uuid4(), "elsewhere:1:a") is None


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_wins(connection):
    for fence in (1, 2):
        found: list[int | None] = []
        start = threading.Barrier(8)

        def claim(number, start=start, found=found):
            start.wait()
            try:
                found.append(lease.take(connection.pk, f"elsewhere:{number}:a"))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [number for number in found if number] == [fence]
        run_out(connection)
