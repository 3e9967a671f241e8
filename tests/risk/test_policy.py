"""The policy document: every fault is named, and a policy survives the trip through its document."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from risk.policy import PolicyInvalid, default_policy, parse_policy, policy_document


def faults_of(document):
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(document)
    return [(fault.field, fault.code) for fault in caught.value.faults]


def changed(**limits):
    document = policy_document(default_policy())
    document["limits"].update(limits)
    return document


def test_the_defaults_are_the_documented_ones():
    limits = policy_document(default_policy())["limits"]
    assert (limits["order_value_max"], limits["day_value_max"], limits["big_order_value"]) == (
        "200000", "1000000", "100000",
    )  # fmt: skip
    assert (limits["price_collar_equity_percent"], limits["price_collar_option_percent"]) == ("5", "20")
    assert (limits["position_percent"], limits["exposure_percent"], limits["open_positions_max"]) == ("25", "100", 20)
    assert (limits["quote_age_s"], limits["snapshot_age_s"]) == (10, 30)
    assert (limits["rejects_max"], limits["rejects_window_s"]) == (3, 300)


def test_a_document_gives_the_same_policy_back():
    policy = default_policy(version=7)
    assert parse_policy(policy_document(policy), version=7) == policy
    assert parse_policy(policy_document(policy)).hash == policy.hash


def test_the_hash_is_of_the_content_not_of_the_spelling_or_the_number():
    assert parse_policy(changed(order_value_max="200000.00"), version=9).hash == default_policy().hash
    assert parse_policy(changed(order_value_max=Decimal("199999"))).hash != default_policy().hash


@pytest.mark.parametrize("value", ["-1", "0", -5, "abc", "NaN", "Infinity", 1.5, True, None, [], "1e30"])
def test_a_figure_that_is_none_is_refused(value):
    ((field, code),) = faults_of(changed(order_value_max=value))
    assert field == "limits.order_value_max"
    assert code in ("BAD_TYPE", "BAD_RANGE")


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"position_percent": "101"}, ("limits.position_percent", "BAD_RANGE")),
        ({"open_positions_max": "2.5"}, ("limits.open_positions_max", "BAD_TYPE")),
        ({"intraday_shorts": 1}, ("limits.intraday_shorts", "BAD_TYPE")),
        ({"no_such_rule": 1}, ("limits.no_such_rule", "UNKNOWN_FIELD")),
        ({"order_value_min": "200001"}, ("limits.order_value_min", "CONTRADICTION")),
        ({"day_value_max": "199999"}, ("limits.order_value_max", "CONTRADICTION")),
        ({"orders_per_minute": 9}, ("limits.orders_per_second", "CONTRADICTION")),
        ({"position_percent": "60", "exposure_percent": "50"}, ("limits.position_percent", "CONTRADICTION")),
    ],
)
def test_each_fault_names_its_field(limits, fault):
    assert faults_of(changed(**limits)) == [fault]


def test_all_faults_are_named():
    document = changed(order_value_max=-1, quote_age_s="x")
    del document["limits"]["rejects_max"]
    document["allowed"]["products"] = ["CNC", "BO"]
    document["allowed"]["restricted_symbols"] = ["INFY"]
    document["extra"] = {}
    document["schema_version"] = 99
    assert set(faults_of(document)) == {
        ("extra", "UNKNOWN_FIELD"), ("schema_version", "UNKNOWN_VERSION"), ("limits.rejects_max", "MISSING"),
        ("limits.order_value_max", "BAD_RANGE"), ("limits.quote_age_s", "BAD_TYPE"),
        ("allowed.products", "BAD_VALUE"), ("allowed.restricted_symbols", "BAD_VALUE"),
    }  # fmt: skip


@pytest.mark.parametrize("document", [None, [], "x", {}, {"schema_version": 1, "limits": [], "allowed": 1}])
def test_what_is_no_policy_at_all_is_refused(document):
    assert faults_of(document)


def test_words_are_kept_sorted_and_once():
    document = policy_document(default_policy())
    document["allowed"]["products"] = ["MIS", "CNC", "MIS"]
    assert parse_policy(document).allowed.products == ("CNC", "MIS")


def test_a_policy_differs_by_any_section():
    policy = default_policy()
    assert replace(policy, delegation=replace(policy.delegation, order_value_max=Decimal(1))).hash != policy.hash
