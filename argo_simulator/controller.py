"""Moves workflows on as Argo's controller does, for what the pattern needs: steps and DAGs, withItems,
templateRef and workflowTemplateRef, containers that end at once, suspend with duration and supplied outputs.

A pass looks at one workflow and goes as far as it can; what is missing stops that branch until the next.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from argo_client.types import parse_duration
from argo_simulator.operations import FINISHED, LABEL, apply_defaults, is_waiting, nodes_of
from argo_simulator.store import ApiError, JsonObject, Store, stamp

#: A container's command -> its standard output; raises JobFailed.
RunJob = Callable[[str], str]

_DONE = (*FINISHED, "Skipped", "Omitted")
_GOOD = ("Succeeded", "Skipped", "Omitted")
_VARIABLE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_DEPENDS = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z]+)?|&&|\|\||!|\(|\)")
_TESTS = {"Succeeded": ("Succeeded",), "Failed": ("Failed",), "Errored": ("Error",), "Skipped": ("Skipped",),
          "Omitted": ("Omitted",), "": ("Succeeded", "Skipped")}  # fmt: skip


class JobFailed(Exception):
    """The container ended with an error."""


class _NotYet(Exception):
    """A value that is not known yet; Argo comes back to it with the next pass, for ever if need be."""


def node_id(workflow: str, node_name: str) -> str:
    """Argo's id of a node: FNV-1a of its name, in 32 bits; the root's is the workflow's name."""
    if node_name == workflow:
        return workflow
    value = 2166136261
    for byte in node_name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def run_command(command: str) -> str:
    """What the recorder's containers did: UUID=x gives x, FAIL fails, echo and printf are evaluated, and
    anything else gives a new UUID. Nothing is ever executed."""
    if "FAIL" in command:
        raise JobFailed
    if found := re.search(r"UUID=(.*)", command):
        return found[1].strip()
    command = re.sub(r"\s*>\s*\S+\s*$", "", command)
    words = shlex.split(command, posix=True) if command.startswith(("echo ", "printf ")) else []
    if words[:1] == ["echo"]:
        return " ".join(words[1:])
    if words[:1] == ["printf"]:
        return "".join(words[1:2]).replace("%s", "".join(words[2:3])).replace("\\n", "\n").strip("\n")
    return str(uuid.uuid4())


