"""The one encrypted model field: MultiFernet over ``settings.FERNET_KEYS``, ciphertext only in the database."""

from __future__ import annotations

from fernet_fields import EncryptedTextField as _EncryptedTextField


class EncryptedTextField(_EncryptedTextField):  # type: ignore[misc]  # the package ships no types
    """Text that is stored encrypted. Look-ups on it are refused; a lost key raises ``InvalidToken`` on read."""
