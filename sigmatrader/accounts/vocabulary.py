"""The closed words of accounts: roles and feature flags (CONTRACTS sections 1 and 2)."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    TRADER = "trader"


class Flag(StrEnum):
    """What a flag that is off stops is enforced where the work happens, not only on pages."""

    AI_ASSISTANT_ENABLED = "ai_assistant_enabled"
    AI_EXECUTION_ENABLED = "ai_execution_enabled"
    KITE_MCP_ENABLED = "kite_mcp_enabled"
    MONITORING_ENABLED = "monitoring_enabled"
