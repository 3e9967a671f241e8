from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    name = "execution"
    verbose_name = "Execution"

    def ready(self) -> None:
        from execution import evidence  # noqa: PLC0415  # models must be loaded first

        evidence.register()
