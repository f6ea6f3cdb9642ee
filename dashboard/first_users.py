"""The people that a fresh installation begins with."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import Group, User
from django.db import transaction

from dashboard.access import ADMIN, ROLES

#: The password of each is their name: only for the simulator, only on loopback.
DEMO_USERS = ROLES


@transaction.atomic
def create_demo_users() -> None:
    for name in DEMO_USERS:
        user, _ = User.objects.get_or_create(username=name)
        _give_role(user, name)
        if not user.check_password(name):
            user.set_password(name)
            user.save()


@transaction.atomic
def lock_demo_users() -> list[str]:
    """Takes the demo's passwords away; they must not open a real Argo. Returns whose were taken."""
    locked = []
    for user in User.objects.filter(username__in=DEMO_USERS).order_by("username"):
        if user.has_usable_password() and user.check_password(user.username):
            user.set_unusable_password()
            user.save()
            locked.append(user.username)
    return locked


@transaction.atomic
def create_first_admin(password: str) -> str | None:
    """Creates `admin` where nobody can log in as one; returns a password that had to be made up."""
    if any(user.has_usable_password() for user in User.objects.filter(is_superuser=True)):
        return None
    made_up = password or secrets.token_urlsafe(15)
    user, _ = User.objects.get_or_create(username=ADMIN)
    user.set_password(made_up)
    _give_role(user, ADMIN)
    return None if password else made_up


def _give_role(user: User, role: str) -> None:
    user.is_staff = user.is_superuser = role == ADMIN
    user.save()
    user.groups.add(Group.objects.get_or_create(name=role)[0])
