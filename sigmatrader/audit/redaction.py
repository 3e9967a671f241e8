"""What never leaves: one place that knows what a secret looks like, by the name of its field or by its shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

MASK = "****"
_SECRET_NAMES = re.compile(
    r"pass(word|wd|phrase)|secret|api_?key|(^|_)key_value$|token$|authorization_header|cookie|session_?id|"
    r"login_?url|enctoken|bearer|credential|private_?key|totp|(^|_)pin$|jwt",
    re.IGNORECASE,
)
_SHOWN_NAMES = re.compile(
    r"(^|_)masked$|_hash$|^hash$|digest$|^(max|input|output|total)_tokens?$|^(instrument|exchange)_token$",
    re.IGNORECASE,
)
_URL_SECRET = re.compile(
    r"([?&;](?:session_id|sessionid|request_token|access_token|api_key|token|sig|signature|key|code|state)=)[^&#\s\"']+",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_SCHEME = re.compile(r"\b((?:bearer|token|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+\b", re.ASCII)
_PAN = re.compile(r"\b[A-Z]{5}[0-9]{4}[A-Z]\b")
_LONG = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]{10,})*(?![\w-])", re.ASCII)
_OUR_IDS = re.compile(
    r"[0-9a-f]{64}|[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[a-z_]+(?:-[a-z_]+)*"
)


def mask(text: str) -> str:
    """First three and last four characters; only stars when there are 12 or fewer."""
    return MASK if len(text) <= 12 else f"{text[:3]}{MASK}{text[-4:]}"


def redact_text(text: str) -> str:
    """``text`` without tokens, secret URL parameters, e-mail addresses, tax numbers and long ids that are not ours."""
    text = _URL_SECRET.sub(rf"\1{MASK}", text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _EMAIL.sub(MASK, text)
    text = _PAN.sub(MASK, text)
    return _LONG.sub(lambda found: found[0] if _OUR_IDS.fullmatch(found[0]) else mask(found[0]), text)


def redact(value: object) -> object:
    """A copy of a document for the outside: fields named like secrets masked whole, all other text by ``redact_text``.

    Hashes, correlation ids and our own row ids stay, so that an export can be laid beside the record.
    """
    if isinstance(value, Mapping):
        return {key: _redact_field(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str) and not isinstance(value, Enum):
        return redact_text(value)
    return value


def without_secrets(value: object) -> object:
    """A copy with the fields named like secrets masked; other text untouched. For what we store ourselves."""
    if isinstance(value, Mapping):
        return {
            key: MASK if is_secret_name(str(key)) and not isinstance(item, bool | None) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds something that must not be shown."""
    return bool(_SECRET_NAMES.search(name)) and not _SHOWN_NAMES.search(name)


def _redact_field(name: str, value: object) -> object:
    if is_secret_name(name) and not isinstance(value, bool | None):
        return MASK
    return redact(value)
