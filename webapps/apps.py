"""The subject: web applications and the namespaces that they live in."""

from django.apps import AppConfig


class WebappsConfig(AppConfig):
    """Name the application."""

    name = "webapps"
    verbose_name = "Web Applications"

    def ready(self) -> None:
        """Connect what follows from a change to users, roles and resources, and from one of the database itself."""
        from django.core.signals import request_started

        from . import identity, roles

        roles.connect()
        identity.connect()
        request_started.connect(identity.let_go_of_replaced)
