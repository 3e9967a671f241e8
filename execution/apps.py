from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    name = "execution"
    verbose_name = "Execution"

    def ready(self) -> None:
        from broker import hints  # noqa: PLC0415  # models must be loaded first
        from execution import evidence, follower  # noqa: PLC0415

        evidence.register()
        hints.register(follower.look_now)
