from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import TransactionTestCase

from dashboard import audit_triggers


@pytest.fixture(scope="session", autouse=True)
def _flush_may_empty_the_audit_log() -> Iterator[None]:
    """Transactional tests empty every table afterwards; this is the one exemption from the triggers."""
    emptied = TransactionTestCase._fixture_teardown

    def teardown(case: Any) -> None:
        with audit_triggers.lifted_for_a_test_flush(connections["default"]):
            emptied(case)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[method-assign]
    yield
    TransactionTestCase._fixture_teardown = emptied  # type: ignore[method-assign]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what tests recorded under "summary"."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "summary" and report.when == "call":
                terminalreporter.write_line(str(text))
