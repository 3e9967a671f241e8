"""One session per connection: opened, watched, lost and opened again; what is carried on it goes once."""

from __future__ import annotations

import asyncio
import functools
import logging
import time

import pytest

from broker.adapters.failures import CallFailed, Fault
from tests.broker.session.doubles import LOGIN_URL, PAPER, PAPER_LOGIN_URL, Stage


def in_a_loop(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


def soon(seconds=1.0):
    return time.monotonic() + seconds


@in_a_loop
async def test_a_session_is_opened_and_told_of():
    async with Stage() as stage:
        await stage.opened()
        assert (await stage.keeper.call("get_profile", {})).is_error is False
        row = stage.records.row
        assert (row["last_status"], row["authorized"], row["user_name"]) == ("connected", True, "Asha Rao")
        assert (row["epoch"], row["http_version"], row["tools"]) == (1, "HTTP/2", ["get_profile", "place_order"])
        assert row["tool_faults"] == [{"tool": "cancel_order", "what": "missing"}]
        assert row["session_expires_at"].isoformat() == "2026-11-23T17:00:00+00:00"
    assert stage.records.released == 1


@in_a_loop
async def test_nothing_is_written_while_nothing_changes():
    async with Stage() as stage:
        await stage.opened()
        await stage.until(lambda: stage.server.calls.count("get_profile") > 3)
        assert len(stage.records.writes) == 2


@in_a_loop
async def test_a_lost_stream_is_one_event_and_a_new_epoch():
    async with Stage() as stage:
        await stage.opened()
        stage.server.up = False
        stage.server.opened[0].die()
        await stage.until(lambda: stage.records.row["last_status"] == "error")
        await asyncio.sleep(0.03)  # several tries
        stage.server.up = True
        await stage.opened(epoch=2)
        assert stage.records.losses == ["the stream ended"]
        assert stage.server.living == 1


@in_a_loop
async def test_a_silent_stream_is_asked_and_given_up():
    async with Stage() as stage:
        await stage.opened()
        quiet = stage.server.opened[0]
        quiet.silent_s = 20.0
        await stage.opened(epoch=2)
        assert (quiet.pings, quiet.is_open) == (1, False)
        assert stage.records.losses == ["silent for 20 s (lost)"]


def test_silence_is_noticed_within_30_seconds():
    from broker.session.terms import Pace

    pace = Pace()
    assert pace.ping_after_s + pace.look_s + pace.ping_s < 30


@in_a_loop
async def test_a_write_goes_once_and_is_lost_with_its_stream():
    async with Stage() as stage:
        await stage.opened()
        stage.server.hang = asyncio.Event()
        write = asyncio.create_task(stage.keeper.write("place_order", {}, not_after=soon()))
        await stage.until(lambda: "place_order" in stage.server.calls)
        stage.server.opened[0].die()
        with pytest.raises(CallFailed) as failed:
            await write
        stage.server.hang = None
        await stage.opened(epoch=2)
        assert failed.value.fault is Fault.LOST
        assert stage.server.calls.count("place_order") == 1


@in_a_loop
async def test_a_write_without_a_session_is_not_sent():
    async with Stage() as stage:
        stage.server.up = False
        with pytest.raises(CallFailed) as failed:
            await stage.keeper.write("place_order", {}, not_after=soon(0.05))
        assert failed.value.fault is Fault.NOT_SENT
        assert stage.server.calls == []


@in_a_loop
async def test_a_write_that_comes_too_late_is_not_sent():
    async with Stage() as stage:
        await stage.opened()
        with pytest.raises(CallFailed) as failed:
            await stage.keeper.write("place_order", {}, not_after=time.monotonic() - 0.001)
        assert (failed.value.fault, failed.value.text) == (Fault.NOT_SENT, "too late to send")
        assert "place_order" not in stage.server.calls


@in_a_loop
async def test_a_write_on_a_quiet_session_is_proven_first():
    async with Stage() as stage:
        await stage.opened()
        stage.server.opened[0].silent_s = 5.0
        assert not (await stage.keeper.write("place_order", {}, not_after=soon())).is_error
        assert stage.keeper.state().epoch == 2  # the quiet one did not answer, so the write went on the next
        assert stage.server.calls.count("place_order") == 1


@in_a_loop
async def test_who_loses_the_lease_closes_and_sends_nothing():
    async with Stage() as stage:
        await stage.opened()
        stage.records.taken = True
        await stage.until(lambda: stage.server.living == 0)
        with pytest.raises(CallFailed) as failed:
            await stage.keeper.write("place_order", {}, not_after=soon(0.05))
        assert (failed.value.fault, failed.value.text) == (
            Fault.NOT_SENT, "the session belongs to another process",
        )  # fmt: skip
        assert "place_order" not in stage.server.calls
        stage.records.taken = False
        await stage.opened(epoch=2)


@in_a_loop
async def test_a_lease_that_cannot_be_renewed_is_given_up_before_it_ends():
    async with Stage() as stage:
        await stage.opened()
        stage.records.down = True
        await stage.until(lambda: stage.server.living == 0)
        assert not stage.keeper.owned
        stage.records.down = False
        await stage.opened(epoch=2)


@in_a_loop
async def test_a_login_is_offered_and_noticed(caplog):
    caplog.set_level(logging.DEBUG)
    async with Stage() as stage:
        stage.server.logged_in = False
        await stage.opened()
        assert stage.records.row["authorized"] is False
        offer = await stage.keeper.login()
        assert (offer.url, offer.already, offer.expires_at.isoformat()) == (
            LOGIN_URL, False, "2026-11-23T05:30:00+00:00",
        )  # fmt: skip
        assert stage.keeper.state().login_open
        stage.server.logged_in = True
        await stage.until(lambda: stage.records.row["authorized"] is True)
        assert not stage.keeper.state().login_open
        assert stage.server.calls.count("login") == 1
    assert "canary" not in caplog.text + repr(offer) + repr(stage.records.writes)


@in_a_loop
async def test_logins_go_one_at_a_time():
    async with Stage() as stage:
        stage.server.logged_in = False
        await stage.opened()
        offers = await asyncio.gather(*(stage.keeper.login() for _ in range(5)))
        assert [offer.url for offer in offers] == [LOGIN_URL] * 5
        assert stage.server.most_logins == 1


@in_a_loop
async def test_login_is_not_called_while_the_session_works():
    async with Stage() as stage:
        await stage.opened()
        offer = await stage.keeper.login()
        assert (offer.already, offer.user, offer.url) == (True, "Asha Rao", "")
        assert "login" not in stage.server.calls


@in_a_loop
async def test_an_address_of_another_host_is_not_shown():
    async with Stage() as stage:
        stage.server.logged_in = False
        stage.server.login_text = "https://kite.zerodha.com.evil.example/connect/login?canary-5e551077"
        await stage.opened()
        with pytest.raises(CallFailed) as failed:
            await stage.keeper.login()
        assert failed.value.fault is Fault.UNREADABLE
        assert "canary" not in failed.value.text + repr(failed.value.__context__ or "")


@in_a_loop
async def test_one_unclear_failure_of_the_profile_is_asked_about_again():
    async with Stage() as stage:
        await stage.opened()
        stage.server.glitches = 1
        await stage.until(lambda: stage.server.glitches == 0)
        await asyncio.sleep(0.03)
        assert stage.records.row["authorized"] is True
        stage.server.glitches = 2
        await stage.until(lambda: stage.records.row["authorized"] is False)


@in_a_loop
async def test_a_token_dies_at_six_in_india():
    async with Stage() as stage:
        stage.clock.on(hours=15)  # 01:30 in India
        await stage.opened()
        assert stage.records.row["session_expires_at"].isoformat() == "2026-11-24T00:30:00+00:00"
        stage.clock.on(hours=4.5)
        await stage.until(lambda: {"authorized": False}.items() <= stage.records.row.items())
        assert stage.records.losses == []


@in_a_loop
async def test_after_twelve_hours_there_is_a_new_session():
    async with Stage() as stage:
        await stage.opened()
        stage.clock.on(hours=12)
        stage.server.logged_in = False
        await stage.opened(epoch=2)
        assert stage.records.row["authorized"] is False
        assert stage.records.losses == ["its twelve hours are over"]


@in_a_loop
async def test_the_paper_exchange_is_logged_in_to_by_itself():
    async with Stage(PAPER) as stage:
        stage.server.logged_in = False
        stage.server.login_text = f"[Login]({PAPER_LOGIN_URL}) {PAPER_LOGIN_URL}"
        await stage.opened()
        assert stage.confirmed == [PAPER_LOGIN_URL]
        stage.server.logged_in = False
        assert not (await stage.keeper.call("get_profile", {})).is_error  # asked again after its login
        stage.server.logged_in = False
        stage.server.opened[0].die()
        await stage.opened(epoch=2)
        assert [write["authorized"] for write in stage.records.writes if "authorized" in write] == [True]


@in_a_loop
async def test_a_refused_write_is_not_repeated_after_the_login():
    async with Stage(PAPER) as stage:
        stage.server.login_text = PAPER_LOGIN_URL
        await stage.opened()
        stage.server.logged_in = False
        assert (await stage.keeper.write("place_order", {}, not_after=soon())).is_error
        await stage.until(lambda: stage.server.logged_in)
        assert stage.server.calls.count("place_order") == 1


@in_a_loop
async def test_a_manual_paper_login_is_a_persons():
    async with Stage(PAPER, by_itself=False) as stage:
        stage.server.logged_in = False
        stage.server.login_text = PAPER_LOGIN_URL
        await stage.opened()
        assert stage.records.row["authorized"] is False
        assert (await stage.keeper.login()).url == PAPER_LOGIN_URL


@in_a_loop
async def test_disconnected_until_asked_for():
    async with Stage() as stage:
        await stage.opened()
        await stage.keeper.disconnect()
        await stage.until(lambda: stage.records.row["last_status"] == "disconnected")
        first = stage.server.opened[0]
        assert (first.ended_login, stage.server.living) == (True, 0)
        with pytest.raises(CallFailed, match="the connection is disconnected"):
            await stage.keeper.call("get_orders", {})
        await stage.keeper.reconnect()
        await stage.opened(epoch=2)
        assert stage.records.losses == []


@in_a_loop
async def test_many_reconnects_leave_one_session():
    async with Stage() as stage:
        await stage.opened()
        for epoch in range(2, 202):
            stage.server.opened[-1].die()
            await stage.opened(epoch)
        assert (len(stage.server.opened), stage.server.living) == (201, 1)
        assert len(asyncio.all_tasks()) < 15


@in_a_loop
async def test_no_session_id_in_what_it_says(caplog):
    caplog.set_level(logging.DEBUG)
    async with Stage() as stage:
        stage.server.up = False
        await stage.until(lambda: stage.records.row.get("last_status") == "error")
        assert stage.records.row["last_error"] == "cannot connect to /message?sessionId=****"
        stage.server.up = True
        await stage.opened()
    assert "canary" not in caplog.text
    assert "no session for" in caplog.text
