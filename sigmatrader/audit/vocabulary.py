"""The closed words of the audit records (DESIGN section 4, CONTRACTS sections 2, 6 and 8)."""

from __future__ import annotations

from enum import StrEnum


class TraceOutcome(StrEnum):
    ANSWERED = "answered"
    CLARIFIED = "clarified"
    REFUSED = "refused"
    DENIED = "denied"
    DECLINED = "declined"
    EXPIRED = "expired"
    FILLED = "filled"
    PARTLY_FILLED = "partly_filled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    NOT_PLACED = "not_placed"
    NEEDS_REVIEW = "needs_review"
    CHANGED = "changed"
    FAILED = "failed"


class EventLevel(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class EventCategory(StrEnum):
    AI_SETTINGS = "AI_SETTINGS"
    AI_PROVIDER = "AI_PROVIDER"
    KITE_MCP = "KITE_MCP"
    RISK_POLICY = "RISK_POLICY"
    EXECUTION = "EXECUTION"
    MONITORING = "MONITORING"
    SECURITY = "SECURITY"


class RecoveryPoint(StrEnum):
    """How far a keyed request got: STARTED may have done nothing, COMMITTED led to an order, DONE has its answer."""

    STARTED = "started"
    COMMITTED = "committed"
    DONE = "done"


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class ExceptionStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class ExceptionCode(StrEnum):
    """Every code an ExceptionRecord can bear (FAULTS section A, CONTROLS section 3)."""

    PLACEMENT_UNKNOWN = "PLACEMENT_UNKNOWN"
    PLACEMENT_NOT_FOUND = "PLACEMENT_NOT_FOUND"
    PLACEMENT_UNRESOLVED = "PLACEMENT_UNRESOLVED"
    LATE_ARRIVAL = "LATE_ARRIVAL"
    RISKGATE_ERROR = "RISKGATE_ERROR"
    PARTIAL_PLAN = "PARTIAL_PLAN"
    STATUS_REGRESSION = "STATUS_REGRESSION"
    BROKER_SCHEMA = "BROKER_SCHEMA"
    PARTIAL_FILL = "PARTIAL_FILL"
    ORDER_REJECTED = "ORDER_REJECTED"
    DUPLICATE_TAG = "DUPLICATE_TAG"
    ORDER_MISMATCH = "ORDER_MISMATCH"
    EXTERNAL_ORDER = "EXTERNAL_ORDER"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    MCP_SESSION_LOST = "MCP_SESSION_LOST"
    EXECUTION_TOOL_MISSING = "EXECUTION_TOOL_MISSING"
    TOOL_SCHEMA_CHANGED = "TOOL_SCHEMA_CHANGED"
    RATE_LIMITED = "RATE_LIMITED"
    CLOCK_SKEW = "CLOCK_SKEW"
    ORPHAN_TAGGED_ORDER = "ORPHAN_TAGGED_ORDER"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    QUEUE_UNAVAILABLE = "QUEUE_UNAVAILABLE"
    STALE_SNAPSHOT = "STALE_SNAPSHOT"
    AUDIT_CHAIN_BROKEN = "AUDIT_CHAIN_BROKEN"
    SECRET_UNREADABLE = "SECRET_UNREADABLE"  # noqa: S105
    RECON_DELTA = "RECON_DELTA"
    RECON_STALE = "RECON_STALE"
