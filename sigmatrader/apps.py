from django.apps import AppConfig


class SigmaTraderConfig(AppConfig):
    """The wiring: start-up checks, commands and cross-app pages."""

    name = "sigmatrader"
    label = "sigmatrader"
    verbose_name = "SigmaTrader"

    def ready(self) -> None:
        from sigmatrader import checks  # noqa: F401, PLC0415  # registers the checks once the apps are loaded
        from sigmatrader.supervisor import leash  # noqa: PLC0415

        leash.hold()