@dataclass
class Pass:
    """One look at one workflow. `workflow` is changed in place."""

    workflow: JsonObject
    store: Store
    run_job: RunJob
    nodes: dict[str, JsonObject] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = self.workflow.setdefault("status", {}).setdefault("nodes", {})

    @property
    def now(self) -> datetime:
        return self.store.now()

    @property
    def name(self) -> str:
        return str(self.workflow["metadata"]["name"])

    def run(self) -> None:
        status = self.workflow["status"]
        if status.get("phase") in FINISHED:
            return
        if not status.get("phase"):
            status |= {"phase": "Running", "startedAt": stamp(self.now), "finishedAt": None}
            self._label(phase="Running", completed="false")
            if ref := self.workflow["spec"].get("workflowTemplateRef"):
                self.workflow["metadata"]["labels"][LABEL + "workflow-template"] = ref["name"]
        if strategy := self.workflow["spec"].get("shutdown"):
            self._shut_down(strategy)
        elif self.workflow["spec"].get("suspend"):
            self._drop_empty_nodes()
            return
        self._resume_what_is_due()
        try:
            root = self._run_root()
        except ApiError as error:
            self._finish("Error", error.message)
            return
        if root["phase"] in FINISHED:
            message = f"Stopped with strategy '{strategy}'" if strategy else root.get("message", "")
            self._finish("Failed" if strategy and root["phase"] != "Succeeded" else root["phase"], message)
        self._drop_empty_nodes()

    def _run_root(self) -> JsonObject:
        spec = self.workflow["spec"]
        scope = f"local/{self.name}"
        if ref := spec.get("workflowTemplateRef"):
            template = self.store.template(self.workflow["metadata"]["namespace"], ref["name"])
            scope, stored = "local/", template["spec"]
            stored = {**stored, **_merged_arguments(stored, spec)}
            self.workflow["status"]["storedWorkflowTemplateSpec"] = stored
        else:
            stored = spec
        self._templates = {t["name"]: t for t in stored.get("templates") or []}
        entrypoint = spec.get("entrypoint") or stored.get("entrypoint")
        call = {"template": entrypoint, **_arguments(stored)}
        return self._call(call, name=self.name, display=self.name, scope=scope, boundary="", known={})

    def _call(
        self,
        call: JsonObject,
        *,
        name: str,
        display: str,
        scope: str,
        boundary: str,
        known: Mapping[str, str],
    ) -> JsonObject:
        """Runs a step, a task or the entrypoint as far as it goes. Raises _NotYet, ApiError."""
        template, inner, around = self._template(call, scope)
        identifier = node_id(self.name, name)
        node = self.nodes.get(identifier)
        if node is not None and node["phase"] in _DONE:
            return node
        if node is None:
            inputs = self._inputs(template, call, known)
            node = self._add(name, display, _type(template), scope=scope, boundary=boundary, **around)
            if inputs:
                node["inputs"] = {"parameters": inputs}
            self._begin(node, template)
        values = {f"inputs.parameters.{p['name']}": p["value"] for p in _parameters(node) if "value" in p}
        if "steps" in template:
            self._run_steps(node, template, inner, values)
        elif "dag" in template:
            self._run_dag(node, template, inner, values)
        elif "suspend" not in template:
            self._run_pod(node, template, values, call)
        return node

    def _template(self, call: JsonObject, scope: str) -> tuple[JsonObject, str, JsonObject]:
        """The template that a call names, the scope of what it calls, and how its node names it."""
        namespace = self.workflow["metadata"]["namespace"]
        if ref := call.get("templateRef"):
            source, name = f"namespaced/{ref['name']}", ref["template"]
            around: JsonObject = {"templateRef": {"name": ref["name"], "template": name}}
        else:
            source, name, around = scope, call["template"], {"templateName": call["template"]}
        if source.startswith("local/"):
            found = self._templates.get(name)
        else:
            spec = self.store.template(namespace, source.removeprefix("namespaced/"))["spec"]
            found = next((t for t in spec.get("templates") or [] if t["name"] == name), None)
        if found is None:
            raise ApiError(400, f"template name '{name}' undefined")
        if source != "local/" + self.name:
            self._remember_template(source, name, found)
        return found, source, around

    def _remember_template(self, source: str, name: str, template: JsonObject) -> None:
        ref = self.workflow["spec"].get("workflowTemplateRef")
        key = f"namespaced/{ref['name']}" if source == "local/" and ref else source
        self.workflow["status"].setdefault("storedTemplates", {})[f"{key}/{name}"] = template

    def _add(
        self, name: str, display: str, kind: str, *, scope: str, boundary: str, **more: Any
    ) -> JsonObject:
        node: JsonObject = {
            "id": node_id(self.name, name),
            "name": name,
            "displayName": display,
            "type": kind,
            **more,
            "templateScope": scope,
            "phase": "Running",
            "startedAt": stamp(self.now),
            "finishedAt": None,
        }
        if boundary:
            node["boundaryID"] = boundary
        self.nodes[node["id"]] = node
        return node

    def _begin(self, node: JsonObject, template: JsonObject) -> None:
        if "suspend" not in template:
            return
        # First the defaults: one that comes with choices made by an earlier step is none of the output's.
        defaults = {p["name"]: p["default"] for p in _parameters(node) if "default" in p}
        for parameter in _parameters(node):
            _take_choices(parameter)
        outputs = [_supplied(o, defaults) for o in (template.get("outputs") or {}).get("parameters") or []]
        if outputs:
            node["outputs"] = {"parameters": outputs}

    def _inputs(self, template: JsonObject, call: JsonObject, known: Mapping[str, str]) -> list[JsonObject]:
        given = {p["name"]: p for p in (call.get("arguments") or {}).get("parameters") or []}
        read = []
        for declared in (template.get("inputs") or {}).get("parameters") or []:
            value = given.get(declared["name"], {}).get(
                "value", declared.get("value", declared.get("default"))
            )
            if value is None:
                raise ApiError(400, f"inputs.parameters.{declared['name']} was not supplied")
            read.append({**declared, "value": self._filled(value, known)})
        return read

    def _filled(self, value: Any, known: Mapping[str, str]) -> str:
        """The text with its variables in place. Raises _NotYet for an output that nobody gave."""
        own = {
            "workflow.name": self.name,
            "workflow.namespace": self.workflow["metadata"]["namespace"],
            "workflow.uid": self.workflow["metadata"]["uid"],
        }
        stored = self.workflow["status"].get("storedWorkflowTemplateSpec") or self.workflow["spec"]
        own |= {f"workflow.parameters.{p['name']}": p.get("value", "") for p in _spec_parameters(stored)}

        def known_value(match: re.Match[str]) -> str:
            found = known.get(match[1], own.get(match[1]))
            if found is None:
                raise _NotYet
            return str(found)

        return _VARIABLE.sub(known_value, value if isinstance(value, str) else json.dumps(value))

    def _run_steps(
        self, node: JsonObject, template: JsonObject, scope: str, known: Mapping[str, str]
    ) -> None:
        known = dict(known)
        before: list[JsonObject] = []
        for number, group in enumerate(template["steps"]):
            name = f"{node['name']}[{number}]"
            box = self.nodes.get(node_id(self.name, name)) or self._add(
                name, f"[{number}]", "StepGroup", scope=scope, boundary=node["id"], nodeFlag={}
            )
            for parent in before or [node]:
                _link(parent, box)
            if not self._run_group(box, group, node, scope, known):
                return
            if box["phase"] not in _GOOD:
                self._end(node, box["phase"], box.get("message", ""))
                return
            children = [self.nodes[child] for child in box.get("children") or []]
            before = [end for child in children for end in self._outbound(child)] or [box]
            for step in group:
                known |= self._results(f"steps.{step['name']}", f"{name}.{step['name']}")
        self._end(node, "Succeeded", "")

    def _run_group(
        self, box: JsonObject, group: list[JsonObject], parent: JsonObject, scope: str, known: dict[str, str]
    ) -> bool:
        """Runs the steps of one group side by side; True when all of them are done."""
        if box["phase"] in _DONE:
            return True
        done, failed = True, None
        for step in group:
            for item, label in self._items(step, known):
                name = f"{box['name']}.{step['name']}{label}"
                try:
                    child = self._call(
                        step, name=name, display=f"{step['name']}{label}", scope=scope,
                        boundary=parent["id"], known={**known, **item},
                    )  # fmt: skip
                except _NotYet:
                    done = False
                    continue
                _link(box, child)
                done = done and child["phase"] in _DONE
                if child["phase"] in ("Failed", "Error") and not _goes_on(step, child["phase"]):
                    failed = failed or child
        if done:
            message = f"child '{failed['id']}' failed" if failed else ""
            self._end(box, "Failed" if failed else "Succeeded", message)
        return done

    def _items(self, step: JsonObject, known: Mapping[str, str]) -> Iterator[tuple[dict[str, str], str]]:
        """Each item's variables and the label that Argo gives it; one nameless item without withItems."""
        items = step.get("withItems")
        if items is None and "withParam" in step:
            items = json.loads(self._filled(step["withParam"], known))
        if items is None:
            yield {}, ""
            return
        for number, item in enumerate(items):
            text = item if isinstance(item, str) else json.dumps(item)
            values = {"item": text}
            if isinstance(item, dict):
                values |= {f"item.{key}": str(value) for key, value in item.items()}
                text = ",".join(f"{key}:{value}" for key, value in item.items())
            yield values, f"({number}:{text})"

    def _run_dag(self, node: JsonObject, template: JsonObject, scope: str, known: Mapping[str, str]) -> None:
        tasks = {task["name"]: task for task in template["dag"]["tasks"]}
        for name in _in_order(tasks):
            self._run_task(tasks[name], tasks, node, scope, dict(known))
        made = [self.nodes.get(node_id(self.name, f"{node['name']}.{name}")) for name in tasks]
        if all(task is not None and task["phase"] in _DONE for task in made):
            phases = [task["phase"] for task in made if task]
            self._end(node, next((p for p in ("Error", "Failed") if p in phases), "Succeeded"), "")

    def _run_task(
        self,
        task: JsonObject,
        tasks: Mapping[str, JsonObject],
        dag: JsonObject,
        scope: str,
        known: dict[str, str],
    ) -> None:
        name = f"{dag['name']}.{task['name']}"
        needed = _needs(task)
        before = {n: self.nodes.get(node_id(self.name, f"{dag['name']}.{n}")) for n in needed}
        if not all(n is not None and n["phase"] in _DONE for n in before.values()):
            return
        parents = [end for n in before.values() if n for end in self._outbound(n)] or [dag]
        if not _met(task, {n: before[n]["phase"] for n in needed if before[n]}):  # type: ignore[index]
            if node_id(self.name, name) not in self.nodes:
                self._omit(name, task, scope, dag, parents)
            return
        for other in tasks:
            known |= self._results(f"tasks.{other}", f"{dag['name']}.{other}")
        try:
            made = self._task_node(task, name, dag, scope, known)
        except _NotYet:
            return
        for parent in parents:
            _link(parent, made)

    def _task_node(
        self, task: JsonObject, name: str, dag: JsonObject, scope: str, known: dict[str, str]
    ) -> JsonObject:
        if "withItems" not in task and "withParam" not in task:
            return self._call(
                task, name=name, display=task["name"], scope=scope, boundary=dag["id"], known=known
            )
        group = self.nodes.get(node_id(self.name, name)) or self._add(
            name, task["name"], "TaskGroup", scope=scope, boundary=dag["id"], nodeFlag={}, **_named(task)
        )
        phases = []
        for item, label in self._items(task, known):
            child = self._call(
                task, name=name + label, display=task["name"] + label, scope=scope,
                boundary=dag["id"], known={**known, **item},
            )  # fmt: skip
            _link(group, child)
            phases.append(child["phase"])
        if all(phase in _DONE for phase in phases):
            self._end(group, next((p for p in ("Error", "Failed") if p in phases), "Succeeded"), "")
        return group

    def _omit(
        self, name: str, task: JsonObject, scope: str, dag: JsonObject, parents: list[JsonObject]
    ) -> None:
        node = self._add(
            name, task["name"], "Skipped", scope=scope, boundary=dag["id"], nodeFlag={}, **_named(task)
        )
        self._end(node, "Omitted", "omitted: depends condition not met")
        for parent in parents:
            _link(parent, node)

    def _run_pod(
        self, node: JsonObject, template: JsonObject, known: Mapping[str, str], call: JsonObject
    ) -> None:
        container = template.get("container") or template.get("script") or {}
        command = " ".join(container.get("args") or []) or str(container.get("source") or "")
        wanted = f"{call.get('name')}.outputs.result" in json.dumps([*self._all_templates()])
        try:
            result = self.run_job(self._filled(command, known))
        except JobFailed:
            node["outputs"] = {"exitCode": "1"}
            self._end(node, "Failed", "main: Error (exit code 1)")
        else:
            node["outputs"] = {"result": result, "exitCode": "0"} if wanted else {"exitCode": "0"}
            if declared := (template.get("outputs") or {}).get("parameters"):
                node["outputs"]["parameters"] = [{**output, "value": result} for output in declared]
            self._end(node, "Succeeded", "")

    def _all_templates(self) -> Iterator[JsonObject]:
        yield from self._templates.values()
        yield from self.workflow["status"].get("storedTemplates", {}).values()

    def _results(self, prefix: str, name: str) -> dict[str, str]:
        """What later steps may refer to of the node with this name."""
        node = self.nodes.get(node_id(self.name, name))
        outputs = (node or {}).get("outputs") or {}
        known = {f"{prefix}.outputs.parameters.{p['name']}": p["value"]
                 for p in outputs.get("parameters") or [] if "value" in p}  # fmt: skip
        if "result" in outputs:
            known[f"{prefix}.outputs.result"] = outputs["result"]
        return known

    def _outbound(self, node: JsonObject) -> list[JsonObject]:
        """The nodes at the end of a node, of which what comes next is a child."""
        children = [self.nodes[c] for c in node.get("children") or [] if c in self.nodes]
        if node["type"] == "TaskGroup":
            return [end for child in children for end in self._outbound(child)]
        if node["type"] == "DAG":
            inside = [n for n in self.nodes.values() if n.get("boundaryID") == node["id"]]
            ends = [n for n in inside if not any(c["id"] in (n.get("children") or []) for c in inside)]
            return [end for child in ends for end in self._outbound(child)]
        if node["type"] != "Steps":
            return [node]
        boxes = [n for n in self.nodes.values()
                 if n.get("boundaryID") == node["id"] and n["type"] == "StepGroup"]  # fmt: skip
        if not boxes:
            return [node]
        last = max(boxes, key=lambda box: int(box["displayName"].strip("[]")))
        inside = [self.nodes[c] for c in last.get("children") or []]
        return [end for child in inside for end in self._outbound(child)] or [last]

    def _resume_what_is_due(self) -> None:
        for node in self.nodes.values():
            if not is_waiting(node):
                continue
            duration = parse_duration(self._duration(node))
            began = datetime.fromisoformat(node["startedAt"])
            if duration is not None and self.now >= began + duration:
                apply_defaults(node)
                self._end(node, "Succeeded", node.get("message", ""))

    def _duration(self, node: JsonObject) -> str:
        name = (node.get("templateRef") or {}).get("template") or node.get("templateName")
        found = [t for t in self._known_templates() if t["name"] == name and "suspend" in t]
        written = str((found[0]["suspend"] or {}).get("duration", "")) if found else ""
        inputs = {f"inputs.parameters.{p['name']}": str(p.get("value")) for p in _parameters(node)}
        return _VARIABLE.sub(lambda match: inputs.get(match[1], ""), written)

    def _known_templates(self) -> Iterator[JsonObject]:
        status = self.workflow["status"]
        yield from self.workflow["spec"].get("templates") or []
        yield from (status.get("storedWorkflowTemplateSpec") or {}).get("templates") or []
        yield from status.get("storedTemplates", {}).values()

    def _shut_down(self, strategy: str) -> None:
        for node in self.nodes.values():
            if node["phase"] not in _DONE and node["type"] in ("Suspend", "Pod"):
                self._end(node, "Failed", f"Stopped with strategy '{strategy}'")

    def _end(self, node: JsonObject, phase: str, message: str) -> None:
        if node["phase"] in _DONE:
            return
        node |= {"phase": phase, "finishedAt": stamp(self.now)}
        if message:
            node["message"] = message

    def _finish(self, phase: str, message: str) -> None:
        self.workflow["status"] |= {"phase": phase, "finishedAt": stamp(self.now)}
        if message:
            self.workflow["status"]["message"] = message
        self._label(phase=phase, completed="true")

    def _label(self, *, phase: str, completed: str) -> None:
        labels = self.workflow["metadata"].setdefault("labels", {})
        labels |= {LABEL + "phase": phase, LABEL + "completed": completed}

    def _drop_empty_nodes(self) -> None:
        if not nodes_of(self.workflow):
            self.workflow["status"].pop("nodes", None)


