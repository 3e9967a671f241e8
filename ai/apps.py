from django.apps import AppConfig


class AiConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "ai"

    def ready(self) -> None:
        from ai.services import prune_chat  # noqa: PLC0415  models can be imported once the registry is up
        from sigmatrader.audit import retention  # noqa: PLC0415

        retention.register("chat", prune_chat)
