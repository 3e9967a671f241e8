"""The door of the browser: sign in with a password or a single-use link, sign out, set a password."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, SetPasswordForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from sigmatrader.accounts import rate, sessions
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import change_password, note_security, redeem_sign_in_link
from sigmatrader.audit.api.problems import Problem
from sigmatrader.audit.vocabulary import EventLevel

LINK_PAGE = "registration/link.html"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@method_decorator(login_not_required, name="dispatch")
class SignInView(LoginView):
    """Name and password. Ten tries per name and address in five minutes, fifty per address."""

    template_name = "registration/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        try:
            limit_tries(request, request.POST.get("username", ""), now=now)
        except Problem as problem:
            return _with_problem(self.render_to_response(self.get_context_data(error=problem.text)), problem)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponseRedirect:
        user = form.get_user()
        enter(self.request, user, how="password", now=timezone.now())
        return HttpResponseRedirect(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        name = str(form.data.get("username", ""))[:150]
        note_security(
            "SIGN_IN_FAILED", "A sign-in failed.", now=timezone.now(), level=EventLevel.WARNING,
            details={"username": name, "address": address_of(self.request)},
            correlation_id=getattr(self.request, "correlation_id", ""),
        )  # fmt: skip
        context = self.get_context_data(form=form, username=name, next=self.get_redirect_url())
        return self.render_to_response(context, status=400)


@login_not_required
@csrf_protect
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Opens a single-use link. Looking at it (GET) uses nothing up, so that a preview cannot; its button does (POST).

    The page presses its own button by script. Someone who is signed in already gets re-authentication by it.
    """
    now = timezone.now()
    if request.method == "GET":
        response = render(request, LINK_PAGE, {"next": _safe_next(request, request.GET.get("next", ""))})
    else:
        response = _redeem(request, token, now=now)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is the secret
    return response


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The admin has no door of its own: the limits, the record and the session times of ours would be missing there.

    Whoever comes here has signed in already: staff goes on, others learn that the admin is not for them.
    """
    if not (isinstance(request.user, User) and request.user.is_staff):
        raise PermissionDenied
    return redirect(_safe_next(request, request.GET.get("next", "")))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session on the server too."""
    if isinstance(request.user, User):
        note_security("SIGNED_OUT", "Signed out.", user=request.user, now=timezone.now())
    logout(request)
    return redirect("sign-in")


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def set_password(request: HttpRequest) -> HttpResponse:
    """Sets or changes the password; asks for a recent proof of identity, and ends all other sessions."""
    user, now = request.user, timezone.now()
    if not isinstance(user, User):
        return redirect("sign-in")
    if not sessions.is_reauthenticated(request.session, now=now):
        return render(request, "registration/password.html", {"needs_proof": True}, status=403)
    form = SetPasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        change_password(user, password=form.cleaned_data["new_password1"], now=now)
        update_session_auth_hash(request, user)
        return redirect("/")
    return render(request, "registration/password.html", {"form": form, "needs_proof": False})


def enter(request: HttpRequest, user: User, *, how: str, now: datetime) -> None:
    """Signs in under a new session id; a link, fresh from a shell, also opens re-authentication."""
    login(request, user, backend=BACKEND)
    sessions.start(request.session, now=now)
    if how == "link":
        sessions.open_reauthentication(request.session, now=now)
    note_security(
        "SIGNED_IN", f"Signed in by {how}.", user=user, now=now, details={"how": how, "address": address_of(request)},
        correlation_id=getattr(request, "correlation_id", ""),
    )  # fmt: skip


def limit_tries(request: HttpRequest, name: str, *, now: datetime) -> None:
    """Raises ``Problem`` 429 when this name or this address tried too often."""
    address = address_of(request)
    rate.hit(f"sign-in:{address}", limit=50, window_s=300, now=now)
    rate.hit(f"sign-in:{address}:{name.casefold()[:60]}", limit=10, window_s=300, now=now)


def address_of(request: HttpRequest) -> str:
    """Where the request came from, as the server saw it; a header of the client's own making is not believed."""
    return str(request.META.get("REMOTE_ADDR", ""))


def _redeem(request: HttpRequest, token: str, *, now: datetime) -> HttpResponse:
    try:
        rate.hit(f"sign-in-link:{address_of(request)}", limit=30, window_s=300, now=now)
        user = redeem_sign_in_link(token, now=now)
    except Problem as problem:
        note_security(
            "SIGN_IN_LINK_REFUSED", "A sign-in link was refused.", now=now, level=EventLevel.WARNING,
            details={"address": address_of(request)},
        )  # fmt: skip
        return _with_problem(render(request, LINK_PAGE, {"error": problem.text}), problem)
    enter(request, user, how="link", now=now)
    return redirect(_safe_next(request, request.POST.get("next", "")))


def _safe_next(request: HttpRequest, address: str) -> str:
    """``address`` if it leads to this site, else the first page."""
    safe = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if safe else "/"


def _with_problem(page: HttpResponse, problem: Problem) -> HttpResponse:
    page.status_code = problem.status_code
    for name, value in problem.headers.items():
        page.headers[name] = value
    return page
