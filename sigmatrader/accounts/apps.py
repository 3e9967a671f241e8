from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "sigmatrader.accounts"
    label = "accounts"
    verbose_name = "Accounts"
