"""Every URL, by everybody, with every method; a URL that this test does not know fails it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from dashboard.access import role_of
from dashboard.models import AuditEntry, Wait

Submit = Callable[..., Wait]
LOGIN, OK, NO, GONE, NOT_SO = 302, 200, 403, 404, 405

#: name -> method -> answers to (stranger, viewer, operator)
EXPECTED = {
    "board": {"GET": (LOGIN, OK, OK), "POST": (NOT_SO, NOT_SO, NOT_SO)},
    "wait": {"GET": (LOGIN, OK, OK), "POST": (LOGIN, NOT_SO, NOT_SO)},
    "wait-row": {"GET": (LOGIN, OK, OK), "POST": (LOGIN, NOT_SO, NOT_SO)},
    "wait-timeline": {"GET": (LOGIN, OK, OK), "POST": (LOGIN, NOT_SO, NOT_SO)},
    "wait-resume": {"GET": (LOGIN, NO, OK), "POST": (LOGIN, NO, OK)},
    "wait-stop": {"GET": (LOGIN, NO, OK), "POST": (LOGIN, NO, OK)},
    "login": {"GET": (OK, 302, 302), "POST": (OK, 302, 302)},
    "logout": {"GET": (LOGIN, NOT_SO, NOT_SO), "POST": (302, 302, 302)},
}


def names(patterns: Any = None) -> Iterator[str]:
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
            yield from names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield str(pattern.name)


def test_every_url_is_known_here() -> None:
    assert set(names()) == set(EXPECTED)


@pytest.mark.parametrize(("name", "method"), [(n, m) for n, by in EXPECTED.items() for m in by])
def test_who_may_what(
    submit: Submit, viewer_page: Client, operator_page: Client, name: str, method: str
) -> None:
    wait = submit("job-1")
    path = reverse(name, args=[wait.pk] if name.startswith("wait") else [])
    callers = (Client(), viewer_page, operator_page)
    answers = tuple(client.generic(method, path).status_code for client in callers)
    assert answers == EXPECTED[name][method]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(submit: Submit, operator_page: Client, method: str) -> None:
    wait = submit("job-1")
    for name in EXPECTED:
        path = reverse(name, args=[wait.pk] if name.startswith("wait") else [])
        if name != "login":
            assert operator_page.generic(method, path).status_code == NOT_SO


def test_a_form_without_the_csrf_token_is_refused(submit: Submit, operator: User) -> None:
    wait = submit("job-1")
    page = Client(enforce_csrf_checks=True)
    page.force_login(operator)
    answer = page.post(reverse("wait-resume", args=[wait.pk]))
    assert answer.status_code == 403
    assert not AuditEntry.objects.exists()


def test_the_admin_is_for_staff(operator_page: Client, argo: Any) -> None:
    assert operator_page.get("/admin/").status_code == 302
    admin = Client()
    admin.force_login(User.objects.create_superuser("root"))
    assert admin.get("/admin/").status_code == 200


def test_a_login_leads_only_to_our_own_pages(db: None) -> None:
    User.objects.create_user("olga", password="correct horse")
    form = {"username": "olga", "password": "correct horse", "next": "https://evil.example/"}
    assert Client().post("/login/", form).headers["Location"] == "/"


def test_ten_wrong_passwords_lock_that_name_and_address_out_in_the_database(db: None) -> None:
    User.objects.create_user("olga", password="correct horse")
    page = Client()
    for _ in range(10):
        page.post("/login/", {"username": "olga", "password": "wrong"})
    answer = Client().post("/login/", {"username": "olga", "password": "correct horse"})
    assert answer.status_code == 429
    assert b"Too many wrong passwords" in answer.content
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert elsewhere.post("/login/", {"username": "olga", "password": "correct horse"}).status_code == 302


def test_security_headers_stand_on_every_answer(submit: Submit, operator_page: Client) -> None:
    wait = submit("job-1")
    paths = ["/", wait.get_absolute_url(), "/login/", "/no/such/page", "/admin/"]
    for client, path in itertools.product((Client(), operator_page), paths):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_a_sane_request_id_is_kept_and_any_other_replaced(db: None, sent: str, kept: bool) -> None:
    answer = Client().get("/login/", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) is kept
    assert answer.headers["X-Request-ID"].isprintable()


def test_a_person_without_a_group_may_only_look(db: None) -> None:
    assert role_of(User.objects.create_user("nobody")) == "viewer"
    assert role_of(User.objects.create_superuser("root")) == "admin"
