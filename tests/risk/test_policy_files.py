"""Sections of a policy, the policy as a file, its command, and the preview of what another one would have changed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from broker.domain import Product
from risk.documents import PolicyFileInvalid, differences, parse_policy_text, policy_yaml
from risk.domain import Actor
from risk.models import RiskDecision, RiskPolicy
from risk.policy import PolicyInvalid, default_policy, parse_policy, policy_document
from risk.services import ensure_default_policy
from tests.risk.build import NOW, D, book, order
from tests.risk.test_gate import judged
from tests.risk.test_services import decided


def with_sections(**sections):
    return policy_document(default_policy()) | {"sections": sections}


def old_document():
    """What a policy of schema 1 looked like."""
    return policy_document(replace(default_policy(), schema=1))


class TestSections:
    POLICY = parse_policy(
        with_sections(
            account={"paper-1": {"order_value_max": "15000"}},
            product={"MIS": {"order_value_max": "3000"}},
            symbol={"NSE:INFY": {"order_quantity_max": 9}, "NSE:TCS": {"order_quantity_max": 1}},
            actor={"assistant": {"order_value_max": "14999.99"}, "trader": {"order_value_max": "150000"}},
        )
    )

    @pytest.mark.parametrize(
        ("asked", "changes", "codes"),
        [
            (order(), {}, ("ORDER_QTY_MAX",)),
            (order(symbol="BSE:INFY"), {}, ()),
            (order(symbol="BSE:INFY", limit_price=D("1500.10")), {}, ("ORDER_VALUE_MAX",)),
            (order(symbol="BSE:INFY"), {"actor": Actor.ASSISTANT}, ("ORDER_VALUE_MAX",)),
            (order(symbol="BSE:INFY", product=Product.MIS, quantity=2), {}, ()),
            (order(symbol="BSE:INFY", product=Product.MIS, quantity=3), {}, ("ORDER_VALUE_MAX",)),
            (order(symbol="BSE:INFY", limit_price=D("1510"), quantity=20), {"account": "other"}, ()),
        ],
    )
    def test_the_tightest_that_applies_counts(self, asked, changes, codes):
        assert judged(asked, policy=self.POLICY, **changes).denials == codes

    def test_a_section_may_be_wider_than_the_general_figure(self):
        policy = parse_policy(with_sections(symbol={"NSE:INFY": {"order_value_max": "300000"}}))
        assert judged(order(quantity=150), policy=policy).denials == ()
        assert judged(order(quantity=150, symbol="BSE:INFY"), policy=policy).denials == ("ORDER_VALUE_MAX",)

    def test_every_fault_is_named(self):
        document = with_sections(
            product={"CNX": {"order_value_max": "1"}}, symbol={"INFY": {"order_value_max": "1"}, "NSE:A": {}},
            actor={"assistant": {"order_value_max": "-1", "nothing": 1, "mis_leverage": 2}}, weather={},
        )  # fmt: skip
        with pytest.raises(PolicyInvalid) as caught:
            parse_policy(document)
        assert {(fault.field, fault.code) for fault in caught.value.faults} == {
            ("sections.product.CNX", "BAD_VALUE"), ("sections.symbol.INFY", "BAD_VALUE"),
            ("sections.symbol.NSE:A", "BAD_TYPE"), ("sections.actor.assistant.order_value_max", "BAD_RANGE"),
            ("sections.actor.assistant.nothing", "UNKNOWN_FIELD"),
            ("sections.actor.assistant.mis_leverage", "BAD_SCOPE"), ("sections.weather", "UNKNOWN_FIELD"),
        }  # fmt: skip

    def test_they_survive_the_trip_and_count_in_the_hash(self):
        again = parse_policy(json.loads(json.dumps(policy_document(self.POLICY))))
        assert (again, again.hash) == (self.POLICY, self.POLICY.hash)
        assert again.hash != default_policy().hash

    def test_an_old_document_keeps_its_form_and_hash(self):
        policy = parse_policy(old_document(), version=4)
        assert policy_document(policy) == old_document()
        assert "sections" not in old_document()
        assert "daily_loss_percent" not in old_document()["limits"]
        assert policy.limits == default_policy().limits
        with pytest.raises(PolicyInvalid):
            parse_policy(old_document() | {"sections": {"actor": {"trader": {"order_value_max": "1"}}}})


class TestFiles:
    def test_yaml_and_back(self):
        policy = TestSections.POLICY
        assert parse_policy(parse_policy_text(policy_yaml(policy))) == policy

    def test_figures_written_plainly_are_exact(self):
        text = policy_yaml(default_policy()).replace("'200000'", "199999.95")
        assert parse_policy(parse_policy_text(text)).limits.order_value_max == Decimal("199999.95")

    @pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "{", "!!python/object:os.system x"])
    def test_what_is_no_document_is_refused(self, text):
        with pytest.raises(PolicyFileInvalid):
            parse_policy_text(text)

    def test_differences_name_each_field(self):
        before = policy_document(default_policy())
        after = policy_document(parse_policy(with_sections(actor={"monitor": {"order_value_max": "1"}})))
        after["limits"] = before["limits"] | {"quote_age_s": 5}
        assert differences(before, after) == [
            {"field": "limits.quote_age_s", "before": 10, "after": 5},
            {"field": "sections.actor.monitor", "before": None, "after": {"order_value_max": "1"}},
        ]


@pytest.mark.django_db
class TestCommand:
    def run(self, *arguments):
        out = StringIO()
        call_command("risk_policy", *arguments, stdout=out)
        return out.getvalue()

    @pytest.fixture(autouse=True)
    def _policy(self):
        ensure_default_policy(now=NOW)

    def test_export_change_diff_publish_roll_back(self, tmp_path):
        path = tmp_path / "policy.yaml"
        self.run("export", str(path))
        path.write_text(path.read_text().replace("order_value_max: '200000'", "order_value_max: '150000'"))
        assert self.run("diff", str(path)) == 'limits.order_value_max: "200000" -> "150000"\n'
        assert "is a policy" in self.run("import", str(path))
        assert RiskPolicy.objects.count() == 1
        assert json.loads(self.run("publish", str(path), "--note", "tighter", "--json"))["version"] == 2
        assert json.loads(self.run("diff", "--version", "1", "--json"))["differences"][0]["after"] == "200000"
        self.run("publish", "--version", "1", "--note", "back")
        assert list(RiskPolicy.objects.values_list("version", "note")) == [
            (3, "back"), (2, "tighter"), (1, "The policy a fresh installation starts with."),
        ]  # fmt: skip
        assert RiskPolicy.objects.get(version=3).hash == RiskPolicy.objects.get(version=1).hash
        assert self.run("diff", "--version", "3").startswith("The same")
        assert "order_value_max: '200000'" in self.run("show")

    def test_every_fault_of_a_file_is_named_and_nothing_published(self, tmp_path):
        path = tmp_path / "policy.yaml"
        path.write_text(policy_yaml(default_policy()).replace("quote_age_s: 10", "quote_age_s: 0\n  extra: 1"))
        for action in ("import", "publish", "diff"):
            with pytest.raises(CommandError) as caught:
                self.run(action, str(path), "--note", "x")
            assert "limits.quote_age_s" in str(caught.value)
            assert "limits.extra" in str(caught.value)
        assert RiskPolicy.objects.count() == 1

    @pytest.mark.parametrize("arguments", ["publish", "publish --note x", "import", "show --version 9"])
    def test_what_is_missing_is_a_sentence(self, arguments):
        with pytest.raises(CommandError):
            self.run(*arguments.split())


@pytest.mark.django_db
class TestPreview:
    URL = "/api/risk/policy/preview"

    def body(self, **limits):
        document = policy_document(default_policy())
        document["limits"] |= limits
        return {"policy": document}

    @pytest.fixture(autouse=True)
    def _policy(self):
        ensure_default_policy(now=NOW)

    def test_it_names_the_decisions_that_would_change(self, trader, trader_api):
        passed, _ = decided(order(quantity=100), owner=str(trader.pk))
        decided(order(quantity=1), owner=str(trader.pk))
        decided(order(quantity=100), owner="somebody else")
        answer = trader_api.post(self.URL, self.body(order_value_max="140000"), format="json").json()
        assert (answer["checked"], answer["skipped"], len(answer["changed"])) == (2, 0, 1)
        assert answer["differences"] == [{"field": "limits.order_value_max", "before": "200000", "after": "140000"}]
        (row,) = answer["changed"]
        assert (row["id"], row["symbols"]) == (str(passed.id), ["NSE:INFY"])
        assert row["before"] == {"outcome": "allow", "denials": []}
        assert row["after"] == {"outcome": "deny", "denials": ["ORDER_VALUE_MAX"]}
        assert (RiskPolicy.objects.count(), RiskDecision.objects.count()) == (1, 3)

    def test_only_the_last_are_asked(self, trader, trader_api):
        decided(owner=str(trader.pk))
        decided(owner=str(trader.pk))
        answer = trader_api.post(self.URL, self.body() | {"last": 1}, format="json").json()
        assert (answer["checked"], answer["changed"]) == (1, [])

    def test_a_faulty_policy_and_strangers_are_refused(self, trader_api, anonymous_api):
        answer = trader_api.post(self.URL, self.body(quote_age_s=0), format="json")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limits.quote_age_s")
        assert anonymous_api.post(self.URL, self.body(), format="json").status_code in (401, 403)


def test_the_book_of_these_tests_is_whole():
    assert book().standing.connected is True
