"""A policy as a file: YAML for people, JSON for programs. Figures never pass through floats."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from risk.policy import Policy, policy_document
from sigmatrader.audit import canonical


class PolicyFileInvalid(ValueError):
    """The file is neither YAML nor JSON, or cannot be read; the text says where."""


class _Loader(yaml.SafeLoader):
    """YAML without floats, dates or a key that is there twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | str:
    text = str(loader.construct_scalar(node))
    try:
        return Decimal(text.replace("_", ""))
    except ArithmeticError:
        return text  # .inf and .nan: the policy says that they are no figures


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def read_policy_file(path: Path) -> object:
    """The document of a YAML or JSON file, not checked yet. Raises PolicyFileInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyFileInvalid(f"{path} cannot be read: {exc}") from exc
    return parse_policy_text(text, name=str(path))


def parse_policy_text(text: str, *, name: str = "The document") -> object:
    """The same from text. JSON is read as JSON, anything else as YAML."""
    try:
        if text.lstrip().startswith("{"):
            document: object = json.loads(text, parse_float=Decimal)
            return document
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (ValueError, yaml.YAMLError, RecursionError) as exc:
        raise PolicyFileInvalid(f"{name} is neither YAML nor JSON: {exc}") from exc


def policy_yaml(policy: Policy) -> str:
    """The policy for people; ``parse_policy_text`` reads it back to the same policy."""
    plain = json.loads(canonical.dumps(policy_document(policy)))
    document = {name: plain[name] for name in policy_document(policy)}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)


def differences(before: object, after: object, *, path: str = "") -> list[dict[str, object]]:
    """What differs between two documents: dotted field, value before and after (None where it is not there)."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        found = [
            differences(before.get(key), after.get(key), path=f"{path}.{key}" if path else str(key)) for key in keys
        ]
        return [row for rows in found for row in rows]
    return [] if before == after else [{"field": path, "before": before, "after": after}]
