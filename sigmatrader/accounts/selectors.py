"""What others ask about accounts: is a flag on, and who answers to a token."""

from __future__ import annotations

import hashlib

from django.conf import settings

from sigmatrader.accounts.models import ApiToken, FeatureFlag
from sigmatrader.accounts.vocabulary import Flag


def flag_enabled(flag: Flag) -> bool:
    """Whether the flag is on now; one that was never set has the default of the environment."""
    stored = FeatureFlag.objects.filter(pk=flag.value).values_list("enabled", flat=True).first()
    return default_of(flag) if stored is None else stored


def flags() -> dict[Flag, bool]:
    """All flags, read in one query."""
    stored = dict(FeatureFlag.objects.values_list("name", "enabled"))
    return {flag: stored.get(flag.value, default_of(flag)) for flag in Flag}


def flags_version() -> int:
    """Grows by one with every change of any flag; 0 before the first one."""
    return sum(FeatureFlag.objects.values_list("version", flat=True))


def default_of(flag: Flag) -> bool:
    """What the environment says where nobody has decided yet."""
    return bool(settings.FLAG_DEFAULTS[flag.value])


def digest_of(secret: str) -> str:
    """How tokens and links are kept. They carry 256 random bits, so a plain hash cannot be turned back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_of(secret: str) -> ApiToken | None:
    """The live token with this text, with its user, or None."""
    tokens = ApiToken.objects.select_related("user")
    return tokens.filter(digest=digest_of(secret), revoked_at__isnull=True, user__is_active=True).first()
