"""Decisions of every engine that has made any, kept in the repository: made again, they come out byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from risk import codec
from risk.controls.registry import ENGINE_VERSION, ENGINES
from risk.replay import recomputed

FOLDER = Path(__file__).parent / "golden"
ROOT = Path(__file__).resolve().parents[2]


def corpus(engine):
    lines = (FOLDER / f"engine-{engine}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("engine", list(ENGINES))
def test_no_change_alters_a_decision_that_was_made(engine):
    rows = corpus(engine)
    assert len(rows) >= 40
    for row in rows:
        inputs = codec.decode_inputs(codec.text_of(row["inputs"]))
        fresh = recomputed(row["inputs"], inputs, engine_version=engine)
        assert codec.text_of(fresh) == codec.text_of(row["decision"]), row["name"]


@pytest.mark.parametrize("engine", list(ENGINES))
def test_the_corpus_shows_every_control_deny(engine):
    rows = [control for row in corpus(engine) for control in row["decision"]["controls"]]
    denied = {control["code"] for control in rows if control["verdict"] == "deny"}
    assert {control.code.value for control in ENGINES[engine]} <= denied | {"MARKET_CLOSED"}


DIGEST = """
import hashlib, json, sys
import django
django.setup()
from risk import codec
from risk.replay import recomputed
digest = hashlib.sha256()
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    inputs = codec.decode_inputs(codec.text_of(row["inputs"]))
    digest.update(codec.text_of(recomputed(row["inputs"], inputs, engine_version=sys.argv[2])).encode())
print(digest.hexdigest())
"""


def test_same_input_same_bytes_in_other_processes_with_other_hash_seeds():
    found = set()
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "sigmatrader.settings"}
        path = FOLDER / f"engine-{ENGINE_VERSION}.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, str(path), ENGINE_VERSION], cwd=ROOT, env=environment, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-1000:]
        found.add(done.stdout)
    assert len(found) == 1
