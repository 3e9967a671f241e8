"""Appends to the golden corpus of the engine in force: ``python -m tests.risk.make_golden``. Changes no line."""

from __future__ import annotations

import json
import os
from pathlib import Path


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
    import django

    django.setup()
    from risk import codec, gate
    from risk.controls.registry import ENGINE_VERSION
    from tests.risk import test_gate as cases
    from tests.risk.build import NOW, D, book, holding, order

    path = Path(__file__).parent / "golden" / f"engine-{ENGINE_VERSION}.jsonl"
    known = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    named = [("healthy", order(), {}), ("exit", order(**cases.SELL), {"holdings": (holding(),)})]
    named += [(f"deny-{code}-{n}", asked, changes) for n, (code, asked, changes) in enumerate(cases.DENIED)]
    named += [(f"limit-{n}", asked, changes) for n, (asked, changes) in enumerate(cases.AT_THE_LIMIT)]
    shown: set[str] = set()
    with path.open("a", encoding="utf-8") as file:
        for name, asked, changes in named:
            code = name.partition("-")[2].rpartition("-")[0] or name
            if name in known or code in shown:
                continue
            given = dict(changes)
            policy = given.pop("policy", cases.POLICY)
            given.setdefault("margin_required", {asked.leg: D("15020.50")})
            inputs = {"book": book(**given), "policy": policy, "now": NOW}
            document = codec.inputs_document([asked], **inputs)
            decision = codec.encode(gate.evaluate([asked], **inputs))
            file.write(codec.text_of({"name": name, "inputs": document, "decision": decision}) + "\n")
            shown.add(code)


if __name__ == "__main__":
    main()
