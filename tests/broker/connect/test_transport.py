"""Below the client: what is repeated, what is followed, what is kept, what is bounded, and what is shown."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from broker.adapters import kite_connect_client, kite_connect_login
from broker.adapters.kite_connect import KiteConnectAdapter
from broker.adapters.kite_connect_terms import Credentials, KiteConnectMissing
from broker.ports import BrokerAuthExpired, BrokerError, BrokerSchemaError, BrokerUnavailable
from tests.broker.connect.conftest import NOW
from tests.broker.connect.double import ACCESS_TOKEN, API_KEY, API_SECRET, REQUEST_TOKEN, KiteRest, error
from tests.broker.connect.test_writes import order

PROFILE = ("GET", "/user/profile")
SECRETS = (API_KEY, API_SECRET, ACCESS_TOKEN, REQUEST_TOKEN)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_read_is_repeated_over_a_passing_fault(adapter: KiteConnectAdapter, kite: KiteRest, status: int) -> None:
    kite.say(*PROFILE, status, error("NetworkException", "down"), times=2)
    assert adapter.profile().user_id == "AB1234"
    assert len(kite.seen) == 3


def test_a_read_is_repeated_over_a_cut_line(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say(*PROFILE, cut=True)
    assert adapter.profile().user_id == "AB1234"
    assert len(kite.seen) == 2


def test_a_read_gives_up_at_the_end_of_its_budget(
    adapter: KiteConnectAdapter, kite: KiteRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.adapters.kite_connect.READ_BUDGET_S", 0.1)
    kite.say(*PROFILE, 503, error("NetworkException", "down"), times=50)
    with pytest.raises(BrokerUnavailable, match="NetworkException: down"):
        adapter.profile()
    assert 1 < len(kite.seen) < 10


@pytest.mark.parametrize(("part", "least"), [("quotes", 1.0), ("candles", 0.35)])
def test_a_repeated_read_keeps_to_its_limit(
    adapter: KiteConnectAdapter, kite: KiteRest, monkeypatch: pytest.MonkeyPatch, part: str, least: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("broker.adapters.kite_connect.time.sleep", pauses.append)
    kite.say("GET", "/quote", 503, error("NetworkException", "down"), times=2)
    kite.say("GET", "/instruments/historical/1/day", 503, error("NetworkException", "down"), times=2)
    if part == "quotes":
        assert list(adapter.quotes(["NSE:INFY"])) == ["NSE:INFY"]
    else:
        assert len(adapter.candles(1, "day", NOW, NOW)) == 2
    assert (len(kite.seen), len(pauses), min(pauses) >= least) == (3, 2, True)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (403, "TokenException", BrokerAuthExpired),
        (403, "PermissionException", BrokerUnavailable),
        (400, "InputException", BrokerUnavailable),
        (429, "NetworkException", BrokerUnavailable),
        (404, "", BrokerUnavailable),
    ],
)
def test_a_refused_read_is_not_repeated(
    adapter: KiteConnectAdapter, kite: KiteRest, status: int, kind: str, expected: type[BrokerError]
) -> None:
    kite.say(*PROFILE, status, error(kind, "no"), times=5)
    with pytest.raises(BrokerError) as caught:
        adapter.profile()
    assert type(caught.value) is expected
    assert len(kite.seen) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>", "text/html"), ("{", "application/json"), ([], "application/json"), ({"a": 1}, "application/json"),
        ({"status": "success", "data": {}}, "application/json"), ("NaN", "application/json"),
        ({"status": "success", "data": []}, "application/json"), ("x\n", "text/csv"),
    ],
)  # fmt: skip
def test_a_read_of_another_shape_is_no_read(adapter: KiteConnectAdapter, kite: KiteRest, body: Any, kind: str) -> None:
    kite.say(*PROFILE, body=body, kind=kind)
    with pytest.raises(BrokerSchemaError):
        adapter.profile()
    assert len(kite.seen) == 1


@pytest.mark.parametrize("data", [None, {}, {"candles": None}, {"candles": [1]}, {"candles": [[1, 2]]}])
def test_candles_of_another_shape_are_no_read(adapter: KiteConnectAdapter, kite: KiteRest, data: Any) -> None:
    kite.say("GET", "/instruments/historical/1/day", body={"status": "success", "data": data})
    with pytest.raises(BrokerSchemaError):
        adapter.candles(1, "day", NOW, NOW)


def test_numbers_are_exact(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    body = '{"status": "success", "data": {"equity": {"enabled": true, "net": 100000000000.07, "available": {}}}}'
    kite.say("GET", "/user/margins", body=body)
    assert adapter.margins()["equity"].net == Decimal("100000000000.07")


def test_no_redirect_is_followed(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say(*PROFILE, 302, "", headers={"Location": f"{kite.root}/orders"})
    with pytest.raises(BrokerUnavailable, match="HTTP 302"):
        adapter.profile()
    assert len(kite.seen) == 1


def test_no_proxy_netrc_or_certificate_of_the_environment_is_used(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert make_adapter().profile().user_id == "AB1234"
    assert kite.seen[0].headers["authorization"] == f"token {API_KEY}:{ACCESS_TOKEN}"


def test_no_cookie_is_kept(adapter: KiteConnectAdapter, kite: KiteRest) -> None:
    kite.say(*PROFILE, body={"status": "success", "data": {"user_id": "X"}}, headers={"Set-Cookie": "a=b; Path=/"})
    adapter.profile()
    adapter.profile()
    assert "cookie" not in kite.seen[1].headers


def test_one_line_serves_many_calls_and_a_closed_adapter_opens_anew(
    adapter: KiteConnectAdapter, kite: KiteRest
) -> None:
    adapter.profile()
    adapter.close()
    assert adapter.profile().user_id == "AB1234"
    adapter.close()
    adapter.close()


def test_a_large_answer_is_not_taken(
    adapter: KiteConnectAdapter, kite: KiteRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kite_connect_client, "MAX_JSON", 1000)
    monkeypatch.setattr("broker.adapters.kite_connect.READ_BUDGET_S", 0.0)
    kite.say(*PROFILE, body={"status": "success", "data": {"user_id": "X", "pad": "y" * 2000}})
    with pytest.raises(BrokerUnavailable, match="larger than allowed"):
        adapter.profile()


def test_a_forked_child_has_a_line_of_its_own(adapter: KiteConnectAdapter) -> None:
    adapter.profile()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # the child says what it read and leaves without pytest's ending
        try:
            os.write(writing, adapter.profile().user_id.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"AB1234"
    assert adapter.profile().user_id == "AB1234"


# --- the extra ------------------------------------------------------------------------------------------------------
def test_without_the_extra_a_call_names_the_command(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kiteconnect", None)
    kite_connect_client._client_class.cache_clear()
    try:
        adapter = make_adapter()
        with pytest.raises(KiteConnectMissing, match=r"pip install -r requirements-kite\.txt"):
            adapter.profile()
        with pytest.raises(BrokerUnavailable, match="not installed"):
            adapter.place_order(order())
        with pytest.raises(KiteConnectMissing):
            kite_connect_login.login_page(API_KEY, state="x")
    finally:
        kite_connect_client._client_class.cache_clear()
    assert kite.seen == []


def test_the_extra_is_not_imported_before_it_is_used() -> None:
    import subprocess

    code = "import sys, broker.adapters.kite_connect, broker.adapters.kite_connect_login as _; "
    code += "print('kiteconnect' in sys.modules, 'requests' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "False False\n"


# --- what is shown ------------------------------------------------------------------------------------------------
def test_no_secret_is_logged_shown_or_raised(
    make_adapter: Callable[..., KiteConnectAdapter], kite: KiteRest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    adapter, seen = make_adapter(), []
    kite.say("POST", "/orders/regular", cut=True)
    for call in (adapter.profile, lambda: adapter.place_order(order()), adapter.orders):
        try:
            seen.append(repr(call()))
        except BrokerError as exc:
            seen += _told(exc)
    kite.say("DELETE", "/session/token", cut=True)
    kite_connect_login.end(Credentials(API_KEY, ACCESS_TOKEN), root=kite.root)
    kite_connect_login.end(Credentials(API_KEY, ACCESS_TOKEN), root="http://127.0.0.1:1")
    seen.append(repr(kite_connect_login.exchange(API_KEY, API_SECRET, REQUEST_TOKEN, root=kite.root)))
    try:
        kite_connect_login.exchange(API_KEY, API_SECRET, REQUEST_TOKEN, root=kite.root)
    except BrokerError as exc:
        seen += _told(exc)
    seen += [repr(Credentials(API_KEY, ACCESS_TOKEN)), caplog.text, *map(repr, caplog.records)]
    assert len(kite.seen) == 6
    assert [(secret, text) for secret in SECRETS for text in seen if secret in text] == []


def _told(exc: BaseException) -> list[str]:
    import traceback

    return ["".join(traceback.format_exception(exc)), repr(exc), str(exc)]
