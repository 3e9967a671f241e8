from django.urls import URLPattern

from risk.api.views import DecisionView, PolicyPreviewView, PolicyVersionsView, PolicyView
from sigmatrader.audit.api.urls import both

urlpatterns: list[URLPattern] = [
    *both("api/risk/policy", PolicyView.as_view(), "risk-policy"),
    *both("api/risk/policy/versions", PolicyVersionsView.as_view(), "risk-policy-versions"),
    *both("api/risk/policy/preview", PolicyPreviewView.as_view(), "risk-policy-preview"),
    *both("api/risk/decisions/<uuid:decision_id>", DecisionView.as_view(), "risk-decision"),
]
