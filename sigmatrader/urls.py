"""Every address of the product. Each app brings its own below /api; pages and the admin come last."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from sigmatrader.accounts.signing import admin_sign_in

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("sigmatrader.audit.api.urls")),
    path("", include("sigmatrader.api.urls")),
    path("", include("broker.api.urls")),
    path("", include("risk.api.urls")),
    path("", include("execution.api.urls")),
    path("", include("ai.api.urls")),
    path("", include("sigmatrader.accounts.urls")),
    path("", include("sigmatrader.pages.urls")),
    path("admin/login/", admin_sign_in),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/", admin.site.urls),
]
handler404 = "sigmatrader.api.errors.not_found"
handler500 = "sigmatrader.api.errors.server_error"
