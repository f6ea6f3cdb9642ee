from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

# Before Django reads its settings: a folder of our own, and no Argo from the caller's environment.
os.environ["WAITDESK_DATA"] = tempfile.mkdtemp(prefix="waitdesk-tests-")
for name in [name for name in os.environ if name.startswith("ARGO_") and "LIVE" not in os.environ]:
    del os.environ[name]

import pytest  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402

from dashboard import audit_triggers  # noqa: E402


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
