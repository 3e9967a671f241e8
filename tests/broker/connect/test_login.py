"""The session of a connection: keys, the way to Kite and back, and the end of the token."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import Client

from broker import connect
from broker.adapters.kite_connect import KiteConnectAdapter
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import DecisionTrace, SystemEvent, TraceEvent
from tests.broker.connect.double import ACCESS_TOKEN, API_KEY, API_SECRET, REQUEST_TOKEN, KiteRest

pytestmark = pytest.mark.django_db
RETURN = "/broker/kite-connect/return"


def state_of(connection: BrokerConnection, user: Any, now: datetime) -> str:
    """The state that Kite hands back, out of the login address."""
    query = parse_qs(urlsplit(connect.login_url(connection, user=user, now=now).url).query)
    return parse_qs(query["redirect_params"][0])["state"][0]


def finish(connection: BrokerConnection, user: Any, now: datetime, **values: Any) -> None:
    asked = {"state": state_of(connection, user, now), "request_token": REQUEST_TOKEN, "now": now, **values}
    connect.finish_login(user, **asked)
    connection.refresh_from_db()


def code_of(raised: pytest.ExceptionInfo[Problem]) -> tuple[int, str]:
    return raised.value.status_code, raised.value.code


# --- keys ---------------------------------------------------------------------------------------------------------
def test_keys_are_stored_encrypted_and_end_a_login(
    kite_connection: BrokerConnection, trader: Any, now: datetime
) -> None:
    finish(kite_connection, trader, now)
    connect.save_keys(kite_connection, api_key="another-key", api_secret="another-secret", now=now, actor="ann")
    found = BrokerConnection.objects.get(pk=kite_connection.pk)
    assert (found.api_key, found.api_secret, found.access_token) == ("another-key", "another-secret", "")
    assert (found.authorized, found.session_expires_at, found.epoch) == (False, None, 2)
    from django.db import connection as database

    with database.cursor() as cursor:
        cursor.execute("SELECT api_key, api_secret FROM broker_brokerconnection")
        (row,) = cursor.fetchall()
    assert all(b"another" not in bytes(str(cell), "utf-8") for cell in row)


@pytest.mark.parametrize("values", [("", "good-secret"), ("good-key", "x y"), ("k" * 129, "good-secret")])
def test_a_key_that_is_none_is_refused(
    kite_connection: BrokerConnection, now: datetime, values: tuple[str, str]
) -> None:
    with pytest.raises(Problem) as caught:
        connect.save_keys(kite_connection, api_key=values[0], api_secret=values[1], now=now, actor="ann")
    assert code_of(caught) == (422, "BAD_KEY")
    kite_connection.refresh_from_db()
    assert (kite_connection.api_key, kite_connection.epoch) == (API_KEY, 0)


def test_only_kite_connect_has_keys(connection: BrokerConnection, trader: Any, now: datetime) -> None:
    for call in (
        lambda: connect.save_keys(connection, api_key="good-key", api_secret="good-secret", now=now, actor="ann"),
        lambda: connect.login_url(connection, user=trader, now=now),
        lambda: connect.forget_login(connection, now=now, actor="ann"),
    ):
        with pytest.raises(Problem) as caught:
            call()
        assert code_of(caught) == (409, "NOT_KITE_CONNECT")


# --- there --------------------------------------------------------------------------------------------------------
def test_the_login_address(kite_connection: BrokerConnection, trader: Any, now: datetime) -> None:
    offer = connect.login_url(kite_connection, user=trader, now=now)
    parts = urlsplit(offer.url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "kite.zerodha.com", "/connect/login")
    query = parse_qs(parts.query)
    assert (query["v"], query["api_key"], sorted(query)) == (["3"], [API_KEY], ["api_key", "redirect_params", "v"])
    assert offer.expires_at == now + timedelta(minutes=10)
    assert API_SECRET not in offer.url


def test_without_keys_there_is_no_login(kite_connection: BrokerConnection, trader: Any, now: datetime) -> None:
    kite_connection.api_secret = ""
    with pytest.raises(Problem) as caught:
        connect.login_url(kite_connection, user=trader, now=now)
    assert code_of(caught) == (409, "KEYS_MISSING")


def test_somebody_elses_connection_is_not_there(
    kite_connection: BrokerConnection, other_trader: Any, now: datetime
) -> None:
    with pytest.raises(Problem) as caught:
        connect.login_url(kite_connection, user=other_trader, now=now)
    assert code_of(caught) == (404, "NOT_FOUND")


# --- and back -----------------------------------------------------------------------------------------------------
def test_the_way_back_stores_the_login(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    finish(kite_connection, trader, now, correlation_id="01KAR2Y6ZZZZZZZZZZZZZZZZZZ")
    found = BrokerConnection.objects.get(pk=kite_connection.pk)
    assert (found.access_token, found.authorized, found.user_name) == (ACCESS_TOKEN, True, "Asha Rao")
    assert found.session_expires_at == datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
    assert (found.last_status, found.last_connected_at, found.epoch) == ("connected", now, 1)
    assert found.server_info["demat_consent"] == "physical"
    assert "AB1234" not in str(found.server_info)
    assert [(row.method, row.path) for row in kite.seen] == [("POST", "/session/token")]
    trace = DecisionTrace.objects.get(correlation_id="01KAR2Y6ZZZZZZZZZZZZZZZZZZ")
    assert (trace.kind, trace.closings.get().outcome) == ("connection", "changed")


@pytest.mark.parametrize(
    ("now_ist", "end"),
    [
        ("2026-11-23T05:59:59", "2026-11-23"),
        ("2026-11-23T06:00:00", "2026-11-24"),
        ("2026-12-31T23:59:00", "2027-01-01"),
    ],
)  # fmt: skip
def test_a_token_dies_at_six(now_ist: str, end: str) -> None:
    found = connect.token_end(datetime.fromisoformat(f"{now_ist}+05:30"))
    assert found == datetime.fromisoformat(f"{end}T06:00:00+05:30")


def test_the_adapter_of_a_login_works_and_tells_its_end(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    finish(kite_connection, trader, now)
    assert kite_connection.epoch == 1
    lost = partial(connect.note_login_lost, kite_connection.pk, kite_connection.epoch)
    adapter = KiteConnectAdapter(
        connect.credentials_of(kite_connection), connect.options(), clock=lambda: now, on_login_lost=lost
    )
    assert adapter.profile().user_id == "AB1234"
    kite.valid_token = ""
    with pytest.raises(BrokerAuthExpired):
        adapter.orders()
    adapter.close()
    kite_connection.refresh_from_db()
    assert (kite_connection.authorized, kite_connection.last_error) == (False, connect.LOST)


def test_the_end_of_an_old_login_leaves_the_new_one_alone(
    kite_connection: BrokerConnection, trader: Any, now: datetime
) -> None:
    finish(kite_connection, trader, now)
    connect.note_login_lost(kite_connection.pk, kite_connection.epoch - 1)
    kite_connection.refresh_from_db()
    assert kite_connection.authorized is True


def test_a_call_without_a_login_asks_for_one(kite_connection: BrokerConnection, kite: KiteRest) -> None:
    lost = partial(connect.note_login_lost, kite_connection.pk, kite_connection.epoch)
    adapter = KiteConnectAdapter(connect.credentials_of(kite_connection), connect.options(), on_login_lost=lost)
    with pytest.raises(BrokerAuthExpired):
        adapter.orders()
    kite_connection.refresh_from_db()
    assert (kite_connection.authorized, kite.seen) == (False, [])


@pytest.mark.parametrize("spoiled", ["used", "late", "other user", "other connection", "changed", "empty", "foreign"])
def test_a_state_is_good_once_for_one(
    kite_connection: BrokerConnection, trader: Any, other_trader: Any, now: datetime, kite: KiteRest, spoiled: str
) -> None:
    from django.core import signing

    state, user, at = state_of(kite_connection, trader, now), trader, now
    if spoiled == "used":
        connect.finish_login(trader, state=state, request_token=REQUEST_TOKEN, now=now)
        kite.request_tokens.add(REQUEST_TOKEN)
        kite.seen.clear()
    elif spoiled == "late":
        at = now + timedelta(minutes=10)
    elif spoiled == "other user":
        user = other_trader
    elif spoiled == "other connection":
        BrokerConnection.objects.filter(pk=kite_connection.pk).update(owner=other_trader)
    elif spoiled == "foreign":
        state = signing.dumps({"c": kite_connection.account, "u": str(trader.pk), "e": 9e9, "n": "x"}, salt="other")
    else:
        state = state[:-2] + "xx" if spoiled == "changed" else ""
    with pytest.raises(Problem) as caught:
        connect.finish_login(user, state=state, request_token=REQUEST_TOKEN, now=at)
    assert code_of(caught) == (403, "LOGIN_STATE_INVALID")
    assert kite.seen == []


@pytest.mark.django_db(transaction=True)
def test_of_two_returns_at_once_one_is_exchanged(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    state, gate = state_of(kite_connection, trader, now), threading.Barrier(2)

    def come_back(_: int) -> str:
        try:
            gate.wait(5)
            connect.finish_login(trader, state=state, request_token=REQUEST_TOKEN, now=now)
        except Problem as problem:
            return problem.code
        finally:
            connections.close_all()
        return "in"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(come_back, range(2))) == ["LOGIN_STATE_INVALID", "in"]
    assert len(kite.sent("POST", "/session/token")) == 1


@pytest.mark.parametrize("token", ["", "x y", "a/b", "t" * 200])
def test_a_request_token_of_no_shape_is_not_sent(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest, token: str
) -> None:
    with pytest.raises(Problem) as caught:
        finish(kite_connection, trader, now, request_token=token)
    assert (code_of(caught), kite.seen) == ((409, "LOGIN_REFUSED"), [])


def test_a_token_that_kite_refuses(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    with pytest.raises(Problem) as caught:
        finish(kite_connection, trader, now, request_token="unknown-token")
    assert code_of(caught) == (409, "LOGIN_REFUSED")
    kite_connection.refresh_from_db()
    assert (kite_connection.access_token, kite_connection.authorized, len(kite.seen)) == ("", None, 1)


def test_kite_that_does_not_answer_is_asked_once(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    kite.say("POST", "/session/token", 503, {}, times=5)
    with pytest.raises(Problem) as caught:
        finish(kite_connection, trader, now)
    assert (code_of(caught), len(kite.seen)) == ((503, "BROKER_UNAVAILABLE"), 1)


def test_another_account_does_not_enter_these_books(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    finish(kite_connection, trader, now)
    connect.forget_login(kite_connection, now=now, actor="ann")
    kite.user_id = "ZZ9999"
    kite.request_tokens.add(REQUEST_TOKEN)
    with pytest.raises(Problem) as caught:
        finish(kite_connection, trader, now + timedelta(seconds=1))
    assert code_of(caught) == (409, "ACCOUNT_CHANGED")
    kite_connection.refresh_from_db()
    assert (kite_connection.access_token, kite.valid_token) == ("", "")  # ended there too


def test_disconnect_forgets_and_ends_the_token(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    finish(kite_connection, trader, now)
    connect.forget_login(kite_connection, now=now, actor="ann")
    kite_connection.refresh_from_db()
    assert (kite_connection.access_token, kite_connection.authorized) == ("", False)
    assert (kite_connection.last_status, kite_connection.epoch, kite.valid_token) == ("disconnected", 2, "")
    assert (kite_connection.api_key, kite_connection.api_secret) == (API_KEY, API_SECRET)
    connect.forget_login(kite_connection, now=now, actor="ann")
    assert len(kite.sent("DELETE", "/session/token")) == 1


def test_disconnect_does_not_wait_for_kite_to_agree(
    kite_connection: BrokerConnection, trader: Any, now: datetime, kite: KiteRest
) -> None:
    finish(kite_connection, trader, now)
    kite.say("DELETE", "/session/token", 503, {})
    connect.forget_login(kite_connection, now=now, actor="ann")
    kite_connection.refresh_from_db()
    assert kite_connection.access_token == ""


def test_no_record_bears_a_secret(kite_connection: BrokerConnection, trader: Any, now: datetime) -> None:
    state = state_of(kite_connection, trader, now)
    connect.finish_login(trader, state=state, request_token=REQUEST_TOKEN, now=now)
    connect.forget_login(kite_connection, now=now, actor="ann")
    connect.save_keys(kite_connection, api_key=API_KEY, api_secret=API_SECRET, now=now, actor="ann")
    written = [str(row) for model in (TraceEvent, DecisionTrace, SystemEvent) for row in model.objects.values_list()]
    assert len(written) > 10
    for secret in (API_KEY, API_SECRET, ACCESS_TOKEN, REQUEST_TOKEN, state):
        assert [row for row in written if secret in row] == []


@pytest.mark.parametrize(
    "values",
    [
        {"KITE_CONNECT_ROOT": "http://api.kite.trade"}, {"KITE_CONNECT_ROOT": "https://a:b@api.kite.trade"},
        {"KITE_CONNECT_ROOT": "ftp://127.0.0.1"}, {"KITE_CONNECT_ROOT": ""},
        {"KITE_CONNECT_MARKET_PROTECTION": "0"}, {"KITE_CONNECT_MARKET_PROTECTION": "much"},
    ],
)  # fmt: skip
def test_an_operators_mistake_is_named(settings: Any, values: dict[str, str]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured, match=next(iter(values))):
        connect.options()


# --- the page of the way back ----------------------------------------------------------------------------------------
@pytest.fixture
def _routes(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.broker.connect.urls"


@pytest.mark.usefixtures("_routes")
class TestReturn:
    def come_back(self, client: Client, given: str, **more: str) -> Any:
        asked = {"action": "login", "status": "success", "request_token": REQUEST_TOKEN, "state": given}
        return client.get(RETURN, {**asked, **more})

    def test_it_logs_in_and_goes_on(
        self, kite_connection: BrokerConnection, trader: Any, trader_client: Client
    ) -> None:
        from django.utils import timezone

        answer = self.come_back(trader_client, state_of(kite_connection, trader, timezone.now()))
        assert (answer.status_code, answer["Location"]) == (302, "/settings?tab=ai&login=DONE")
        assert answer["Referrer-Policy"] == "no-referrer"
        kite_connection.refresh_from_db()
        assert kite_connection.authorized is True

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"state": "made-up"}, "LOGIN_STATE_INVALID"), ({"status": "cancelled"}, "LOGIN_CANCELLED"),
            ({"request_token": "unknown-token"}, "LOGIN_REFUSED"),
        ],
    )  # fmt: skip
    def test_a_failure_is_named_and_nothing_else_is_carried_on(
        self, kite_connection: BrokerConnection, trader: Any, trader_client: Client, more: dict[str, str], code: str
    ) -> None:
        from django.utils import timezone

        answer = self.come_back(trader_client, state_of(kite_connection, trader, timezone.now()), **more)
        assert answer["Location"] == f"/settings?tab=ai&login={code}"
        assert connect.login_text(code).endswith("again.")

    def test_nobody_is_sent_to_sign_in_without_the_token(self, client: Client, kite: KiteRest) -> None:
        answer = self.come_back(client, "anything")
        assert (answer["Location"], kite.seen) == ("/sign-in", [])

    def test_a_viewer_may_not(self, viewer: Any, client: Client, kite: KiteRest) -> None:
        client.force_login(viewer)
        assert self.come_back(client, "anything")["Location"] == "/settings?tab=ai&login=FORBIDDEN"
        assert kite.seen == []

    def test_it_is_only_looked_at(self, trader_client: Client) -> None:
        assert trader_client.post(RETURN).status_code == 405

    def test_it_is_not_asked_for_ever(self, trader_client: Client) -> None:
        places = [self.come_back(trader_client, "made-up")["Location"] for _ in range(21)]
        assert places[-1] == "/settings?tab=ai&login=RATE_LIMITED"


def test_an_unknown_code_has_no_text() -> None:
    assert connect.login_text("<script>") == ""


def test_the_admin_shows_no_secret(
    kite_connection: BrokerConnection, trader: Any, admin_client: Client, now: datetime
) -> None:
    finish(kite_connection, trader, now)
    page = admin_client.get(f"/admin/broker/brokerconnection/{kite_connection.pk}/change/").content.decode()
    assert "Asha Rao" in page
    assert [secret for secret in (API_KEY, API_SECRET, ACCESS_TOKEN) if secret in page] == []
