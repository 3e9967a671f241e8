"""The tools a provider may call, by JSON Schema. None of them places an order: one hands in the Intent it has read."""

from __future__ import annotations

from ai.ports import Tool

SUBMIT_INTENT = "submit_intent"

SUBMIT_INTENT_TOOL = Tool(
    name=SUBMIT_INTENT,
    description="Hands in the Intent read from the trader's message. It is validated, planned and judged by code.",
    parameters={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": ["intent", "assumed"],
        "properties": {
            "intent": {"type": "object"},
            "assumed": {"type": "array", "items": {"type": "string"}},
        },
    },
)
