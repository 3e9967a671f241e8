"""The hook by its short name: ``audit.sections.register("plan", plan_of_trace)``."""

from __future__ import annotations

from sigmatrader.audit.registry import Section, register_section

__all__ = ["Section", "register"]

register = register_section
