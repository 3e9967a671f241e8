"""A URLconf with a route that forgot to ask who is there."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.urls import path


@login_not_required
def forgetful(request):
    return HttpResponse("come in")


urlpatterns = [path("open", forgetful)]
