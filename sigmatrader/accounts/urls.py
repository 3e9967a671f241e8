from django.urls import path

from sigmatrader.accounts import signing

urlpatterns = [
    path("sign-in", signing.SignInView.as_view(), name="sign-in"),
    path("sign-in/link/<str:token>", signing.sign_in_link, name="sign-in-link"),
    path("sign-out", signing.sign_out, name="sign-out"),
    path("password", signing.set_password, name="password"),
]
