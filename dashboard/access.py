"""Who is asking, and what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django_htmx.http import HttpResponseClientRedirect

from dashboard.audit import Actor
from dashboard.models import AuditEntry

VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"
ROLES = (VIEWER, OPERATOR, ADMIN)


def role_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """The highest role of a person who is logged in; everybody may at least look."""
    if not isinstance(user, User):
        return VIEWER
    if user.is_superuser:
        return ADMIN
    held = set(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
    return next((role for role in (ADMIN, OPERATOR) if role in held), VIEWER)


def may_act(user: AbstractBaseUser | AnonymousUser) -> bool:
    return role_of(user) in (OPERATOR, ADMIN)


def role(request: HttpRequest) -> dict[str, object]:
    """Context of every page: what the person is and may do, asked only where a template uses it."""
    return {"role": lambda: role_of(request.user)} if hasattr(request, "user") else {}


def person(request: HttpRequest) -> Actor:
    """The actor behind a request of a page."""
    return Actor(
        name=str(request.user),
        kind=AuditEntry.ActorKind.PERSON,
        channel=AuditEntry.Channel.PAGE,
        address=request.META.get("REMOTE_ADDR") or None,
        request_id=getattr(request, "request_id", ""),
    )


class LoginRequired(LoginRequiredMiddleware):
    """Sends strangers to the login page, the whole window of theirs: a fragment must not hold a login."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        # Before Django's own look at request.user, which would cost the board's poll a query.
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(  # type: ignore[override]  # the stubs know only redirects
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseBase:
        if request.headers.get("HX-Request") == "true":
            return redirect_to_login(request)
        return super().handle_no_permission(request, view_func)


def redirect_to_login(request: HttpRequest) -> HttpResponse:
    """For a fragment whose session ran out: the page around it is reloaded and asks for the login."""
    return HttpResponseClientRedirect(request.headers.get("HX-Current-URL") or request.get_full_path())
