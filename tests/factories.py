"""People for tests. Factories of an app's own rows live in tests/<app>/factories.py."""

from __future__ import annotations

import factory
from factory.django import DjangoModelFactory

from sigmatrader.accounts.models import User
from sigmatrader.accounts.vocabulary import Role

PASSWORD = "correct horse battery"


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    role = Role.TRADER.value
    password = factory.django.Password(PASSWORD)


class TraderFactory(UserFactory):
    """Acts on the own account; writes no settings."""


class StaffFactory(UserFactory):
    """Trader and staff."""

    is_staff = True


class ViewerFactory(UserFactory):
    """Reads only."""

    role = Role.VIEWER.value
