"""The action card: what it shows in each state, and what it never offers."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.template.loader import render_to_string

from sigmatrader.pages.card_parts import figure
from sigmatrader.pages.card_view import CardView
from tests.web import fixtures


def html(view: CardView, at: str = "panel") -> str:
    return render_to_string("components/card.html", {"card": view, "at": at})


def test_an_open_card_shows_every_figure_that_approval_binds_to(now: datetime) -> None:
    page = html(fixtures.card(now))
    for text in ("SELL", "HDFCBANK", "₹1,012.00", "₹1,003.40", "limit is 0.86% above", "₹1,21,440.00", "₹125.98",
                 "₹1,82,450.00", "₹3,03,764.02", "PASS", "sell half my HDFCBANK at 1012", "5:00 left",
                 "HDFC Bank Ltd"):  # fmt: skip
        assert text in page, text
    assert "Approve · SELL 120" in page
    assert f'data-hash="{"9f3ac2" + "0" * 58}"' in page
    assert 'hx-trigger="every 5s"' in page


def test_a_veto_card_has_no_approve_disabled_or_not(now: datetime) -> None:
    alternatives = [
        {"change": "quantity 62", "code": "ORDER_VALUE_MAX", "quantity": 62, "limit_price": None, "passes": True}
    ]
    risk = fixtures.decision("ORDER_VALUE_MAX", "MARGIN_INSUFFICIENT", alternatives=alternatives)
    page = html(fixtures.card(now, kind="veto", state="denied", risk=risk))
    assert "data-card-approve" not in page
    assert "Approve ·" not in page
    assert "ORDER_VALUE_MAX" in page
    assert "2 denials · 0 orders sent" in page
    assert "Make a card for 62" in page
    assert page.index("ORDER_VALUE_MAX") < page.index("1 rule passed")
    assert 'role="alert"' in page


def test_execution_off_is_said_inside_the_button_for_the_assistants_card_only(now: datetime) -> None:
    off = fixtures.card(now, around={"execution_on": False})
    assert "Execution off" in html(off)
    assert "data-card-approve" not in html(off)
    ticket = fixtures.card(now, around={"execution_on": False}, source={"origin": "ticket"})
    assert "data-card-approve" in html(ticket)


def test_the_kill_switch_is_said_inside_the_button_of_every_card(now: datetime) -> None:
    view = fixtures.card(now, around={"trading_state": "HALTED", "trading_since": now}, source={"origin": "ticket"})
    assert view.off is not None
    assert view.off.reason == "Off: kill switch since 10:30"
    assert "data-card-approve" not in html(view)


def test_a_big_order_waits_for_its_quantity(now: datetime) -> None:
    big = html(fixtures.card(now, around={"big_from": Decimal(100_000)}))
    assert 'data-type-quantity="120"' in big
    assert 'data-testid="card-approve" aria-disabled="true"' in big
    assert "data-type-quantity" not in html(fixtures.card(now))


def test_an_open_card_past_its_time_reads_as_expired_and_offers_a_new_price(now: datetime) -> None:
    view = fixtures.card(now, around={"now": now + timedelta(minutes=5)})
    assert view.state == "expired"
    assert view.folded
    assert "data-card-approve" not in html(view)
    assert "Price it again" in html(view)
    assert view.poll == ""


def test_an_unknown_outcome_is_never_called_failed(now: datetime) -> None:
    view = fixtures.card(now, state="executing", orders=[fixtures.order("AMBIGUOUS", now=now)])
    page = html(view)
    assert "Checking with the broker." in page
    assert "never sent again" in page
    assert view.badge.word == "checking"
    assert view.poll == "1s"
    assert "failed" not in page
    assert "Retry" not in page
    assert "data-card-approve" not in page


def test_a_done_card_tells_the_fill_and_the_reconciliation(now: datetime) -> None:
    run = {"id": "r", "delta_count": 0, "finished_at": now}
    view = fixtures.card(
        now, state="done", decided_at=now, orders=[fixtures.order("FILLED", filled=120, now=now)], around={"run": run}
    )
    page = html(view)
    assert "120 of 120" in page
    assert "Reconciled 10:30:00, 0 differences" in page
    assert view.poll == ""


def test_what_the_trader_or_broker_wrote_is_escaped(now: datetime) -> None:
    view = fixtures.card(now, source={"words": "<script>alert(1)</script>", "origin": "assistant"})
    assert "<script>" not in html(view)
    assert "&lt;script&gt;" in html(view)


def test_the_mark_changes_with_what_a_person_would_notice(now: datetime) -> None:
    plain = fixtures.card(now).mark
    assert fixtures.card(now).mark == plain
    assert fixtures.card(now, version=2).mark != plain
    assert fixtures.card(now, around={"execution_on": False}).mark != plain
    assert fixtures.card(now, orders=[fixtures.order("WORKING", now=now)]).mark != plain


def test_figures_get_the_form_of_their_unit() -> None:
    pairs = [("121440", "INR"), ("0.86", "percent"), ("120", "units"), ("NSE", ""), (None, "")]
    assert [figure(value, unit) for value, unit in pairs] == [
        "₹1,21,440.00", "0.86%", "120", "NSE", "",
    ]  # fmt: skip
    assert figure("1450 -> 1455", "INR") == "₹1,450.00 → ₹1,455.00"


def test_an_order_the_trader_cancelled_unfilled_is_told_as_cancelled_and_not_as_a_failure(now: datetime) -> None:
    view = fixtures.card(now, state="failed", decided_at=now, decided_by="meera",
                         orders=[fixtures.order("CANCELLED", now=now)])  # fmt: skip
    page = html(view)
    assert view.badge.word == "cancelled"
    assert "Cancelled, nothing filled." in page
    assert "Approved 10:30:00 by meera" in page
    assert "st-note-stop" not in page
    partly = fixtures.card(now, state="failed", orders=[fixtures.order("CANCELLED", filled=1, now=now)])
    assert partly.badge.word == "failed"


def test_a_stale_card_shows_what_it_was_made_with_and_what_is_true_now(now: datetime) -> None:
    moved = {"NSE:HDFCBANK": {"then": "1003.40", "now": "1009.10"}}
    page = html(fixtures.card(now, state="stale", decided_at=now, decided_by="price", around={"moved": moved}))
    for text in ("₹1,003.40", "₹1,009.10", "0.86% above", "0.29% above", "Show the new card"):
        assert text in page, text
    assert "by price" not in page
    assert "data-card-approve" not in page


def test_a_modify_or_cancel_is_told_in_words_with_what_it_changes(now: datetime) -> None:
    command = {
        "kind": "modify", "state": "DONE", "detail": "", "updated_at": now,
        "changes": {"quantity": 5, "order_type": "LIMIT", "limit_price": "1455", "trigger_price": None},
    }  # fmt: skip
    page = html(fixtures.card(now, state="done", decided_at=now, commands=[command]))
    assert "Modify done" in page
    assert "quantity 5 · limit ₹1,455.00" in page
