"""The built-in interpreter: messages to intents, by rules, without network, clock or database."""

from ai.interpreter.core import interpret, read
from ai.interpreter.reading import Reading

__all__ = ["Reading", "interpret", "read"]
