"""The product's settings, in a folder of the tests' own, without Argo; tests/live alone uses the caller's."""

from __future__ import annotations

import os
import tempfile

os.environ["WAITDESK_DATA"] = tempfile.mkdtemp(prefix="waitdesk-tests-")
for _name in ("ARGO_CLUSTERS_FILE", "WAITDESK_PRODUCTION", "SECRET_KEY"):
    os.environ.pop(_name, None)

from dashboard.settings import *  # noqa: E402, F403
from dashboard.settings import DATABASES, WAITDESK_DATA  # noqa: E402

WAITDESK_CLUSTERS = ()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"] == "dashboard.sqlite_lock":
    # In a file: threads and processes of a test share it as those of the product do.
    DATABASES["default"]["TEST"] = {"NAME": str(WAITDESK_DATA / "test_waitdesk.sqlite3")}
