from django.urls import URLPattern
from drf_spectacular.views import SpectacularAPIView

from sigmatrader.api import openapi  # noqa: F401  # registers how one signs in
from sigmatrader.api.ai_settings import AISettingsView, KiteTestView, SettingsAuditView
from sigmatrader.api.docs import docs
from sigmatrader.api.health import HealthView, ReadyView
from sigmatrader.api.sessions import ReauthenticateView
from sigmatrader.audit.api.routes import both

urlpatterns: list[URLPattern] = [
    *both("api/health", HealthView.as_view(), "health"),
    *both("api/ready", ReadyView.as_view(), "ready"),
    *both("api/schema", SpectacularAPIView.as_view(), "schema"),
    *both("api/docs", docs, "api-docs"),
    *both("api/reauthenticate", ReauthenticateView.as_view(), "reauthenticate"),
    *both("api/settings/ai", AISettingsView.as_view(), "ai-settings"),
    *both("api/settings/ai/kite/test", KiteTestView.as_view(), "ai-settings-kite-test"),
    *both("api/settings/ai/audit", SettingsAuditView.as_view(), "ai-settings-audit"),
]
