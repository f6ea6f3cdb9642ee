"""Which package may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "argo_client": {"django", "dashboard", "argo_simulator"},
    "argo_simulator": {"django", "dashboard", "requests"},
    "dashboard": {"requests", "argo_simulator"},
}
#: What the simulator may take from the client: both are held to the recorded exchanges themselves.
FROM_CLIENT = {"argo_client.selectors", "argo_client.retry_plan", "argo_client.types"}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    wrong = [(str(p), name) for p, name in imports(package) if name.split(".")[0] in FORBIDDEN[package]]
    assert wrong == []


def test_the_simulator_takes_from_the_client_only_what_is_recorded() -> None:
    # The demo's stand-in for an external system calls Argo as such a system would, over HTTP.
    taken = {name for path, name in imports("argo_simulator") if name.startswith("argo_client")
             if path.name != "scene.py"}  # fmt: skip
    assert taken <= FROM_CLIENT
