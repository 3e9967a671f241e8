"""The local socket: what a client sees of an owner that answers, hangs, dies, or is another user's."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.adapters.failures import CallFailed, Fault
from broker.session import client as client_module
from broker.session import server as server_module
from broker.session.client import SessionClient, is_running, tell_changed
from broker.session.messages import HEAD, pack, unpack
from broker.session.server import SessionServer, SocketProblem
from tests.broker.session.doubles import ACCOUNT, LOGIN_URL, Stage


class House:
    def __init__(self, stage):
        self.stage, self.reloads = stage, 0

    async def keeper(self, account):
        if account != ACCOUNT:
            raise CallFailed(Fault.LOST, "there is no session for this connection")
        return self.stage.keeper

    async def get_json(self, account, url):
        return {"url": url}

    def reload(self):
        self.reloads += 1


class Process:
    """An owner in a thread of this process."""

    def __init__(self, path):
        self.path, self.ready, self.problem = path, threading.Event(), None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        assert self.ready.wait(5)

    async def _run(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with Stage() as self.stage:
            await self.stage.opened()
            self.house = House(self.stage)
            server = SessionServer(self.path, self.house)
            await server.open()
            self.ready.set()
            await self.over.wait()
            await server.close(grace_s=0.05)

    def stop(self):
        if not self.thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(5)

    def hang(self, *, on):
        def change():
            if on:
                self.stage.server.hang = asyncio.Event()
            else:
                self.stage.server.hang.set()
                self.stage.server.hang = None

        self.loop.call_soon_threadsafe(change)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "broker.sock"


@pytest.fixture
def owner(path):
    process = Process(path)
    yield process
    process.stop()


@pytest.fixture
def client(owner):
    client = SessionClient(ACCOUNT, owner.path)
    yield client
    client.close()


def fault_of(call):
    with pytest.raises(CallFailed) as failed:
        call()
    return failed.value.fault


def test_everything_a_client_asks(owner, client):
    assert is_running(owner.path)
    assert client.call("get_profile", {}).is_error is False
    assert client.call_write("place_order", {"quantity": 1}).is_error is False
    assert [tool["name"] for tool in client.list_tools()] == ["get_profile", "place_order"]
    assert client.get_json("http://x/status") == {"url": "http://x/status"}
    state = client.state(refresh=True)
    assert (state.connected, state.authorized, state.epoch, state.user) == (True, True, 1, "Asha Rao")
    assert state.expires_at.isoformat() == "2026-11-23T17:00:00+00:00"
    assert client.login().already is True
    assert tell_changed(owner.path)
    assert owner.house.reloads == 1
    client.disconnect()
    assert client.state().paused
    client.reconnect()
    assert "login" not in owner.stage.server.calls


def test_the_offer_of_a_login_comes_whole(owner, client):
    owner.stage.server.logged_in = False
    offer = client.login()
    assert (offer.url, offer.already) == (LOGIN_URL, False)
    assert "canary" not in repr(offer)


def test_only_this_user_may_ask(owner, monkeypatch):
    assert stat.S_IMODE(owner.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(owner.path.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(server_module.os, "geteuid", lambda: os.getuid() + 1)
    assert not is_running(owner.path)


@pytest.mark.parametrize(
    ("method", "tool"),
    [
        ("call", "place_order"),
        ("call", "login"),
        ("call", "unheard_of"),
        ("call_write", "get_orders"),
        ("call_write", "login"),
    ],
)
def test_a_read_cannot_write_and_nobody_logs_in_by_a_call(owner, client, method, tool):
    before = list(owner.stage.server.calls)
    assert fault_of(lambda: getattr(client, method)(tool, {})) is Fault.NOT_SENT
    assert set(owner.stage.server.calls[len(before) :]) <= {"get_profile"}


def test_an_account_without_a_session(owner):
    stranger = SessionClient("11111111-1111-1111-1111-111111111111", owner.path)
    assert fault_of(lambda: stranger.call("get_orders", {})) is Fault.LOST
    assert fault_of(lambda: stranger.call_write("place_order", {})) is Fault.NOT_SENT


def test_an_owner_that_is_not_there(path):
    client = SessionClient(ACCOUNT, path)
    began = time.monotonic()
    assert fault_of(lambda: client.call("get_orders", {})) is Fault.LOST
    assert fault_of(lambda: client.call_write("place_order", {})) is Fault.NOT_SENT
    assert not is_running(path)
    assert not tell_changed(path)
    assert time.monotonic() - began < 0.5


def test_an_owner_that_came_back_is_found_on_the_next_call(owner, client, path):
    client.call("get_profile", {})
    owner.stop()
    again = Process(path)
    try:
        assert not client.call_write("place_order", {}).is_error
        assert again.stage.server.calls.count("place_order") == 1
    finally:
        again.stop()


def test_a_write_on_its_way_when_the_owner_goes_is_lost(owner, client):
    client.call("get_profile", {})
    owner.hang(on=True)
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(lambda: fault_of(lambda: client.call_write("place_order", {})))
        deadline = time.monotonic() + 5
        while "place_order" not in owner.stage.server.calls and time.monotonic() < deadline:
            time.sleep(0.005)
        owner.stop()
        assert write.result(5) is Fault.LOST
    assert owner.stage.server.calls.count("place_order") == 1


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(owner, client, monkeypatch):
    monkeypatch.setattr(client_module, "CALL_S", 0.05)
    monkeypatch.setattr(client_module, "GRACE_S", 0.0)
    owner.hang(on=True)
    assert fault_of(lambda: client.call("get_orders", {})) is Fault.LOST
    monkeypatch.setattr(client_module, "CALL_S", 5.0)
    owner.hang(on=False)
    assert client.list_tools()[0]["name"] == "get_profile"


def test_many_questions_at_once(owner, client):
    owner.hang(on=True)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.call, "get_orders", {}) for _ in range(8)]
        assert client.state().epoch == 1  # answered though eight wait
        owner.hang(on=False)
        assert [answer.result(5).is_error for answer in waiting] == [False] * 8


def test_a_forked_child_asks_on_a_socket_of_its_own(owner, client):
    client.call("get_profile", {})
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, b"y" if not client.call("get_profile", {}).is_error else b"n")
        finally:
            os._exit(0)
    assert os.read(read, 1) == b"y"
    os.waitpid(child, 0)
    assert client.call("get_profile", {}).is_error is False


@pytest.mark.parametrize("sent", [struct.pack(">I", 2**31), HEAD.pack(3) + b"[1]", HEAD.pack(3) + b"{x}", b"\x00"])
def test_what_is_no_frame_ends_only_its_own_link(owner, client, sent):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(owner.path))
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        assert link.recv(1) == b""
    assert is_running(owner.path)


def test_an_unknown_question_is_answered(owner):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(owner.path))
        link.sendall(pack({"id": 7, "op": "sing"}))
        head = link.recv(4)
        assert unpack(link.recv(HEAD.unpack(head)[0])) == {
            "id": 7, "fault": "not_sent", "text": "the session process does not know this question", "code": 0,
        }  # fmt: skip


def test_half_a_write_is_no_write(owner):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(owner.path))
        question = {"id": 1, "op": "write", "account": ACCOUNT, "tool": "place_order", "arguments": {}}
        link.sendall(pack({**question, "not_after": time.monotonic() + 5})[:-1])
    assert is_running(owner.path)
    assert "place_order" not in owner.stage.server.calls


def test_a_write_without_its_deadline_is_not_sent(owner):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(owner.path))
        link.sendall(pack({"id": 1, "op": "write", "account": ACCOUNT, "tool": "place_order", "arguments": {}}))
        head = link.recv(4)
        assert unpack(link.recv(HEAD.unpack(head)[0]))["fault"] == "not_sent"
    assert "place_order" not in owner.stage.server.calls


def test_a_path_too_long_is_a_sentence(tmp_path):
    server = SessionServer(tmp_path / ("x" * 100) / "broker.sock", House(None))
    with pytest.raises(SocketProblem, match="set SIGMATRADER_BROKER_SOCKET to a shorter one"):
        asyncio.run(server.open())
