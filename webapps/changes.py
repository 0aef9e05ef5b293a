"""The counters that tell whoever compares wish and fact when to read again."""

from __future__ import annotations

from django.db import models, transaction
from django.db.models import F

from . import control


class Change(models.Model):
    """One row that counts the changes to web applications, another those to who may enter.

    A third has the number that this database is known by (``identity``).
    """

    #: What the supervisor reads: web applications and namespaces.
    APPLICATIONS = 1
    #: What the gate reads besides: users, roles, resources, options, ended sign-ins.
    ACCESS = 2
    IDENTITY = 3

    counter = models.BigIntegerField(default=0)

    class Meta:
        app_label = "webapps"

    def __str__(self) -> str:
        return str(self.counter)

    @classmethod
    def note(cls) -> None:
        """Count a change to an application, in the transaction that makes it; nudge once it is committed."""
        cls._count(cls.APPLICATIONS)
        transaction.on_commit(control.nudge)

    @classmethod
    def note_access(cls) -> None:
        """Count a change to who may enter, in the transaction that makes it; the gate looks twice a second."""
        cls._count(cls.ACCESS)

    @classmethod
    def _count(cls, which: int) -> None:
        row = cls.objects.filter(pk=which)
        if not row.update(counter=F("counter") + 1):
            cls.objects.get_or_create(pk=which)  # Somebody else may make it at the same moment.
            row.update(counter=F("counter") + 1)

    @classmethod
    def every(cls) -> dict[int, int]:
        """Return all rows, in one look."""
        return dict(cls.objects.values_list("pk", "counter"))

    @classmethod
    def counters(cls) -> tuple[int, int]:
        """Return both counters: of the applications, of access."""
        found = cls.every()
        return found.get(cls.APPLICATIONS, 0), found.get(cls.ACCESS, 0)
