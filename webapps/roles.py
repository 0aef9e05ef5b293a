"""Roles are Django's groups; %ALL are the administrators, and what a role may do in the portal is a permission."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save

from .changes import Change
from .security import Resource

#: Who holds it holds everything.
ALL = "%ALL"
#: The permissions that stand for "may see" and "may edit" in the portal.
SEE, EDIT = "webapps.view_webapp", "webapps.change_webapp"
#: The roles of the first start and what they may do.
FIRST = {ALL: (), "%Developer": (SEE, EDIT), "%Operator": (SEE,)}


def connect() -> None:
    """Have each change to users, roles and resources counted, and %ALL mean the same as is_superuser."""
    users = get_user_model()
    for model in (users, Group, Resource):
        post_save.connect(_saved, sender=model)
        post_delete.connect(_changed, sender=model)
    for through in (users.groups.through, Resource.roles.through):
        m2m_changed.connect(_changed, sender=through)
    post_save.connect(_superuser_holds_all, sender=users)
    m2m_changed.connect(_all_is_superuser, sender=users.groups.through)
    post_migrate.connect(make_first)


def _saved(update_fields: Any = None, **kwargs: Any) -> None:
    if update_fields is None or set(update_fields) != {"last_login"}:
        Change.note_access()


def _changed(**kwargs: Any) -> None:
    Change.note_access()


def _superuser_holds_all(instance: Any, raw: bool = False, **kwargs: Any) -> None:
    if instance.is_superuser and not raw and (role := Group.objects.filter(name=ALL).first()):
        instance.groups.add(role)


def _all_is_superuser(instance: Any, action: str, reverse: bool, pk_set: Any, **kwargs: Any) -> None:
    """Make holders of %ALL superusers, and nobody else, when roles were given or taken."""
    if action not in ("post_add", "post_remove", "post_clear"):
        return
    users = get_user_model().objects
    touched = users.filter(pk__in=pk_set or ()) if reverse else users.filter(pk=instance.pk)
    if reverse and pk_set is None:
        touched = users.all()
    holders = users.filter(groups__name=ALL).values("pk")
    touched.filter(pk__in=holders).update(is_superuser=True, is_staff=True)
    touched.exclude(pk__in=holders).update(is_superuser=False, is_staff=False)
    if not reverse:
        instance.is_superuser = instance.is_staff = instance.groups.filter(name=ALL).exists()


def make_first(sender: Any = None, **kwargs: Any) -> None:
    """Make the roles of the first start where there is none, and give %ALL to every superuser."""
    if getattr(sender, "label", "webapps") != "webapps":
        return
    if not Group.objects.exists():
        for name, rights in FIRST.items():
            role = Group.objects.create(name=name)
            role.permissions.set(Permission.objects.filter(codename__in=[right.partition(".")[2] for right in rights]))
    for role in Group.objects.filter(name=ALL):
        for user in get_user_model().objects.filter(is_superuser=True).exclude(groups=role):
            user.groups.add(role)
