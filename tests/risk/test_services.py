"""What risk writes: decisions with their inputs, policies, the trading state; each with its trace."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from risk.domain import Outcome, TradingStateName
from risk.models import RiskDecision, RiskPolicy, TradingState
from risk.policy import default_policy, policy_document
from risk.replay import replay_decision, replay_trace
from risk.selectors import active_policy, global_state, trading_state_for
from risk.services import decide, ensure_default_policy, publish_policy, set_trading_state, tighten_trading_state
from risk.shapes import decision_shape
from sigmatrader.audit import registry
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import DecisionTrace, ExceptionRecord, SystemEvent, TraceClosing, TraceEvent
from sigmatrader.audit.recording import recording
from tests.risk.build import NOW, book, holding, order

pytestmark = pytest.mark.django_db
ACTIVE, REDUCING, HALTED = TradingStateName.ACTIVE, TradingStateName.REDUCING, TradingStateName.HALTED


@pytest.fixture
def policy():
    return ensure_default_policy(now=NOW)


def decided(*orders, story=None, owner="7", **changes):
    return decide(
        orders or (order(),), book=book(**changes), owner=owner, correlation_id=story or new_correlation_id(),
        plan_id="plan-1", content_hash="c" * 64, now=NOW,
    )  # fmt: skip


def events(story):
    return list(TraceEvent.objects.filter(correlation_id=story).order_by("seq").values_list("type", flat=True))


class TestDecide:
    def test_the_verdict_is_stored_with_its_inputs_and_traced(self, policy):
        story = new_correlation_id()
        with recording(NOW) as record:
            trace = record.open(story, kind="plan", actor="t", origin="ticket")
            row, decision = decided(story=story)
        assert (row.outcome, row.policy_version, row.policy_hash) == ("allow", 1, policy.hash)
        assert (row.input_hash, row.account, row.content_hash) == (decision.input_hash, "paper-1", "c" * 64)
        assert events(story) == ["trace.opened", "risk.decided"]
        assert trace.links.filter(kind="decision", value=str(row.id)).exists()
        assert replay_decision(row) == []

    def test_a_denial_keeps_its_reasons(self, policy):
        row, _ = decided(order(quantity=200))
        assert row.denials == ["ORDER_VALUE_MAX", "POSITION_MAX"]
        shape = decision_shape(row)
        assert (shape["id"], shape["outcome"], shape["denials"]) == (str(row.id), "deny", row.denials)
        assert {"code", "verdict", "limit", "actual", "unit", "message"} <= set(shape["controls"][0])
        assert shape["alternatives"][0]["change"] == "133 shares would pass: ORDER_VALUE_MAX"
        assert set(shape["metrics"]) == {"before", "after"}

    def test_without_a_policy_everything_is_denied_and_somebody_is_told(self):
        row, decision = decided()
        assert (decision.outcome, row.denials, row.policy_version) == (Outcome.DENY, ["POLICY_ERROR"], 0)
        assert ExceptionRecord.objects.get().code == "RISKGATE_ERROR"

    def test_a_policy_edited_in_the_database_is_not_used(self, policy):
        active_policy()
        edited = policy.document.replace('"order_value_max":"200000"', '"order_value_max":"900000"')
        RiskPolicy.objects.filter(pk=1).update(document=edited, hash="0" * 64)
        assert decided()[0].denials == ["POLICY_ERROR"]

    def test_inputs_that_cannot_be_written_down_are_denied(self, policy):
        row, decision = decided(replace(order(), quantity=1.5))
        assert (decision.outcome, row.denials) == (Outcome.DENY, ["POLICY_ERROR"])
        assert row.inputs == "{}"


class TestReplay:
    def test_an_edited_input_or_verdict_shows(self, policy):
        story = new_correlation_id()
        row, _ = decided(order(quantity=200), story=story)
        assert replay_trace(story) == []
        RiskDecision.objects.filter(pk=row.pk).update(inputs=row.inputs.replace('"quantity":200', '"quantity":10'))
        fields = {difference["field"] for difference in replay_trace(story)}
        assert {"outcome", "controls", "input_hash"} <= fields
        RiskDecision.objects.filter(pk=row.pk).update(inputs=row.inputs, outcome="allow")
        assert [difference["field"] for difference in replay_trace(story)] == ["column outcome"]

    def test_it_is_where_the_trace_page_looks(self, policy):
        story = new_correlation_id()
        row, _ = decided(story=story)
        assert registry.replay(story) == []
        assert registry.sections_of(story)["decision"]["id"] == str(row.id)
        with pytest.raises(LookupError):
            registry.replay(new_correlation_id())


class TestPolicy:
    def test_the_default_is_published_once(self, policy):
        assert ensure_default_policy(now=NOW) == policy
        assert (policy.version, policy.published_by) == (1, "up")
        assert active_policy() == default_policy(version=1)

    def test_a_new_version_is_in_force_at_once_and_traced(self, policy):
        document = policy_document(default_policy())
        document["limits"]["order_value_max"] = "1000"
        document["delegation"]["order_value_max"] = "500"
        row = publish_policy(document, note="tighter", actor="staff", now=NOW)
        assert (row.version, active_policy().limits.order_value_max) == (2, 1000)
        assert decided()[0].denials == ["ORDER_VALUE_MAX"]
        trace = DecisionTrace.objects.filter(kind="policy").order_by("started_at", "correlation_id").last()
        assert "policy.published" in events(trace.correlation_id)
        assert SystemEvent.objects.filter(category="RISK_POLICY", details__version=2).count() == 1

    def test_an_invalid_one_names_its_faults_and_the_old_one_stays(self, policy):
        document = policy_document(default_policy())
        document["limits"]["position_percent"] = "101"
        with pytest.raises(Problem) as caught:
            publish_policy(document, note="", actor="staff", now=NOW)
        assert (caught.value.status_code, caught.value.code) == (422, "POLICY_INVALID")
        assert [fault.field for fault in caught.value.errors] == ["limits.position_percent"]
        assert active_policy().version == 1

    def test_somebody_elses_version_is_not_overwritten(self, policy):
        with pytest.raises(Problem) as caught:
            publish_policy(policy_document(default_policy()), note="", actor="s", now=NOW, expected_version=0)
        assert (caught.value.code, RiskPolicy.objects.count()) == ("STALE_VERSION", 1)


class TestTradingState:
    def test_pulling_needs_no_reason_and_is_traced(self):
        row = set_trading_state(scope="global", state=HALTED, actor="asha", now=NOW)
        assert (row.state, row.version, global_state(now=NOW)) == ("HALTED", 1, (HALTED, ""))
        trace = DecisionTrace.objects.get(kind="trading_state")
        assert events(trace.correlation_id) == ["trace.opened", "trading_state.set", "trace.closed"]
        assert TraceClosing.objects.get().outcome == "changed"
        assert SystemEvent.objects.get().event_type == "TRADING_STATE_SET"

    def test_releasing_needs_a_reason(self):
        set_trading_state(scope="global", state=HALTED, actor="asha", now=NOW)
        for state in (ACTIVE, REDUCING):
            with pytest.raises(Problem) as caught:
                set_trading_state(scope="global", state=state, actor="asha", now=NOW, reason="  ")
            assert caught.value.code == "REASON_REQUIRED"
        assert global_state(now=NOW)[0] is HALTED
        set_trading_state(scope="global", state=ACTIVE, actor="asha", now=NOW, reason="checked")
        assert global_state(now=NOW) == (ACTIVE, "checked")

    def test_shortening_a_hold_is_a_release(self):
        set_trading_state(scope="global", state=HALTED, actor="asha", now=NOW)
        with pytest.raises(Problem):
            set_trading_state(scope="global", state=HALTED, actor="asha", now=NOW, until=NOW + timedelta(hours=1))

    def test_a_timed_state_ends_by_itself(self):
        set_trading_state(scope="global", state=HALTED, actor="a", now=NOW, until=NOW + timedelta(hours=1))
        assert global_state(now=NOW + timedelta(minutes=59))[0] is HALTED
        assert global_state(now=NOW + timedelta(hours=1)) == (ACTIVE, "")

    def test_a_time_that_has_passed_is_refused(self):
        with pytest.raises(Problem) as caught:
            set_trading_state(scope="global", state=HALTED, actor="a", now=NOW, until=NOW)
        assert (caught.value.code, TradingState.objects.count()) == ("BAD_RANGE", 0)

    def test_the_narrowest_of_global_and_account_is_in_force(self):
        set_trading_state(scope="acc", state=HALTED, actor="a", now=NOW, reason="mismatch")
        set_trading_state(scope="global", state=REDUCING, actor="a", now=NOW, reason="calm")
        assert trading_state_for("acc", now=NOW) == (HALTED, "mismatch")
        assert trading_state_for("other", now=NOW) == (REDUCING, "calm")

    def test_an_order_story_gets_the_event_but_keeps_its_outcome_open(self):
        story = new_correlation_id()
        with recording(NOW) as record:
            record.open(story, kind="plan", actor="t", origin="ticket")
        set_trading_state(scope="acc", state=HALTED, actor="execution", now=NOW, reason="x", correlation_id=story)
        assert events(story) == ["trace.opened", "trading_state.set"]
        assert TraceClosing.objects.count() == 0

    def test_the_brake_never_loosens(self):
        set_trading_state(scope="acc", state=HALTED, actor="asha", now=NOW)
        tighten_trading_state(scope="acc", state=REDUCING, actor="execution", now=NOW, reason="mismatch")
        assert trading_state_for("acc", now=NOW)[0] is HALTED
        tighten_trading_state(scope="new", state=REDUCING, actor="execution", now=NOW, reason="mismatch")
        assert trading_state_for("new", now=NOW) == (REDUCING, "mismatch")

    def test_the_brake_outlasts_a_timed_halt(self):
        set_trading_state(scope="acc", state=HALTED, actor="asha", now=NOW, until=NOW + timedelta(minutes=1))
        tighten_trading_state(scope="acc", state=REDUCING, actor="execution", now=NOW, reason="mismatch")
        assert trading_state_for("acc", now=NOW + timedelta(hours=1))[0] is HALTED


class TestCommand:
    def run(self, *arguments):
        out = StringIO()
        call_command("trading_state", *arguments, stdout=out)
        return out.getvalue()

    def test_it_pulls_and_releases(self):
        told = json.loads(self.run("HALTED", "--json"))
        assert (told["scope"], told["state"], told["set_by"], told["until"]) == ("global", "HALTED", "shell", None)
        assert self.run("ACTIVE").strip() == "All accounts: trading is ACTIVE."
        assert TradingState.objects.get().reason == "Released from the shell."

    @pytest.mark.parametrize("until", ["yesterday", "2026-11-23T15:30:00", "2020-01-01T00:00:00+00:00"])
    def test_a_bad_time_is_a_sentence(self, until):
        with pytest.raises(CommandError):
            self.run("HALTED", "--until", until)
        assert TradingState.objects.count() == 0


class TestApi:
    URL = "/api/risk/policy"

    def body(self, **limits):
        document = policy_document(default_policy())
        document["limits"].update(limits)
        return {"policy": document, "note": "tighter"}

    def test_everyone_signed_in_reads_the_policy(self, policy, viewer_api, anonymous_api):
        answer = viewer_api.get(self.URL)
        assert (answer.status_code, answer.json()["version"], answer.json()["hash"]) == (200, 1, policy.hash)
        assert answer.json()["policy"] == json.loads(policy.document)
        assert anonymous_api.get(self.URL).status_code in (401, 403)

    def test_only_staff_who_proved_it_lately_publish(self, policy, trader_api, staff_api, reauthenticated):
        assert trader_api.put(self.URL, self.body(), format="json").status_code == 403
        refused = staff_api.put(self.URL, self.body(), format="json")
        assert (refused.status_code, refused.json()["code"]) == (403, "REAUTH_REQUIRED")
        assert RiskPolicy.objects.count() == 1
        answer = reauthenticated(staff_api).put(self.URL, self.body(order_value_max="150000"), format="json")
        assert (answer.status_code, answer.json()["version"], answer.json()["note"]) == (200, 2, "tighter")
        versions = staff_api.get(f"{self.URL}/versions?limit=1").json()
        assert [row["version"] for row in versions["results"]] == [2]
        assert versions["next"]

    def test_every_fault_is_named(self, policy, staff_api, reauthenticated):
        answer = reauthenticated(staff_api).put(self.URL, self.body(quote_age_s=0, extra=1), format="json")
        assert (answer.status_code, answer.json()["code"]) == (422, "POLICY_INVALID")
        assert {error["field"] for error in answer.json()["errors"]} == {"limits.quote_age_s", "limits.extra"}
        assert RiskPolicy.objects.count() == 1

    def test_a_decision_is_its_owners(self, policy, trader, trader_api, api_for, other_trader):
        row, _ = decided(order(quantity=200), owner=str(trader.pk), holdings=(holding(quantity=1),))
        answer = trader_api.get(f"/api/risk/decisions/{row.id}")
        assert (answer.status_code, answer.json()["id"], answer.json()["outcome"]) == (200, str(row.id), "deny")
        assert answer.json()["alternatives"][0]["passes"] is True
        assert api_for(other_trader).get(f"/api/risk/decisions/{row.id}").status_code == 404


class TestAdmin:
    def test_decisions_policies_and_states_are_for_reading(self, policy, staff, api_for):
        row, _ = decided(order(quantity=200))
        set_trading_state(scope="global", state=HALTED, actor="a", now=NOW)
        type(staff).objects.filter(pk=staff.pk).update(is_superuser=True)
        client = api_for(staff)
        page = client.get(f"/admin/risk/riskdecision/{row.pk}/change/").content.decode()
        assert "one order may be worth at most ₹2,00,000" in page
        assert "133 shares would pass" in page
        for path in ("riskdecision", "riskpolicy", "tradingstate", "riskpolicy/1/change", "tradingstate/global/change"):
            assert client.get(f"/admin/risk/{path}/").status_code == 200
        assert client.post(f"/admin/risk/riskdecision/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get("/admin/risk/riskpolicy/add/").status_code == 403
        assert RiskDecision.objects.count() == 1
