"""Where the portal's own pages are, below /portal/; names in ``portal:``."""

from django.urls import path

from . import locks, options, passwords, people, resources, roles

urlpatterns = [
    path("users/", people.people, name="people"),
    path("users/new", people.person_create, name="person_create"),
    path("users/<int:pk>/", people.person, name="person"),
    path("users/<int:pk>/password", people.person_password, name="person_password"),
    path("users/<int:pk>/sign-out", people.person_sign_out, name="person_sign_out"),
    path("users/<int:pk>/delete", people.person_delete, name="person_delete"),
    path("roles/", roles.roles, name="roles"),
    path("roles/new", roles.role_create, name="role_create"),
    path("roles/<int:pk>/", roles.role, name="role"),
    path("roles/<int:pk>/delete", roles.role_delete, name="role_delete"),
    path("resources/", resources.resources, name="resources"),
    path("resources/new", resources.resource_create, name="resource_create"),
    path("resources/<int:pk>/", resources.resource, name="resource"),
    path("resources/<int:pk>/delete", resources.resource_delete, name="resource_delete"),
    path("options", options.options, name="options"),
    path("locks", locks.locks, name="locks"),
    path("password", passwords.password, name="password"),
]
