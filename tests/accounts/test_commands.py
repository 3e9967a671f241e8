"""The commands of accounts."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sigmatrader.accounts import selectors, services
from sigmatrader.accounts.models import ApiToken

pytestmark = pytest.mark.django_db


def _run(*words):
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_api_token_prints_the_token_alone(trader):
    token = selectors.token_of(_run("api_token", trader.username).strip())
    assert token is not None
    assert (token.user, token.may_trade_live) == (trader, False)


def test_api_token_for_live_trading(trader):
    _run("api_token", trader.username, "--trade", "--name", "bot")
    assert ApiToken.objects.values_list("name", "may_trade_live").get() == ("bot", True)


def test_signin_link_prints_a_working_address(trader):
    link = _run("signin_link", trader.username, "--base-url", "http://127.0.0.1:8000").strip()
    assert link.startswith("http://127.0.0.1:8000/sign-in/link/")
    assert services.redeem_sign_in_link(link.rpartition("/")[2], now=timezone.now()) == trader


@pytest.mark.parametrize("command", ["api_token", "signin_link"])
def test_an_unknown_user_is_a_sentence(command):
    with pytest.raises(CommandError, match="There is no active user nobody"):
        _run(command, "nobody")
