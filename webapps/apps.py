"""The subject: web applications and the namespaces that they live in."""

from django.apps import AppConfig


class WebappsConfig(AppConfig):
    """Name the application."""

    name = "webapps"
    verbose_name = "Web Applications"

    def ready(self) -> None:
        """Connect what follows from a change to users, roles and resources."""
        from . import roles

        roles.connect()
