"""Rows of accounts for tests."""

from __future__ import annotations

from datetime import UTC, datetime

import factory
from factory.django import DjangoModelFactory

from sigmatrader.accounts.models import FeatureFlag
from sigmatrader.accounts.vocabulary import Flag


class FeatureFlagFactory(DjangoModelFactory):
    class Meta:
        model = FeatureFlag

    name = Flag.AI_ASSISTANT_ENABLED.value
    enabled = True
    updated_at = factory.LazyFunction(lambda: datetime(2026, 11, 23, tzinfo=UTC))
