"""The authorize page: shown to a person, taken from a program only where that is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from broker.paper.sessions import LoginMode
from tests.broker.paper.wire import Wire, drive, error_of, link_in, text_of

SECRET = re.compile(r'name="token" value="([\w-]{43})"')


async def offered(wire: Wire) -> tuple[str, str]:
    session = await wire.initialize()
    return session, link_in(text_of(await wire.tool(session, "login")))


def test_a_person_sees_who_asks_and_presses(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        session, link = await offered(wire)
        page = await wire.request("GET", link)
        text = page.body.decode()
        assert page.status == 200
        assert "Practice Trader" in text
        assert session not in text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("same-origin", "no-store")
        (token,) = SECRET.findall(text)
        body = urlencode({"token": token}).encode()
        assert error_of(await wire.tool(session, "get_profile")) == "Failed to execute get_profile"
        assert (await wire.request("POST", link, body)).status == 200
        assert "PT0001" in text_of(await wire.tool(session, "get_profile"))
        assert (await wire.request("POST", link, body)).status == 400
        assert (await wire.request("GET", link)).status == 400

    drive(tmp_path, play, login=LoginMode.MANUAL)


@pytest.mark.parametrize("body", [b"", b"token=", b"token=guess", b"\xff\xfe"])
def test_a_bare_post_is_not_a_person(tmp_path: Path, body: bytes) -> None:
    async def play(wire: Wire) -> None:
        session, link = await offered(wire)
        refused = await wire.request("POST", link, body)
        assert (refused.status, b"takes a person" in refused.body) == (400, True)
        assert error_of(await wire.tool(session, "get_profile")) == "Failed to execute get_profile"
        assert (await wire.request("GET", link)).status == 200  # the link is still good

    drive(tmp_path, play, login=LoginMode.MANUAL)


def test_a_page_answers_for_its_own_link_only(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        _, first = await offered(wire)
        _, second = await offered(wire)
        (token,) = SECRET.findall((await wire.request("GET", first)).body.decode())
        assert (await wire.request("POST", second, urlencode({"token": token}).encode())).status == 400

    drive(tmp_path, play, login=LoginMode.MANUAL)


@pytest.mark.parametrize("forged", ["{link}x", "/authorize", "/authorize?redirect_params=session_id%3Da%7C1.b"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forged_link_logs_nobody_in(tmp_path: Path, method: str, forged: str) -> None:
    async def play(wire: Wire) -> None:
        session, link = await offered(wire)
        got = await wire.request(method, forged.replace("{link}", link))
        assert got.status == 400
        assert error_of(await wire.tool(session, "get_profile")) == "Failed to execute get_profile"

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_a_link_is_good_for_half_an_hour(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        _, link = await offered(wire)
        _, other = await offered(wire)
        wire.clock.pass_time(minutes=30, seconds=-1)
        assert (await wire.request("POST", link)).status == 200
        wire.clock.pass_time(seconds=1)
        assert (await wire.request("POST", other)).status == 400

    drive(tmp_path, play, login=LoginMode.AUTO)


def test_other_pages_are_not_there(tmp_path: Path) -> None:
    async def play(wire: Wire) -> None:
        for method, path in (("GET", "/"), ("POST", "/status"), ("PUT", "/authorize"), ("GET", "/control")):
            assert (await wire.request(method, path)).status == 404

    drive(tmp_path, play, login=LoginMode.AUTO)
