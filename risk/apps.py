from django.apps import AppConfig


class RiskConfig(AppConfig):
    name = "risk"
    verbose_name = "Risk"

    def ready(self) -> None:
        """Fills the hooks of the audit app; they need the models, so they are imported here."""
        from risk.hooks import register  # noqa: PLC0415

        register()
