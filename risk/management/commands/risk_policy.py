"""The policy as a file: show, export, import, diff, publish. A rollback publishes an old version again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from risk.documents import PolicyFileInvalid, differences, policy_yaml, read_policy_file
from risk.models import RiskPolicy
from risk.policy import Policy, PolicyInvalid, parse_policy, policy_document
from risk.services import publish_policy
from risk.shapes import policy_shape
from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import Problem

ACTOR = "shell"
ACTIONS = ("show", "export", "import", "diff", "publish")


class Command(BaseCommand):
    help = (
        "show the policy in force; export a version to a FILE; import (check) a FILE; diff a FILE or --version with "
        "the policy in force; publish a FILE, or an old --version again, with a --note."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("file", nargs="?", type=Path, help="YAML, or JSON where it begins with {")
        parser.add_argument("--version", type=int, dest="number", default=0, help="a stored version; default: in force")
        parser.add_argument("--note", default="", help="why; publish needs one")
        parser.add_argument("--json", action="store_true", dest="as_json")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's own --version gives way: here it names a version of the policy."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        act = {"show": self._show, "export": self._export, "import": self._import, "diff": self._diff,
               "publish": self._publish}[options["action"]]  # fmt: skip
        act(options)

    def _show(self, options: dict[str, Any]) -> None:
        row = _stored(options["number"])
        if options["as_json"]:
            self.stdout.write(canonical.dumps(policy_shape(row)))
            return
        self.stdout.write(
            f"# version {row.version}, {row.published_at:%Y-%m-%d %H:%M} by {row.published_by}: {row.note}"
        )
        self.stdout.write(policy_yaml(_policy_of(row)))

    def _export(self, options: dict[str, Any]) -> None:
        policy = _policy_of(_stored(options["number"]))
        text = canonical.dumps(policy_document(policy)) + "\n" if options["as_json"] else policy_yaml(policy)
        if options["file"] is None:
            self.stdout.write(text)
            return
        try:
            options["file"].write_text(text, encoding="utf-8")
        except OSError as exc:
            raise CommandError(f"{options['file']} cannot be written: {exc.strerror}") from exc
        self.stdout.write(f"Version {policy.version} is in {options['file']}.")

    def _import(self, options: dict[str, Any]) -> None:
        policy = _given(options)
        if options["as_json"]:
            self.stdout.write(canonical.dumps({"valid": True, "hash": policy.hash, "policy": policy_document(policy)}))
        else:
            self.stdout.write(f"{options['file']} is a policy ({policy.hash[:8]}). Publish it to put it in force.")

    def _diff(self, options: dict[str, Any]) -> None:
        now = _policy_of(_stored(0))
        other = _policy_of(_stored(options["number"])) if options["file"] is None else _given(options)
        rows = differences(policy_document(now), policy_document(other))
        if options["as_json"]:
            self.stdout.write(canonical.dumps({"same": not rows, "differences": rows}))
            return
        for row in rows:
            self.stdout.write(f"{row['field']}: {_text(row['before'])} -> {_text(row['after'])}")
        if not rows:
            self.stdout.write(f"The same as version {now.version}, which is in force.")

    def _publish(self, options: dict[str, Any]) -> None:
        if not options["note"].strip():
            raise CommandError("Say why with --note: it is kept with the version.")
        if options["file"] is None and not options["number"]:
            raise CommandError("Give a file, or the old version to publish again with --version.")
        policy = _given(options) if options["file"] is not None else _policy_of(_stored(options["number"]))
        try:
            row = publish_policy(policy_document(policy), note=options["note"], actor=ACTOR, now=timezone.now())
        except Problem as exc:
            raise CommandError(exc.text) from exc
        if options["as_json"]:
            self.stdout.write(json.dumps({"version": row.version, "hash": row.hash}))
        else:
            self.stdout.write(f"Risk policy version {row.version} is in force ({row.hash[:8]}).")


def _stored(version: int) -> RiskPolicy:
    rows = RiskPolicy.objects.filter(version=version) if version else RiskPolicy.objects.all()
    row = rows.first()
    if row is None:
        raise CommandError(f"There is no policy version {version}." if version else "There is no policy yet.")
    return row


def _policy_of(row: RiskPolicy) -> Policy:
    try:
        return parse_policy(json.loads(row.document), version=row.version)
    except PolicyInvalid as exc:
        raise CommandError(f"Version {row.version} cannot be used any more:\n{_faults(exc)}") from exc


def _given(options: dict[str, Any]) -> Policy:
    if options["file"] is None:
        raise CommandError("Give the file of the policy.")
    try:
        return parse_policy(read_policy_file(options["file"]))
    except PolicyFileInvalid as exc:
        raise CommandError(str(exc)) from exc
    except PolicyInvalid as exc:
        raise CommandError(f"{options['file']} is not a policy:\n{_faults(exc)}") from exc


def _faults(exc: PolicyInvalid) -> str:
    return "\n".join(f"  {fault.field}: {fault.message} ({fault.code})" for fault in exc.faults)


def _text(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)