def _named(task: JsonObject) -> JsonObject:
    return (
        {"templateRef": task["templateRef"]} if "templateRef" in task else {"templateName": task["template"]}
    )


def _type(template: JsonObject) -> str:
    for member, kind in (("steps", "Steps"), ("dag", "DAG"), ("suspend", "Suspend")):
        if member in template:
            return kind
    return "Pod"


def _parameters(node: JsonObject) -> list[JsonObject]:
    return (node.get("inputs") or {}).get("parameters") or []


def _spec_parameters(spec: JsonObject) -> list[JsonObject]:
    return (spec.get("arguments") or {}).get("parameters") or []


def _merged_arguments(template: JsonObject, workflow: JsonObject) -> JsonObject:
    """The workflow's arguments go before those of its template."""
    merged = {p["name"]: p for spec in (template, workflow) for p in _spec_parameters(spec)}
    return {"arguments": {"parameters": list(merged.values())}} if merged else {}


def _arguments(spec: JsonObject) -> JsonObject:
    return {"arguments": spec["arguments"]} if spec.get("arguments") else {}


def _supplied(output: JsonObject, defaults: Mapping[str, Any]) -> JsonObject:
    """An output as the waiting node carries it: the default of the input of its name becomes its own."""
    source = dict(output.get("valueFrom") or {})
    if "supplied" in source and "default" not in source and output["name"] in defaults:
        source["default"] = defaults[output["name"]]
    return {**output, "valueFrom": source} if source else dict(output)


