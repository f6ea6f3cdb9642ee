"""The board over 10,000 waits against the board over 50: bytes, server time, queries; and the poll."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bench.database import fresh_installation

REPEATS = 30


def main() -> None:
    with fresh_installation(ARGO_SERVER="http://127.0.0.1:9"):
        from django.contrib.auth.models import User
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext, setup_test_environment

        setup_test_environment()
        page = Client()
        page.force_login(User.objects.create_superuser("bench"))
        seconds = {}
        for count in (50, 10_000):
            fill(count)
            seconds[count] = median_seconds(lambda: page.get("/"))
            with CaptureQueriesContext(connection) as queries:
                answer = page.get("/")
            print(
                f"board over {count:6,} waits: {len(answer.content) / 1000:5.1f} kB of HTML,"
                f" {seconds[count] * 1000:5.1f} ms, {len(queries)} queries"
            )
        print(
            f"board over 10,000 against 50 waits: {seconds[10_000] / seconds[50]:.2f} x the time (at most 3)"
        )
        poll = "/" + answer.context["board"].poll_url
        headers = {"HX-Request": "true"}
        with CaptureQueriesContext(connection) as queries:
            answer = page.get(poll, headers=headers)
        asked = len(queries)
        quiet = median_seconds(lambda: page.get(poll, headers=headers))
        print(f"poll with nothing new: {answer.status_code}, {asked} queries (at most 2),"
              f" {quiet / seconds[50]:.2f} x the time of the board over 50 waits")  # fmt: skip


def fill(count: int) -> None:
    """Waits as the mirror would write them, until there are so many."""
    from dashboard.models import Wait, sha256, wait_id

    start = datetime.now(UTC) - timedelta(days=10)
    waits = []
    for number in range(Wait.objects.count(), count):
        uuid, workflow = f"7d1f0b7a-52c3-4b0e-9a52-{number:012}", f"nightly-etl-{number:05}"
        started_at = start + timedelta(minutes=number)
        waits.append(
            Wait(
                id=wait_id(cluster="default", workflow_uid=workflow, node_id="n", started_at=started_at),
                cluster="default",
                namespace=f"team-{number % 20}",
                workflow=workflow,
                workflow_uid=workflow,
                node_id=f"{workflow}-2811605340",
                started_at=started_at,
                uuid=uuid,
                uuid_sha256=sha256(uuid),
                kind=Wait.Kind.JOB,
                node_path="job(0:emr-clicks) › wait-completion",
                template=f"external-job-template-{number % 7}",
                input_values=[["uuid", uuid]],
            )
        )
    Wait.objects.bulk_create(waits, batch_size=500)


def median_seconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
