"""From what arrived to what can be read: one canonical spelling, no hidden characters, quoted text taken out.

Symbols and numbers are ASCII after NFKC or they are not read at all (FAULTS I10). Pure.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_LENGTH = 4000
_ALIKE = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": " - ", "−": "-"}
)
_INVISIBLE = frozenset("\u200b\u200c\u200d\ufeff\u2060\u200e\u200f\u00ad")
_DOUBLE_QUOTED = re.compile(r'"[^"]*"|`[^`]*`')
_SINGLE_QUOTED = re.compile(r"(?:(?<=\s)|^)'[^']*'(?=[\s.,;:!?]|$)")
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_FORWARD_MARKS = (
    "forwarded message",
    "forwarded:",
    "fwd:",
    "---- ",
    "begin forwarded",
    "<system",
    "[system",
    "system:",
    "assistant:",
)


@dataclass(frozen=True, slots=True)
class CleanText:
    """``text`` is what may be read. ``hidden`` holds the names of characters that could mislead the eye."""

    text: str
    quoted: bool
    hidden: tuple[str, ...]
    foreign: bool


def clean(raw: str) -> CleanText:
    """Normalises and strips. ``foreign`` is True where a letter or digit outside ASCII remains."""
    hidden = tuple(sorted({_name(char) for char in raw if _misleads(char)}))
    visible = "".join(" " if _misleads(char) else char for char in raw if char not in _INVISIBLE)
    numeral = any(unicodedata.category(char) in ("No", "Nl") for char in visible)
    text = unicodedata.normalize("NFKC", visible.translate(_ALIKE)).translate(_ALIKE)
    without = _without_quotes(text)
    foreign = numeral or any(char.isalnum() and not char.isascii() for char in without)
    return CleanText(text=without, quoted=without != text, hidden=hidden, foreign=foreign)


def _without_quotes(text: str) -> str:
    low = text.lower()
    cuts = [at for mark in _FORWARD_MARKS if (at := low.find(mark)) >= 0]
    kept = text[: min(cuts)] if cuts else text
    for pattern in (_QUOTED_LINE, _DOUBLE_QUOTED, _SINGLE_QUOTED):
        kept = pattern.sub(" ", kept)
    opened = kept.find('"')
    return kept[:opened] if opened >= 0 else kept


def _misleads(char: str) -> bool:
    """True for format and control characters that reorder or hide text, and for unassigned or private ones."""
    if char in _INVISIBLE or char in "\n\r\t":
        return False
    return unicodedata.category(char) in ("Cf", "Cc", "Co", "Cs", "Cn")


def _name(char: str) -> str:
    return unicodedata.name(char, f"U+{ord(char):04X}")