def _take_choices(parameter: JsonObject) -> None:
    """A value like {"enum": [...]} that an earlier step made becomes the choices of a waiting node (T18)."""
    try:
        choices = json.loads(parameter.get("value", ""))["enum"]
    except (ValueError, TypeError, KeyError):
        return
    if isinstance(choices, list) and choices:
        parameter["enum"] = [c if isinstance(c, str) else json.dumps(c) for c in choices]
        parameter.setdefault("default", parameter["enum"][0])


def _link(parent: JsonObject, child: JsonObject) -> None:
    children = parent.setdefault("children", [])
    if child["id"] not in children:
        children.append(child["id"])


def _goes_on(step: JsonObject, phase: str) -> bool:
    on = step.get("continueOn") or {}
    return bool(on.get("failed") if phase == "Failed" else on.get("error"))


def _needs(task: JsonObject) -> list[str]:
    if "depends" not in task:
        return list(task.get("dependencies") or [])
    words = [word.partition(".")[0] for word in _DEPENDS.findall(task["depends"])]
    return list(dict.fromkeys(word for word in words if word[0] not in "&|!()"))


def _met(task: JsonObject, phases: Mapping[str, str]) -> bool:
    """Whether what a task depends on came out as it wants."""
    if "depends" not in task:
        return all(phase in _TESTS[""] for phase in phases.values())
    words = _DEPENDS.findall(task["depends"])
    read = [_word(word, phases) for word in words]
    return _either(read)


def _word(word: str, phases: Mapping[str, str]) -> str | bool:
    if word in ("&&", "||", "!", "(", ")"):
        return word
    name, _, test = word.partition(".")
    return phases.get(name, "") in _TESTS.get(test, ())


def _either(words: list[str | bool]) -> bool:
    value = _both(words)
    while words and words[0] == "||":
        words.pop(0)
        value = _both(words) or value
    return value


def _both(words: list[str | bool]) -> bool:
    value = _one(words)
    while words and words[0] == "&&":
        words.pop(0)
        value = _one(words) and value
    return value


def _one(words: list[str | bool]) -> bool:
    word = words.pop(0)
    if word == "!":
        return not _one(words)
    if word != "(":
        return bool(word)
    value = _either(words)
    words.pop(0)
    return value


def _in_order(tasks: Mapping[str, JsonObject]) -> list[str]:
    """The tasks, each after those that it depends on."""
    order: list[str] = []

    def visit(name: str) -> None:
        for needed in _needs(tasks[name]) if name in tasks else ():
            visit(needed)
        if name not in order and name in tasks:
            order.append(name)

    for name in tasks:
        visit(name)
    return order
