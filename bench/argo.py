"""An Argo in a process of its own: 10,000 waiting workflows, then changes at a steady rate.

    python -m bench.argo COUNT

It prints its URL, reads lines `RATE SECONDS` from its standard input, and makes so many changes a second.
"""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path

import yaml

import argo_simulator
from argo_simulator import Simulator
from argo_simulator.store import JsonObject

TEMPLATE = Path(argo_simulator.__file__).parent / "external-job-template.yaml"


def main() -> None:
    with Simulator(controller="manual") as argo:
        argo.create_template(yaml.safe_load(TEMPLATE.read_text()))
        name = argo.submit("external-job-template", name="sample", parameters={"job-cmd": "UUID=sample"})
        argo.run_controller()
        sample = argo.workflow("argo", name)
        argo.delete("argo", name)
        for number in range(int(sys.argv[1])):
            argo.load(another(sample, number))
        print(argo.url, flush=True)
        for line in sys.stdin:
            rate, seconds = map(int, line.split())
            change(argo, rate=rate, seconds=seconds)
            print("done", flush=True)


def another(sample: JsonObject, number: int) -> JsonObject:
    """The sample under another name, with seven nodes as in the contract's measurement."""
    workflow = copy.deepcopy(sample)
    name = f"nightly-etl-{number:05}"
    workflow["metadata"] |= {"name": name, "uid": f"uid-{number:08}"}
    nodes = {}
    for node in sample["status"]["nodes"].values():
        renamed = renamed_node(node, name)
        nodes[renamed["id"]] = renamed
        if node["type"] == "Suspend":
            renamed["inputs"] = {"parameters": [{"name": "uuid", "value": f"uuid-{number:08}"}]}
    for extra in range(7 - len(nodes)):
        pod = {**renamed_node(sample["status"]["nodes"]["sample"], f"{name}-{extra}"), "phase": "Succeeded",
               "type": "Pod", "boundaryID": name}  # fmt: skip
        nodes[pod["id"]] = pod
    workflow["status"]["nodes"] = nodes
    return workflow


def renamed_node(node: JsonObject, name: str) -> JsonObject:
    def rename(text: str) -> str:
        return text.replace("sample", name)

    changed = {**node, "id": rename(node["id"]), "name": rename(node["name"])}
    if "boundaryID" in node:
        changed["boundaryID"] = rename(node["boundaryID"])
    if "children" in node:
        changed["children"] = [rename(child) for child in node["children"]]
    return changed


def change(argo: Simulator, *, rate: int, seconds: int) -> None:
    """Half of the changes end a wait, half begin it anew."""
    began = time.monotonic()
    keys = list(argo.store.workflows)
    for number in range(rate * seconds):
        with argo.store.change(*keys[number % len(keys)]) as workflow:
            for node in workflow["status"]["nodes"].values():
                if node["type"] == "Suspend":
                    waiting = node["phase"] == "Running"
                    node["phase"] = "Succeeded" if waiting else "Running"
                    node["finishedAt"] = node["startedAt"] if waiting else None
        time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))


if __name__ == "__main__":
    main()
