from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from argo_simulator import Simulator
from dashboard import mirror
from dashboard.models import Mirror, Wait, sha256, wait_id

Submit = Callable[..., Wait]
START = datetime(2026, 11, 23, 4, 12, tzinfo=UTC)


def add_waits(count: int, *, prefix: str = "etl", **fields: object) -> list[Wait]:
    """Rows as the mirror would write them, a minute apart."""
    waits = []
    for number in range(count):
        workflow, uuid = f"{prefix}-{number:05}", f"uuid-{prefix}-{number:05}"
        started_at = START + timedelta(minutes=number)
        waits.append(
            Wait(
                id=wait_id(cluster="default", workflow_uid=workflow, node_id="n", started_at=started_at),
                cluster="default",
                namespace="argo",
                workflow=workflow,
                workflow_uid=workflow,
                node_id=f"{workflow}-1",
                started_at=started_at,
                uuid=uuid,
                uuid_sha256=sha256(uuid),
                kind=Wait.Kind.JOB,
                node_path="job › wait-completion",
                template="external-job-template",
            )
        )
        for name, value in fields.items():
            setattr(waits[-1], name, value)
    return Wait.objects.bulk_create(waits)


def board(page: Client, query: str = "", **headers: str) -> str:
    answer = page.get("/" + query, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def shown(html: str, prefix: str = "etl") -> list[str]:
    """The UUIDs on a board, in order."""
    import re

    return list(dict.fromkeys(re.findall(rf"uuid-{prefix}-\d+", html)))


def test_what_waits_in_argo_is_on_the_board(submit: Submit, operator_page: Client) -> None:
    wait = submit("5caab09a-4c52-4ce3-9c04-953ce42c217c")
    html = board(operator_page)
    assert "5caab09a-4c52-4ce3-9c04-953ce42c217c" in html
    assert wait.workflow in html
    assert "external-job-template" in html
    assert reverse("wait-resume", args=[wait.pk]) in html


def test_an_empty_board_says_what_it_will_show(mirror_now: Callable[[], None], operator_page: Client) -> None:
    mirror_now()
    mirror.claim("default", holder="a watcher")
    assert "Nothing waits." in board(operator_page)


def test_the_oldest_comes_first_fifty_to_a_page(argo: Simulator, operator_page: Client) -> None:
    add_waits(120)
    first = operator_page.get("/").context["board"]
    second = operator_page.get("/" + first.next_url).context["board"]
    third = operator_page.get("/" + second.next_url).context["board"]
    uuids = [[row.wait.uuid for row in page.rows] for page in (first, second, third)]
    assert [len(page) for page in uuids] == [50, 50, 20]
    assert sum(uuids, []) == [f"uuid-etl-{n:05}" for n in range(120)]
    assert third.next_url is None
    back = operator_page.get("/" + third.previous_url).context["board"]
    assert [row.wait.uuid for row in back.rows] == uuids[1]
    assert first.total == 120


@pytest.mark.parametrize("sort", ["oldest", "newest", "uuid", "workflow", "namespace"])
def test_every_order_shows_each_wait_once_over_its_pages(
    argo: Simulator, operator_page: Client, sort: str
) -> None:
    add_waits(60, namespace="team-a")
    add_waits(60, prefix="ops", namespace="argo")
    url, seen = f"/?sort={sort}", []
    while url:
        shown_page = operator_page.get(url).context["board"]
        seen += [row.wait.uuid for row in shown_page.rows]
        url = shown_page.next_url and "/" + shown_page.next_url
    assert len(seen) == len(set(seen)) == 120


def test_a_page_does_not_shift_when_rows_before_it_end(argo: Simulator, operator_page: Client) -> None:
    add_waits(100)
    next_url = operator_page.get("/").context["board"].next_url
    Wait.objects.filter(workflow="etl-00003").update(state="resumed", ended_at=START)
    second = operator_page.get("/" + next_url).context["board"]
    assert second.rows[0].wait.uuid == "uuid-etl-00050"


def test_search_finds_uuid_workflow_and_node(argo: Simulator, operator_page: Client) -> None:
    add_waits(3)
    add_waits(1, prefix="ops", node_path="align(17:lane-3) › wait-completion")
    assert shown(board(operator_page, "?q=UUID-ETL-00001")) == ["uuid-etl-00001"]
    assert shown(board(operator_page, "?q=ops-00000"), "ops") == ["uuid-ops-00000"]
    assert shown(board(operator_page, "?q=lane-3"), "ops") == ["uuid-ops-00000"]
    assert "No wait matches" in board(operator_page, "?q=nothing-like-this")


def test_filters_narrow_and_stand_in_the_url_of_every_link(argo: Simulator, operator_page: Client) -> None:
    add_waits(60, namespace="team-a")
    add_waits(60, prefix="ops", kind="gate", uuid="", uuid_sha256="", template="release-gate")
    page = operator_page.get("/?namespace=team-a&kind=job").context["board"]
    assert page.total == 60
    assert page.total_waiting == 120
    for url in (page.next_url, page.poll_url, page.sorts[1].url):
        assert "namespace=team-a" in url
        assert "kind=job" in url


def test_a_filter_whose_waits_are_gone_stays_chosen(argo: Simulator, operator_page: Client) -> None:
    html = board(operator_page, "?namespace=left-long-ago")
    assert '<option value="left-long-ago" selected>' in html


def test_nonsense_in_the_url_gives_a_board_and_no_error(argo: Simulator, operator_page: Client) -> None:
    add_waits(3)
    for query in ("?after=x", "?sort=DROP", "?kind=x", "?q=%00", "?before=", "?after=" + "9" * 500):
        assert operator_page.get("/" + query).status_code == 200


def test_a_poll_with_nothing_new_is_a_204_from_two_queries(
    argo: Simulator,
    operator_page: Client,
    fragment: dict[str, str],
    mirror_now: Callable[[], None],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    mirror_now()
    mirror.claim("default", holder="a watcher")
    poll_url = operator_page.get("/").context["board"].poll_url
    with django_assert_num_queries(2):
        answer = operator_page.get("/" + poll_url, headers=fragment)
    assert answer.status_code == 204, answer.content[:2000]
    assert "waitdesk:seen" in answer.headers["HX-Trigger"]


def test_a_poll_after_a_change_draws_the_fragment_anew(
    submit: Submit, mirror_now: Callable[[], None], operator_page: Client, fragment: dict[str, str]
) -> None:
    mirror_now()
    poll_url = operator_page.get("/").context["board"].poll_url
    submit("new-one")
    answer = operator_page.get("/" + poll_url, headers=fragment)
    assert answer.status_code == 200
    assert b"new-one" in answer.content
    assert b"<html" not in answer.content


def test_the_number_of_queries_does_not_grow_with_the_rows(
    argo: Simulator, operator_page: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    add_waits(2000)
    with django_assert_max_num_queries(12):
        operator_page.get("/")


def test_a_page_of_fifty_is_under_a_hundred_kilobytes(argo: Simulator, operator_page: Client) -> None:
    add_waits(200)
    assert len(operator_page.get("/").content) < 100_000


def test_a_stranger_sees_the_login_and_a_fragment_sends_the_window_there(
    argo: Simulator, db: None, fragment: dict[str, str]
) -> None:
    assert Client().get("/").headers["Location"] == "/login/?next=/"
    assert Client().get("/?v=x", headers=fragment).headers["HX-Redirect"]


def test_a_viewer_sees_the_waits_and_no_buttons(submit: Submit, viewer_page: Client) -> None:
    wait = submit("job-1")
    html = board(viewer_page)
    assert "job-1" in html
    assert reverse("wait-resume", args=[wait.pk]) not in html
    assert reverse("wait-stop", args=[wait.pk]) not in html


def test_markup_in_names_and_uuids_is_text(argo: Simulator, operator_page: Client) -> None:
    hostile = '"><script>alert(1)</script>'
    add_waits(1, uuid=hostile, uuid_sha256=sha256(hostile), node_path=hostile, template=hostile)
    html = board(operator_page)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_board_stays_readable_while_argo_is_away(
    submit: Submit, argo: Simulator, operator_page: Client
) -> None:
    submit("job-1")
    argo.stop_listening()
    token = mirror.claim("default", holder="test")
    assert token
    problem = "connection refused"
    mirror.note_state("default", token, state=Mirror.State.UNREACHABLE, problem=problem)
    html = board(operator_page)
    assert "job-1" in html
    assert "Argo unreachable since" in html
    assert "connection refused" in html


def test_without_a_watcher_the_board_says_that_it_may_be_old(submit: Submit, operator_page: Client) -> None:
    submit("job-1")
    assert "No watcher is running." in board(operator_page)


def test_waits_of_a_cluster_that_is_no_longer_configured_are_not_shown(
    argo: Simulator, operator_page: Client
) -> None:
    [wait] = add_waits(1, cluster="gone")
    assert shown(board(operator_page)) == []
    assert operator_page.get(reverse("wait", args=[wait.pk])).status_code == 404
