"""The real owner against the real paper exchange: killed, cut off, fenced, and always back within ten seconds."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.adapters.failures import CallFailed, Fault
from broker.session.client import SessionClient
from tests.broker.session.world import ORDER, SECRETS, Proxy, wait, world

pytestmark = [pytest.mark.e2e, pytest.mark.django_db, pytest.mark.xdist_group("products")]


def fault_of(call):
    with pytest.raises(CallFailed) as failed:
        call()
    return failed.value.fault


def test_killed_with_an_order_under_way_it_comes_back_and_sends_nothing_again(tmp_path):
    with world(tmp_path, fault="place:slow:1:1.5") as here:
        owner = here.start()
        first = here.wait_open(1)
        assert (first.transport, first.http_version) == ("sse", "HTTP/2")
        client, wanted = here.client, here.order()
        with ThreadPoolExecutor(1) as pool:
            order = pool.submit(lambda: fault_of(lambda: client.call_write("place_order", wanted)))
            wait(lambda: here.orders() == 1)
            owner.kill()
            owner.wait()
            assert order.result(5) is Fault.LOST
        assert fault_of(lambda: client.call_write("place_order", wanted)) is Fault.NOT_SENT
        here.start()
        here.wait_open(2)
        assert here.orders() == 1
        assert not client.call_write("place_order", wanted).is_error
        assert here.orders() == 2

        # the exchange is killed: its sessions and logins are gone
        here.paper.kill()
        wait(lambda: not here.state().connected)
        assert fault_of(lambda: client.call_write("place_order", wanted)) is Fault.NOT_SENT
        here.paper.restart()
        here.wait_open(3)
        assert here.orders() == 2
        assert SECRETS.findall(here.log.read_text()) == []
        assert here.log.read_text().count("is open: sse over HTTP/2, authorised") == 3
        rows = here.python(_ROWS).splitlines()
        assert rows[0] == "connected True 3 HTTP/2"
        assert rows[1] == "['MCP_SESSION_LOST']"
        assert rows[2] == "[('MCP_SESSION_LOST', 'resolved', 1)]"
        assert SECRETS.findall(rows[3]) == []


_ROWS = (
    "import django; django.setup()\n"
    "from broker.models import BrokerConnection\n"
    "from sigmatrader.audit.models import *\n"
    "c = BrokerConnection.objects.get()\n"
    "print(c.last_status, c.authorized, c.epoch, c.http_version)\n"
    "e = SystemEvent.objects.filter(actor='broker session')\n"
    "print(list(e.values_list('event_type', flat=True)))\n"
    "print(list(ExceptionRecord.objects.values_list('code', 'status', 'count')))\n"
    "print(*(list(m.objects.values()) for m in (SystemEvent, ExceptionRecord, TraceEvent)))\n"
)


def test_a_streamable_session_survives_its_owner(tmp_path):
    with world(tmp_path, "/mcp") as here:
        owner = here.start()
        first = here.wait_open(1)
        assert (first.transport, first.http_version) == ("streamable_http", "HTTP/2")
        for stop in (owner.terminate, lambda: here.owners[-1].kill()):
            stop()
            here.owners[-1].wait()
            here.start()
            here.wait_open(1)  # the same session: no new epoch, no login
        said = here.log.read_text()
        assert said.count("is open: streamable_http") == 3
        here.paper.kill()
        here.paper.restart()
        here.wait_open(2)
        assert SECRETS.findall(here.log.read_text()) == []


def test_a_network_path_that_is_cut(tmp_path):
    proxy = Proxy()
    with world(tmp_path, port=proxy.port) as here:
        proxy.target = here.paper.port
        here.start()
        here.wait_open(1)
        proxy.cut()
        wait(lambda: not here.state().connected)
        assert fault_of(lambda: here.client.call_write("place_order", ORDER)) is Fault.NOT_SENT
        proxy.mend()
        here.wait_open(2)
        assert here.orders() == 0


def test_two_owners_one_session(tmp_path):
    with world(tmp_path) as here:
        first = here.start()
        here.wait_open(1)
        there = tmp_path / "other"
        here.start(there)
        rival = SessionClient(here.account, there / "run" / "broker.sock")
        assert fault_of(lambda: rival.call_write("place_order", ORDER)) is Fault.NOT_SENT
        assert rival.state().owned is False
        first.send_signal(signal.SIGSTOP)  # a paused owner: its lease runs out, and it must notice before it sends
        began = time.monotonic()
        wait(lambda: rival.state().connected and rival.state().owned, 12)
        assert 5 < time.monotonic() - began < 12
        first.send_signal(signal.SIGCONT)
        assert fault_of(lambda: here.client.call_write("place_order", ORDER)) is Fault.NOT_SENT
        wait(lambda: here.state().owned is False and here.state().connected is False)
        here.owners[1].kill()
        here.owners[1].wait()
        wait(lambda: here.state().owned and here.state().connected, 3)  # a dead one is not waited for
        assert here.orders() == 0


def test_a_second_one_on_the_same_socket_says_so(tmp_path):
    with world(tmp_path) as here:
        here.start()
        second = here.start()
        assert second.wait(10) == 1
        assert "A broker session process already runs on" in here.log.read_text()
        here.wait_open(1)
