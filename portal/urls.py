"""Where the portal's pages are: all below /portal/."""

from django.urls import include, path
from django.views.generic import RedirectView

from . import entering, views
from .pages.urls import urlpatterns as pages

portal = (
    [
        path("login", views.SignIn.as_view(), name="login"),
        path("enter", entering.enter, name="enter"),
        path("logout", views.SignOut.as_view(), name="logout"),
        *pages,
    ],
    "portal",
)

urlpatterns = [
    path("", RedirectView.as_view(url="/portal/")),
    path("portal", RedirectView.as_view(url="/portal/")),
    path("portal/", include(portal)),
    path("portal/", include("webapps.urls")),
]

handler400 = "portal.views.bad_request"
handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"
