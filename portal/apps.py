"""The portal's Django application: its shell, its sign-in pages, its system checks."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Register the system checks."""

    name = "portal"

    def ready(self) -> None:
        """Import what registers itself."""
        from . import checks, sessions  # noqa: F401

        sessions.connect()
