"""What a real Argo server (v4.1.2) was recorded to answer: 1,406 exchanges in 22 transcripts.

Each file is gzip-compressed JSON without a time stamp: {scenario, about, argoVersion, recordedAt, exchanges};
an exchange is {note, server, request: {method, path, query, headers, body}, response: {status, headers,
body | text | chunks | error}, elapsedMs}. They stand in the order in which they were sent.
"""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAMES = tuple(path.name.removesuffix(".json.gz") for path in sorted(FOLDER.glob("*.json.gz")))


@functools.cache
def exchanges(name: str) -> list[dict[str, Any]]:
    """The exchanges of one transcript, such as "06-retry"; not to be changed."""
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))["exchanges"]
