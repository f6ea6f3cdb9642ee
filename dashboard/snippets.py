"""Commands to paste, with this wait's values in them."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote

from dashboard import clusters
from dashboard.actions import selector_for
from dashboard.models import Wait


def curl_resume(wait: Wait) -> str:
    """A call that Argo itself accepts and that lets this wait succeed. Outputs stand with their defaults."""
    body = {"nodeFieldSelector": str(selector_for(wait))}
    if not wait.supplied_outputs:
        return _curl(wait, "resume", body)
    values = {output["name"]: output["default"] or "VALUE" for output in wait.supplied_outputs}
    body |= {"phase": "Succeeded", "outputParameters": json.dumps(values, ensure_ascii=False)}
    return _curl(wait, "set", body)


def curl_stop(wait: Wait) -> str:
    """A call that Argo itself accepts and that fails this wait's node."""
    return _curl(wait, "stop", {"nodeFieldSelector": str(selector_for(wait)), "message": "MESSAGE"})


def _curl(wait: Wait, verb: str, body: dict[str, str]) -> str:
    cluster = clusters.get(wait.cluster)
    path = f"/api/v1/workflows/{quote(wait.namespace, safe='')}/{quote(wait.workflow, safe='')}/{verb}"
    lines = [
        "curl --fail-with-body -X PUT" + ("" if cluster.verify else " --insecure"),
        shlex.quote(cluster.server_url + cluster.base_href.rstrip("/") + path),
        '-H "Authorization: $ARGO_TOKEN"',
        "-H 'Content-Type: application/json'",
        "-d " + shlex.quote(json.dumps(body, ensure_ascii=False)),
    ]
    return " \\\n  ".join(lines)
