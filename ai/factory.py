"""Which provider reads a message."""

from __future__ import annotations

from ai.context import Context
from ai.ports import LLMProvider
from ai.providers.builtin import BuiltinProvider

BUILTIN = "builtin"
PROVIDERS = (BUILTIN,)


def provider_for(name: str, *, context: Context) -> LLMProvider:
    """The named provider. Raises ValueError for one that does not exist."""
    if name not in PROVIDERS:
        raise ValueError(f"There is no provider {name!r}; known: {', '.join(PROVIDERS)}.")
    return BuiltinProvider(context)
