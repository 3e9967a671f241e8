"""A start that must be refused, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"SECRET_KEY": "s" * 48, "AUDIT_KEY": "a" * 48, "FERNET_KEYS": "f" * 48, "ALLOWED_HOSTS": "trade.example.com"}


def _start(tmp_path, **environment):
    env = {
        "PATH": os.environ["PATH"],
        "SIGMATRADER_VAR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "sigmatrader.settings",
    }
    code = "from django.conf import settings; settings.DEBUG; print('started')"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**env, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.e2e
class TestProduction:
    @pytest.mark.parametrize("name", KEYS)
    def test_without_a_key_it_refuses_and_names_it(self, tmp_path, name):
        kept = {key: value for key, value in KEYS.items() if key != name}
        done = _start(tmp_path, SIGMATRADER_ENV="production", **kept)
        assert done.returncode != 0
        assert f"Production needs {name} in the environment" in done.stderr
        assert not (tmp_path / "secrets.env").exists()

    def test_with_one_key_for_two_uses_it_refuses(self, tmp_path):
        done = _start(tmp_path, SIGMATRADER_ENV="production", **{**KEYS, "AUDIT_KEY": KEYS["SECRET_KEY"]})
        assert "must differ" in done.stderr

    def test_with_all_of_them_it_starts(self, tmp_path):
        assert _start(tmp_path, SIGMATRADER_ENV="production", **KEYS).stdout == "started\n"


@pytest.mark.e2e
def test_a_fresh_checkout_makes_its_keys_once_and_privately(tmp_path):
    assert _start(tmp_path).stdout == "started\n"
    path = tmp_path / "secrets.env"
    made = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [line.partition("=")[0] for line in made.splitlines()] == ["SECRET_KEY", "FERNET_KEYS", "AUDIT_KEY"]
    _start(tmp_path)
    assert path.read_text() == made


@pytest.mark.e2e
def test_an_unknown_environment_is_a_sentence(tmp_path):
    assert "it must be practice or production" in _start(tmp_path, SIGMATRADER_ENV="staging").stderr
