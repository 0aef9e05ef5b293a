"""The subject: web applications and the namespaces that they live in."""

from django.apps import AppConfig


class WebappsConfig(AppConfig):
    """Name the application."""

    name = "webapps"
    verbose_name = "Web Applications"
