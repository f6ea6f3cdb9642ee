from __future__ import annotations

import os
import subprocess
import sys

PARTS = ("bench.board", "bench.mirror", "bench.sqlite_writers")


def main() -> int:
    """Each in a process of its own, so that none inherits another's memory."""
    chosen = sys.argv[1:] or PARTS
    return max(subprocess.run([sys.executable, "-m", part], env=os.environ).returncode for part in chosen)


if __name__ == "__main__":
    sys.exit(main())
