"""Where the pages about web applications are, below /portal/."""

from django.urls import path
from django.views.generic import RedirectView

from .views import actions, installs, logs, namespaces, pages, roles, system

app_name = "webapps"

urlpatterns = [
    path("", pages.webapp_list, name="list"),
    path("webapps/", RedirectView.as_view(pattern_name="webapps:list")),
    path("webapps/new", pages.webapp_create, name="create"),
    path("webapps/<int:pk>/", pages.webapp_detail, name="detail"),
    path("webapps/<int:pk>/edit", pages.webapp_edit, name="edit"),
    path("webapps/<int:pk>/roles", roles.roles, name="roles"),
    path("webapps/<int:pk>/matching-roles", roles.matching_roles, name="matching_roles"),
    path("webapps/<int:pk>/delete", pages.webapp_delete, name="delete"),
    path("webapps/<int:pk>/enable", actions.enable, name="enable"),
    path("webapps/<int:pk>/disable", actions.disable, name="disable"),
    path("webapps/<int:pk>/reload", actions.reload, name="reload"),
    path("webapps/<int:pk>/protocol", actions.set_protocol, name="protocol"),
    path("webapps/<int:pk>/install", installs.install, name="install"),
    path("namespaces/", namespaces.namespace_list, name="namespaces"),
    path("namespaces/new", namespaces.namespace_create, name="namespace_create"),
    path("namespaces/<str:name>/edit", namespaces.namespace_edit, name="namespace_edit"),
    path("namespaces/<str:name>/delete", namespaces.namespace_delete, name="namespace_delete"),
    path("log/", RedirectView.as_view(url="/portal/log/applications")),
    path("log/<str:which>", logs.log, name="log"),
    path("log/<str:which>/download", logs.download, name="log_download"),
    path("system", system.system, name="system"),
]
