"""Users, tokens, links, re-authentication and flags, at the level of services."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections

from sigmatrader.accounts import rate, selectors, services
from sigmatrader.accounts.models import ApiToken, FeatureFlag, RateCounter, SignInLink, User
from sigmatrader.accounts.vocabulary import Flag, Role
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.models import DecisionTrace, SystemEvent, TraceClosing, TraceEvent
from tests.accounts.factories import FeatureFlagFactory
from tests.factories import TraderFactory


@pytest.mark.django_db
class TestFirstUser:
    def test_is_trader_and_staff_without_a_password(self, now):
        user = services.ensure_first_user(now=now)
        assert (user.username, user.role, user.is_staff) == ("trader", Role.TRADER.value, True)
        assert not user.has_usable_password()

    def test_is_made_once(self, now):
        assert services.ensure_first_user(now=now).pk == services.ensure_first_user(now=now).pk
        assert User.objects.count() == 1


@pytest.mark.django_db
class TestTokens:
    def test_only_the_digest_is_kept(self, trader, now):
        secret = services.make_token(trader, name="bot", may_trade_live=False, now=now)
        row = ApiToken.objects.get()
        assert row.digest == selectors.digest_of(secret)
        assert secret not in "".join(str(value) for value in ApiToken.objects.values().get().values())
        assert all(secret not in event.data for event in TraceEvent.objects.all())
        assert all(secret not in f"{event.message}{event.details}" for event in SystemEvent.objects.all())

    def test_making_one_is_traced(self, trader, now):
        services.make_token(trader, name="bot", may_trade_live=True, now=now)
        assert list(TraceEvent.objects.values_list("type", flat=True)) == ["trace.opened", "token.made", "trace.closed"]
        assert SystemEvent.objects.get().event_type == "TOKEN_MADE"

    def test_a_revoked_one_is_nobody_s(self, trader, now):
        secret = services.make_token(trader, name="bot", may_trade_live=False, now=now)
        services.revoke_token(ApiToken.objects.get(), actor="trader", now=now)
        assert selectors.token_of(secret) is None

    def test_one_of_an_inactive_user_is_nobody_s(self, trader, now):
        secret = services.make_token(trader, name="bot", may_trade_live=False, now=now)
        User.objects.filter(pk=trader.pk).update(is_active=False)
        assert selectors.token_of(secret) is None


def _secret(link: str) -> str:
    return link.rpartition("/")[2]


@pytest.mark.django_db
class TestLinks:
    def test_signs_in_once(self, trader, now):
        secret = _secret(services.make_sign_in_link(trader, now=now, base_url="http://127.0.0.1:8000/"))
        assert services.redeem_sign_in_link(secret, now=now) == trader
        with pytest.raises(Problem) as refused:
            services.redeem_sign_in_link(secret, now=now)
        assert (refused.value.code, refused.value.status_code) == ("LINK_INVALID", 401)

    def test_has_the_address(self, trader, now):
        link = services.make_sign_in_link(trader, now=now, base_url="http://127.0.0.1:8000/")
        assert link.startswith("http://127.0.0.1:8000/sign-in/link/")

    def test_ends_after_fifteen_minutes(self, trader, now):
        secret = _secret(services.make_sign_in_link(trader, now=now, base_url="http://x"))
        with pytest.raises(Problem):
            services.redeem_sign_in_link(secret, now=now + timedelta(minutes=15))
        assert services.redeem_sign_in_link(secret, now=now + timedelta(minutes=14, seconds=59)) == trader

    def test_of_an_inactive_user_is_refused(self, trader, now):
        secret = _secret(services.make_sign_in_link(trader, now=now, base_url="http://x"))
        User.objects.filter(pk=trader.pk).update(is_active=False)
        with pytest.raises(Problem):
            services.redeem_sign_in_link(secret, now=now)
        assert SignInLink.objects.get().used_at is None

    def test_old_ones_are_forgotten(self, trader, now):
        services.make_sign_in_link(trader, now=now - timedelta(days=8), base_url="http://x")
        services.make_sign_in_link(trader, now=now, base_url="http://x")
        assert services.prune_links(now=now) == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_redeeming_one_link_one_wins(now):
    user = TraderFactory()
    secret = _secret(services.make_sign_in_link(user, now=now, base_url="http://x"))
    outcomes = _at_once(8, lambda: services.redeem_sign_in_link(secret, now=now).username)
    assert sorted(outcomes) == ["LINK_INVALID"] * 7 + [user.username]


@pytest.mark.django_db(transaction=True)
def test_the_rate_counter_loses_no_hit(now):
    outcomes = _at_once(8, lambda: rate.hit("test", limit=5, window_s=60, now=now) or "passed")
    assert sorted(outcomes) == ["RATE_LIMITED"] * 3 + ["passed"] * 5
    assert RateCounter.objects.get().count == 8


def _at_once(count, act):
    outcomes, gate = [], threading.Barrier(count)

    def run():
        gate.wait()
        try:
            outcomes.append(act())
        except Problem as problem:
            outcomes.append(problem.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.django_db
class TestRate:
    def test_says_when_to_come_back(self, now):
        rate.hit("x", limit=1, window_s=60, now=now)
        with pytest.raises(Problem) as refused:
            rate.hit("x", limit=1, window_s=60, now=now + timedelta(seconds=20))
        assert (refused.value.status_code, refused.value.headers["Retry-After"]) == (429, "40")

    def test_the_next_window_starts_anew(self, now):
        rate.hit("x", limit=1, window_s=60, now=now)
        rate.hit("x", limit=1, window_s=60, now=now + timedelta(seconds=60))
        assert list(RateCounter.objects.values_list("count", flat=True)) == [1, 1]

    def test_scopes_do_not_mix(self, now):
        rate.hit("x", limit=1, window_s=60, now=now)
        rate.hit("y", limit=1, window_s=60, now=now)

    def test_old_windows_are_forgotten(self, now):
        rate.hit("x", limit=1, window_s=60, now=now - timedelta(days=2))
        rate.hit("x", limit=1, window_s=60, now=now)
        assert rate.prune(now=now) == 1


@pytest.mark.django_db
class TestFlags:
    def test_one_never_set_has_the_default(self, settings):
        settings.FLAG_DEFAULTS = {**settings.FLAG_DEFAULTS, "monitoring_enabled": True}
        assert selectors.flag_enabled(Flag.MONITORING_ENABLED)
        assert not selectors.flag_enabled(Flag.AI_ASSISTANT_ENABLED)

    def test_a_stored_one_beats_the_default(self, settings):
        settings.FLAG_DEFAULTS = {flag.value: True for flag in Flag}
        FeatureFlagFactory(enabled=False)
        assert not selectors.flag_enabled(Flag.AI_ASSISTANT_ENABLED)
        assert selectors.flags()[Flag.AI_ASSISTANT_ENABLED] is False

    def test_the_refusal_names_the_flag(self):
        with pytest.raises(Problem) as refused:
            services.require_flag(Flag.MONITORING_ENABLED)
        assert (refused.value.status_code, refused.value.code) == (409, "FEATURE_DISABLED")
        assert refused.value.extra == {"flag": "monitoring_enabled"}

    def test_an_enabled_one_passes(self):
        FeatureFlagFactory(name=Flag.MONITORING_ENABLED.value)
        services.require_flag(Flag.MONITORING_ENABLED)

    def test_a_change_is_traced_and_told(self, now):
        row = services.set_flag(Flag.MONITORING_ENABLED, enabled=True, actor="ann", now=now)
        trace = DecisionTrace.objects.get()
        assert (row.enabled, row.version, trace.kind, trace.actor) == (True, 1, "flag", "ann")
        assert TraceClosing.objects.get().outcome == "changed"
        assert [event.type for event in TraceEvent.objects.all()] == ["trace.opened", "flag.set", "trace.closed"]
        told = SystemEvent.objects.filter(event_type="FLAG_CHANGED", correlation_id=trace.correlation_id)
        assert sorted(told.values_list("category", flat=True)) == ["AI_SETTINGS", "SECURITY"]

    def test_the_same_again_changes_nothing(self, now):
        services.set_flag(Flag.MONITORING_ENABLED, enabled=True, actor="ann", now=now)
        services.set_flag(Flag.MONITORING_ENABLED, enabled=True, actor="ann", now=now)
        assert FeatureFlag.objects.get().version == 1
        assert DecisionTrace.objects.count() == 1

    def test_a_stale_version_changes_nothing(self, now):
        services.set_flag(Flag.MONITORING_ENABLED, enabled=True, actor="ann", now=now)
        with pytest.raises(Problem) as refused:
            services.set_flag(Flag.MONITORING_ENABLED, enabled=False, actor="bob", now=now, expected_version=0)
        assert refused.value.code == "STALE_VERSION"
        assert selectors.flag_enabled(Flag.MONITORING_ENABLED)

    def test_several_change_together_under_one_trace(self, now):
        changes = {Flag.MONITORING_ENABLED: True, Flag.KITE_MCP_ENABLED: True}
        services.set_flags(changes, actor="ann", now=now, expected_version=0)
        assert selectors.flags_version() == 2
        assert DecisionTrace.objects.count() == 1
        assert TraceClosing.objects.count() == 1
