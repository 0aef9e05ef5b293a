"""Run the supervisor: the one place where rows and processes meet. The keeper starts it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from webapps import specs
from webapps.identity import Identity
from webapps.models import WebApp
from webapps.runtime import nowait
from webapps.runtime.events import Events
from webapps.runtime.frontkeeper import FrontKeeper
from webapps.runtime.keeperlink import KeeperLink
from webapps.runtime.loop import Loop
from webapps.runtime.serving import Serving
from webapps.runtime.supervisor import Supervisor, Wishes


class Command(BaseCommand):
    """Compose rows, keeper, front and supervisor."""

    requires_system_checks = []  # serve has looked; nothing of the portal is imported here.
    help = "Run the supervisor (the keeper starts it; there is no need to do so by hand)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the descriptor of the log writer's pipe."""
        parser.add_argument("--events-fd", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        nowait.become()
        home = settings.STOA_HOME
        loop = Loop()
        keeper = KeeperLink(home / "run")
        events = Events(options["events_fd"], "supervisor", keeper.ready)
        serving = Serving.read(home / "run")
        front = FrontKeeper(serving, keeper, events, loop)
        ours = Identity(home)
        wishes = Wishes(lambda: ours.counters()[0], specs.SpecReader().read, _namespace_defaults)
        Supervisor(home, wishes, front, keeper, events, loop, serving.user).run()


def _namespace_defaults() -> dict[str, str]:
    """Return the name of each namespace's default application."""
    rows = WebApp.objects.filter(is_namespace_default=True, enabled=True)
    return dict(rows.values_list("namespace__name", "name"))
