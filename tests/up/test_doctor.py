"""What `doctor` finds, and what it keeps to itself."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from sigmatrader import doctor, readiness
from sigmatrader.doctor import Verdict

pytestmark = pytest.mark.django_db


def _found(area):
    return [finding for finding in doctor.examine() if finding.area == area]


def test_says_what_is_down_and_what_to_do(monkeypatch):
    monkeypatch.setattr(readiness, "answers", lambda url, timeout_s=1.0: False)
    (finding,) = [f for f in _found("broker") if f.verdict is Verdict.MISSING]
    assert finding.text == "The paper exchange does not answer."
    assert finding.advice.startswith("Start manage.py up")


def test_a_shared_key_is_unsafe(settings):
    settings.AUDIT_KEY = settings.SECRET_KEY
    assert any(f.verdict is Verdict.UNSAFE and "must differ" in f.text for f in _found("settings"))


def test_sqlite_without_its_pragmas_is_unsafe(settings):
    settings.DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "DEFERRED"}}
    }
    (finding,) = [f for f in _found("settings") if "SQLite" in f.text]
    assert "journal_mode=WAL" in finding.text
    assert "IMMEDIATE" in finding.text


def test_shows_what_is_in_force_without_the_secrets(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "very-secret-indeed")
    monkeypatch.setenv("REDIS_URL", "redis://user:hunter2@127.0.0.1:6379/1")
    shown = [finding.text for finding in _found("configuration")]
    assert "SECRET_KEY=(set) (from the environment)" in shown
    assert "REDIS_URL=redis://…@127.0.0.1:6379/1 (from the environment)" in shown
    assert not any("hunter2" in text or "very-secret" in text for text in shown)


def test_json_and_exit_code(monkeypatch):
    monkeypatch.setattr(readiness, "answers", lambda url, timeout_s=1.0: False)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (ended.value.code, report["ok"]) == (1, False)
    assert {"area", "verdict", "text", "advice"} == set(report["findings"][0])
