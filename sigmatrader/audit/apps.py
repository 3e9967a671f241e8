from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "sigmatrader.audit"
    label = "audit"
    verbose_name = "Audit"
