"""Who is logged in, for how long, and what a login link is good for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.calendar import IST
from broker.paper.sessions import (
    MAX_LINKS,
    Access,
    EndedSession,
    LinkRefused,
    LoginDesk,
    LoginMode,
    Sessions,
    ToolSession,
    UnknownSession,
    token_death,
)
from tests.broker.paper.helpers import AT, later

HOUR = 3600.0


def sessions(mode: LoginMode = LoginMode.AUTO) -> Sessions:
    return Sessions(mode, started=AT)


@pytest.mark.parametrize(
    ("now", "dies"),
    [
        ("2026-11-23T05:59:59", "2026-11-23T06:00:00"),
        ("2026-11-23T06:00:00", "2026-11-24T06:00:00"),
        ("2026-11-23T23:59:59", "2026-11-24T06:00:00"),
    ],
)
def test_a_login_dies_at_six_in_india(now: str, dies: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=IST).astimezone(UTC)
    assert token_death(moment) == datetime.fromisoformat(dies).replace(tzinfo=IST)


def test_only_the_first_call_is_told_to_log_in() -> None:
    session = sessions().open_stream()
    assert [session.access(AT) for _ in range(3)] == [Access.FIRST, Access.REFUSED, Access.REFUSED]
    assert session.start_login(AT) is Access.REFUSED
    session.log_in(AT)
    assert (session.access(AT), session.start_login(AT)) == (Access.GRANTED, Access.GRANTED)


def test_a_login_not_finished_leaves_no_first_call() -> None:
    session = sessions().open_stream()
    session.start_login(AT)
    assert session.access(AT) is Access.REFUSED


def test_at_six_the_login_is_dead_and_a_new_one_may_be_made() -> None:
    session = sessions().open_stream()
    session.log_in(AT)
    dies = token_death(AT)
    assert session.used_first is not None
    session.used_first = dies - timedelta(hours=1)  # young enough
    assert session.access(dies - timedelta(seconds=1)) is Access.GRANTED
    assert session.access(dies) is Access.REFUSED
    assert session.start_login(dies) is Access.REFUSED


def test_twelve_hours_then_no_session_until_the_sweep_then_a_fresh_one() -> None:
    session = sessions().open_stream()
    used = later(60)
    session.log_in(used)
    assert session.access(later(60 + 12 * HOUR - 1)) is Access.GRANTED
    assert session.access(later(60 + 12 * HOUR)) is Access.ENDED
    assert session.start_login(later(60 + 12 * HOUR)) is Access.ENDED
    assert session.access(later(12.5 * HOUR - 1)) is Access.ENDED
    assert session.access(later(12.5 * HOUR)) is Access.FIRST


def test_without_logins_nothing_ends() -> None:
    session = sessions(LoginMode.OFF).open_stream()
    assert session.access(later(100 * HOUR)) is Access.GRANTED
    assert session.start_login(later(100 * HOUR)) is Access.GRANTED


def test_a_kept_session_is_known_then_ended_then_unknown() -> None:
    found = sessions()
    session = found.open_kept(AT)
    assert session.session_id.startswith("kitemcp-")
    assert found.kept(session.session_id, later(1)) is session
    found.end(session.session_id)
    assert len(found) == 0
    with pytest.raises(EndedSession):
        found.kept(session.session_id, later(2))
    found.open_kept(later(HOUR))  # a sweep is due
    with pytest.raises(UnknownSession):
        found.kept(session.session_id, later(HOUR))


def test_a_kept_session_ends_by_age_and_a_stream_is_none() -> None:
    found = sessions()
    session, stream = found.open_kept(AT), found.open_stream()
    with pytest.raises(EndedSession):
        found.kept(session.session_id, later(12 * HOUR))
    with pytest.raises(UnknownSession):
        found.kept(stream.session_id, AT)


def test_of_too_many_the_longest_unused_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.paper.sessions.MAX_KEPT", 3)
    found = sessions(LoginMode.OFF)
    stream = found.open_stream()
    first, second = found.open_kept(AT), found.open_kept(AT)
    assert found.kept(first.session_id, AT) is first
    found.open_kept(AT)
    with pytest.raises(UnknownSession):
        found.kept(second.session_id, AT)
    assert found.kept(first.session_id, AT) is first
    assert found.stream(stream.session_id) is stream


def test_links_work_once_in_time_and_only_ours() -> None:
    desk = LoginDesk()
    first, second = desk.offer("s", AT), desk.offer("s", AT)
    assert first != second
    assert first.startswith(f"s|{int(AT.timestamp())}.")
    assert desk.use(first, later(1799)) == "s"
    for link, now in ((first, AT), (second, later(1800)), (second + "x", AT), ("s|1.forged", AT), ("", AT)):
        with pytest.raises(LinkRefused):
            desk.use(link, now)
    assert desk.use(second, later(1799)) == "s"


def test_links_do_not_pile_up_and_a_restart_voids_them() -> None:
    desk = LoginDesk()
    links = [desk.offer("s", AT) for _ in range(MAX_LINKS + 1)]
    with pytest.raises(LinkRefused):
        desk.use(links[0], AT)
    desk.forget()
    with pytest.raises(LinkRefused):
        desk.use(links[-1], AT)


def test_a_link_logs_in_the_session_it_names_unless_that_is_gone() -> None:
    found = sessions()
    mine, other = found.open_stream(), found.open_stream()
    link = found.desk.offer(mine.session_id, AT)
    found.log_in(link, AT)
    assert (mine.is_logged_in(AT), other.is_logged_in(AT)) == (True, False)
    lost = found.desk.offer(mine.session_id, AT)
    found.drop(mine.session_id)
    with pytest.raises(LinkRefused, match="has ended"):
        found.log_in(lost, AT)


def test_dead_tokens_and_a_restart() -> None:
    found = sessions()
    session = found.open_stream()
    session.log_in(AT)
    found.kill_tokens()
    assert session.access(AT) is Access.REFUSED
    found.lose_all()
    assert len(found) == 0


def test_a_session_of_no_server_is_logged_in() -> None:
    assert ToolSession().access(AT) is Access.GRANTED
