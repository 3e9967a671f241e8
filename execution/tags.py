"""The name of an intent at the broker: at most 20 letters and digits, one per intent, with no readable meaning.

Kite takes only [A-Za-z0-9] and 20 characters, and echoes the tag on every row (FACTS b2, FAULTS 0.4).
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from broker.domain import BrokerOrder

PREFIX = "ST"
MAX_LENGTH = 20
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letters that look like digits
_CHARACTERS = MAX_LENGTH - len(PREFIX)
_BITS = 5


def tag_for(intent_id: UUID, key: bytes) -> str:
    """The tag of an intent: 90 bits of HMAC-SHA-256 over its id, so that nothing can be read or guessed from it.

    Raises ValueError for an empty key.
    """
    if not key:
        raise ValueError("a tag needs a key")
    number = int.from_bytes(hmac.new(key, intent_id.bytes, hashlib.sha256).digest(), "big")
    characters = (_ALPHABET[(number >> (_BITS * place)) % len(_ALPHABET)] for place in range(_CHARACTERS))
    return PREFIX + "".join(characters)


def is_ours(tag: str) -> bool:
    """True if ``tag`` has the form of ours. The form alone proves nothing: only a tag in the database does."""
    return len(tag) == MAX_LENGTH and tag.startswith(PREFIX) and all(c in _ALPHABET for c in tag[len(PREFIX) :])


def our_tag_of(order: BrokerOrder) -> str:
    """The first of an order's tags that has our form, or an empty string."""
    return next((tag for tag in (order.tag, *order.tags) if is_ours(tag)), "")
